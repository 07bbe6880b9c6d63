// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cerrno>

#include <dirent.h>

#include <fmt/format.h>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::policy {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

/// Hidden files are left out: editors keep their swap and lock files under such names.
bool is_policy_file(std::string_view name) {
  return !name.starts_with('.') && name.ends_with(".toml");
}

Result<std::vector<std::string>> policy_file_names(const std::string& path) {
  const Directory directory(::opendir(path.c_str()));
  if (!directory)
    return errno_failure("opening the policy directory " + path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0)
      return errno_failure("listing the policy directory " + path);
    if (entry == nullptr)
      break;
    if (is_policy_file(entry->d_name))
      names.emplace_back(entry->d_name);
    if (names.size() > max_policy_files)
      return failure(
          ErrorCode::limit, "listing the policy directory " + path,
          fmt::format("it has more than {} *.toml files: join some of them", max_policy_files));
  }
  std::ranges::sort(names);
  return names;
}

} // namespace

Result<std::vector<PolicyFile>> read_directory(const std::string& path) {
  std::vector<PolicyFile> files;
  for (std::string& name : TRY(policy_file_names(path))) {
    std::string text = TRY(read_file(path + "/" + name, max_policy_file_bytes));
    files.push_back({.name = std::move(name), .text = std::move(text)});
  }
  return files;
}

} // namespace ashlar::policy
