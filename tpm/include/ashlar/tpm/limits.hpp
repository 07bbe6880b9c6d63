// SPDX-License-Identifier: LGPL-2.1-or-later
// Every count, size and time of the TPM Manager that another domain can influence.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ashlar::tpm {

// The ledger. Together at most 64 MiB: record bytes, and 10,000 to 32,768 entries of about 250 B.
inline constexpr std::size_t max_live_records = 10'000; // records of domains that may exist
/// Encoded records that are kept: 2.5 KB each for as many as there may be. Those of revoked records
/// go first when it is reached; their digests stay in the log.
inline constexpr std::size_t max_kept_record_bytes = 24u << 20;
/// Records since boot, revoked ones included: the host log explains the PCR from its first event,
/// so an entry never goes.
inline constexpr std::size_t max_log_events = 32'768;
/// Builds run side by side, so records come a little out of order: this much below the largest
/// serial, a new one is still taken.
inline constexpr std::uint64_t serial_window = 1024;
/// Revoked serials whose records never came.
inline constexpr std::size_t max_unknown_revocations = 4096;

// The journal.
inline constexpr std::uint64_t max_journal_bytes = 128u << 20;
/// It is written anew, without what is over, when it has grown by so much.
inline constexpr std::uint64_t journal_slack_bytes = 8u << 20;

// The list of approved vTPM images: several thousand lines.
inline constexpr std::uint64_t max_approved_images_bytes = 1u << 20;

// The vTPMs.
inline constexpr std::size_t max_keys = 4096; // guests whose vTPM's key is kept, 150 B each
/// Of those, one requester's: it chooses its guests' UUIDs, and must leave room for others.
inline constexpr std::size_t max_requester_keys = 1024;
inline constexpr std::uint64_t max_key_table_bytes = 1u << 20;
inline constexpr std::uint64_t max_key_file_bytes = max_key_table_bytes + 4096; // encrypted
/// Each save writes the TPM's counter, whose memory wears out: what one guest (KeyOwner) may use of
/// it while the manager runs, however often it is built anew.
inline constexpr std::uint32_t max_key_saves = 10'000;
/// So many at once, and one more after each pause: the TPM and the store of keys are there for all.
inline constexpr std::uint32_t key_save_burst = 64;
inline constexpr std::chrono::milliseconds key_save_pause{5'000};
/// A store of the keys in another domain: while the manager waits for it, it answers nobody else.
/// Two windows' time in a row are below default_answer_time, so that a store that stalls fails no
/// record.
inline constexpr std::chrono::seconds store_window{20};
inline constexpr std::chrono::seconds store_time_in_window{8};

// Evidence: each quote and each activation keeps the hardware TPM from taking records for up to a
// second. One vTPM may have so many at once, and one more after each pause; and all together.
inline constexpr std::uint32_t vtpm_evidence_burst = 8;
inline constexpr std::chrono::milliseconds vtpm_evidence_pause{10'000};
inline constexpr std::uint32_t host_evidence_burst = 32;
inline constexpr std::chrono::milliseconds host_evidence_pause{2'000};
/// What the builder is told of the TPM's state, keys and PCRs is told again for so long without
/// asking the TPM: a requester that may see them can ask as often as it likes.
inline constexpr std::chrono::milliseconds identity_kept{1'000};
/// And so long is a TPM left alone that failed to give them: a dead one keeps the manager waiting,
/// and making an endorsement key takes seconds.
inline constexpr std::chrono::milliseconds identity_retry_pause{10'000};
/// An EK certificate (DER) has about 1 KiB; a longer one is left out.
inline constexpr std::size_t max_ek_certificate_bytes = 3072;
/// A TPM2B_PUBLIC of RSA 2048 has about 320 bytes.
inline constexpr std::size_t max_public_key_bytes = 1024;
inline constexpr std::size_t max_identity_pcrs = 9; // 0 to 7 and the host PCR
inline constexpr std::uint8_t max_pcr_number = 23;

// The connection.
inline constexpr std::size_t max_reason_bytes = 1024; // of a refusal
inline constexpr std::size_t frames_per_turn = 64;    // handled before anything else gets its turn

// The builder's end of it.
inline constexpr std::size_t max_waiting_requests = 4096;
/// The link puts no more into its connection while so many bytes wait there for room.
inline constexpr std::size_t link_queue_bytes = 512u << 10;
inline constexpr std::chrono::milliseconds default_answer_time{30'000};
inline constexpr std::chrono::milliseconds default_retry_pause{500};
static_assert(2 * store_time_in_window < default_answer_time);

} // namespace ashlar::tpm
