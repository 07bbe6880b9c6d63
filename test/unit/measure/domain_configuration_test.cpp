// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <functional>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/digest.hpp"
#include "ashlar/measure/domain_configuration.hpp"

using namespace ashlar;
using namespace ashlar::measure;

namespace {

DomainConfiguration web() {
  return {.name = "web-1",
          .type = GuestType::pvh,
          .vcpus = 2,
          .memory_kib = 262144,
          .max_memory_kib = 524288,
          .on_poweroff = StopAction::destroy,
          .on_reboot = StopAction::restart,
          .on_crash = StopAction::preserve};
}

} // namespace

TEST_CASE("configuration: the canonical text is the documented one") {
  CHECK(canonical_text(web()) == "ashlar-domain-configuration=2\n"
                                 "name=web-1\n"
                                 "type=pvh\n"
                                 "vcpus=2\n"
                                 "memory_kib=262144\n"
                                 "max_memory_kib=524288\n"
                                 "on_poweroff=destroy\n"
                                 "on_reboot=restart\n"
                                 "on_crash=preserve\n"
                                 "vtpm=none\n");
}

TEST_CASE("configuration: the digest in docs/measurements.md is that of its example") {
  DomainConfiguration example = web();
  example.on_crash = StopAction::destroy;
  example.vtpm = Vtpm::tpm20;
  const auto digests = digest(as_bytes(canonical_text(example)));
  REQUIRE(digests.has_value());
  CHECK(to_hex(digests->sha256) ==
        "3840cd0b745fc517f87087d77cc83c084935a8bcd17798aba7b1ac3580489e44");
}

TEST_CASE("configuration: every setting changes the canonical text") {
  const std::vector<std::function<void(DomainConfiguration&)>> changes = {
      [](auto& c) { c.name = "web-2"; },
      [](auto& c) { c.type = GuestType::pv; },
      [](auto& c) { c.vcpus = 3; },
      [](auto& c) { c.memory_kib = 262145; },
      [](auto& c) { c.max_memory_kib = 524289; },
      [](auto& c) { c.on_poweroff = StopAction::restart; },
      [](auto& c) { c.on_reboot = StopAction::destroy; },
      [](auto& c) { c.on_crash = StopAction::destroy; },
      [](auto& c) { c.vtpm = Vtpm::tpm12; },
      [](auto& c) { c.vtpm = Vtpm::tpm20; },
      [](auto& c) { c.xsm_label = "system_u:system_r:domU_t"; },
  };
  for (const auto& change : changes) {
    DomainConfiguration changed = web();
    change(changed);
    CHECK(canonical_text(changed) != canonical_text(web()));
    CHECK(validate(changed));
  }
}

TEST_CASE("configuration: a vTPM version is read as it is printed, and nothing else is") {
  for (const Vtpm vtpm : {Vtpm::none, Vtpm::tpm12, Vtpm::tpm20})
    CHECK(vtpm_from_text(to_string(vtpm)) == vtpm);
  for (const char* bad : {"", "1", "2", "2.0 ", "3.0"})
    CHECK_FALSE(vtpm_from_text(bad));
}

TEST_CASE("configuration: names of 1 to 63 bytes of the charset are valid, and no others") {
  DomainConfiguration configuration = web();
  for (const std::string& good :
       {std::string("a"), std::string(63, 'x'), std::string("A.z_0+9-")}) {
    configuration.name = good;
    CHECK(validate(configuration));
  }
  for (const std::string& bad :
       {std::string(), std::string(64, 'x'), std::string("a b"), std::string("a\nvcpus=9"),
        std::string("a/b"), std::string("a\0", 2), std::string("caf\xc3\xa9")}) {
    configuration.name = bad;
    CHECK_FALSE(validate(configuration));
  }
}

TEST_CASE("configuration: an XSM label stands in the last line, and one without is as it was") {
  DomainConfiguration configuration = web();
  const std::string without = canonical_text(configuration);
  configuration.xsm_label = "system_u:system_r:domU_t";
  CHECK(canonical_text(configuration) == without + "xsm_label=system_u:system_r:domU_t\n");
}

TEST_CASE("configuration: XSM labels of the charset are valid, and no others") {
  DomainConfiguration configuration = web();
  for (const std::string& good : {std::string("system_u:system_r:domU_t"), std::string(127, 'x'),
                                  std::string("u:r:t:s0-s1:c0.c9,c12")}) {
    configuration.xsm_label = good;
    CHECK(validate(configuration));
  }
  for (const std::string& bad : {std::string(128, 'x'), std::string("a b"), std::string("a\nb=1"),
                                 std::string("a*"), std::string("a\0", 2), std::string("a=b")}) {
    configuration.xsm_label = bad;
    CHECK_FALSE(validate(configuration));
  }
}

TEST_CASE("configuration: an error names the setting, its value and the limit") {
  DomainConfiguration configuration = web();
  configuration.name = std::string(64, 'x');
  const auto too_long = validate(configuration);
  REQUIRE_FALSE(too_long.has_value());
  CHECK(too_long.error().code == ErrorCode::limit);
  CHECK(too_long.error().why == "name has 64 bytes, above the limit of 63");
  configuration = web();
  configuration.name = "a\nb";
  const auto newline = validate(configuration);
  REQUIRE_FALSE(newline.has_value());
  CHECK(newline.error().message() ==
        "checking the configuration of domain \"a\\x0ab\": name has \"\\x0a\" at byte 1: use only "
        "A-Z a-z 0-9 . _ + -");
}

TEST_CASE("configuration: no vCPU, no memory, or a ceiling below the memory is refused") {
  DomainConfiguration configuration = web();
  configuration.vcpus = 0;
  CHECK_FALSE(validate(configuration));
  configuration = web();
  configuration.memory_kib = 0;
  CHECK_FALSE(validate(configuration));
  configuration = web();
  configuration.max_memory_kib = configuration.memory_kib;
  CHECK(validate(configuration));
  configuration.max_memory_kib = configuration.memory_kib - 1;
  const auto refused = validate(configuration);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().why == "max_memory_kib is 262143, below memory_kib, which is 262144: raise "
                               "it to at least that");
}
