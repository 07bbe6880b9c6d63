// SPDX-License-Identifier: LGPL-2.1-or-later
// Writes the seeds of the inspector's fuzzer into the folder given: test/corpus/inspector holds its
// output and, besides, what the fuzzer found.
#include <fcntl.h>

#include <cstdlib>
#include <string>

#include "ashlar/base/memory_file.hpp"
#include "kernel_image.hpp"

using namespace ashlar;
using namespace ashlar::inspector;
using namespace ashlar::inspector::test;

namespace {

void write_seed(const std::string& path, const Bytes& bytes) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd || !write_all(fd.value(), bytes, path))
    std::abort();
}

/// A kernel of which the compressors leave little: the page contents do not matter to the fuzzer.
Bytes small_kernel() {
  Bytes kernel = plain_kernel();
  std::fill(kernel.begin() + code_at, kernel.end(), std::byte{0x90});
  return kernel;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2)
    return EXIT_FAILURE;
  const std::string folder = std::string(argv[1]) + "/";
  write_seed(folder + "plain", small_kernel());
  for (const Compression compression : {Compression::gzip, Compression::xz, Compression::lzma,
                                        Compression::bzip2, Compression::lz4, Compression::zstd})
    write_seed(folder + "bzimage-" + to_string(compression),
               bzimage(payload_of(small_kernel(), compression)));
  write_seed(
      folder + "report-description",
      encode({Description{.plain_bytes = 1, .pv = true, .load_bytes = 1, .guest_os = "linux"}}));
  write_seed(folder + "report-error", encode({failure(ErrorCode::limit, "doing", "why")}));
  return EXIT_SUCCESS;
}
