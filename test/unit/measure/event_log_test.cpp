// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/measure/event_log.hpp"
#include "guest_events.hpp"

using namespace ashlar;
using namespace ashlar::measure;

namespace {

// What Debian's reader says about the log, its warnings as well.
std::string read_by_tpm2_eventlog(const std::vector<std::byte>& log) {
  char path[] = "/tmp/ashlar-event-log-XXXXXX";
  const UniqueFd file(mkstemp(path));
  REQUIRE(file);
  REQUIRE(write_all(file.value(), log, path));
  FILE* const pipe = popen(fmt::format("tpm2_eventlog {} 2>&1", path).c_str(), "r");
  REQUIRE(pipe);
  std::string output;
  char buffer[4096];
  while (const std::size_t count = fread(buffer, 1, sizeof buffer, pipe))
    output.append(buffer, count);
  INFO("the package tpm2-tools is needed; tpm2_eventlog said: ", output);
  CHECK(pclose(pipe) == 0);
  unlink(path);
  return output;
}

// The values as tpm2_eventlog prints them at its end.
std::string as_printed(Profile profile, const PcrValues& values) {
  std::string text = "pcrs:\n";
  for (const Bank bank : banks_of(profile)) {
    text += fmt::format("  {}:\n", to_string(bank));
    for (const auto& [pcr, value] : values)
      text += fmt::format("    {:<2} : 0x{}\n", pcr, to_hex(value.of(bank)));
  }
  return text;
}

void check_against_tpm2_eventlog(Profile profile, const std::vector<Event>& events) {
  CAPTURE(to_string(profile));
  const auto extensions = extensions_of(profile, events).value();
  const std::string output = read_by_tpm2_eventlog(event_log(profile, extensions));
  CHECK(output.find("WARN") == std::string::npos);
  CHECK(output.find("ERROR") == std::string::npos);
  REQUIRE(output.find("pcrs:") != std::string::npos);
  CHECK(output.substr(output.find("pcrs:")) == as_printed(profile, replay(extensions).value()));
}

} // namespace

TEST_CASE("event log: tpm2_eventlog recomputes our PCR values from it, without a warning") {
  for (const Profile profile : all_profiles) {
    check_against_tpm2_eventlog(profile, guest_events({"one", "two"}));
    check_against_tpm2_eventlog(profile, guest_events({}, ""));
  }
}

TEST_CASE("event log: tpm2_eventlog notices a text that is not what was measured") {
  for (const Profile profile : {Profile::uapi, Profile::grub}) {
    auto extensions = extensions_of(profile, guest_events({"one"})).value();
    std::string& command_line = extensions[2].log_text;
    command_line[command_line.size() - 3] = '!';
    const std::string output = read_by_tpm2_eventlog(event_log(profile, extensions));
    CHECK(output.find("digest does not match its payload") != std::string::npos);
  }
}

TEST_CASE("event log: the bytes are those of the TCG's format") {
  const Extension one{.pcr = 4,
                      .log_type = LogType::compact_hash,
                      .log_text = "ab",
                      .digests = digest(as_bytes("abc")).value()};
  CHECK(to_hex(event_log(Profile::pv_grub, std::span(&one, 1))) ==
        "00000000"                                 // PCR 0
        "03000000"                                 // EV_NO_ACTION
        "0000000000000000000000000000000000000000" // a SHA-1 of zeros
        "21000000"                                 // 33 bytes follow
        "53706563204944204576656e74303300"         // "Spec ID Event03"
        "00000000"                                 // platform class: client
        "00020002"                                 // version 2.0, errata 0, 64-bit UINTN
        "01000000"                                 // one algorithm
        "04001400"                                 // SHA-1 of 20 bytes
        "00"                                       // no vendor information
        "04000000"                                 // PCR 4
        "0c000000"                                 // EV_COMPACT_HASH
        "01000000"                                 // one digest
        "0400a9993e364706816aba3e25717850c26c9cd0d89d"
        "02000000"
        "6162");
}
