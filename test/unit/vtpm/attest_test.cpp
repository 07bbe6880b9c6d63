// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-attest and the vTPM's own command, in one process with a real TPM 2.0 (libtpms); the TPM
// Manager is the test's.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "ashlar/attest/evidence.hpp"
#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/event_log.hpp"
#include "ashlar/tpm/evidence_message.hpp"
#include "ashlar/tpm/vtpm_message.hpp"
#include "ashlar/vtpm/commands.hpp"
#include "ashlar/vtpm/vendor_commands.hpp"

using namespace ashlar;
using namespace ashlar::vtpm;

namespace {

using attest::Bytes;
using tpm::VtpmOrdinal;
using tpm::VtpmStatus;

measure::Record guest_record() {
  measure::Ingredients ingredients;
  ingredients.builder_identity = "ashlar-builder test";
  ingredients.policy_digest = std::string(64, '0');
  ingredients.configuration.name = "db";
  ingredients.configuration.vcpus = 1;
  ingredients.configuration.memory_kib = ingredients.configuration.max_memory_kib = 262144;
  ingredients.kernel = {.label = "k", .size = 1, .digests = *measure::digest(as_bytes("k"))};
  ingredients.command_line = "quiet";
  measure::Record record;
  record.serial = 7;
  record.domid = 3;
  record.requester = "toolstack";
  record.events = *measure::make_events(ingredients);
  return record;
}

/// Hands out a log of `events` events, of which the last `late` come after the first look at it.
struct FakeManager {
  std::uint32_t events = 300;
  std::uint32_t late = 0;
  std::size_t step = 127;
  VtpmStatus quote_status = VtpmStatus::success;
  std::map<VtpmOrdinal, int> asked;
  tpm::GuestQuoteRequest quoted;
  Bytes credential;

  static tpm::EvidenceDigest event(std::uint32_t number) {
    tpm::EvidenceDigest out{};
    out[0] = static_cast<std::byte>(number);
    out[1] = static_cast<std::byte>(number >> 8);
    return out;
  }
  Bytes log_part(const Bytes& body) {
    tpm::HostLogPart part;
    for (const std::byte byte : body)
      part.first = part.first << 8 | std::to_integer<std::uint32_t>(byte);
    part.total = asked[VtpmOrdinal::get_guest_quote] == 0 ? events - late : events;
    for (std::uint32_t i = part.first; i < part.total && i < part.first + step; ++i)
      part.events.push_back(event(i));
    return tpm::encode(part);
  }
  Result<Bytes> answer(std::span<const std::byte> packet) {
    const auto request = tpm::decode_vtpm_request(packet);
    REQUIRE(request);
    tpm::VtpmResponse response{.status = VtpmStatus::success, .body = {}};
    if (request->ordinal == VtpmOrdinal::get_host_log)
      response.body = log_part(request->body);
    if (request->ordinal == VtpmOrdinal::get_host_keys)
      response.body = *tpm::encode(tpm::EvidenceParts{Bytes(3, std::byte{0xe}), {}});
    if (request->ordinal == VtpmOrdinal::activate_credential) {
      credential = request->body;
      response.body = *tpm::encode(tpm::EvidenceParts{Bytes(5, std::byte{0x5})});
    }
    ++asked[request->ordinal];
    if (request->ordinal == VtpmOrdinal::get_guest_quote) {
      quoted = *tpm::decode_guest_quote_request(request->body);
      response.body = *tpm::encode(tpm::EvidenceParts{
          Bytes(1, std::byte{1}), Bytes(2, std::byte{2}), Bytes(3, std::byte{3}), Bytes(33)});
      response.status = quoted.events != events ? VtpmStatus::log_grew : quote_status;
    }
    if (response.status != VtpmStatus::success)
      response.body.clear();
    return tpm::encode(response);
  }
};

struct Guest {
  std::unique_ptr<Engine> engine = *Engine::start(measure::Vtpm::tpm20);
  FakeManager manager;
  Allowance::Time now{};
  VendorCommands vendor;
  attest::Exchange exchange = [this](std::span<const std::byte> packet) -> Result<Bytes> {
    if (is_vendor_command(packet))
      return vendor.answer(packet);
    return engine->process(packet);
  };

  explicit Guest(measure::Profile profile = measure::Profile::uapi)
      : vendor(
            *engine, [this](std::span<const std::byte> packet) { return manager.answer(packet); },
            {.record = guest_record(), .version = measure::Vtpm::tpm20, .profile = profile},
            [this] { return now; }) {
    const auto extensions = measure::extensions_of(profile, guest_record().events);
    REQUIRE(extend_all(*engine, *extensions, measure::banks_of(profile)));
  }
  std::uint32_t status(const Bytes& packet) {
    const Bytes answer = vendor.answer(packet);
    REQUIRE(answer.size() >= 10);
    return std::to_integer<std::uint32_t>(answer[8]) << 8 |
           std::to_integer<std::uint32_t>(answer[9]);
  }
};

const Bytes nonce(attest::nonce_bytes, std::byte{0x4e});

/// The files of an archive, in its order; reads what tar(1) reads.
std::vector<std::pair<std::string, Bytes>> files_of(const Bytes& archive) {
  std::vector<std::pair<std::string, Bytes>> files;
  for (std::size_t at = 0; archive[at] != std::byte{};) {
    const auto* header = reinterpret_cast<const char*>(archive.data() + at);
    CHECK(std::string_view(header + 257, 5) == "ustar");
    const std::size_t size = std::stoul(std::string(header + 124, 11), nullptr, 8);
    const auto content = std::span(archive).subspan(at + 512, size);
    files.emplace_back(header, Bytes(content.begin(), content.end()));
    at += 512 + (size + 511) / 512 * 512;
  }
  return files;
}

Bytes vendor_packet(std::uint8_t operation, const Bytes& arguments = {}) {
  Bytes body{std::byte{vendor_command_version}, std::byte{operation}};
  body.insert(body.end(), arguments.begin(), arguments.end());
  return command(tag_plain, vendor_command_code, body);
}

std::uint32_t number(VendorResponse code) {
  return static_cast<std::uint32_t>(code);
}

/// TPM2_LoadExternal of a public key with all attributes of an attestation key, made elsewhere.
std::uint32_t load_external(Engine& engine, const Bytes& public_key) {
  Bytes body{std::byte{}, std::byte{}};
  body.insert(body.end(), public_key.begin(), public_key.end());
  for (const int byte : {0x40, 0, 0, 7}) // TPM_RH_NULL
    body.push_back(static_cast<std::byte>(byte));
  const auto answer = run(engine, command(tag_plain, 0x167, body), "loading a public key");
  REQUIRE_MESSAGE(answer.has_value(), answer.error().message());
  std::uint32_t handle = 0;
  for (std::size_t i = 0; i < 4; ++i)
    handle = handle << 8 | std::to_integer<std::uint32_t>((*answer)[i]);
  return handle;
}

} // namespace

TEST_CASE("attest: a bundle has its files in order, bound to the key and to the whole log") {
  Guest guest;
  const auto bundle = attest::make_bundle(guest.exchange, nonce);
  REQUIRE_MESSAGE(bundle.has_value(), bundle.error().message());
  const auto files = files_of(*bundle);
  std::vector<std::string> names;
  for (const auto& [name, content] : files)
    names.push_back(name);
  CHECK(names == std::vector<std::string>{"manifest", "record", "host.log", "host.quote.msg",
                                          "host.quote.sig", "host.ak.pub", "host.pcrs",
                                          "host.ek.pub", "guest.quote.msg", "guest.quote.sig",
                                          "guest.ak.pub", "guest.pcrs", "guest.log"});
  const std::map<std::string, Bytes> content(files.begin(), files.end());
  const Bytes& manifest = content.at("manifest");
  CHECK(std::string(reinterpret_cast<const char*>(manifest.data()), manifest.size()) ==
        "ashlar-evidence=1\nnonce=" + to_hex(nonce) + "\nprofile=uapi\nvtpm=2.0\n");
  CHECK(content.at("record") == *measure::encode(guest_record()));
  CHECK(content.at("host.log").size() == 300 * 32);
  CHECK(content.at("host.log")[299 * 32 + 1] == std::byte{1});
  CHECK(std::ranges::equal(guest.manager.quoted.nonce, nonce));
  CHECK(guest.manager.quoted.key == measure::digest(content.at("guest.ak.pub"))->sha256);
  const auto extensions = measure::extensions_of(measure::Profile::uapi, guest_record().events);
  CHECK(content.at("guest.log") == measure::event_log(measure::Profile::uapi, *extensions));
  std::string pcrs;
  const measure::PcrValues replayed = *measure::replay(*extensions);
  for (const auto& [pcr, values] : replayed)
    pcrs += "sha256:" + std::to_string(pcr) + " " + to_hex(values.sha256) + "\n";
  const Bytes& found = content.at("guest.pcrs");
  CHECK(std::string(reinterpret_cast<const char*>(found.data()), found.size()) == pcrs);
  // The nonce is the quote's extraData.
  CHECK_FALSE(std::ranges::search(content.at("guest.quote.msg"), nonce).empty());
}

TEST_CASE("attest: the key is unloaded again, and is the same each time") {
  Guest guest;
  const auto first = attest::make_bundle(guest.exchange, nonce);
  for (int i = 0; i < 3; ++i) { // the TPM has room for three
    const auto bundle = attest::make_bundle(guest.exchange, nonce);
    REQUIRE_MESSAGE(bundle.has_value(), bundle.error().message());
    CHECK(files_of(*bundle)[10].second == files_of(*first)[10].second);
  }
}

TEST_CASE("attest: the log alone needs no TPM Manager") {
  Guest guest(measure::Profile::grub);
  const auto document = attest::fetch_log(guest.exchange);
  REQUIRE(document.has_value());
  const auto extensions = measure::extensions_of(measure::Profile::grub, guest_record().events);
  CHECK(document->of(DocumentItem::event_log) ==
        measure::event_log(measure::Profile::grub, *extensions));
  CHECK(document->profile == 1);
  CHECK(guest.manager.asked.empty());
}

TEST_CASE("attest: a log that grows meanwhile is fetched to its end and quoted again") {
  Guest guest;
  guest.manager.late = 2;
  const auto bundle = attest::make_bundle(guest.exchange, nonce);
  REQUIRE(bundle.has_value());
  CHECK(guest.manager.asked[VtpmOrdinal::get_guest_quote] == 2);
  CHECK(guest.manager.asked[VtpmOrdinal::get_host_log] == 4); // 127, 127, 44 and the 2 more
  CHECK(files_of(*bundle)[2].second.size() == 300 * 32);
  // For ever is not waited.
  guest.manager.quote_status = VtpmStatus::log_grew;
  guest.manager.asked.clear();
  CHECK(attest::make_bundle(guest.exchange, nonce).error().code == ErrorCode::busy);
  CHECK(guest.manager.asked[VtpmOrdinal::get_guest_quote] == 8);
}

TEST_CASE("attest: what the TPM Manager refuses is said to be refused") {
  Guest guest;
  for (const auto& [status, code] : {std::pair{VtpmStatus::denied, ErrorCode::denied},
                                     std::pair{VtpmStatus::failed, ErrorCode::denied},
                                     std::pair{VtpmStatus::too_often, ErrorCode::busy}}) {
    guest.manager.quote_status = status;
    const auto bundle = attest::make_bundle(guest.exchange, nonce);
    REQUIRE_FALSE(bundle.has_value());
    CHECK(bundle.error().code == code);
    CHECK(guest.status(vendor_packet(3, Bytes(4))) == number(VendorResponse::not_prepared));
  }
}

TEST_CASE("attest: a guest asks for evidence so often, and is then told to wait") {
  Guest guest;
  for (std::uint32_t i = 0; i < evidence_burst; ++i)
    REQUIRE(attest::make_bundle(guest.exchange, nonce).has_value());
  const int before = guest.manager.asked[VtpmOrdinal::get_host_log];
  CHECK(attest::make_bundle(guest.exchange, nonce).error().code == ErrorCode::busy);
  CHECK(guest.manager.asked[VtpmOrdinal::get_host_log] == before); // the manager hears nothing
  guest.now += evidence_pause;
  CHECK(attest::make_bundle(guest.exchange, nonce).has_value());
  CHECK(attest::make_bundle(guest.exchange, nonce).error().code == ErrorCode::busy);
}

TEST_CASE("attest: a key that was not made in this TPM is bound to nothing") {
  Guest guest;
  const auto key = attest::make_attestation_key(guest.exchange);
  REQUIRE(key.has_value());
  attest::AttestationKey forged{.handle = load_external(*guest.engine, key->public_key),
                                .public_key = key->public_key};
  const auto refused = attest::fetch_evidence(guest.exchange, nonce, forged);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message().find("0x503") != std::string::npos);
  CHECK(guest.manager.asked.empty());
  forged.handle = 0x80ffffff;
  CHECK_FALSE(attest::fetch_evidence(guest.exchange, nonce, forged).has_value());
  CHECK(attest::fetch_evidence(guest.exchange, nonce, *key).has_value());
}

TEST_CASE("attest: a credential goes to the hardware TPM as tpm2_makecredential wrote it") {
  Guest guest;
  const Bytes file = *from_hex("badcc0de00000001"
                               "0003aabbcc"
                               "0002ddee");
  const auto secret = attest::activate(guest.exchange, file);
  REQUIRE_MESSAGE(secret.has_value(), secret.error().message());
  CHECK(*secret == Bytes(5, std::byte{5}));
  CHECK(to_hex(guest.manager.credential) == "00050003aabbcc00040002ddee");
  for (const char* wrong :
       {"", "badcc0de", "badcc0de00000002", "badcc0df000000010003aabbcc0002ddee",
        "badcc0de000000010003aabbcc0002dd", "badcc0de000000010003aabbcc0002ddeeff"})
    CHECK_FALSE(attest::activate(guest.exchange, *from_hex(wrong)).has_value());
  CHECK(guest.manager.asked[VtpmOrdinal::activate_credential] == 1);
}

TEST_CASE("attest: malformed vendor commands are refused, and other commands are the TPM's") {
  Guest guest;
  const std::uint32_t malformed = number(VendorResponse::malformed);
  for (const int operation : {0, 5, 255})
    CHECK(guest.status(vendor_packet(static_cast<std::uint8_t>(operation))) == malformed);
  CHECK(guest.status(vendor_packet(1, Bytes(1))) == malformed);
  for (const std::size_t size : {0U, 35U, 37U, 4000U})
    CHECK(guest.status(vendor_packet(2, Bytes(size))) == malformed);
  for (const std::size_t size : {0U, 3U, 5U})
    CHECK(guest.status(vendor_packet(3, Bytes(size))) == malformed);
  CHECK(guest.status(vendor_packet(4, Bytes(3))) == malformed);
  Bytes packet = vendor_packet(1);
  packet[10] = std::byte{2}; // version
  CHECK(guest.status(packet) == malformed);
  packet = vendor_packet(1);
  packet[5] = std::byte{200}; // size
  CHECK(guest.status(packet) == malformed);
  packet = vendor_packet(1);
  packet[1] = std::byte{2}; // with sessions
  CHECK(guest.status(packet) == malformed);
  for (std::size_t size = 10; size < 12; ++size)
    CHECK(guest.status(Bytes(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size))) ==
          malformed);
  CHECK_FALSE(is_vendor_command(std::span(packet).first(9)));
  packet[9] = std::byte{2};
  CHECK_FALSE(is_vendor_command(packet));
}

TEST_CASE("attest: a TPM without the command, and a profile without SHA-256, are named") {
  Guest guest;
  const auto plain = [&guest](std::span<const std::byte> packet) {
    return guest.engine->process(packet);
  };
  const auto refused = attest::fetch_log(plain);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::unsupported);
  guest.engine.reset();
  Guest old(measure::Profile::pv_grub);
  CHECK(attest::make_bundle(old.exchange, nonce).error().code == ErrorCode::unsupported);
}

TEST_CASE("attest: a TPM 1.2 is named as what gives no evidence, with what to do") {
  const auto engine = Engine::start(measure::Vtpm::tpm12);
  REQUIRE(engine.has_value());
  const auto plain = [&engine](std::span<const std::byte> packet) {
    return (*engine)->process(packet);
  };
  const Bytes credential = *from_hex("badcc0de000000010003aabbcc0002ddee");
  for (const Error& error :
       {attest::make_bundle(plain, nonce).error(), attest::fetch_log(plain).error(),
        attest::activate(plain, credential).error()}) {
    CHECK(error.code == ErrorCode::unsupported);
    CHECK(error.message().find("TPM 1.2, which gives no evidence") != std::string::npos);
    CHECK(error.message().find("--vtpm 2.0") != std::string::npos);
  }
}
