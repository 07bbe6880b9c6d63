// SPDX-License-Identifier: LGPL-2.1-or-later
#include "pe_image.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

namespace ashlar::signature::test {

void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i)
    bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
}

std::uint32_t word(const Bytes& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

Bytes pe_image() {
  Bytes image(headers_bytes + 2 * section_data_bytes);
  put(image, 0, 0x5a4d, 2);
  put(image, 0x3c, pe_at, 4);
  put(image, pe_at, 0x4550, 4);
  put(image, pe_at + 4, 0x8664, 2); // x86-64
  put(image, pe_at + 6, 2, 2);      // sections
  put(image, pe_at + 20, 240, 2);   // size of the optional header
  put(image, pe_at + 22, 0x0206, 2);
  put(image, optional_at, 0x20b, 2);
  put(image, optional_at + 16, 0x1000, 4); // entry point
  put(image, optional_at + 32, 0x1000, 4); // section alignment
  put(image, optional_at + 36, 0x200, 4);  // file alignment
  put(image, optional_at + 56, 0x3000, 4); // size of image
  put(image, optional_at + 60, headers_bytes, 4);
  put(image, optional_at + 68, 10, 2); // EFI application
  put(image, optional_at + 108, 16, 4);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t section = sections_at + 40 * i;
    put(image, section, i == 0 ? 0x747865742e : 0x617461642e, 8); // ".text", ".data"
    put(image, section + 8, section_data_bytes, 4);
    put(image, section + 12, 0x1000 * (i + 1), 4);
    put(image, section + 16, section_data_bytes, 4);
    put(image, section + 20, headers_bytes + section_data_bytes * i, 4);
    put(image, section + 36, 0x60000020, 4);
  }
  for (std::size_t i = headers_bytes; i < image.size(); ++i)
    image[i] = static_cast<std::byte>(i * 7);
  return image;
}

void run(const std::string& directory, std::string_view script) {
  const std::string path = directory + "/script";
  std::ofstream(path) << "set -e\ncd '" << directory << "'\n" << script << "\n";
  const std::string command = "sh " + path + " >" + path + ".out 2>&1";
  const int status = std::system(command.c_str());
  REQUIRE_MESSAGE(status == 0, text_file(path + ".out"));
}

Bytes file(const std::string& path) {
  const std::string text = text_file(path);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string text_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const std::string& path, const Bytes& bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  REQUIRE(out.good());
}

Workplace::Workplace() {
  std::string name = std::filesystem::temp_directory_path() / "ashlar-signature-XXXXXX";
  REQUIRE(mkdtemp(name.data()) != nullptr);
  path_ = name;
}

Workplace::~Workplace() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Workplace::path(std::string_view name) const {
  return name.empty() ? path_ : path_ + "/" + std::string(name);
}

} // namespace ashlar::signature::test
