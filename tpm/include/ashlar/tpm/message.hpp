// SPDX-License-Identifier: LGPL-2.1-or-later
// What the builder and the TPM Manager say to each other. Each message is the payload of one
// control frame (ipc/frame.hpp), in the encoding of base/wire.hpp; docs/tpm-manager.md has the
// layout. The builder asks, the manager answers each request once, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/measure/digest.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/tpm/binding.hpp"
#include "ashlar/tpm/host_identity.hpp"

namespace ashlar::tpm {

inline constexpr std::uint32_t link_version = 3;

/// A PutRecord has 13 bytes before the record: type, id, length. With them it is as long as a
/// record may be; one of the builder's own limits is below 13,000 bytes.
inline constexpr std::size_t max_put_record_bytes = measure::max_record_bytes - 13;
static_assert(measure::max_record_bytes <= ipc::max_control_bytes);

/// First on each connection.
struct Hello {
  std::uint32_t version = link_version;
  bool operator==(const Hello&) const = default;
};
/// Take this record, extend it, and only then acknowledge.
struct PutRecord {
  std::vector<std::byte> record; // measure::encode
  bool operator==(const PutRecord&) const = default;
};
/// This record holds no longer.
struct Revoke {
  std::uint64_t serial = 0;
  bool operator==(const Revoke&) const = default;
};
/// From now on this vTPM may ask for that guest's measurement.
struct Bind {
  Binding binding;
  bool operator==(const Bind&) const = default;
};
/// What does the PCR hold?
struct StatusQuery {
  bool operator==(const StatusQuery&) const = default;
};

/// Which TPM is it, and what did it measure? Answered with HostIdentity.
struct IdentityQuery {
  bool operator==(const IdentityQuery&) const = default;
};

struct Request {
  std::uint64_t id = 0; // chosen by the builder; the answer carries it
  std::variant<Hello, PutRecord, Revoke, Bind, StatusQuery, IdentityQuery> body;
  bool operator==(const Request&) const = default;
};

/// Done. What the request asked for holds, and survives a restart of the manager.
struct Ack {
  std::uint64_t serial = 0;     // of the record concerned; of Hello and StatusQuery: the largest
  std::uint32_t pcr = 0;        // the host PCR's number
  measure::Sha256 value{};      // its value in the SHA-256 bank
  std::uint64_t log_events = 0; // extensions since boot that it adds up from
  bool operator==(const Ack&) const = default;
};

enum class RefusalCode : std::uint8_t {
  invalid = 1,  // the request breaks a rule of its format, or came before Hello
  conflict = 2, // the serial or the domain has another record
  revoked = 3,  // the record was revoked
  limit = 4,    // a named limit
  hardware =
      5, // the TPM or the journal failed, or the PCR is not what the log says: may be retried
};

/// Not done.
struct Refused {
  RefusalCode code = RefusalCode::invalid;
  std::string reason; // for people, at most max_reason_bytes
  bool operator==(const Refused&) const = default;
};

struct Reply {
  std::uint64_t id = 0;
  std::variant<Ack, Refused, HostIdentity> body;
  bool operator==(const Reply&) const = default;
};

/// Errors: limit (a record above max_put_record_bytes).
[[nodiscard]] Result<std::vector<std::byte>> encode(const Request& request);
/// A reason that is too long is cut. An identity is within its limits.
[[nodiscard]] std::vector<std::byte> encode(const Reply& reply);

/// Read one message; the whole of `bytes` must be it. Errors: invalid. Safe on hostile input.
[[nodiscard]] Result<Request> decode_request(std::span<const std::byte> bytes);
[[nodiscard]] Result<Reply> decode_reply(std::span<const std::byte> bytes);

/// The refusal that tells a failure of the manager's, and the error that a refusal becomes in the
/// builder: invalid, exists, denied, limit, io.
[[nodiscard]] Refused refusal_of(const Error& error);
[[nodiscard]] Error error_of(const Refused& refusal, std::string doing);

} // namespace ashlar::tpm
