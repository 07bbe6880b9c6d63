// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/message.hpp"

#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/tpm/limits.hpp"

namespace ashlar::tpm {

namespace {

enum class Type : std::uint8_t {
  hello = 1,
  put_record = 2,
  revoke = 3,
  status_query = 4,
  bind = 5,
  identity_query = 6,
  ack = 0x81,
  refused = 0x82,
  identity = 0x83,
};

WireWriter begin(Type type, std::uint64_t id) {
  WireWriter writer;
  writer.u8(static_cast<std::uint8_t>(type));
  writer.u64(id);
  return writer;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A visitor for each direction: one place says what a body looks like.
struct WriteBody {
  std::uint64_t id;

  std::vector<std::byte> operator()(const Hello& hello) const {
    WireWriter writer = begin(Type::hello, id);
    writer.u32(hello.version);
    return writer.take();
  }
  std::vector<std::byte> operator()(const PutRecord& put) const {
    WireWriter writer = begin(Type::put_record, id);
    writer.text(as_text(put.record));
    return writer.take();
  }
  std::vector<std::byte> operator()(const Revoke& revoke) const {
    WireWriter writer = begin(Type::revoke, id);
    writer.u64(revoke.serial);
    return writer.take();
  }
  std::vector<std::byte> operator()(const Bind& bind) const {
    WireWriter writer = begin(Type::bind, id);
    writer.u64(bind.binding.guest_serial);
    writer.u64(bind.binding.vtpm_serial);
    writer.u8(static_cast<std::uint8_t>(bind.binding.version));
    writer.u8(static_cast<std::uint8_t>(bind.binding.profile));
    return writer.take();
  }
  std::vector<std::byte> operator()(const StatusQuery&) const {
    return begin(Type::status_query, id).take();
  }
  std::vector<std::byte> operator()(const IdentityQuery&) const {
    return begin(Type::identity_query, id).take();
  }
  std::vector<std::byte> operator()(const Ack& ack) const {
    WireWriter writer = begin(Type::ack, id);
    writer.u64(ack.serial);
    writer.u32(ack.pcr);
    writer.raw(ack.value);
    writer.u64(ack.log_events);
    return writer.take();
  }
  std::vector<std::byte> operator()(const Refused& refused) const {
    WireWriter writer = begin(Type::refused, id);
    writer.u8(static_cast<std::uint8_t>(refused.code));
    writer.text(std::string_view(refused.reason).substr(0, max_reason_bytes));
    return writer.take();
  }
  std::vector<std::byte> operator()(const HostIdentity& identity) const {
    WireWriter writer = begin(Type::identity, id);
    writer.text(as_text(identity.attestation_key));
    writer.text(as_text(identity.endorsement_key));
    writer.text(as_text(identity.endorsement_certificate));
    writer.u8(static_cast<std::uint8_t>(identity.pcrs.size()));
    for (const auto& [pcr, value] : identity.pcrs) {
      writer.u8(static_cast<std::uint8_t>(pcr));
      writer.raw(value);
    }
    return writer.take();
  }
};

std::vector<std::byte> read_bytes(WireReader& reader, std::size_t limit) {
  const std::string text = reader.text(limit);
  const std::span<const std::byte> bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

PutRecord read_put(WireReader& reader) {
  return PutRecord{read_bytes(reader, max_put_record_bytes)};
}

Bind read_bind(WireReader& reader) {
  Binding binding;
  binding.guest_serial = reader.u64();
  binding.vtpm_serial = reader.u64();
  const std::uint8_t version = reader.u8();
  const std::uint8_t profile = reader.u8();
  if (version != static_cast<std::uint8_t>(measure::Vtpm::tpm12) &&
      version != static_cast<std::uint8_t>(measure::Vtpm::tpm20))
    reader.reject(fmt::format("{} is no vTPM version", version));
  if (profile >= measure::all_profiles.size())
    reader.reject(fmt::format("{} is no PCR profile", profile));
  binding.version = static_cast<measure::Vtpm>(version);
  binding.profile = static_cast<measure::Profile>(profile);
  return Bind{binding};
}

Ack read_ack(WireReader& reader) {
  Ack ack;
  ack.serial = reader.u64();
  ack.pcr = reader.u32();
  reader.raw(ack.value);
  ack.log_events = reader.u64();
  return ack;
}

Refused read_refused(WireReader& reader) {
  Refused refused;
  const std::uint8_t code = reader.u8();
  if (reader.good() && (code < static_cast<std::uint8_t>(RefusalCode::invalid) ||
                        code > static_cast<std::uint8_t>(RefusalCode::hardware)))
    reader.reject(fmt::format("{} is no reason for a refusal", code));
  refused.code = static_cast<RefusalCode>(code);
  refused.reason = reader.text(max_reason_bytes);
  return refused;
}

HostIdentity read_identity(WireReader& reader) {
  HostIdentity identity;
  identity.attestation_key = read_bytes(reader, max_public_key_bytes);
  identity.endorsement_key = read_bytes(reader, max_public_key_bytes);
  identity.endorsement_certificate = read_bytes(reader, max_ek_certificate_bytes);
  const std::uint8_t count = reader.u8();
  if (count > max_identity_pcrs)
    reader.reject(fmt::format("{} PCRs are too many", count));
  for (std::uint8_t i = 0; i < count && reader.good(); ++i) {
    const std::uint8_t pcr = reader.u8();
    // Rising, so that one identity has one encoding.
    if (pcr > max_pcr_number || (!identity.pcrs.empty() && identity.pcrs.rbegin()->first >= pcr))
      reader.reject(fmt::format("PCR {} is out of order, or there is none", pcr));
    reader.raw(identity.pcrs[pcr]);
  }
  return identity;
}

void read_request_body(WireReader& reader, Type type, Request& request) {
  switch (type) {
  case Type::hello:
    request.body = Hello{reader.u32()};
    return;
  case Type::put_record:
    request.body = read_put(reader);
    return;
  case Type::revoke:
    request.body = Revoke{reader.u64()};
    return;
  case Type::bind:
    request.body = read_bind(reader);
    return;
  case Type::status_query:
    request.body = StatusQuery{};
    return;
  case Type::identity_query:
    request.body = IdentityQuery{};
    return;
  case Type::ack:
  case Type::refused:
  case Type::identity:
    break;
  }
  reader.reject(fmt::format("type {:#x} is no request", static_cast<unsigned>(type)));
}

RefusalCode code_of(ErrorCode code) {
  switch (code) {
  case ErrorCode::invalid:
    return RefusalCode::invalid;
  case ErrorCode::exists:
    return RefusalCode::conflict;
  case ErrorCode::denied:
    return RefusalCode::revoked;
  case ErrorCode::limit:
    return RefusalCode::limit;
  default:
    return RefusalCode::hardware;
  }
}

ErrorCode code_of(RefusalCode code) {
  switch (code) {
  case RefusalCode::invalid:
    return ErrorCode::invalid;
  case RefusalCode::conflict:
    return ErrorCode::exists;
  case RefusalCode::revoked:
    return ErrorCode::denied;
  case RefusalCode::limit:
    return ErrorCode::limit;
  case RefusalCode::hardware:
    break;
  }
  return ErrorCode::io;
}

} // namespace

Result<std::vector<std::byte>> encode(const Request& request) {
  if (const auto* put = std::get_if<PutRecord>(&request.body);
      put && put->record.size() > max_put_record_bytes)
    return limit_failure(
        "sending a record to the TPM Manager",
        fmt::format("it has {} bytes: give fewer initrds, or shorter names", put->record.size()),
        fmt::format("{} bytes", max_put_record_bytes));
  return std::visit(WriteBody{request.id}, request.body);
}

std::vector<std::byte> encode(const Reply& reply) {
  return std::visit(WriteBody{reply.id}, reply.body);
}

Result<Request> decode_request(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  Request request;
  const auto type = static_cast<Type>(reader.u8());
  request.id = reader.u64();
  read_request_body(reader, type, request);
  TRY(reader.end("a request to the TPM Manager"));
  return request;
}

Result<Reply> decode_reply(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  Reply reply;
  const auto type = static_cast<Type>(reader.u8());
  reply.id = reader.u64();
  if (type == Type::ack)
    reply.body = read_ack(reader);
  else if (type == Type::refused)
    reply.body = read_refused(reader);
  else if (type == Type::identity)
    reply.body = read_identity(reader);
  else
    reader.reject(fmt::format("type {:#x} is no answer", static_cast<unsigned>(type)));
  TRY(reader.end("an answer of the TPM Manager"));
  return reply;
}

Refused refusal_of(const Error& error) {
  return Refused{code_of(error.code), error.message()};
}

Error error_of(const Refused& refusal, std::string doing) {
  return Error{code_of(refusal.code), std::move(doing),
               "the TPM Manager refused: " + printable(refusal.reason, max_reason_bytes)};
}

} // namespace ashlar::tpm
