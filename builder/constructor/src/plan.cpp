// SPDX-License-Identifier: LGPL-2.1-or-later
// Both formats are little-endian (base/wire.hpp) and begin with a u32 that names format and
// version.
#include "ashlar/constructor/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/wire.hpp"

namespace ashlar::constructor {

namespace {

constexpr std::uint32_t plan_magic = 0x334c5041;    // "APL3"
constexpr std::uint32_t outcome_magic = 0x314f5041; // "APO1"
constexpr std::uint8_t outcome_success = 1;
constexpr std::uint8_t outcome_failure = 2;
constexpr std::size_t max_text_bytes = 1536; // of each text in an Outcome
static_assert(2 * max_text_bytes + 64 <= max_outcome_bytes);

// Domids from here on are no domains (DOMID_FIRST_RESERVED of xen/include/public/xen.h).
constexpr std::uint32_t first_reserved_domid = 0x7ff0;
constexpr std::uint64_t kib_a_mib = 1024;

template <typename Enum>
Enum read_enum(WireReader& reader, Enum last, const char* what) {
  const std::uint8_t value = reader.u8();
  if (value <= static_cast<std::uint8_t>(last))
    return static_cast<Enum>(value);
  reader.reject(fmt::format("{} is {}, which means nothing", what, value));
  return Enum{};
}

void check_magic(WireReader& reader, std::uint32_t magic) {
  if (const std::uint32_t found = reader.u32(); found != magic)
    reader.reject(fmt::format("it begins with {:#x} instead of {:#x}", found, magic));
}

Status refused(const Plan& plan, ErrorCode code, std::string why) {
  return failure(code,
                 fmt::format("checking the build plan of domain \"{}\"", plan.configuration.name),
                 std::move(why));
}

Status check_memory(const Plan& plan) {
  const auto& configuration = plan.configuration;
  for (const std::uint64_t kib : {configuration.memory_kib, configuration.max_memory_kib})
    if (kib % kib_a_mib != 0)
      return refused(plan, ErrorCode::invalid,
                     fmt::format("{} KiB is not a whole number of MiB, which is what domains are "
                                 "built in: use {} or {} KiB",
                                 kib, kib / kib_a_mib * kib_a_mib,
                                 (kib / kib_a_mib + 1) * kib_a_mib));
  if (configuration.max_memory_kib > max_memory_kib)
    return refused(plan, ErrorCode::limit,
                   fmt::format("{} KiB of memory are above the limit of {} KiB",
                               configuration.max_memory_kib, max_memory_kib));
  return {};
}

Status check_command_line(const Plan& plan) {
  const std::string& line = plan.command_line;
  const std::size_t limit = plan.configuration.type == measure::GuestType::pv
                                ? max_pv_command_line_bytes
                                : max_command_line_bytes;
  if (line.size() > limit)
    return refused(plan, ErrorCode::limit,
                   fmt::format("the command line has {} bytes; a {} guest can take {}", line.size(),
                               measure::to_string(plan.configuration.type), limit));
  if (line.contains('\0'))
    return refused(plan, ErrorCode::invalid,
                   fmt::format("the command line has a NUL at byte {}", line.find('\0')));
  return {};
}

Status check_plan(const Plan& plan) {
  TRY(measure::validate(plan.configuration));
  if (plan.configuration.vcpus > max_vcpus)
    return refused(
        plan, ErrorCode::limit,
        fmt::format("{} vCPUs are above the limit of {}", plan.configuration.vcpus, max_vcpus));
  TRY(check_memory(plan));
  TRY(check_command_line(plan));
  if (plan.initrd_count > max_initrds)
    return refused(
        plan, ErrorCode::limit,
        fmt::format("{} initrds are above the limit of {}", plan.initrd_count, max_initrds));
  for (const IoPages& pages : plan.io_pages)
    if (pages.count == 0 || pages.count > max_io_pages || pages.first_page >= max_io_page)
      return refused(plan, ErrorCode::limit,
                     fmt::format("{} pages of I/O memory from page {:#x} on: 1 to {} pages below "
                                 "page {:#x} can be given",
                                 pages.count, pages.first_page, max_io_pages, max_io_page));
  for (const std::uint32_t domid : {plan.builder_domid, plan.console_domid, plan.xenstore_domid})
    if (domid >= first_reserved_domid)
      return refused(plan, ErrorCode::invalid, fmt::format("{} is no domain's number", domid));
  return {};
}

std::string shortened(const std::string& text) {
  return text.substr(0, max_text_bytes);
}

} // namespace

std::vector<std::byte> encode(const Plan& plan) {
  const auto& configuration = plan.configuration;
  WireWriter writer;
  writer.u32(plan_magic);
  writer.raw(plan.uuid);
  writer.text(configuration.name);
  writer.u8(static_cast<std::uint8_t>(configuration.type));
  writer.u32(configuration.vcpus);
  writer.u64(configuration.memory_kib);
  writer.u64(configuration.max_memory_kib);
  writer.u8(static_cast<std::uint8_t>(configuration.on_poweroff));
  writer.u8(static_cast<std::uint8_t>(configuration.on_reboot));
  writer.u8(static_cast<std::uint8_t>(configuration.on_crash));
  writer.text(plan.command_line);
  writer.u32(plan.initrd_count);
  writer.u32(static_cast<std::uint32_t>(plan.io_pages.size()));
  for (const IoPages& pages : plan.io_pages) {
    writer.u64(pages.first_page);
    writer.u32(pages.count);
  }
  writer.u8(static_cast<std::uint8_t>(plan.native_tsc));
  writer.u32(plan.builder_domid);
  writer.u32(plan.console_domid);
  writer.u32(plan.xenstore_domid);
  writer.text(configuration.xsm_label);
  return writer.take();
}

Result<Plan> decode_plan(std::span<const std::byte> bytes) {
  if (bytes.size() > max_plan_bytes)
    return failure(
        ErrorCode::limit, "reading the build plan",
        fmt::format("it has {} bytes, above the limit of {}", bytes.size(), max_plan_bytes));
  using measure::GuestType, measure::StopAction;
  Plan plan;
  auto& configuration = plan.configuration;
  WireReader reader(bytes);
  check_magic(reader, plan_magic);
  reader.raw(plan.uuid);
  configuration.name = reader.text(measure::max_name_bytes);
  configuration.type = read_enum(reader, GuestType::pvh, "the guest type");
  configuration.vcpus = reader.u32();
  configuration.memory_kib = reader.u64();
  configuration.max_memory_kib = reader.u64();
  configuration.on_poweroff = read_enum(reader, StopAction::preserve, "the action on poweroff");
  configuration.on_reboot = read_enum(reader, StopAction::preserve, "the action on reboot");
  configuration.on_crash = read_enum(reader, StopAction::preserve, "the action on crash");
  plan.command_line = reader.text(max_command_line_bytes);
  plan.initrd_count = reader.u32();
  const std::uint32_t io_ranges = reader.u32();
  if (io_ranges > max_io_ranges)
    reader.reject(fmt::format("{} ranges of I/O memory, at most {}", io_ranges, max_io_ranges));
  for (std::uint32_t i = 0; i < io_ranges && reader.good(); ++i) {
    const std::uint64_t first_page = reader.u64();
    plan.io_pages.push_back({.first_page = first_page, .count = reader.u32()});
  }
  const std::uint8_t native_tsc = reader.u8();
  if (native_tsc > 1)
    reader.reject(fmt::format("the clock mode {} is neither 0 nor 1", native_tsc));
  plan.native_tsc = native_tsc == 1;
  plan.builder_domid = reader.u32();
  plan.console_domid = reader.u32();
  plan.xenstore_domid = reader.u32();
  configuration.xsm_label = reader.text(measure::max_xsm_label_bytes);
  TRY(reader.end("the build plan"));
  TRY(check_plan(plan));
  return plan;
}

std::vector<std::byte> encode(const Outcome& outcome) {
  WireWriter writer;
  writer.u32(outcome_magic);
  if (outcome.domid) {
    writer.u8(outcome_success);
    writer.u32(*outcome.domid);
    return writer.take();
  }
  const Error& error = outcome.domid.error();
  writer.u8(outcome_failure);
  writer.u8(static_cast<std::uint8_t>(error.code));
  writer.text(shortened(error.doing));
  writer.text(shortened(error.why));
  writer.u32(static_cast<std::uint32_t>(std::max(error.system_errno, 0)));
  return writer.take();
}

Result<Outcome> decode_outcome(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  check_magic(reader, outcome_magic);
  const std::uint8_t kind = reader.u8();
  Outcome outcome{.domid = 0};
  if (kind == outcome_success) {
    outcome.domid = reader.u32();
    if (*outcome.domid == 0 || *outcome.domid >= first_reserved_domid)
      reader.reject(fmt::format("{} is no new domain's number", *outcome.domid));
  } else if (kind == outcome_failure) {
    Error error;
    error.code = read_enum(reader, ErrorCode::internal, "the error code");
    error.doing = reader.text(max_text_bytes);
    error.why = reader.text(max_text_bytes);
    error.system_errno = static_cast<int>(reader.u32() & 0xffff);
    outcome.domid = std::unexpected(std::move(error));
  } else {
    reader.reject(fmt::format("the outcome kind {} means nothing", kind));
  }
  TRY(reader.end("the constructor's outcome"));
  return outcome;
}

} // namespace ashlar::constructor
