// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <utility>

#include "ashlar/cli/arguments.hpp"
#include "ashlar/cli/problem.hpp"
#include "ashlar/cli/progress.hpp"
#include "ashlar/cli/session.hpp"

namespace ashlar::cli {

/// What a command prints on stdout, and how it exits: a command that did its work can have found
/// what its caller must not take for success.
struct Answer {
  std::string text;
  ExitCode exit = ExitCode::ok;

  Answer(std::string all, ExitCode code = ExitCode::ok) // implicit: most commands are text alone
      : text(std::move(all)), exit(code) {}
};

/// Does what the arguments say (console output is written as it comes).
[[nodiscard]] Outcome<Answer> run(const Arguments& arguments);

/// `ashlar create`: hashes the images, asks, uploads what the builder lacks, asks again.
[[nodiscard]] Outcome<std::string> create(const Arguments& arguments);

/// `ashlar upload`: sends images ahead of the builds that use them.
[[nodiscard]] Outcome<std::string> upload(const Arguments& arguments);

/// `ashlar create`'s guest: the file, with the flags over it. Problems: usage.
[[nodiscard]] Outcome<Guest> guest_of(const Arguments& arguments);

/// `ashlar policy check`: findings, then one line that sums up. Exits with 1 after an error, or
/// after a warning with --strict.
[[nodiscard]] Outcome<Answer> policy_check(const Arguments& arguments);
/// `ashlar policy explain`: every rule up to the one that decides. Exits with 3 for a refusal.
[[nodiscard]] Outcome<Answer> policy_explain(const Arguments& arguments);
/// `ashlar policy test`: each case, then the count. Exits with 1 unless all pass.
[[nodiscard]] Outcome<Answer> policy_test(const Arguments& arguments);
/// `ashlar policy hash`: the digest that records carry.
[[nodiscard]] Outcome<Answer> policy_hash(const Arguments& arguments);
/// `ashlar policy sign`: a manifest with its signature, or the detached signature of an image.
[[nodiscard]] Outcome<Answer> policy_sign(const Arguments& arguments);
/// `ashlar image inspect`: what the sandboxed inspector says of a kernel file, and who has signed
/// it inside.
[[nodiscard]] Outcome<Answer> image_inspect(const Arguments& arguments);

/// `ashlar measure`: the events and PCRs that a build from these files will give.
[[nodiscard]] Outcome<std::string> measure_files(const Arguments& arguments);

/// `ashlar verify`: the chain, link by link. Exits with 1 unless every link holds; problems with
/// the verifier's own files are usage.
[[nodiscard]] Outcome<Answer> verify_bundle(const Arguments& arguments);
/// `ashlar explain`: the first event that differs. Exits with 1 if there is one; problems with the
/// files are usage.
[[nodiscard]] Outcome<Answer> explain(const Arguments& arguments);

/// `ashlar host`: what the machine's TPM says, its keys, and with --export these as files.
[[nodiscard]] Outcome<std::string> host(const Arguments& arguments, Session& session);

/// `ashlar console`: passes the terminal through until Ctrl-], or prints past output with --tail.
[[nodiscard]] Outcome<std::string> console(const Arguments& arguments, Session& session);

} // namespace ashlar::cli
