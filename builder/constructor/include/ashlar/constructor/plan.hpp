// SPDX-License-Identifier: LGPL-2.1-or-later
// What the broker tells a constructor process to build, and what it answers.
//
// Process contract of ashlar-constructor (no arguments, environment empty, or
// ASHLAR_LOG_LEVEL=debug):
//   fd 3  the sealed, encoded Plan
//   fd 4  write end of a pipe: one encoded Outcome, then end of file
//   fd 5  the sealed plain ELF kernel
//   fd 6… the sealed initrds, in load order
// On success the domain exists, paused, with memory, console, xenstore nodes, and is introduced to
// xenstored. On any failure it does not exist and no node is left. The process gets SIGKILL when
// the broker dies; the broker's successor then removes what is left by the plan's UUID.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/domain_configuration.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::constructor {

inline constexpr int plan_fd = 3;
inline constexpr int outcome_fd = 4;
inline constexpr int kernel_fd = 5;
inline constexpr int first_initrd_fd = 6;

inline constexpr std::size_t max_initrds = 8;
inline constexpr std::size_t max_command_line_bytes =
    2047; // x86 Linux' COMMAND_LINE_SIZE less the NUL
/// A PV guest's command line lies in start_info, which has 1024 bytes for it (MAX_GUEST_CMDLINE in
/// xen/include/public/xen.h). libxenguest would cut a longer one off without a word, and the guest
/// would run with another command line than the one measured.
inline constexpr std::size_t max_pv_command_line_bytes = 1023;
inline constexpr std::uint32_t max_vcpus = 128;
inline constexpr std::uint64_t max_memory_kib = std::uint64_t{1}
                                                << 34; // 16 TiB, Xen's own limit for a guest
inline constexpr std::size_t max_plan_bytes = 8192;
inline constexpr std::size_t max_outcome_bytes = 4096;

/// Pages of the machine's I/O memory that a domain may map: a device that it drives itself.
struct IoPages {
  std::uint64_t first_page = 0; // machine frame number (4 KiB)
  std::uint32_t count = 0;
  bool operator==(const IoPages&) const = default;
};
inline constexpr std::size_t max_io_ranges = 4;
inline constexpr std::uint32_t max_io_pages = 256;                   // of one range
inline constexpr std::uint64_t max_io_page = std::uint64_t{1} << 40; // x86's physical addresses

struct Plan {
  measure::Uuid uuid{}; // the handle given to Xen in the very call that creates the domain
  measure::DomainConfiguration configuration;
  std::string command_line;
  std::uint32_t initrd_count = 0;
  std::vector<IoPages> io_pages;    // the boot manifest's alone: no request can ask for them
  bool native_tsc = false;          // RDTSC always reads the CPU's counter, as in tsc_mode="native"
  std::uint32_t builder_domid = 0;  // domain of the builder, which owns the xenstore nodes
  std::uint32_t console_domid = 0;  // domain of xenconsoled
  std::uint32_t xenstore_domid = 0; // domain of xenstored
};
[[nodiscard]] std::vector<std::byte> encode(const Plan& plan);
[[nodiscard]] Result<Plan> decode_plan(std::span<const std::byte> bytes);

struct Outcome {
  Result<std::uint32_t> domid; // or the Error
};
[[nodiscard]] std::vector<std::byte> encode(const Outcome& outcome);
[[nodiscard]] Result<Outcome> decode_outcome(std::span<const std::byte> bytes);

} // namespace ashlar::constructor
