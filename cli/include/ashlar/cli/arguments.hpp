// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of `ashlar`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "ashlar/cli/guest.hpp"

namespace ashlar::cli {

enum class Verb {
  create,
  list,
  info,
  measurement,
  destroy,
  pause,
  unpause,
  shutdown,
  reboot,
  console,
  domid,
  images,
  policy_show,
  policy_reload,
  version,
};

/// What is to be done.
struct Arguments {
  Verb verb = Verb::version;
  std::string host; // "unix:PATH" or "vchan:DOMID"; empty: find the builder
  bool json = false;
  std::uint32_t timeout_s = 60;
  std::string domain; // name, domid or UUID: for the verbs about one domain
  bool long_listing = false;
  std::optional<std::uint32_t> tail_bytes; // console: print so much past output and exit
  // create:
  std::string guest_file; // an xl.cfg file, or empty
  Guest flags;            // over the file
  bool paused = false;
  bool dry_run = false;
};

/// The program is to print this and exit: help (for stdout, code 0), or what is wrong with the
/// command line (for stderr, or as JSON, code 2).
struct ExitRequest {
  int code = 0;
  std::string text;
  bool json = false;
};

/// Reads the command line. `arguments` has the program's name first, as main's argv.
[[nodiscard]] std::variant<Arguments, ExitRequest> parse_arguments(int count,
                                                                   const char* const* arguments);

} // namespace ashlar::cli
