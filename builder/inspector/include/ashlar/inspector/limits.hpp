// SPDX-License-Identifier: LGPL-2.1-or-later
// Every limit on what a kernel image may contain or cost.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ashlar::inspector {

inline constexpr std::uint64_t max_image_bytes = 256u << 20; // the file as sent
inline constexpr std::uint64_t max_plain_bytes = 512u << 20; // the plain ELF
inline constexpr std::uint64_t max_load_bytes = 1024u << 20; // lowest to highest loaded address
inline constexpr std::uint32_t max_program_headers = 32;
inline constexpr std::uint32_t max_section_headers = 256;
inline constexpr std::uint64_t max_note_bytes = 64u << 10; // one note segment or section
inline constexpr std::uint32_t max_notes = 64;
inline constexpr std::size_t max_guest_os_bytes = 32; // XEN_ELFNOTE_GUEST_OS in a report
inline constexpr std::uint64_t max_decoder_bytes = 256u
                                                   << 20; // dictionary of an xz or lzma decoder
inline constexpr std::uint64_t max_address_space_bytes = 2048u << 20; // RLIMIT_AS of the process
inline constexpr std::uint32_t max_cpu_seconds = 60;   // RLIMIT_CPU: software emulation is slow
inline constexpr std::uint32_t max_wall_seconds = 120; // then the broker kills it

} // namespace ashlar::inspector
