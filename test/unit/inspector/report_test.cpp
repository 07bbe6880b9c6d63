// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string>

#include <doctest/doctest.h>

#include "ashlar/inspector/limits.hpp"
#include "ashlar/inspector/report.hpp"

using namespace ashlar;
using namespace ashlar::inspector;

namespace {

Description sample() {
  return {ImageFormat::bzimage, Compression::xz, 65906612, true, false, 60817408, "linux"};
}

} // namespace

TEST_CASE("report: a description survives the pipe") {
  const auto report = decode_report(encode({sample()}));
  REQUIRE(report);
  REQUIRE(report->outcome);
  CHECK(report->outcome->format == ImageFormat::bzimage);
  CHECK(report->outcome->compression == Compression::xz);
  CHECK(report->outcome->plain_bytes == 65906612);
  CHECK(report->outcome->pv);
  CHECK(!report->outcome->pvh);
  CHECK(report->outcome->load_bytes == 60817408);
  CHECK(report->outcome->guest_os == "linux");
}

TEST_CASE("report: an error survives the pipe") {
  const auto report = decode_report(encode({failure(ErrorCode::limit, "doing", "why", 12)}));
  REQUIRE(report);
  REQUIRE(!report->outcome);
  CHECK(report->outcome.error().code == ErrorCode::limit);
  CHECK(report->outcome.error().doing == "doing");
  CHECK(report->outcome.error().why == "why");
  CHECK(report->outcome.error().system_errno == 12);
}

TEST_CASE("report: an error of any length fits the pipe") {
  const auto bytes =
      encode({failure(ErrorCode::limit, std::string(9000, 'd'), std::string(9000, 'w'))});
  CHECK(bytes.size() <= max_report_bytes);
  CHECK(decode_report(bytes));
}

TEST_CASE("report: an error cannot bring control characters into a log") {
  const auto report = decode_report(encode({failure(ErrorCode::limit, "a\nb", "c\x1b[2J")}));
  REQUIRE(report);
  CHECK(report->outcome.error().doing == "a\\x0ab");
  CHECK(report->outcome.error().why == "c\\x1b[2J");
}

TEST_CASE("report: rejects every truncation and every extra byte") {
  auto bytes = encode({sample()});
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(!decode_report(std::span(bytes).first(size)));
  bytes.push_back(std::byte{0});
  CHECK(!decode_report(bytes));
}

TEST_CASE("report: rejects a description that the inspector would not give") {
  const auto rejected = [](auto change) {
    Description description = sample();
    change(description);
    return !decode_report(encode({description}));
  };
  CHECK(rejected([](Description& d) { d.format = static_cast<ImageFormat>(3); }));
  CHECK(rejected([](Description& d) { d.compression = static_cast<Compression>(7); }));
  CHECK(rejected([](Description& d) { d.plain_bytes = 0; }));
  CHECK(rejected([](Description& d) { d.plain_bytes = max_plain_bytes + 1; }));
  CHECK(rejected([](Description& d) { d.load_bytes = 0; }));
  CHECK(rejected([](Description& d) { d.load_bytes = max_load_bytes + 1; }));
  CHECK(rejected([](Description& d) { d.pv = false; }));
  CHECK(rejected([](Description& d) { d.guest_os = "a\nb"; }));
  CHECK(!rejected([](Description& d) { d.guest_os = "FreeBSD"; }));
}
