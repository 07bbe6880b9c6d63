// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/event_log.hpp"
#include "ashlar/evidence/pcr_list.hpp"
#include "ashlar/evidence/text_forms.hpp"
#include "ashlar/evidence/tpm_structures.hpp"
#include "ashlar/measure/event_log.hpp"
#include "golden.hpp"
#include "guest_events.hpp"

using namespace ashlar;
using namespace ashlar::evidence;
using test::Files;

namespace {

// What reads no shorter and no longer input than the whole.
template <typename Read>
void check_strict(const std::string& whole, Read&& read) {
  CHECK(read(as_bytes(whole)).has_value());
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(read(as_bytes(std::string_view(whole).substr(0, size))).has_value());
  CHECK_FALSE(read(as_bytes(whole + "x")).has_value());
}

std::string with(std::string bytes, std::size_t at, std::string_view replacement) {
  return bytes.replace(at, replacement.size(), replacement);
}

} // namespace

TEST_CASE("TPM structures: a quote, a signature and a key are read whole or not at all") {
  Files files("web");
  for (const std::string who : {"host", "guest"}) { // RSA and ECC
    check_strict(files[who + ".quote.msg"], [](auto bytes) { return read_quote(bytes, "q"); });
    check_strict(files[who + ".quote.sig"], [](auto bytes) { return read_signature(bytes, "s"); });
    check_strict(files[who + ".ak.pub"], [](auto bytes) { return read_public(bytes, "k"); });
  }
  check_strict(files["host.ek.pub"], [](auto bytes) { return read_public(bytes, "k"); });
}

TEST_CASE("TPM structures: a quote says which PCRs it is over") {
  Files files("web");
  const auto quote = read_quote(as_bytes(files["guest.quote.msg"]), "guest.quote.msg");
  REQUIRE(quote);
  REQUIRE(quote->selections.size() == 1);
  CHECK(quote->selections[0] == PcrSelection{0xB, {9, 11, 12}});
  CHECK(to_hex(quote->extra_data) == test::golden("nonce").substr(0, 64));
  CHECK(quote->pcr_digest.size() == 32);
}

TEST_CASE("TPM structures: refuses what no TPM made, or what is no quote") {
  const std::string quote = Files("web")["host.quote.msg"];
  CHECK_FALSE(read_quote(as_bytes(with(quote, 0, "\xfe")), "q"));
  CHECK_FALSE(read_quote(as_bytes(with(quote, 4, "\x80\x17")), "q")); // TPM_ST_ATTEST_CERTIFY
  CHECK_FALSE(read_quote(as_bytes(with(quote, 6, "\xff\xff")), "q")); // a name of 65,535 bytes
}

TEST_CASE("TPM structures: refuses weak or unknown signatures and keys") {
  Files files("web");
  const std::string signature = files["host.quote.sig"];
  const std::string sha1("\0\4", 2);
  CHECK_FALSE(read_signature(as_bytes(with(signature, 2, sha1)), "s"));
  CHECK_FALSE(read_signature(as_bytes(with(signature, 1, "\x1a")), "s")); // ECDAA
  const std::string key = files["host.ak.pub"];
  CHECK_FALSE(read_public(as_bytes(with(key, 3, "\x08")), "k")); // a keyed hash
  CHECK_FALSE(read_public(as_bytes(with(key, 0, "\x7f")), "k"));
  std::string off_curve = files["guest.ak.pub"];
  off_curve.back() = static_cast<char>(off_curve.back() ^ 1);
  CHECK_FALSE(read_public(as_bytes(off_curve), "k"));
}

TEST_CASE("TPM structures: a signature holds for its key and message alone") {
  Files files("web");
  const auto host = read_public(as_bytes(files["host.ak.pub"]), "k").value();
  const auto guest = read_public(as_bytes(files["guest.ak.pub"]), "k").value();
  const auto by_host = read_signature(as_bytes(files["host.quote.sig"]), "s").value();
  const auto by_guest = read_signature(as_bytes(files["guest.quote.sig"]), "s").value();
  const auto message = as_bytes(files["host.quote.msg"]);
  CHECK(verify_signature(host.key, by_host, message, "q"));
  CHECK(verify_signature(guest.key, by_guest, as_bytes(files["guest.quote.msg"]), "q"));
  CHECK_FALSE(verify_signature(host.key, by_host, as_bytes(files["guest.quote.msg"]), "q"));
  CHECK_FALSE(verify_signature(guest.key, by_host, message, "q"));
  CHECK_FALSE(verify_signature(guest.key, by_guest, message, "q"));
}

TEST_CASE("event log: reads what is written, and nothing that is cut off between entries' ends") {
  for (const measure::Profile profile : measure::all_profiles) {
    const auto extensions = measure::extensions_of(profile, measure::guest_events({"one"})).value();
    const auto bytes = measure::event_log(profile, extensions);
    const auto log = read_event_log(bytes);
    REQUIRE(log);
    CHECK(log->banks.size() == measure::banks_of(profile).size());
    REQUIRE(log->extensions.size() == extensions.size());
    CHECK(log->extensions.front().log_text == extensions.front().log_text);
    CHECK(log->extensions.front().digests.sha1 == extensions.front().digests.sha1);
    CHECK_FALSE(read_event_log(std::span(bytes).first(bytes.size() - 1)));
    CHECK_FALSE(read_event_log(std::span(bytes).first(40)));
  }
}

TEST_CASE("event log: refuses a log of another form") {
  const std::string log = Files("web")["guest.log"];
  const auto refused = [](const std::string& bytes) { return !read_event_log(as_bytes(bytes)); };
  REQUIRE_FALSE(refused(log));
  CHECK(refused(""));
  CHECK(refused(with(log, 0, "\x01")));             // the first entry is of PCR 1
  CHECK(refused(with(log, 32, "spec")));            // its signature
  CHECK(refused(with(log, 56, std::string(1, 0)))); // no algorithm
  CHECK(refused(with(log, 56, "\x7f")));            // 127 of them
  CHECK(refused(with(log, 60, "\x0b")));            // SHA-256 twice
  CHECK(refused(with(log, 62, "\x15")));            // a SHA-1 of 21 bytes
  CHECK(refused(with(log, 73, "\x18")));            // an entry of PCR 24
  CHECK(refused(with(log, 81, "\x02")));            // two digests of three
  CHECK(refused(with(log, 85, "\x0b")));            // SHA-256 in the place of SHA-1
}

TEST_CASE("TPM structures: a key has the texts and the Name that tpm2-tools give it") {
  Files files("web");
  const auto key = read_public(as_bytes(files["host.ak.pub"]), "k");
  REQUIRE(key.has_value());
  CHECK(pem_of(key->key) == test::golden("reference/host-ak.pem")); // by tpm2_readpublic -f pem
  const auto ecc = read_public(as_bytes(files["guest.ak.pub"]), "k");
  REQUIRE(ecc.has_value()); // by tpm2_print -f pem
  CHECK(pem_of(ecc->key) == "-----BEGIN PUBLIC KEY-----\n"
                            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5iV4bzBmpNrg9a3CRm5TUcWJhkgX\n"
                            "FMPN/LkmjxCnBfGz/yUgjA06eyxpF4Yuqhz0IdVvYdKym+TUE2/1j5Rl5w==\n"
                            "-----END PUBLIC KEY-----\n");
  const auto name = name_of(as_bytes(files["host.ak.pub"]), "k");
  REQUIRE(name.has_value()); // by tpm2_loadexternal -n
  CHECK(to_hex(*name) == "000bb2510a052ee943c7d9cc2aaf46740f58adc52de95cfdcb093a6cb9d5073d8da7");
  check_strict(files["host.ak.pub"], [](auto bytes) { return name_of(bytes, "k"); });
  const auto sha384 = with(files["host.ak.pub"], 4, std::string_view("\x00\x0c", 2));
  CHECK(name_of(as_bytes(sha384), "k").error().code == ErrorCode::unsupported);
  CHECK(base64(as_bytes("Ashlar")) == "QXNobGFy");
  CHECK(base64(as_bytes("TPM2")) == "VFBNMg==");
  CHECK(base64({}) == "");
}

TEST_CASE("TPM structures: the firmware's reference is read as it was written") {
  measure::Sha256 value{};
  value.fill(std::byte{0xab});
  const PcrList pcrs = {{0, value}, {1, {}}, {7, value}, {8, value}, {13, value}};
  const auto choices = read_pcr_choices(firmware_reference(pcrs), "host.pcrs");
  REQUIRE(choices.has_value());
  CHECK(*choices == PcrChoices{{0, {value}}, {7, {value}}});
  // A machine that measured nothing gives no reference that anything would hold against.
  CHECK_FALSE(read_pcr_choices(firmware_reference({{0, {}}}), "host.pcrs").has_value());
}
