// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/vtpm_service.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/limits.hpp"
#include "big_endian.hpp"

namespace ashlar::tpm {

namespace {

constexpr std::size_t part_bytes = max_vtpm_body_bytes - measurement_part_header_bytes;

std::unexpected<Error> denied(std::uint32_t domid, std::string why) {
  return failure(ErrorCode::denied, fmt::format("serving domain {} as a vTPM", domid),
                 std::move(why));
}

VtpmResponse refusal(VtpmStatus status) {
  return VtpmResponse{status, {}};
}

/// With the reason: the vTPM reports it, and so the requester learns what the store did to the
/// keys. Where the store only takes long, another guest may have used up its time: ask later.
VtpmResponse key_refusal(const Error& error) {
  VtpmResponse response = vtpm_refusal(error);
  if (error.code == ErrorCode::timeout)
    response.status = VtpmStatus::too_often;
  const std::string reason = printable(error.message(), max_vtpm_reason_bytes);
  const auto bytes = as_bytes(reason);
  response.body.assign(bytes.begin(), bytes.end());
  return response;
}

VtpmResponse done(std::vector<std::byte> body = {}) {
  return VtpmResponse{VtpmStatus::success, std::move(body)};
}

KeyOwner owner_of(const measure::Record& guest) {
  return KeyOwner{.requester = guest.requester, .uuid = guest.uuid};
}

/// A request for the hardware TPM itself, which the stock manager passes on. Answered as a TPM
/// answers a command that it has not, so that the stock client understands.
std::optional<std::vector<std::byte>> answer_to_pass_through(std::span<const std::byte> packet) {
  constexpr std::uint16_t first_command_tag = 0x00c1;
  constexpr std::uint16_t last_command_tag = 0x00c3;
  constexpr std::uint16_t tag_distance = 3; // from a command's tag to that of its answer
  if (packet.size() < vtpm_header_bytes)
    return std::nullopt;
  const auto tag = get_big_endian<std::uint16_t>(packet, 0);
  if (tag < first_command_tag || tag > last_command_tag)
    return std::nullopt;
  std::vector<std::byte> out;
  put_big_endian(out, static_cast<std::uint16_t>(tag + tag_distance));
  put_big_endian(out, static_cast<std::uint32_t>(vtpm_header_bytes));
  put_big_endian(out, static_cast<std::uint32_t>(VtpmStatus::bad_ordinal));
  return out;
}

} // namespace

Result<VtpmService::Asker> VtpmService::find_asker(std::uint32_t domid) const {
  const LogEvent* vtpm = manager_.ledger().find_domid(domid);
  if (!vtpm)
    return denied(domid, "no record of it holds: the builder has not built it, or has revoked it");
  Asker asker;
  asker.binding = manager_.bindings().of_vtpm(vtpm->serial);
  if (!asker.binding)
    return denied(domid, fmt::format("its record {} is bound to no guest", vtpm->serial));
  // Once more: the list may be another one since the binding was taken.
  if (!manager_.approved().contains(TRY(measure::decode(vtpm->encoded))))
    return denied(domid, "it is built from a kernel and initrd that are not among the approved "
                         "ones (--vtpm-images)");
  asker.guest = manager_.ledger().find(asker.binding->guest_serial);
  if (!asker.guest || asker.guest->revoked)
    return denied(domid,
                  fmt::format("its guest's record {} is revoked", asker.binding->guest_serial));
  asker.record = TRY(measure::decode(asker.guest->encoded));
  return asker;
}

Result<VtpmService::Asker> VtpmService::find_connected(std::uint32_t domid) const {
  const auto open = open_.find(domid);
  if (open == open_.end())
    return denied(domid, "it has no connection");
  Asker asker = TRY(find_asker(domid));
  if (asker.binding->vtpm_serial != open->second)
    return denied(domid, "its connection is that of an earlier domain with its number");
  return asker;
}

Status VtpmService::connected(std::uint32_t frontend_domid) {
  if (open_.contains(frontend_domid))
    return denied(frontend_domid, "it has a connection already");
  const Asker asker = TRY(find_asker(frontend_domid));
  open_.emplace(frontend_domid, asker.binding->vtpm_serial);
  return {};
}

void VtpmService::disconnected(std::uint32_t frontend_domid) {
  open_.erase(frontend_domid);
}

std::vector<std::byte> VtpmService::answer(std::uint32_t frontend_domid,
                                           std::span<const std::byte> packet) {
  const Result<Asker> asker = find_connected(frontend_domid);
  if (!asker)
    return encode(vtpm_refusal(asker.error()));
  if (auto passed = answer_to_pass_through(packet))
    return *std::move(passed);
  const Result<VtpmRequest> request = decode_vtpm_request(packet);
  return encode(request ? perform(*asker, *request) : vtpm_refusal(request.error()));
}

VtpmResponse VtpmService::perform(const Asker& asker, const VtpmRequest& request) {
  switch (request.ordinal) {
  case VtpmOrdinal::save_hash_key:
    return save_key(asker, request.body);
  case VtpmOrdinal::load_hash_key:
    return request.body.empty() ? load_key(asker) : refusal(VtpmStatus::bad_parameter);
  case VtpmOrdinal::get_boot_hash:
    return request.body.empty() ? boot_hash(asker) : refusal(VtpmStatus::bad_parameter);
  case VtpmOrdinal::get_measurement:
    return measurement(asker, request.body);
  case VtpmOrdinal::get_tpm2_quote:
    return quote(asker, request.body);
  case VtpmOrdinal::get_host_log:
    return evidence_.host_log(request.body);
  case VtpmOrdinal::get_guest_quote:
    return evidence_.guest_quote(*asker.guest, asker.binding->vtpm_serial, request.body);
  case VtpmOrdinal::get_host_keys:
    return evidence_.host_keys(asker.binding->vtpm_serial, request.body);
  case VtpmOrdinal::activate_credential:
    return evidence_.activate(asker.binding->vtpm_serial, request.body);
  case VtpmOrdinal::get_quote:
    break;
  }
  return refusal(VtpmStatus::bad_ordinal);
}

VtpmResponse VtpmService::measurement(const Asker& asker, std::span<const std::byte> body) const {
  const std::span<const std::byte> record(asker.guest->encoded);
  if (body.size() != sizeof(std::uint32_t))
    return refusal(VtpmStatus::bad_parameter);
  const auto offset = get_big_endian<std::uint32_t>(body, 0);
  if (offset > record.size())
    return refusal(VtpmStatus::bad_parameter);
  const auto rest = record.subspan(offset);
  const auto bytes = rest.first(std::min(rest.size(), part_bytes));
  return done(encode(MeasurementPart{.tpm_version = static_cast<std::uint8_t>(
                                         asker.binding->version == measure::Vtpm::tpm12 ? 1 : 2),
                                     .profile = static_cast<std::uint8_t>(asker.binding->profile),
                                     .total = static_cast<std::uint32_t>(record.size()),
                                     .offset = offset,
                                     .bytes = {bytes.begin(), bytes.end()}}));
}

VtpmResponse VtpmService::boot_hash(const Asker& asker) const {
  const auto is_kernel = [](const measure::Event& event) {
    return event.type == measure::EventType::kernel;
  };
  if (std::ranges::count_if(asker.record.events, is_kernel) != 1)
    return vtpm_refusal(
        Error{ErrorCode::integrity,
              fmt::format("looking for the kernel in record {}", asker.record.serial),
              "it has none, or several"});
  const measure::Sha1& hash = std::ranges::find_if(asker.record.events, is_kernel)->digests.sha1;
  return done({hash.begin(), hash.end()});
}

VtpmResponse VtpmService::load_key(const Asker& asker) const {
  Result<std::optional<std::vector<std::byte>>> key = keys_.load(owner_of(asker.record));
  if (!key)
    return key_refusal(key.error());
  if (!*key)
    return refusal(VtpmStatus::no_key);
  return done(**std::move(key));
}

VtpmResponse VtpmService::save_key(const Asker& asker, std::span<const std::byte> body) {
  const KeyOwner owner = owner_of(asker.record);
  const Allowance::Time now = clock_();
  Saves& saves =
      saves_.try_emplace(owner, Allowance(key_save_burst, key_save_pause, now)).first->second;
  if (saves.count >= max_key_saves)
    return key_refusal(Error{
        ErrorCode::limit, "saving the key of guest " + measure::to_string(owner.uuid),
        "it saved too often since the TPM Manager was started, and wears the hardware TPM out", 0,
        fmt::format("{} saves", max_key_saves)});
  if (!saves.allowance.take(now))
    return refusal(VtpmStatus::too_often);
  ++saves.count;
  const Status saved = keys_.save(owner, body);
  return saved ? done() : key_refusal(saved.error());
}

VtpmResponse VtpmService::quote(const Asker& asker, std::span<const std::byte> nonce) {
  if (nonce.size() != quote_nonce_bytes)
    return refusal(VtpmStatus::bad_parameter);
  if (!evidence_.allow(asker.binding->vtpm_serial))
    return refusal(VtpmStatus::too_often);
  const Result<measure::Sha256> qualifying = quote_qualifier(nonce, asker.guest->digests);
  if (!qualifying)
    return vtpm_refusal(qualifying.error());
  const Result<Quote> made = quoter_.quote(*qualifying);
  if (!made)
    return vtpm_refusal(made.error());
  Result<std::vector<std::byte>> body = encode(*made);
  return body ? done(*std::move(body)) : vtpm_refusal(body.error());
}

} // namespace ashlar::tpm
