// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/attest/tpm_commands.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/unique_fd.hpp"

namespace ashlar::attest {

namespace {

constexpr std::uint16_t tag_plain = 0x8001;      // TPM_ST_NO_SESSIONS
constexpr std::uint16_t tag_authorised = 0x8002; // TPM_ST_SESSIONS
constexpr std::uint32_t cc_create_primary = 0x131;
constexpr std::uint32_t cc_quote = 0x158;
constexpr std::uint32_t cc_flush_context = 0x165;
constexpr std::uint32_t cc_pcr_read = 0x17e;
constexpr std::uint32_t rh_owner = 0x40000001;
constexpr std::uint32_t rh_endorsement = 0x4000000b;
constexpr std::uint32_t password_session = 0x40000009; // TPM_RS_PW
constexpr std::uint16_t alg_null = 0x10;
constexpr std::uint16_t alg_sha256 = 0x0b;
constexpr std::uint8_t select_bytes = 3;
constexpr std::size_t header_bytes = 10;
constexpr std::size_t max_answer_bytes = 4096; // of Linux' driver

/// An authorisation area with an empty password.
void put_no_password(Bytes& out) {
  constexpr std::uint32_t area_bytes = 9;
  put(out, area_bytes);
  put(out, password_session);
  put(out, std::uint16_t{0}); // nonce
  put(out, std::uint8_t{0});  // attributes
  put(out, std::uint16_t{0}); // password
}

void put_selection(Bytes& out, std::span<const std::uint32_t> pcrs) {
  put(out, std::uint32_t{1});
  put(out, alg_sha256);
  put(out, select_bytes);
  for (std::uint32_t byte = 0; byte < select_bytes; ++byte) {
    unsigned bits = 0;
    for (const std::uint32_t pcr : pcrs)
      if (pcr / 8 == byte)
        bits |= 1U << (pcr % 8);
    put(out, static_cast<std::uint8_t>(bits));
  }
}

/// TPM2B_PUBLIC: restricted, signs, made in this TPM, stays there, needs no password.
Bytes key_template() {
  constexpr std::uint16_t type_ecc = 0x23;
  constexpr std::uint16_t alg_ecdsa = 0x18;
  constexpr std::uint16_t curve_p256 = 3;
  constexpr std::uint32_t attributes = 0x00050072; // fixedTPM, fixedParent, sensitiveDataOrigin,
                                                   // userWithAuth, restricted, sign
  Bytes area;
  put(area, type_ecc);
  put(area, alg_sha256);
  put(area, attributes);
  put(area, std::uint16_t{0}); // policy
  put(area, alg_null);         // symmetric
  put(area, alg_ecdsa);
  put(area, alg_sha256);
  put(area, curve_p256);
  put(area, alg_null);         // KDF
  put(area, std::uint16_t{0}); // x and y
  put(area, std::uint16_t{0});
  Bytes out;
  put(out, static_cast<std::uint16_t>(area.size()));
  out.insert(out.end(), area.begin(), area.end());
  return out;
}

Result<AttestationKey> make_key(const Exchange& exchange, std::uint32_t hierarchy) {
  const std::string doing = "making the TPM's attestation key";
  Bytes body;
  put(body, hierarchy);
  put_no_password(body);
  put(body, std::uint16_t{4}); // what is secret of it: no password, no data
  put(body, std::uint32_t{0});
  const Bytes area = key_template();
  body.insert(body.end(), area.begin(), area.end());
  put(body, std::uint16_t{0}); // outside information
  put(body, std::uint32_t{0}); // creation PCRs
  const Bytes answer = TRY(run(exchange, tag_authorised, cc_create_primary, body, doing));
  Reader reader(answer, doing);
  AttestationKey key;
  key.handle = TRY(reader.number(sizeof(std::uint32_t)));
  TRY(reader.number(sizeof(std::uint32_t))); // size of what follows
  const std::uint32_t size = TRY(reader.number(sizeof(std::uint16_t)));
  put(key.public_key, static_cast<std::uint16_t>(size));
  const Bytes made = TRY(reader.take(size));
  key.public_key.insert(key.public_key.end(), made.begin(), made.end());
  return key;
}

struct PcrReading {
  std::uint32_t counter = 0; // changes with each extend of any PCR
  Pcrs values;
};

Result<PcrReading> read_pcrs(const Exchange& exchange, std::span<const std::uint32_t> pcrs) {
  const std::string doing = "reading the TPM's PCRs";
  constexpr std::size_t selection_bytes = 4 + 2 + 1 + select_bytes;
  Bytes body;
  put_selection(body, pcrs);
  const Bytes answer = TRY(run(exchange, tag_plain, cc_pcr_read, body, doing));
  Reader reader(answer, doing);
  PcrReading reading;
  reading.counter = TRY(reader.number(sizeof(std::uint32_t)));
  const Bytes selected = TRY(reader.take(selection_bytes));
  if (selected != body || TRY(reader.number(sizeof(std::uint32_t))) != pcrs.size())
    return failure(ErrorCode::invalid, doing, "it answers for other PCRs");
  std::vector<std::uint32_t> rising(pcrs.begin(), pcrs.end());
  std::ranges::sort(rising);
  for (const std::uint32_t pcr : rising) {
    const std::uint32_t size = TRY(reader.number(sizeof(std::uint16_t)));
    const Bytes value = TRY(reader.take(size));
    if (value.size() != reading.values[pcr].size())
      return failure(ErrorCode::invalid, doing, "a value is no SHA-256");
    std::ranges::copy(value, reading.values[pcr].begin());
  }
  return reading;
}

Result<PcrQuote> quote_once(const Exchange& exchange, const AttestationKey& key,
                            std::span<const std::byte> nonce, std::span<const std::uint32_t> pcrs) {
  const std::string doing = "quoting the TPM's PCRs";
  Bytes body;
  put(body, key.handle);
  put_no_password(body);
  put(body, static_cast<std::uint16_t>(nonce.size()));
  body.insert(body.end(), nonce.begin(), nonce.end());
  put(body, alg_null); // the key's own scheme
  put_selection(body, pcrs);
  const Bytes answer = TRY(run(exchange, tag_authorised, cc_quote, body, doing));
  Reader reader(answer, doing);
  const std::uint32_t size = TRY(reader.number(sizeof(std::uint32_t)));
  const Bytes parameters = TRY(reader.take(size)); // an authorisation area follows
  Reader inner(parameters, doing);
  const std::uint32_t attest_bytes = TRY(inner.number(sizeof(std::uint16_t)));
  PcrQuote made;
  made.attest = TRY(inner.take(attest_bytes));
  made.signature = TRY(inner.take(inner.left()));
  return made;
}

/// The answer to one command from the driver.
Result<Bytes> exchange_with(int device, std::span<const std::byte> command) {
  if (write(device, command.data(), command.size()) != static_cast<ssize_t>(command.size()))
    return errno_failure("sending the TPM a command");
  Bytes answer(max_answer_bytes);
  const ssize_t size = read(device, answer.data(), answer.size());
  if (size < 0)
    return errno_failure("reading the TPM's answer");
  answer.resize(static_cast<std::size_t>(size));
  return answer;
}

} // namespace

Result<std::uint32_t> Reader::number(std::size_t size) {
  std::uint32_t value = 0;
  for (const std::byte byte : TRY(take(size)))
    value = value << 8 | std::to_integer<std::uint32_t>(byte);
  return value;
}

Result<Bytes> Reader::take(std::size_t size) {
  if (size > bytes_.size())
    return failure(ErrorCode::invalid, doing_, "its answer is cut off");
  const auto taken = bytes_.first(size);
  bytes_ = bytes_.subspan(size);
  return Bytes(taken.begin(), taken.end());
}

Result<Exchange> open_device(const std::string& path) {
  const auto device = std::make_shared<UniqueFd>(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (*device)
    return [device](std::span<const std::byte> command) {
      return exchange_with(device->value(), command);
    };
  const std::string doing = "opening the TPM " + path;
  if (errno == EBUSY)
    return failure(ErrorCode::busy, doing,
                   "another program has it open: stop that one (tpm2-abrmd, tcsd) meanwhile");
  if (errno == ENOENT)
    return failure(ErrorCode::not_found, doing,
                   "this guest has no TPM there: is ashlar-vtpm-agent running?");
  return errno_failure(doing);
}

Status require_tpm20(std::span<const std::byte> answer) {
  constexpr std::array tag_tpm12_answer = {std::byte{0x00}, std::byte{0xc4}}; // TPM_TAG_RSP_COMMAND
  if (answer.size() < tag_tpm12_answer.size() ||
      !std::ranges::equal(answer.first(tag_tpm12_answer.size()), tag_tpm12_answer))
    return {};
  return failure(ErrorCode::unsupported, "attesting",
                 "the TPM is a TPM 1.2, which gives no evidence: have the guest built with "
                 "--vtpm 2.0; what it was built from, ashlar measurement tells the toolstack");
}

Result<Bytes> run(const Exchange& exchange, std::uint16_t tag, std::uint32_t code,
                  std::span<const std::byte> body, const std::string& doing) {
  Bytes command;
  put(command, tag);
  put(command, static_cast<std::uint32_t>(header_bytes + body.size()));
  put(command, code);
  command.insert(command.end(), body.begin(), body.end());
  Bytes answer = TRY(exchange(command));
  TRY(require_tpm20(answer));
  Reader reader(answer, doing);
  TRY(reader.number(sizeof(std::uint16_t)));
  const std::uint32_t size = TRY(reader.number(sizeof(std::uint32_t)));
  const std::uint32_t status = TRY(reader.number(sizeof(std::uint32_t)));
  if (size != answer.size())
    return failure(ErrorCode::invalid, doing, "this is no answer of a TPM 2.0");
  if (status != 0)
    return failure(ErrorCode::denied, doing,
                   fmt::format("the TPM refuses with response code {:#x}", status));
  answer.erase(answer.begin(), answer.begin() + header_bytes);
  return answer;
}

Result<AttestationKey> make_attestation_key(const Exchange& exchange) {
  Result<AttestationKey> key = make_key(exchange, rh_endorsement);
  if (!key && key.error().code == ErrorCode::denied)
    key = make_key(exchange, rh_owner);
  if (!key && key.error().code == ErrorCode::denied)
    key.error().why +=
        "; a password of the endorsement and the owner hierarchy keeps it from that, "
        "or three keys are loaded";
  return key;
}

Status flush(const Exchange& exchange, const AttestationKey& key) {
  Bytes body;
  put(body, key.handle);
  TRY(run(exchange, tag_plain, cc_flush_context, body, "unloading the attestation key"));
  return {};
}

Result<PcrQuote> quote(const Exchange& exchange, const AttestationKey& key,
                       std::span<const std::byte> nonce, std::span<const std::uint32_t> pcrs) {
  for (int attempt = 0; attempt < max_quote_attempts; ++attempt) {
    PcrReading before = TRY(read_pcrs(exchange, pcrs));
    PcrQuote made = TRY(quote_once(exchange, key, nonce, pcrs));
    const PcrReading after = TRY(read_pcrs(exchange, pcrs));
    if (before.counter != after.counter || before.values != after.values)
      continue;
    made.pcrs = std::move(before.values);
    return made;
  }
  return failure(ErrorCode::busy, "quoting the TPM's PCRs",
                 "somebody extends PCRs all the time: try again");
}

} // namespace ashlar::attest
