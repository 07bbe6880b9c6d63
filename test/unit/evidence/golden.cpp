// SPDX-License-Identifier: LGPL-2.1-or-later
#include "golden.hpp"

#include <doctest/doctest.h>

#include <fmt/format.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"

namespace ashlar::evidence::test {

namespace {

constexpr std::size_t block = 512;
constexpr std::uint64_t max_golden_bytes = 1u << 20;

std::string header(const std::string& name, std::size_t size) {
  std::string text(block, '\0');
  text.replace(0, name.size(), name);
  text.replace(100, 7, "0000644");
  text.replace(108, 7, "0000000");
  text.replace(116, 7, "0000000");
  text.replace(124, 11, fmt::format("{:011o}", size));
  text.replace(136, 11, "00000000000");
  text[156] = '0';
  text.replace(257, 8, std::string("ustar\00000", 8));
  fix_checksum(text, 0);
  return text;
}

} // namespace

std::string golden(const std::string& name) {
  const auto text = read_file(std::string(GOLDEN) + "/" + name, max_golden_bytes);
  REQUIRE(text);
  return *text;
}

void fix_checksum(std::string& archive, std::size_t at) {
  archive.replace(at + 148, 8, "        ");
  unsigned sum = 0;
  for (const char character : archive.substr(at, block))
    sum += static_cast<unsigned char>(character);
  archive.replace(at + 148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
}

std::string archive(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string bytes;
  for (const auto& [name, content] : files) {
    bytes += header(name, content.size()) + content;
    bytes.resize((bytes.size() + block - 1) / block * block);
  }
  return bytes + std::string(2 * block, '\0');
}

Files::Files(const std::string& bundle) {
  const std::string bytes = golden(bundle + ".bundle");
  for (std::size_t at = 0; bytes[at] != '\0';) {
    const std::string name = bytes.substr(at).c_str();
    const std::size_t size = std::stoul(bytes.substr(at + 124, 11), nullptr, 8);
    all.emplace_back(name, bytes.substr(at + block, size));
    at += block + (size + block - 1) / block * block;
  }
}

std::string& Files::operator[](std::string_view name) {
  const auto file = std::ranges::find_if(all, [&](const auto& one) { return one.first == name; });
  REQUIRE(file != all.end());
  return file->second;
}

void Files::remove(std::string_view name) {
  std::erase_if(all, [&](const auto& one) { return one.first == name; });
}

std::string Files::pack() const {
  return archive(all);
}

Trust trust() {
  Trust trust;
  trust.nonce = measure::sha256_from_hex(golden("nonce").substr(0, 64), "the nonce").value();
  trust.host_keys = read_keys(golden("reference/host-ak.pem"), "host-ak.pem").value();
  trust.signers_pem = golden("reference/signers.pem");
  trust.firmware = read_pcr_choices(golden("reference/host.pcrs"), "host.pcrs").value();
  const std::string cms = golden("reference/web.manifest.cms");
  const auto bytes = as_bytes(cms);
  trust.references.push_back(
      {"web.manifest", golden("reference/web.manifest"), Bytes(bytes.begin(), bytes.end())});
  return trust;
}

Link link_of(const Verdict& verdict, std::string_view name) {
  const auto link = std::ranges::find(verdict.links, name, &Link::name);
  REQUIRE(link != verdict.links.end());
  return *link;
}

std::vector<std::string> failed(const Verdict& verdict) {
  std::vector<std::string> names;
  for (const Link& link : verdict.links)
    if (link.state == LinkState::failed)
      names.push_back(link.name);
  return names;
}

Verdict verify(const std::string& bundle, const Trust& trust) {
  return evidence::verify(as_bytes(bundle), trust);
}

} // namespace ashlar::evidence::test
