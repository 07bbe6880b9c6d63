// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "ashlar/cli/image_file.hpp"
#include "ashlar/cli/problem.hpp"
#include "ashlar/cli/progress.hpp"
#include "ashlar/cli/session.hpp"

namespace ashlar::cli {

/// Sends an image to the builder, which keeps it for builds to come. Problems: not_found (the image
/// was given by its digest alone, so there are no bytes to send), refused, transport, integrity
/// (the file changed since it was hashed).
[[nodiscard]] Outcome<void> upload_image(Session& session, Progress& progress,
                                         const ImageFile& image);

} // namespace ashlar::cli
