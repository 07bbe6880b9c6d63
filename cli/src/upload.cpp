// SPDX-License-Identifier: LGPL-2.1-or-later
// `ashlar upload`, and the uploads of `ashlar create`.
#include "ashlar/cli/upload.hpp"

#include <unistd.h>

#include <vector>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/commands.hpp"
#include "ashlar/cli/format.hpp"

namespace ashlar::cli {

Outcome<void> upload_image(Session& session, Progress& progress, const ImageFile& image) {
  if (!image.fd)
    return std::unexpected(
        Problem({ErrorCode::not_found, "using the image " + image.path,
                 "the builder holds no image of yours with this digest: give the file, or send it "
                 "ahead with ashlar upload FILE; ashlar images shows what it holds",
                 0}));
  TRY(rewind_image(image));
  const std::string stage = "uploading " + image.path;
  const Result<ipc::Response> final = session.client().upload(
      reference_to(image), image.fd.value(),
      [&](std::uint64_t done, std::uint64_t total) { progress.show(stage, done, total); });
  progress.clear();
  if (!final && final.error().code == ErrorCode::integrity)
    return std::unexpected(Problem(final.error()));
  if (!final)
    return std::unexpected(Problem::transport(final.error()));
  std::optional<Problem> problem = problem_of(*final);
  if (!problem)
    return {};
  if (problem->code == to_string(ErrorCode::integrity))
    problem->message = fmt::format("{}: what arrived is not what was hashed before; did the file "
                                   "change meanwhile? Run the command again ({})",
                                   image.path, problem->message);
  return std::unexpected(std::move(*problem));
}

Outcome<std::string> upload(const Arguments& arguments) {
  Progress progress(STDERR_FILENO);
  std::vector<ImageFile> images;
  for (const std::string& path : arguments.image_files) {
    progress.show("hashing " + path, 0, 0);
    images.push_back(TRY(open_image(path, Hashing::name)));
    progress.clear();
  }
  Session session = TRY(Session::open(arguments, Sends::images));
  nlohmann::ordered_json sent = nlohmann::ordered_json::array();
  std::string text;
  for (const ImageFile& image : images) {
    TRY(upload_image(session, progress, image));
    const std::string digest = to_hex(image.digests.sha256);
    sent.push_back({{"path", image.path}, {"size", image.size}, {"sha256", digest}});
    text += fmt::format("sha256:{}  {}\n", digest, printable(image.path));
  }
  return arguments.json ? json_text(sent) + "\n" : text;
}

} // namespace ashlar::cli
