// SPDX-License-Identifier: LGPL-2.1-or-later
// A small PE image to sign: headers, two sections, and something after them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar::signature::test {

using Bytes = std::vector<std::byte>;

/// Where things are in pe_image(), for tests that break them.
inline constexpr std::size_t pe_at = 0x80;
inline constexpr std::size_t optional_at = pe_at + 24;
inline constexpr std::size_t checksum_at = optional_at + 64;
inline constexpr std::size_t table_place_at = optional_at + 112 + 32;
inline constexpr std::size_t sections_at = optional_at + 240;
inline constexpr std::size_t headers_bytes = 0x200;
inline constexpr std::size_t section_data_bytes = 0x200;

void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t width);
[[nodiscard]] std::uint32_t word(const Bytes& bytes, std::size_t at);

/// PE32+ for x86-64, as an EFI application.
[[nodiscard]] Bytes pe_image();

/// Runs a shell script in `directory`; fails the test when it fails. Its output is kept beside it.
void run(const std::string& directory, std::string_view script);
[[nodiscard]] Bytes file(const std::string& path);
[[nodiscard]] std::string text_file(const std::string& path);
void write(const std::string& path, const Bytes& bytes);

/// A directory for one test, removed with all in it.
class Workplace {
public:
  Workplace();
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  ~Workplace();
  [[nodiscard]] std::string path(std::string_view name = {}) const;

private:
  std::string path_;
};

} // namespace ashlar::signature::test
