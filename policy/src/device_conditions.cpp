// SPDX-License-Identifier: LGPL-2.1-or-later
#include "device_conditions.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::policy {

namespace {

constexpr std::size_t shown_vdev = 16;
constexpr std::size_t shown_mac = 17;

bool takes_place(const DiskPattern& pattern, const measure::Disk& disk) {
  return contains(pattern.backends, disk.backend) && any_glob_fits(pattern.targets, disk.target);
}

bool takes_place(const NicPattern& pattern, const measure::Nic& nic) {
  return contains(pattern.backends, nic.backend) && any_glob_fits(pattern.bridges, nic.bridge);
}

bool takes(const DiskPattern& pattern, const measure::Disk& disk) {
  const bool access = pattern.access == DiskPattern::Access::any ||
                      disk.writable == (pattern.access == DiskPattern::Access::writable);
  return access && takes_place(pattern, disk);
}

bool takes(const NicPattern& pattern, const measure::Nic& nic) {
  return takes_place(pattern, nic) &&
         (nic.mac.empty() ? pattern.automatic : any_glob_fits(pattern.macs, nic.mac));
}

std::string describe(const measure::Disk& disk, std::size_t /*number*/) {
  return fmt::format("disk {} ({}, \"{}\" of domain \"{}\")", printable(disk.vdev, shown_vdev),
                     disk.writable ? "read-write" : "read-only",
                     printable(disk.target, measure::max_target_bytes),
                     printable(disk.backend, measure::max_backend_bytes));
}

std::string describe(const measure::Nic& nic, std::size_t number) {
  return fmt::format("network interface {} (\"{}\" of domain \"{}\", {})", number,
                     printable(nic.bridge, measure::max_bridge_bytes),
                     printable(nic.backend, measure::max_backend_bytes),
                     nic.mac.empty() ? "an automatic address"
                                     : "address " + printable(nic.mac, shown_mac));
}

/// The words of the language and what an entry that takes the device's place can still lack.
template <typename Pattern>
struct Wording;
template <>
struct Wording<DiskPattern> {
  static constexpr std::string_view key = "disks";
  static constexpr std::string_view device = "disk";
  static constexpr std::string_view lacks = "is read-only";
};
template <>
struct Wording<NicPattern> {
  static constexpr std::string_view key = "nics";
  static constexpr std::string_view device = "network interface";
  static constexpr std::string_view lacks = "does not take that address";
};

template <typename Pattern, typename Device>
std::string why_none_takes(const std::vector<Pattern>& patterns, const Device& device,
                           std::size_t number) {
  using Words = Wording<Pattern>;
  if (patterns.empty())
    return fmt::format("the guest is to have the {} and the rule has no {}",
                       describe(device, number), Words::key);
  const bool nearly = std::ranges::any_of(
      patterns, [&](const Pattern& pattern) { return takes_place(pattern, device); });
  return nearly ? fmt::format("the {} fits one of its {}, which {}", describe(device, number),
                              Words::key, Words::lacks)
                : fmt::format("the {} fits none of its {}", describe(device, number), Words::key);
}

template <typename Pattern, typename Device>
bool any_takes(const std::vector<Pattern>& patterns, const Device& device) {
  return std::ranges::any_of(patterns,
                             [&](const Pattern& pattern) { return takes(pattern, device); });
}

template <typename Pattern, typename Device>
std::optional<std::string> first_stranger(const std::vector<Pattern>& patterns,
                                          const std::vector<Device>& devices) {
  for (std::size_t i = 0; i < devices.size(); ++i)
    if (!any_takes(patterns, devices[i]))
      return why_none_takes(patterns, devices[i], i);
  return std::nullopt;
}

template <typename Pattern, typename Device>
std::optional<std::string> no_hit(const std::vector<Pattern>& patterns,
                                  const std::vector<Device>& devices) {
  if (std::ranges::any_of(devices,
                          [&](const Device& device) { return any_takes(patterns, device); }))
    return std::nullopt;
  return fmt::format("no {} fits one of its {}", Wording<Pattern>::device, Wording<Pattern>::key);
}

/// Surely: `narrow` read as a text, its stars can only be taken by stars of `wide`.
bool glob_covers(const std::string& wide, const std::string& narrow) {
  return wide == narrow ||
         ((!wide.contains('?') || !narrow.contains('*')) && glob_fits(wide, narrow));
}

bool globs_cover(const Choice& wide, const Choice& narrow) {
  const auto covered = [&](const std::string& glob) {
    return std::ranges::any_of(wide.words,
                               [&](const Word& word) { return glob_covers(word.text, glob); });
  };
  if (wide.any)
    return true;
  return narrow.any ? covered("*") : std::ranges::all_of(narrow.words, [&](const Word& word) {
    return covered(word.text);
  });
}

bool words_cover(const Choice& wide, const Choice& narrow) {
  return wide.any || (!narrow.any && std::ranges::all_of(narrow.words, [&](const Word& word) {
           return contains(wide, word.text);
         }));
}

template <typename Pattern>
bool each_covered(const std::vector<Pattern>& wide, const std::vector<Pattern>& narrow) {
  return std::ranges::all_of(narrow, [&](const Pattern& one) {
    return std::ranges::any_of(wide, [&](const Pattern& other) { return covers(other, one); });
  });
}

const Choice& open() {
  static const Choice choice{.any = true, .words = {}, .where = {}};
  return choice;
}

} // namespace

std::optional<std::string> why_not_allowed(const std::vector<DiskPattern>& patterns,
                                           const std::vector<measure::Disk>& disks) {
  return first_stranger(patterns, disks);
}

std::optional<std::string> why_not_allowed(const std::vector<NicPattern>& patterns,
                                           const std::vector<measure::Nic>& nics) {
  return first_stranger(patterns, nics);
}

std::optional<std::string> why_not_denied(const std::vector<DiskPattern>& patterns,
                                          const std::vector<measure::Disk>& disks) {
  return no_hit(patterns, disks);
}

std::optional<std::string> why_not_denied(const std::vector<NicPattern>& patterns,
                                          const std::vector<measure::Nic>& nics) {
  return no_hit(patterns, nics);
}

bool covers(const DiskPattern& wide, const DiskPattern& narrow) {
  return words_cover(wide.backends, narrow.backends) && globs_cover(wide.targets, narrow.targets) &&
         (wide.access == DiskPattern::Access::any || wide.access == narrow.access);
}

bool covers(const NicPattern& wide, const NicPattern& narrow) {
  return words_cover(wide.backends, narrow.backends) && globs_cover(wide.bridges, narrow.bridges) &&
         globs_cover(wide.macs, narrow.macs) && (wide.automatic || !narrow.automatic);
}

bool covers(const std::vector<DiskPattern>& wide, const std::vector<DiskPattern>& narrow) {
  return each_covered(wide, narrow);
}

bool covers(const std::vector<NicPattern>& wide, const std::vector<NicPattern>& narrow) {
  return each_covered(wide, narrow);
}

bool takes_all(const std::vector<DiskPattern>& patterns) {
  return covers(
      patterns,
      {DiskPattern{
          .where = {}, .backends = open(), .targets = open(), .access = DiskPattern::Access::any}});
}

bool takes_all(const std::vector<NicPattern>& patterns) {
  return covers(
      patterns,
      {NicPattern{
          .where = {}, .backends = open(), .bridges = open(), .macs = open(), .automatic = true}});
}

} // namespace ashlar::policy
