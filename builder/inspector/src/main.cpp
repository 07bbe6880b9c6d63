// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-inspector: see report.hpp for its contract. Wiring only.
#include <unistd.h>

#include <cstdlib>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/base/mapping.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/inspector/inspect.hpp"
#include "ashlar/inspector/report.hpp"
#include "ashlar/inspector/sandbox.hpp"
#include "plain_file.hpp"

namespace {

using namespace ashlar;
using namespace ashlar::inspector;

/// Maps the image. None of its bytes is read: that is for the sandbox.
Result<Mapping> map_image() {
  TRY(require_sealed(image_fd, "the kernel image"));
  const std::uint64_t size = TRY(file_size(image_fd, "the kernel image"));
  if (size > max_image_bytes)
    return failure(ErrorCode::limit, "inspecting the kernel image",
                   fmt::format("it has {} bytes; the limit is {}", size, max_image_bytes));
  return Mapping::of(image_fd, "the kernel image");
}

Result<Description> inspect_mapped(const Result<Mapping>& image, PlainFile& sink) {
  if (!image)
    return std::unexpected(image.error());
  return inspect(image->bytes(), sink);
}

} // namespace

int main() {
  log::start("ashlar-inspector");
  const Result<Mapping> image = map_image();
  const Result<Isolation> isolation = enter_sandbox({});
  if (!isolation) {
    log::error("{}", isolation.error().message());
    return EXIT_FAILURE;
  }
  for (const std::string& missing : isolation->missing)
    log::notice("{}", missing);
  // It is the builder's log: whatever an image makes of this process, it forges no lines there.
  close(STDERR_FILENO);
  PlainFile sink(plain_fd);
  const Report report{inspect_mapped(image, sink)};
  if (!write_all(report_fd, encode(report), "the report"))
    return EXIT_FAILURE;
  // With everything mapped: in a PV domain each page that a living process unmaps is a fault into
  // the hypervisor. The broker seals the file when this process has ended.
  _exit(EXIT_SUCCESS);
}
