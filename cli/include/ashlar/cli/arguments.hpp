// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of `ashlar`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

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
  upload,
  host,
  policy_show,
  policy_reload,
  policy_check,
  policy_explain,
  policy_test,
  policy_hash,
  policy_sign,
  image_inspect,
  measure,
  verify,
  explain,
  version,
};

/// What `policy explain` asks of a policy. A guest comes from Arguments::guest_file and flags.
struct Question {
  std::string requester; // as the policy names it
  std::string verb = "create";
  std::string owner; // of the domain that the verb is about; empty: the requester itself
  std::string image; // upload: a file, or "sha256:" and 64 hexadecimal digits
  std::optional<std::uint64_t> size_bytes; // upload: of an image that is given by its digest
};

/// `ashlar verify`.
struct VerifyArguments {
  std::string bundle;
  std::string directory; // of references
  std::string nonce;     // hexadecimal, as the next but one
  std::string guest;     // the name of the one reference that will do; empty: any
  std::string record;    // empty: any
  std::uint32_t host_pcr = 13;
};

/// `ashlar explain`.
struct ExplainArguments {
  std::string first;
  std::string second;
  std::vector<std::string> known;
  std::string profile; // empty: found out
};

/// `policy sign`.
struct Signing {
  std::string file;        // a manifest, or an image
  std::string key;         // PEM file of the private key
  std::string certificate; // PEM file that belongs to it
  bool detached = false;   // the file is an image
  bool toml = false;       // print a [[manifest]] for a policy file
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
  // policy check, explain, test and hash:
  std::string directory;
  bool strict = false; // check: warnings fail, too
  Question question;
  Signing signing;
  std::string image_file;               // image inspect
  std::string image_signature;          // image inspect: detached, over that file; or empty
  std::vector<std::string> image_files; // upload
  // measure, and measurement with a profile:
  std::string profile;  // "uapi", "grub", "pv-grub"; empty: measurement shows no PCRs
  std::string log_file; // where the TCG event log goes, and the canonical one; empty: nowhere
  std::string cel_file;
  // measure: what only a builder knows; empty: its events are not predicted
  std::optional<std::string> builder_identity;
  std::string policy_directory;
  std::string manifest_file;    // measure: where the reference manifest goes; empty: nowhere
  std::string export_directory; // host: where the keys go as files; empty: nowhere
  VerifyArguments verify;
  ExplainArguments explain;
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
