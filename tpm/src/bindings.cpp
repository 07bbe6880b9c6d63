// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/bindings.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/tpm/limits.hpp"

namespace ashlar::tpm {

namespace {

std::unexpected<Error> refused(const Binding& binding, ErrorCode code, std::string why) {
  return failure(code,
                 fmt::format("binding vTPM record {} to guest record {}", binding.vtpm_serial,
                             binding.guest_serial),
                 std::move(why));
}

/// Both must be in the ledger and hold.
Result<const LogEvent*> live(const Binding& binding, const Ledger& ledger, std::uint64_t serial) {
  const LogEvent* event = ledger.find(serial);
  if (!event)
    return refused(binding, ErrorCode::invalid, fmt::format("there is no record {}", serial));
  if (event->revoked)
    return refused(binding, ErrorCode::denied, fmt::format("record {} is revoked", serial));
  return event;
}

} // namespace

Result<ApprovedImages> ApprovedImages::read(const std::string& path) {
  return parse(TRY(read_file(path, max_approved_images_bytes)), path);
}

Result<ApprovedImages> ApprovedImages::parse(std::string_view text, const std::string& path) {
  ApprovedImages approved;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || line.starts_with('#'))
      continue;
    const std::size_t space = line.find(' ');
    const std::string place = fmt::format("{}:{}", path, number);
    if (space == std::string_view::npos)
      return failure(ErrorCode::invalid, place,
                     "two SHA-256 digests with a space between are needed: of a kernel and of the "
                     "initrd that goes with it");
    const measure::Sha256 kernel = TRY(measure::sha256_from_hex(line.substr(0, space), place));
    const measure::Sha256 initrd = TRY(measure::sha256_from_hex(line.substr(space + 1), place));
    approved.images_.emplace(kernel, initrd);
  }
  return approved;
}

bool ApprovedImages::contains(const measure::Record& record) const {
  const measure::Event* kernel = nullptr;
  const measure::Event* initrd = nullptr;
  for (const measure::Event& event : record.events) {
    const bool is_kernel = event.type == measure::EventType::kernel;
    if (!is_kernel && event.type != measure::EventType::initrd)
      continue;
    const measure::Event*& slot = is_kernel ? kernel : initrd;
    if (slot)
      return false; // a second initrd would be code that nobody approved
    slot = &event;
  }
  return kernel && initrd && images_.contains({kernel->digests.sha256, initrd->digests.sha256});
}

Result<Bindings::Verdict> Bindings::judge(const Binding& binding, const Ledger& ledger,
                                          const ApprovedImages& approved) const {
  if (binding.guest_serial == binding.vtpm_serial || binding.version == measure::Vtpm::none)
    return refused(binding, ErrorCode::invalid, "a guest is not its own TPM, and has a version");
  TRY(live(binding, ledger, binding.guest_serial));
  const LogEvent* vtpm = TRY(live(binding, ledger, binding.vtpm_serial));
  if (const Binding* known = of_vtpm(binding.vtpm_serial)) {
    if (*known == binding)
      return Verdict::known;
    return refused(binding, ErrorCode::exists,
                   fmt::format("the vTPM belongs to guest record {}", known->guest_serial));
  }
  if (const auto found = vtpm_of_guest_.find(binding.guest_serial); found != vtpm_of_guest_.end())
    return refused(binding, ErrorCode::exists,
                   fmt::format("the guest has vTPM record {}", found->second));
  if (!approved.contains(TRY(measure::decode(vtpm->encoded))))
    return refused(binding, ErrorCode::denied,
                   "the vTPM is built from a kernel and initrd that are not among the approved "
                   "ones (--vtpm-images)");
  return Verdict::fresh;
}

void Bindings::add(const Binding& binding) {
  by_vtpm_.insert_or_assign(binding.vtpm_serial, binding);
  vtpm_of_guest_.insert_or_assign(binding.guest_serial, binding.vtpm_serial);
}

void Bindings::end(std::uint64_t serial) {
  std::uint64_t vtpm = serial;
  if (const auto found = vtpm_of_guest_.find(serial); found != vtpm_of_guest_.end())
    vtpm = found->second;
  const auto binding = by_vtpm_.find(vtpm);
  if (binding == by_vtpm_.end())
    return;
  vtpm_of_guest_.erase(binding->second.guest_serial);
  by_vtpm_.erase(binding);
}

const Binding* Bindings::of_vtpm(std::uint64_t vtpm_serial) const {
  const auto found = by_vtpm_.find(vtpm_serial);
  return found == by_vtpm_.end() ? nullptr : &found->second;
}

} // namespace ashlar::tpm
