// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/measure/domain_configuration.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::measure {

namespace {

bool allowed_in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '+' || c == '-';
}

bool allowed_in_label(char c) {
  return (allowed_in_name(c) && c != '+') || c == ':' || c == ',';
}

std::unexpected<Error> refused(const DomainConfiguration& configuration, ErrorCode code,
                               std::string why) {
  return failure(
      code,
      fmt::format("checking the configuration of domain \"{}\"", printable(configuration.name, 63)),
      std::move(why));
}

} // namespace

const char* to_string(GuestType type) {
  switch (type) {
  case GuestType::pv:
    return "pv";
  case GuestType::pvh:
    return "pvh";
  }
  return "unknown";
}

const char* to_string(StopAction action) {
  switch (action) {
  case StopAction::destroy:
    return "destroy";
  case StopAction::restart:
    return "restart";
  case StopAction::preserve:
    return "preserve";
  }
  return "unknown";
}

const char* to_string(Vtpm vtpm) {
  switch (vtpm) {
  case Vtpm::none:
    return "none";
  case Vtpm::tpm12:
    return "1.2";
  case Vtpm::tpm20:
    return "2.0";
  }
  return "unknown";
}

Result<Vtpm> vtpm_from_text(std::string_view text) {
  for (const Vtpm vtpm : {Vtpm::none, Vtpm::tpm12, Vtpm::tpm20})
    if (text == to_string(vtpm))
      return vtpm;
  return failure(ErrorCode::invalid,
                 fmt::format("reading the vTPM version \"{}\"", printable(text)),
                 "it must be none, 1.2 or 2.0");
}

namespace {

Status validate_label(const DomainConfiguration& configuration) {
  const std::string& label = configuration.xsm_label;
  if (label.size() > max_xsm_label_bytes)
    return refused(configuration, ErrorCode::limit,
                   fmt::format("xsm_label has {} bytes, above the limit of {}", label.size(),
                               max_xsm_label_bytes));
  if (const auto bad = std::ranges::find_if_not(label, allowed_in_label); bad != label.end())
    return refused(configuration, ErrorCode::invalid,
                   fmt::format("xsm_label has \"{}\" at byte {}: use only A-Z a-z 0-9 . _ : , -",
                               printable(std::string_view(&*bad, 1)), bad - label.begin()));
  return {};
}

} // namespace

Status validate(const DomainConfiguration& configuration) {
  const std::string& name = configuration.name;
  if (name.empty())
    return refused(configuration, ErrorCode::invalid,
                   fmt::format("name is empty: give 1 to {} bytes", max_name_bytes));
  if (name.size() > max_name_bytes)
    return refused(
        configuration, ErrorCode::limit,
        fmt::format("name has {} bytes, above the limit of {}", name.size(), max_name_bytes));
  if (const auto bad = std::ranges::find_if_not(name, allowed_in_name); bad != name.end())
    return refused(configuration, ErrorCode::invalid,
                   fmt::format("name has \"{}\" at byte {}: use only A-Z a-z 0-9 . _ + -",
                               printable(std::string_view(&*bad, 1)), bad - name.begin()));
  if (configuration.vcpus == 0)
    return refused(configuration, ErrorCode::invalid, "vcpus is 0: give at least 1");
  if (configuration.memory_kib == 0)
    return refused(configuration, ErrorCode::invalid, "memory_kib is 0: give at least 1");
  if (configuration.max_memory_kib < configuration.memory_kib)
    return refused(configuration, ErrorCode::invalid,
                   fmt::format("max_memory_kib is {}, below memory_kib, which is {}: raise it to "
                               "at least that",
                               configuration.max_memory_kib, configuration.memory_kib));
  TRY(validate_label(configuration));
  return validate(configuration.disks, configuration.nics);
}

std::string canonical_text(const DomainConfiguration& configuration) {
  // A change of the order, of a key or of a word changes every guest's measurement: only together
  // with the number in the first line, and with docs/measurements.md. A guest without a label or
  // a device is measured as before there were any.
  std::string text =
      fmt::format("ashlar-domain-configuration=2\n"
                  "name={}\n"
                  "type={}\n"
                  "vcpus={}\n"
                  "memory_kib={}\n"
                  "max_memory_kib={}\n"
                  "on_poweroff={}\n"
                  "on_reboot={}\n"
                  "on_crash={}\n"
                  "vtpm={}\n",
                  configuration.name, to_string(configuration.type), configuration.vcpus,
                  configuration.memory_kib, configuration.max_memory_kib,
                  to_string(configuration.on_poweroff), to_string(configuration.on_reboot),
                  to_string(configuration.on_crash), to_string(configuration.vtpm));
  if (!configuration.xsm_label.empty())
    text += fmt::format("xsm_label={}\n", configuration.xsm_label);
  for (const Disk& disk : configuration.disks)
    text += fmt::format("disk={}\n", canonical_text(disk));
  for (const Nic& nic : configuration.nics)
    text += fmt::format("nic={}\n", canonical_text(nic));
  return text;
}

} // namespace ashlar::measure
