// SPDX-License-Identifier: LGPL-2.1-or-later
// Every count, size and time of the broker that a requester or a guest can influence.
// Limits of single messages stand in ipc/ashlar.options, those of kernel images in
// inspector/limits.hpp.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ashlar::broker {

// Connections.
inline constexpr std::size_t max_connections = 64;
inline constexpr std::size_t max_connections_per_peer = 16;    // of one domain, or one uid
inline constexpr std::size_t max_requests_per_connection = 16; // under way at once
/// A connection that has not said Hello by then is closed.
inline constexpr std::chrono::seconds hello_time{30};
/// A peer that takes no byte of what waits for it for so long is given up.
inline constexpr std::chrono::seconds stuck_peer_time{60};
/// An upload that brings no byte for so long is given up, with its memory.
inline constexpr std::chrono::seconds stalled_upload_time{60};
/// Frames handled from one connection before the next one gets its turn.
inline constexpr std::size_t frames_per_turn = 8;

/// When a connection could not be taken, for want of descriptors or memory, it waits so long.
inline constexpr std::chrono::seconds accept_pause{1};
/// Lines that one domain or uid may cause in the log: so many at once, and one more after each
/// pause.
inline constexpr std::uint32_t peer_log_burst = 500;
inline constexpr std::chrono::milliseconds peer_log_pause{250};

/// Changes in xenstore that are looked at before connections get their turn: backends and toolstack
/// domains can cause as many as they like.
inline constexpr std::size_t store_events_per_turn = 64;

// Images.
inline constexpr std::uint64_t max_kernel_bytes = 256ull << 20;
inline constexpr std::uint64_t max_initrd_bytes = 1024ull << 20;
/// The most that images may take where the settings do not say: half of the builder's memory.
/// Images are memory that cannot be swapped, and what they leave is for processes and for copies of
/// initrds.
inline constexpr std::uint64_t default_store_bytes = 1536ull << 20;
inline constexpr std::uint64_t min_store_bytes = 16ull << 20;
[[nodiscard]] constexpr std::uint64_t default_store_bytes_in(std::uint64_t memory_bytes) {
  return std::clamp(memory_bytes / 2, min_store_bytes, default_store_bytes);
}
inline constexpr std::size_t max_images = 256;

// Guests.
inline constexpr std::size_t max_domains = 1024;
inline constexpr std::uint32_t max_vcpus = 128;
inline constexpr std::uint64_t min_memory_kib = 16ull << 10;
inline constexpr std::uint64_t max_memory_kib = 1ull << 30; // 1 TiB
/// Xen's own need beside a guest's memory (page tables, struct domain, vCPUs): asked for as free
/// memory.
inline constexpr std::uint64_t domain_overhead_kib = 8ull << 10;

// vTPMs.
/// Their domains are called so, by their guest's UUID: no requester may take the name before.
inline constexpr std::string_view vtpm_name_prefix = "vtpm-";
inline constexpr std::uint64_t default_vtpm_memory_kib = 96ull << 10;
/// From the start of a vTPM's domain to its report that the guest's measurement is extended.
inline constexpr std::chrono::seconds vtpm_start_time{120};
/// While a vTPM starts its requester hears of it so often, so that the silence does not look like a
/// dead builder.
inline constexpr std::chrono::seconds vtpm_progress_time{10};
/// From the start of the TPM Manager's domain to its first acknowledgement.
inline constexpr std::chrono::seconds tpm_manager_start_time{180};

// Disks and network interfaces.
/// From the nodes of a device to its backend's word that it is set up: Xen's scripts may wait for a
/// lock, or for udev.
inline constexpr std::chrono::seconds default_device_time{90};
/// For a backend to let go of the devices of a guest that is gone; its scripts then clean up.
inline constexpr std::chrono::seconds device_detach_time{60};
/// While backends are waited for the requester hears of it so often.
inline constexpr std::chrono::seconds device_progress_time{10};

// Builds.
inline constexpr std::size_t max_running_builds = 2;
inline constexpr std::size_t max_queued_builds = 64; // that requesters ask for
inline constexpr std::size_t max_queued_builds_per_requester = 32;
inline constexpr std::size_t max_dry_runs =
    4; // that verify signatures; they take no builds' places
inline constexpr std::chrono::seconds inspect_time{120};
inline constexpr std::chrono::seconds construct_time{300};
/// A domain that stopped and could not be ended, for want of memory most likely, is tried again.
inline constexpr std::chrono::seconds end_retry_pause{1};
/// A guest that asks for a restart sooner than this after its start is destroyed: it would only
/// loop.
inline constexpr std::chrono::seconds min_uptime_for_restart{2};
/// Restarts of one guest: so many at once, and one more after each pause. Each needs a record, and
/// a machine's log of records never shrinks; a guest that loops must not fill it for all others.
inline constexpr std::uint32_t restart_burst = 16;
inline constexpr std::chrono::minutes restart_pause{10};

// Consoles.
inline constexpr std::uint32_t max_console_tail_bytes = 64u << 10;

// Files.
inline constexpr std::uint64_t max_settings_bytes = 64u << 10;
inline constexpr std::size_t max_boot_domains = 16;
inline constexpr std::uint64_t max_release_memory_bytes = 1u << 20;
/// The journal is written anew, without what is over, when it has grown by so much.
inline constexpr std::uint64_t journal_slack_bytes = 4u << 20;

} // namespace ashlar::broker
