// SPDX-License-Identifier: LGPL-2.1-or-later
// The real libtpms: what is extended, and what a guest can no longer do.
#include <doctest/doctest.h>

#include <random>

#include "ashlar/base/bytes.hpp"
#include "ashlar/vtpm/commands.hpp"
#include "ashlar/vtpm/engine.hpp"

using namespace ashlar;
using namespace ashlar::vtpm;

namespace {

constexpr measure::Bank sha1_alone[] = {measure::Bank::sha1};

std::unique_ptr<Engine> started(measure::Vtpm version) {
  auto engine = Engine::start(version);
  REQUIRE_MESSAGE(engine.has_value(), engine.error().message());
  return std::move(*engine);
}

measure::Extension extension(std::uint32_t pcr, const std::string& text) {
  measure::Extension made;
  made.pcr = pcr;
  made.digests = *measure::digest(as_bytes(text));
  return made;
}

std::string pcr(Engine& engine, std::uint32_t number, measure::Bank bank) {
  const auto value = read_pcr(engine, number, bank);
  REQUIRE_MESSAGE(value.has_value(), value.error().message());
  return to_hex(*value);
}

std::string code_of(Engine& engine, const std::string& hex) {
  const auto answer = engine.process(*from_hex(hex));
  REQUIRE(answer);
  REQUIRE(answer->size() >= 10);
  return to_hex(std::span(*answer).subspan(6, 4));
}

} // namespace

TEST_CASE("engine: a TPM 2.0 has the extended values in all three banks") {
  const auto engine = started(measure::Vtpm::tpm20);
  const std::vector<measure::Extension> extensions = {extension(9, "initrd"), extension(12, "a"),
                                                      extension(12, "b")};
  const Status extended = extend_all(*engine, extensions, measure::all_banks);
  REQUIRE_MESSAGE(extended.has_value(), extended.error().message());
  // From Python's hashlib: H(zeros || H("initrd")), and H(H(zeros || H("a")) || H("b")).
  CHECK(pcr(*engine, 9, measure::Bank::sha256) ==
        "5c1d070ec5d29dc510a2b42e695f04c04407f7b9454a63b65727c3e1b8ccfbc1");
  CHECK(pcr(*engine, 12, measure::Bank::sha1) == "2dd4f06b1ae34639d1cc39316283c6cbfdf0dc82");
  CHECK(pcr(*engine, 12, measure::Bank::sha384) ==
        "941baacd1efc683b7bb6335428caa38156c9ebaf035df192"
        "fe8c89056f247fba20f0576d54c94ef52bdfd156ccbd67a3");
  CHECK(pcr(*engine, 11, measure::Bank::sha256) == std::string(64, '0'));
}

TEST_CASE("engine: a TPM 1.2 is enabled, active and has the extended values") {
  const auto engine = started(measure::Vtpm::tpm12);
  const std::vector<measure::Extension> extensions = {extension(12, "a"), extension(12, "b")};
  const Status extended = extend_all(*engine, extensions, sha1_alone);
  REQUIRE_MESSAGE(extended.has_value(), extended.error().message());
  CHECK(pcr(*engine, 12, measure::Bank::sha1) == "2dd4f06b1ae34639d1cc39316283c6cbfdf0dc82");
}

TEST_CASE("engine: there is one at a time, and the next begins anew") {
  for (const measure::Vtpm version : {measure::Vtpm::tpm12, measure::Vtpm::tpm20}) {
    {
      const auto engine = started(version);
      CHECK_FALSE(Engine::start(measure::Vtpm::tpm20));
      REQUIRE(extend_all(*engine, std::vector{extension(9, "x")}, sha1_alone));
    }
    const auto engine = started(version);
    CHECK(pcr(*engine, 9, measure::Bank::sha1) == std::string(40, '0'));
  }
}

TEST_CASE("engine: a guest cannot take a TPM 2.0's measurement back") {
  const auto engine = started(measure::Vtpm::tpm20);
  REQUIRE(extend_all(*engine, std::vector{extension(9, "x")}, measure::all_banks));
  const std::string before = pcr(*engine, 9, measure::Bank::sha256);
  // Startup(CLEAR), PCR_Reset(9), PCR_Allocate and Clear by the platform.
  CHECK(code_of(*engine, "80010000000c000001440000") != "00000000");
  CHECK(code_of(*engine, "80020000001b0000013d00000009000000094000000900000000"
                         "00") != "00000000");
  CHECK(code_of(*engine,
                "80020000002500"
                "00012b4000000c000000094000000900000000000000000100040300000000") != "00000000");
  CHECK(code_of(*engine, "80020000001b000001264000000c00000009400000090000000000") != "00000000");
  // Shutdown(CLEAR) and Startup again: without a reset there is no second start.
  static_cast<void>(engine->process(*from_hex("80010000000c000001450000")));
  static_cast<void>(engine->process(*from_hex("80010000000c000001440000")));
  CHECK(pcr(*engine, 9, measure::Bank::sha256) == before);
}

TEST_CASE("engine: a guest cannot take a TPM 1.2's measurement back") {
  const auto engine = started(measure::Vtpm::tpm12);
  REQUIRE(extend_all(*engine, std::vector{extension(9, "x")}, sha1_alone));
  const std::string before = pcr(*engine, 9, measure::Bank::sha1);
  // TPM_Init, TPM_Startup(CLEAR), TPM_PCR_Reset of PCR 9, TSC_PhysicalPresence(PRESENT).
  CHECK(code_of(*engine, "00c10000000a00000097") != "00000000");
  CHECK(code_of(*engine, "00c10000000c000000990001") != "00000000");
  CHECK(code_of(*engine, "00c10000000f000000c80003000200") != "00000000");
  CHECK(code_of(*engine, "00c10000000c4000000a0008") != "00000000");
  CHECK(pcr(*engine, 9, measure::Bank::sha1) == before);
}

TEST_CASE("engine: a TPM 2.0 has no bank that nobody extends") {
  const auto engine = started(measure::Vtpm::tpm20);
  // PCR_Read of SHA-512: the selection comes back empty, with no digest.
  const auto answer = engine->process(*from_hex("80010000001400"
                                                "00017e00000001000d03000200"));
  REQUIRE(answer);
  CHECK(to_hex(std::span(*answer).last(4)) == "00000000");
}

namespace {

// TPM2_NV_DefineSpace of index 0x01500000, 8 bytes, by the owner; TPM2_NV_ReadPublic of it.
constexpr const char* define_nv = "80020000002d0000012a40000001000000094000000900000000000000"
                                  "000e01500000000b0006000600000008";
constexpr const char* find_nv = "80010000000e0000016901500000";
const std::string tpm_failure = "00000101"; // TPM_RC_FAILURE

struct Shelf {
  std::vector<std::byte> state;
  int saves = 0;
  bool full = false;
  Engine::Keep keep() {
    return [this](std::span<const std::byte> changed) -> Status {
      if (full)
        return failure(ErrorCode::io, "keeping the state", "no room");
      state.assign(changed.begin(), changed.end());
      ++saves;
      return {};
    };
  }
};

} // namespace

TEST_CASE("engine: what a guest has put into its TPM is there when the TPM starts again") {
  Shelf shelf;
  {
    const auto engine = started(measure::Vtpm::tpm20);
    REQUIRE(engine->keep_state(shelf.keep()));
    const int before = shelf.saves;
    CHECK(code_of(*engine, find_nv) != "00000000");
    CHECK(code_of(*engine, define_nv) == "00000000");
    CHECK(shelf.saves > before); // before the command was answered
    REQUIRE(extend_all(*engine, std::vector{extension(9, "x")}, measure::all_banks));
  }
  const auto again = Engine::start(measure::Vtpm::tpm20, shelf.state);
  REQUIRE_MESSAGE(again.has_value(), again.error().message());
  CHECK(code_of(**again, find_nv) == "00000000");
  CHECK(pcr(**again, 9, measure::Bank::sha256) == std::string(64, '0'));
  REQUIRE(extend_all(**again, std::vector{extension(9, "x")}, measure::all_banks));
}

TEST_CASE("engine: a TPM 1.2 starts again with its state, enabled and locked as before") {
  // TPM_NV_DefineSpace of index 0x10, 8 bytes, which needs no owner; TPM_GetCapability(NV_LIST).
  const std::string pcrs = "0003000000"
                           "1f" +
                           std::string(40, '0');
  const std::string define = "00c100000065000000cc"
                             "001800000010" +
                             pcrs + pcrs +
                             "001700000004"
                             "000000"
                             "00000008" +
                             std::string(40, '0');
  const char* list_nv = "00c100000012000000650000000d00000000";
  Shelf shelf;
  std::string list;
  {
    const auto engine = started(measure::Vtpm::tpm12);
    REQUIRE(engine->keep_state(shelf.keep()));
    const std::string empty = to_hex(*engine->process(*from_hex(list_nv)));
    CHECK(code_of(*engine, define) == "00000000");
    list = to_hex(*engine->process(*from_hex(list_nv)));
    CHECK(list != empty);
  }
  const auto again = Engine::start(measure::Vtpm::tpm12, shelf.state);
  REQUIRE_MESSAGE(again.has_value(), again.error().message());
  CHECK(to_hex(*(*again)->process(*from_hex(list_nv))) == list);
  CHECK(code_of(**again, "00c10000000c4000000a0008") != "00000000"); // physical presence
  REQUIRE(extend_all(**again, std::vector{extension(9, "x")}, sha1_alone));
}

TEST_CASE("engine: a TPM whose state cannot be kept fails, and stays so") {
  Shelf shelf;
  const auto engine = started(measure::Vtpm::tpm20);
  REQUIRE(engine->keep_state(shelf.keep()));
  shelf.full = true;
  CHECK(code_of(*engine, define_nv) == tpm_failure);
  shelf.full = false;
  CHECK(code_of(*engine, find_nv) == tpm_failure);
}

TEST_CASE("engine: what is no state of libtpms starts no TPM") {
  const std::vector<std::byte> garbage(200, std::byte{7});
  for (const measure::Vtpm version : {measure::Vtpm::tpm12, measure::Vtpm::tpm20})
    CHECK_FALSE(Engine::start(version, garbage));
}

TEST_CASE("engine: garbage is answered, never fatal") {
  std::mt19937 random(20141);
  for (const measure::Vtpm version : {measure::Vtpm::tpm12, measure::Vtpm::tpm20}) {
    const auto engine = started(version);
    for (int i = 0; i < 300; ++i) {
      std::vector<std::byte> packet(random() % 64);
      for (std::byte& byte : packet)
        byte = static_cast<std::byte>(random());
      // A header that is right makes the rest be read.
      if (packet.size() >= 10 && i % 2 == 0) {
        const auto header =
            command(i % 4 == 0 ? tag_plain : tag_tpm12, 0x11f + random() % 0x80, {});
        std::copy(header.begin(), header.end(), packet.begin());
        packet[5] = static_cast<std::byte>(packet.size());
      }
      const auto answer = engine->process(packet);
      REQUIRE(answer);
      CHECK(answer->size() >= 10);
    }
  }
}
