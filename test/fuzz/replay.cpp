// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs a fuzz target once over every file of the given folders: what a fuzzer once found stays
// found, in every build, without a fuzzer.
#include <dirent.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ashlar/base/memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::uint64_t max_input_bytes = 1u << 20;

/// The regular files right in `folder`.
std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> files;
  DIR* directory = opendir(folder.c_str());
  if (directory == nullptr)
    return files;
  while (const dirent* entry = readdir(directory)) {
    const std::string path = folder + "/" + entry->d_name;
    struct stat info = {};
    if (stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode))
      files.push_back(path);
  }
  closedir(directory);
  return files;
}

bool replay(const std::string& path) {
  const auto input = ashlar::read_file(path, max_input_bytes);
  if (!input) {
    std::fprintf(stderr, "%s\n", input.error().message().c_str());
    return false;
  }
  // A crash must leave the name of its input behind.
  std::fprintf(stderr, "replaying %s (%zu bytes)\n", path.c_str(), input->size());
  (void)LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input->data()), input->size());
  return true;
}

} // namespace

int main(int argc, char** argv) {
  std::size_t replayed = 0;
  for (int i = 1; i < argc; ++i) {
    for (const std::string& path : files_in(argv[i])) {
      if (!replay(path))
        return EXIT_FAILURE;
      ++replayed;
    }
  }
  // An empty corpus tests nothing: a wrong path must not pass.
  std::fprintf(stderr, "%zu inputs replayed\n", replayed);
  return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
