// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/constructor/memory_need.hpp"

#include <fmt/format.h>

namespace ashlar::constructor {

namespace {
constexpr std::uint64_t mib = 1024 * 1024;
// Page tables take 8 bytes a page, and the page frame list of a PV guest as much: 1/256 together.
constexpr std::uint64_t memory_for_each_table_byte = 256;
constexpr std::uint64_t fixed_bytes = mib; // start information, rings, boot stack, padding to 4 MiB

std::uint64_t in_mib(std::uint64_t bytes) {
  return bytes / mib + (bytes % mib != 0 ? 1 : 0);
}
} // namespace

Status check_memory_need(std::uint64_t kernel_end, std::uint64_t initrd_bytes,
                         std::uint64_t memory_kib) {
  const std::uint64_t memory = memory_kib * 1024;
  const std::uint64_t beside = memory / memory_for_each_table_byte + fixed_bytes;
  // Compared one by one: a sum of what a kernel's headers claim could overflow.
  if (kernel_end <= memory && initrd_bytes <= memory - kernel_end &&
      beside <= memory - kernel_end - initrd_bytes)
    return {};
  return failure(
      ErrorCode::limit, "fitting kernel and initrds into the domain's memory",
      fmt::format("the loaded kernel ends at {} MiB, the initrds take {} MiB and tables {} "
                  "MiB, but the domain has {} MiB; give it more memory than the sum",
                  in_mib(kernel_end), in_mib(initrd_bytes), in_mib(beside), in_mib(memory)));
}

} // namespace ashlar::constructor
