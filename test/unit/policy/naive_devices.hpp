// SPDX-License-Identifier: LGPL-2.1-or-later
// For the property tests: random devices, what random rules say of them, and whether a rule takes
// them, written down once more from docs/policy.md.
#pragma once

#include "ashlar/measure/devices.hpp"
#include "naive.hpp"

namespace ashlar::policy::naive {

inline const std::vector<std::string> device_backends = {"d0", "d1"};
inline const std::vector<std::string> device_globs = {"a*", "*b", "?", "ab", "a?b*", "*"};
inline const std::vector<std::string> device_texts = {"a", "b", "ab", "acb", "ba"};

enum class Kind { disk, nic };

/// One entry. A key that is empty is left out.
struct TestEntry {
  std::optional<Words> backends;
  std::optional<Words> places; // targets or bridges
  std::string access;
  std::optional<Words> macs;
};

/// What a rule says of the devices of a kind.
struct TestDevices {
  Kind kind = Kind::disk;
  bool said = false;
  bool any = false;
  std::vector<TestEntry> entries;
};

struct TestDevice {
  std::string backend;
  std::string place;
  bool writable = false;
  std::string mac;
};

inline TestEntry random_entry(Dice& dice, Kind kind, bool allow) {
  TestEntry entry;
  if (allow || dice.one_in(2))
    entry.backends = dice.some_or_any(device_backends);
  if (allow || dice.one_in(2))
    entry.places = dice.some_or_any(device_globs);
  if (kind == Kind::disk && dice.one_in(2))
    entry.access = allow && dice.one_in(4) ? "read-only" : "read-write";
  if (kind == Kind::nic && dice.one_in(2))
    entry.macs = dice.some_or_any(device_globs);
  return entry;
}

inline TestDevices random_devices(Dice& dice, Kind kind, bool allow) {
  TestDevices devices{.kind = kind, .said = !dice.one_in(3), .any = dice.one_in(4), .entries = {}};
  if (devices.any || !devices.said || (allow && dice.one_in(6)))
    return devices;
  do
    devices.entries.push_back(random_entry(dice, kind, allow));
  while (dice.one_in(2));
  return devices;
}

inline std::string toml(const TestEntry& entry, Kind kind) {
  std::vector<std::string> keys;
  if (entry.backends)
    keys.push_back("backends = " + toml(*entry.backends));
  if (entry.places)
    keys.push_back((kind == Kind::disk ? "targets = " : "bridges = ") + toml(*entry.places));
  if (!entry.access.empty())
    keys.push_back("access = \"" + entry.access + "\"");
  if (entry.macs)
    keys.push_back("macs = " + toml(*entry.macs));
  return fmt::format("{{ {} }}", fmt::join(keys, ", "));
}

/// A line of [rule.guest], or nothing.
inline std::string toml(const TestDevices& devices) {
  if (!devices.said)
    return {};
  const std::string key = devices.kind == Kind::disk ? "disks" : "nics";
  if (devices.any)
    return key + " = \"any\"\n";
  std::vector<std::string> entries;
  for (const TestEntry& entry : devices.entries)
    entries.push_back(toml(entry, devices.kind));
  return fmt::format("{} = [{}]\n", key, fmt::join(entries, ", "));
}

inline std::vector<TestDevice> random_guest_devices(Dice& dice) {
  std::vector<TestDevice> devices;
  while (dice.one_in(2) && devices.size() < 3)
    devices.push_back({.backend = dice.pick(device_backends),
                       .place = dice.pick(device_texts),
                       .writable = dice.one_in(2),
                       .mac = dice.one_in(2) ? "" : dice.pick(device_texts)});
  return devices;
}

inline bool takes(const TestEntry& entry, Kind kind, bool allow, const TestDevice& device) {
  if (entry.backends && !listed(*entry.backends, device.backend))
    return false;
  if (entry.places && !fits_one(*entry.places, device.place))
    return false;
  if (kind == Kind::disk)
    return allow ? !device.writable || entry.access == "read-write"
                 : entry.access.empty() || device.writable;
  if (device.mac.empty())
    return allow || !entry.macs || !*entry.macs;
  return entry.macs ? fits_one(*entry.macs, device.mac) : !allow;
}

/// Does a rule that says this match a guest with these, as far as they go?
inline bool matches(const TestDevices& said, bool allow, const std::vector<TestDevice>& devices) {
  const auto taken = std::ranges::count_if(devices, [&](const TestDevice& device) {
    return said.any || std::ranges::any_of(said.entries, [&](const TestEntry& entry) {
             return takes(entry, said.kind, allow, device);
           });
  });
  if (allow)
    return devices.empty() || (said.said && std::cmp_equal(taken, devices.size()));
  return !said.said || taken > 0;
}

inline std::vector<measure::Disk> as_disks(const std::vector<TestDevice>& devices) {
  std::vector<measure::Disk> disks;
  for (const TestDevice& device : devices)
    disks.push_back({.vdev = "xvda",
                     .writable = device.writable,
                     .backend = device.backend,
                     .target = device.place});
  return disks;
}

inline std::vector<measure::Nic> as_nics(const std::vector<TestDevice>& devices) {
  std::vector<measure::Nic> nics;
  for (const TestDevice& device : devices)
    nics.push_back({.backend = device.backend, .bridge = device.place, .mac = device.mac});
  return nics;
}

} // namespace ashlar::policy::naive
