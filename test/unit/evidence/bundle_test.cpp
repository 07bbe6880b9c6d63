// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/bundle.hpp"
#include "ashlar/evidence/limits.hpp"
#include "golden.hpp"

using namespace ashlar;
using namespace ashlar::evidence;
using test::Files;
using test::golden;

namespace {

std::string refusal(const std::string& bytes) {
  const auto bundle = read_bundle(as_bytes(bytes));
  return bundle ? "taken" : bundle.error().message();
}

void check_refused(const std::string& bytes, const std::string& why) {
  const std::string message = refusal(bytes);
  CAPTURE(message);
  CHECK(message.find(why) != std::string::npos);
}

// The bundle with bytes of its first header replaced.
std::string with_header(std::size_t at, std::string_view bytes, bool fix = true) {
  std::string bundle = golden("web.bundle");
  bundle.replace(at, bytes.size(), bytes);
  if (fix)
    test::fix_checksum(bundle, 0);
  return bundle;
}

} // namespace

TEST_CASE("bundle: what GNU tar and Python write is read") {
  CHECK(refusal(golden("web.bundle")) == "taken");
  CHECK(refusal(Files("web").pack()) == "taken");
}

TEST_CASE("bundle: refuses a file that is missing, twice, unknown, empty or out of order") {
  for (const char* name : {"manifest", "record", "host.pcrs", "guest.log"}) {
    Files files("web");
    files.remove(name);
    CHECK(refusal(files.pack()) != "taken");
  }
  Files twice("web");
  twice.all.push_back(twice.all.back());
  check_refused(twice.pack(), "\"guest.log\" where the end belongs");
  Files unknown("web");
  unknown.all.front().first = "../manifest";
  check_refused(unknown.pack(), "\"../manifest\" where manifest belongs");
  Files swapped("web");
  std::swap(swapped.all[2], swapped.all[3]);
  CHECK(refusal(swapped.pack()) != "taken");
  Files empty("web");
  empty["record"].clear();
  check_refused(empty.pack(), "record is empty");
}

TEST_CASE("bundle: refuses what is too long") {
  Files files("web");
  files["record"].resize(max_file_bytes + 1);
  check_refused(files.pack(), "record has 65537 bytes");
  Files log("web");
  log["host.log"].resize(max_host_log_bytes);
  CHECK(refusal(log.pack()) == "taken");
  log["host.log"].resize(max_host_log_bytes + 32);
  check_refused(log.pack(), "host.log has");
  check_refused(std::string(max_bundle_bytes + 512, '\0'), "the archive");
}

TEST_CASE("bundle: refuses an archive that is not plain ustar") {
  check_refused(with_header(156, "2"), "only regular files");
  check_refused(with_header(156, "5"), "only regular files");
  check_refused(with_header(257, "ustar  "), "no ustar header");
  check_refused(with_header(345, "etc"), "prefix");
  check_refused(with_header(157, "/etc/passwd"), "link");
  check_refused(with_header(124, "99999999999"), "not octal");
  check_refused(with_header(124, "77777777777"), "behind the archive's end");
  check_refused(with_header(0, "M", false), "checksum is wrong");
  check_refused(with_header(50, "hidden"), "goes on behind its end");
}

TEST_CASE("bundle: refuses what is hidden behind a file or the end, and what is cut off") {
  std::string padded = golden("web.bundle");
  padded[512 + 500] = 'x'; // the manifest is shorter
  check_refused(padded, "hidden behind a file's end");
  std::string longer = Files("web").pack();
  longer[longer.size() - 1] = 'x';
  check_refused(longer, "behind its end");
  const std::string whole = Files("web").pack();
  check_refused(whole.substr(0, whole.size() - 1024), "cut off");
  check_refused(whole.substr(0, whole.size() - 100), "cut off");
  check_refused({}, "cut off");
}

TEST_CASE("bundle: refuses a manifest that is not the documented one") {
  const auto with_manifest = [](const std::string& from, const std::string& to) {
    Files files("web");
    std::string& manifest = files["manifest"];
    REQUIRE(manifest.find(from) != std::string::npos);
    manifest.replace(manifest.find(from), from.size(), to);
    return files.pack();
  };
  check_refused(with_manifest("evidence=1", "evidence=2"), "its version is not 1");
  check_refused(with_manifest("profile=uapi", "profile=pv-grub"), "pv-grub");
  check_refused(with_manifest("profile=uapi", "profile=none"), "there are uapi");
  check_refused(with_manifest("vtpm=2.0", "vtpm=1.2"), "built with --vtpm 2.0");
  check_refused(with_manifest("vtpm=2.0", "vtpm=2.1"), "vtpm=2.0");
  check_refused(with_manifest("vtpm=2.0\n", "vtpm=2.0\nmore=1\n"), "last line");
  check_refused(with_manifest("vtpm=2.0\n", "vtpm=2.0"), "no line \"vtpm=");
  check_refused(with_manifest("nonce=", "nonce=A"), "lower-case");
  check_refused(with_manifest("nonce=", "nonce=0"), "64 hexadecimal digits");
}

TEST_CASE("bundle: refuses lists of PCRs in another form") {
  const auto with_pcrs = [](const std::string& text) {
    Files files("web");
    files["guest.pcrs"] = text;
    return files.pack();
  };
  const std::string value(64, 'a');
  CHECK(refusal(with_pcrs("sha256:9 " + value + "\n")) == "taken");
  for (const std::string& text :
       {"sha256:9 " + value, "sha1:9 " + value + "\n", "sha256:09 " + value + "\n",
        "sha256:24 " + value + "\n", "sha256:9 " + value + "0\n",
        "sha256:9 A" + value.substr(1) + "\n", std::string("\n"),
        "sha256:9 " + value + "\nsha256:9 " + value + "\n",
        "sha256:9 " + value + "\nsha256:8 " + value + "\n"})
    CHECK(refusal(with_pcrs(text)) != "taken");
  Files files("web");
  files["host.log"].pop_back();
  check_refused(files.pack(), "whole number of 32-byte digests");
}
