// SPDX-License-Identifier: LGPL-2.1-or-later
// Which vTPM belongs to which guest: only approved images, only records that hold, one to one.
#include <doctest/doctest.h>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/bindings.hpp"
#include "ashlar/tpm/journal.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

measure::Event event(measure::EventType type, const std::string& bytes) {
  measure::Event made;
  made.type = type;
  made.size = bytes.size();
  made.digests = *measure::digest(as_bytes(bytes));
  return made;
}

/// A record of a domain built from these files.
measure::Record record(std::uint64_t serial, const std::string& kernel,
                       const std::vector<std::string>& initrds) {
  measure::Record made;
  made.serial = serial;
  made.domid = static_cast<std::uint32_t>(serial);
  made.requester = "boot";
  made.events.push_back(event(measure::EventType::kernel, kernel));
  for (const std::string& initrd : initrds)
    made.events.push_back(event(measure::EventType::initrd, initrd));
  return made;
}

void put(Ledger& ledger, const measure::Record& made) {
  REQUIRE(ledger.add(*log_event(*measure::encode(made))));
}

std::string line(const std::string& kernel, const std::string& initrd) {
  return fmt::format("{} {}\n", to_hex(measure::digest(as_bytes(kernel))->sha256),
                     to_hex(measure::digest(as_bytes(initrd))->sha256));
}

/// Guests 1 and 2, vTPMs 11 and 12 from the approved images, 13 from others.
struct Bound {
  Ledger ledger;
  Bindings bindings;
  ApprovedImages approved =
      *ApprovedImages::parse("# the vTPM of this release\n\n" + line("vk", "vi"), "images");
  Bound() {
    put(ledger, record(1, "guest", {}));
    put(ledger, record(2, "guest", {}));
    put(ledger, record(11, "vk", {"vi"}));
    put(ledger, record(12, "vk", {"vi"}));
    put(ledger, record(13, "vk", {"changed"}));
  }
  [[nodiscard]] Result<Bindings::Verdict> judge(std::uint64_t guest, std::uint64_t vtpm) const {
    return bindings.judge({.guest_serial = guest, .vtpm_serial = vtpm}, ledger, approved);
  }
};

ErrorCode code(const Result<Bindings::Verdict>& verdict) {
  REQUIRE_FALSE(verdict);
  return verdict.error().code;
}

} // namespace

TEST_CASE("bindings: an approved vTPM is bound once, and the same again is known") {
  Bound scene;
  CHECK(scene.judge(1, 11) == Bindings::Verdict::fresh);
  scene.bindings.add({.guest_serial = 1, .vtpm_serial = 11});
  CHECK(scene.judge(1, 11) == Bindings::Verdict::known);
  REQUIRE(scene.bindings.of_vtpm(11));
  CHECK(scene.bindings.of_vtpm(11)->guest_serial == 1);
  CHECK_FALSE(scene.bindings.of_vtpm(1));
}

TEST_CASE("bindings: a vTPM has one guest, and a guest one vTPM") {
  Bound scene;
  scene.bindings.add({.guest_serial = 1, .vtpm_serial = 11});
  CHECK(code(scene.judge(2, 11)) == ErrorCode::exists);
  CHECK(code(scene.judge(1, 12)) == ErrorCode::exists);
  const auto other_version =
      scene.bindings.judge({.guest_serial = 1, .vtpm_serial = 11, .version = measure::Vtpm::tpm12},
                           scene.ledger, scene.approved);
  CHECK(code(other_version) == ErrorCode::exists);
}

TEST_CASE("bindings: a domain that is not built from approved images is no vTPM") {
  Bound scene;
  CHECK(code(scene.judge(1, 13)) == ErrorCode::denied);
  // The right files, and one more behind them.
  put(scene.ledger, record(14, "vk", {"vi", "more"}));
  CHECK(code(scene.judge(1, 14)) == ErrorCode::denied);
  put(scene.ledger, record(15, "vk", {}));
  CHECK(code(scene.judge(1, 15)) == ErrorCode::denied);
  scene.approved = {};
  CHECK(code(scene.judge(1, 11)) == ErrorCode::denied);
}

TEST_CASE("bindings: records that are unknown or revoked are not bound, and a revocation ends it") {
  Bound scene;
  CHECK(code(scene.judge(7, 11)) == ErrorCode::invalid);
  CHECK(code(scene.judge(1, 7)) == ErrorCode::invalid);
  CHECK(code(scene.judge(1, 1)) == ErrorCode::invalid);
  for (const std::uint64_t revoked : {1U, 11U}) {
    scene.bindings.add({.guest_serial = 1, .vtpm_serial = 11});
    scene.bindings.end(revoked);
    CHECK_FALSE(scene.bindings.of_vtpm(11));
  }
  REQUIRE(scene.ledger.revoke(1));
  CHECK(code(scene.judge(1, 11)) == ErrorCode::denied);
  REQUIRE(scene.ledger.revoke(12));
  CHECK(code(scene.judge(2, 12)) == ErrorCode::denied);
  // What is free again can be bound anew.
  CHECK(scene.judge(2, 11) == Bindings::Verdict::fresh);
}

TEST_CASE(
    "bindings: a list of approved images with a line that is none is refused with its place") {
  for (const std::string bad : {"abc", "0011 2233", "x"}) {
    const auto parsed = ApprovedImages::parse("# fine\n" + bad + "\n", "images");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().message().find("images:2") != std::string::npos);
  }
}
