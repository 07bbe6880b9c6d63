// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/measure/devices.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::measure {

namespace {

constexpr std::string_view automatic = "auto";
constexpr std::size_t mac_bytes = 6;

bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool lower_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool only(std::string_view text, std::string_view others) {
  return std::ranges::all_of(text, [others](char c) {
    return letter_or_digit(c) || others.find(c) != std::string_view::npos;
  });
}

std::unexpected<Error> refused(ErrorCode code, const std::string& device, std::string why) {
  return failure(code, "checking the " + device, std::move(why));
}

Status check_length(const std::string& device, const char* key, std::string_view value,
                    std::size_t limit) {
  if (value.empty())
    return refused(ErrorCode::invalid, device, fmt::format("it has no {}: give one", key));
  if (value.size() > limit)
    return refused(
        ErrorCode::limit, device,
        fmt::format("its {} has {} bytes, above the limit of {}", key, value.size(), limit));
  return {};
}

Status check_backend(const std::string& device, const std::string& backend) {
  TRY(check_length(device, "backend", backend, max_backend_bytes));
  if (!only(backend, "._+-"))
    return refused(ErrorCode::invalid, device,
                   fmt::format("its backend \"{}\" must be the name of a domain: use only A-Z a-z "
                               "0-9 . _ + -",
                               printable(backend, max_backend_bytes)));
  return {};
}

/// A path that means what it says wherever a policy compares it by its beginning.
bool plain_path(std::string_view path) {
  if (!path.starts_with('/') || !only(path, "/._+:@-"))
    return false;
  while (!path.empty()) {
    path.remove_prefix(1); // the slash
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..")
      return false;
    path.remove_prefix(part.size());
  }
  return true;
}

Status check(const Disk& disk) {
  const std::string device = fmt::format("disk \"{}\"", printable(disk.vdev, 16));
  if (!vbd_number(disk.vdev))
    return refused(ErrorCode::invalid, device,
                   "its vdev must be xvda to xvdz, or such a name and a partition's number from 1 "
                   "to 15");
  TRY(check_backend(device, disk.backend));
  TRY(check_length(device, "target", disk.target, max_target_bytes));
  if (!plain_path(disk.target))
    return refused(
        ErrorCode::invalid, device,
        fmt::format("its target \"{}\" must be the absolute path of a block device or file, "
                    "without empty, \".\" and \"..\" parts: use only A-Z a-z 0-9 / . _ "
                    "+ : @ -",
                    printable(disk.target, max_target_bytes)));
  return {};
}

bool mac_of_one_interface(std::string_view mac) {
  if (mac.size() != mac_bytes * 3 - 1)
    return false;
  for (std::size_t i = 0; i < mac.size(); ++i)
    if (i % 3 == 2 ? mac[i] != ':' : !lower_hex(mac[i]))
      return false;
  // The first byte's lowest bit marks a group's address (IEEE 802-2014, 8.2).
  constexpr std::string_view even = "02468ace";
  return even.find(mac[1]) != std::string_view::npos && mac != "00:00:00:00:00:00";
}

Status check(const Nic& nic, std::size_t number) {
  const std::string device = fmt::format("network interface {}", number);
  TRY(check_backend(device, nic.backend));
  TRY(check_length(device, "bridge", nic.bridge, max_bridge_bytes));
  if (!only(nic.bridge, "._-") || nic.bridge == "." || nic.bridge == "..")
    return refused(ErrorCode::invalid, device,
                   fmt::format("its bridge \"{}\" must be an interface's name: use only A-Z a-z "
                               "0-9 . _ -",
                               printable(nic.bridge, max_bridge_bytes)));
  if (!nic.mac.empty() && !mac_of_one_interface(nic.mac))
    return refused(ErrorCode::invalid, device,
                   fmt::format("its mac \"{}\" must be like 00:16:3e:01:02:03, lower case, with an "
                               "even first byte",
                               printable(nic.mac, 17)));
  return {};
}

Status check_count(std::string_view what, std::size_t count, std::size_t limit) {
  if (count <= limit)
    return {};
  return failure(ErrorCode::limit, "checking the guest's devices",
                 fmt::format("it has {} {}, above the limit of {}", count, what, limit));
}

/// Takes "KEY=VALUE" from the front of `text`, with the comma behind it. Nothing: it is not there.
std::optional<std::string> take_value(std::string_view& text, std::string_view key) {
  if (!text.starts_with(key) || text.substr(key.size(), 1) != "=")
    return std::nullopt;
  text.remove_prefix(key.size() + 1);
  const std::string_view value = text.substr(0, text.find(','));
  text.remove_prefix(std::min(value.size() + 1, text.size()));
  return std::string(value);
}

std::unexpected<Error> not_canonical(std::string_view what, std::string_view text) {
  return failure(ErrorCode::invalid, fmt::format("reading the {} \"{}\"", what, printable(text)),
                 "it is not in the form of a measured configuration");
}

} // namespace

std::optional<std::uint32_t> vbd_number(std::string_view vdev) {
  constexpr std::string_view prefix = "xvd";
  if (!vdev.starts_with(prefix) || vdev.size() == prefix.size())
    return std::nullopt;
  const char letter = vdev[prefix.size()];
  const std::string_view digits = vdev.substr(prefix.size() + 1);
  if (letter < 'a' || letter > 'z' || digits.size() > 2 || digits.starts_with('0'))
    return std::nullopt;
  std::uint32_t partition = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9')
      return std::nullopt;
    partition = partition * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (partition > 15)
    return std::nullopt;
  const auto disk = static_cast<std::uint32_t>(letter - 'a');
  // From the 17th disk on the number has the extended form.
  return disk < 16 ? (202U << 8) | (disk << 4) | partition : (1U << 28) | (disk << 8) | partition;
}

Status validate(std::span<const Disk> disks, std::span<const Nic> nics) {
  TRY(check_count("disks", disks.size(), max_disks));
  TRY(check_count("network interfaces", nics.size(), max_nics));
  for (std::size_t i = 0; i < disks.size(); ++i) {
    TRY(check(disks[i]));
    if (std::ranges::count(disks.first(i), disks[i].vdev, &Disk::vdev) != 0)
      return refused(ErrorCode::invalid, "guest's devices",
                     fmt::format("it has two disks {}: give each its own vdev", disks[i].vdev));
  }
  for (std::size_t i = 0; i < nics.size(); ++i) {
    TRY(check(nics[i], i));
    if (!nics[i].mac.empty() && std::ranges::count(nics.first(i), nics[i].mac, &Nic::mac) != 0)
      return refused(ErrorCode::invalid, "guest's devices",
                     fmt::format("it has two network interfaces with the address {}", nics[i].mac));
  }
  return {};
}

std::string canonical_text(const Disk& disk) {
  return fmt::format("{},access={},backend={},target={}", disk.vdev, disk.writable ? "rw" : "ro",
                     disk.backend, disk.target);
}

std::string canonical_text(const Nic& nic) {
  return fmt::format("backend={},bridge={},mac={}", nic.backend, nic.bridge,
                     nic.mac.empty() ? automatic : nic.mac);
}

Result<Disk> disk_from_text(std::string_view text) {
  std::string_view rest = text;
  Disk disk;
  disk.vdev = rest.substr(0, rest.find(','));
  rest.remove_prefix(std::min(disk.vdev.size() + 1, rest.size()));
  const auto access = take_value(rest, "access");
  disk.backend = take_value(rest, "backend").value_or("");
  disk.target = take_value(rest, "target").value_or("");
  disk.writable = access == "rw";
  if (canonical_text(disk) != text)
    return not_canonical("disk", text);
  TRY(check(disk));
  return disk;
}

Result<Nic> nic_from_text(std::string_view text) {
  std::string_view rest = text;
  Nic nic;
  nic.backend = take_value(rest, "backend").value_or("");
  nic.bridge = take_value(rest, "bridge").value_or("");
  nic.mac = take_value(rest, "mac").value_or("");
  if (nic.mac == automatic)
    nic.mac.clear();
  if (canonical_text(nic) != text)
    return not_canonical("network interface", text);
  TRY(check(nic, 0));
  return nic;
}

} // namespace ashlar::measure
