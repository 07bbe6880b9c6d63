// SPDX-License-Identifier: LGPL-2.1-or-later
// The builder's inspector as a child process: a kernel image is parsed by the program, and in the
// sandbox, that the builder uses, not by the command of an admin.
#pragma once

#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/cli/image_file.hpp"
#include "ashlar/inspector/report.hpp"
#include "ashlar/inspector/signatures.hpp"

namespace ashlar::cli {

/// The path of ashlar-inspector: in the directory that the environment variable ASHLAR_LIBEXEC
/// names; else in the build tree of this program; else where it is installed. Errors: not_found.
[[nodiscard]] Result<std::string> find_inspector();

/// Runs the inspector on a sealed image (sealed_copy) and waits for its report, for at most
/// inspector::max_wall_seconds. Errors: what the report refuses the image for; invalid (it was
/// killed, or its report is none), timeout, io.
[[nodiscard]] Result<inspector::Description> run_inspector(const std::string& program,
                                                           const ImageFile& image);

/// ashlar-verifier, likewise.
[[nodiscard]] Result<std::string> find_verifier();

/// Looks at signatures in the sandbox of ashlar-verifier: those inside a sealed image, if the
/// question says so, and those that it holds. Without looking inside, `image` may be null. Errors:
/// as for run_inspector(); what is wrong with an image or a signature is in the report.
[[nodiscard]] Result<inspector::SignatureReport>
run_verifier(const std::string& program, const ImageFile* image,
             const inspector::SignatureQuestion& question);

} // namespace ashlar::cli
