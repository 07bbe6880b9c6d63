// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/manifest_guest.hpp"

#include <fmt/format.h>

#include <charconv>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/evidence/limits.hpp"
#include "ashlar/evidence/reference.hpp"

namespace ashlar::cli {

namespace {

using measure::Event;
using measure::EventType;

constexpr std::string_view manifest_start = "ashlar-reference=";
constexpr std::string_view configuration_start = "ashlar-domain-configuration=2";

std::string doing(const std::string& path) {
  return "reading the guest of " + path;
}

template <typename Number>
bool set_number(std::optional<Number>& into, std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  into = number;
  return error == std::errc() && end == text.data() + text.size();
}

template <typename Device>
bool add(std::vector<Device>& devices, const Result<Device>& device) {
  if (device)
    devices.push_back(*device);
  return device.has_value();
}

// One line of the canonical configuration (docs/measurements.md). False: it is none of it.
bool set_setting(Guest& guest, std::string_view key, std::string_view value) {
  if (key == "vcpus")
    return set_number(guest.vcpus, value);
  if (key == "memory_kib")
    return set_number(guest.memory_kib, value);
  if (key == "max_memory_kib")
    return set_number(guest.max_memory_kib, value);
  if (key == "disk")
    return add(guest.disks, measure::disk_from_text(value));
  if (key == "nic")
    return add(guest.nics, measure::nic_from_text(value));
  std::optional<std::string>* const text = key == "name"          ? &guest.name
                                           : key == "type"        ? &guest.type
                                           : key == "on_poweroff" ? &guest.on_poweroff
                                           : key == "on_reboot"   ? &guest.on_reboot
                                           : key == "on_crash"    ? &guest.on_crash
                                           : key == "vtpm"        ? &guest.vtpm
                                           : key == "xsm_label"   ? &guest.xsm_label
                                                                  : nullptr;
  if (text != nullptr)
    *text = std::string(value);
  return text != nullptr;
}

Status set_configuration(Guest& guest, std::string_view text, const std::string& path) {
  const auto take_line = [&text] {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
  };
  if (take_line() != configuration_start)
    return failure(ErrorCode::unsupported, doing(path),
                   fmt::format("its configuration does not begin with \"{}\": it was written by "
                               "another version",
                               configuration_start));
  while (!text.empty()) {
    const std::string_view line = take_line();
    const std::size_t equals = std::min(line.find('='), line.size());
    if (equals == line.size() ||
        !set_setting(guest, line.substr(0, equals), line.substr(equals + 1)))
      return failure(ErrorCode::invalid, doing(path),
                     fmt::format("\"{}\" is no line of a configuration", printable(line, 80)));
  }
  return {};
}

std::string by_digest(const Event& event) {
  return "sha256:" + to_hex(event.digests.sha256);
}

Status take(Guest& guest, const Event& event, const std::string& path) {
  switch (event.type) {
  case EventType::configuration:
    return set_configuration(guest, event.content, path);
  case EventType::command_line:
    guest.command_line = event.content;
    break;
  case EventType::kernel:
    guest.kernel = by_digest(event);
    break;
  case EventType::initrd:
    guest.initrds.push_back(by_digest(event));
    break;
  case EventType::builder:
  case EventType::policy:
  case EventType::no_initrd:
    break;
  }
  return {};
}

} // namespace

bool holds_manifest(const std::string& path) {
  const Result<std::string> text = read_file(path, evidence::max_reference_bytes);
  return text && text->starts_with(manifest_start);
}

Result<Guest> read_manifest_guest(const std::string& path) {
  const std::string text = TRY(read_file(path, evidence::max_reference_bytes));
  const evidence::Reference reference = TRY(evidence::read_reference(text, path));
  Guest guest;
  if (reference.uuid)
    guest.uuid = measure::to_string(*reference.uuid);
  for (const Event& event : reference.events)
    TRY(take(guest, event, path));
  return guest;
}

} // namespace ashlar::cli
