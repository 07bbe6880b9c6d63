// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cerrno>

#include <dirent.h>

#include <fmt/format.h>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/policy/cases.hpp"
#include "ashlar/policy/policy.hpp"

namespace ashlar::policy {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

enum class Wanted { policy, cases };

/// Hidden files are left out: editors keep their swap and lock files under such names.
bool is_wanted(std::string_view name, Wanted wanted) {
  return !name.starts_with('.') && name.ends_with(".toml") &&
         name.ends_with(cases_suffix) == (wanted == Wanted::cases);
}

Result<std::vector<std::string>> file_names(const std::string& path, Wanted wanted) {
  const Directory directory(::opendir(path.c_str()));
  if (!directory && errno == ENOTDIR)
    return failure(ErrorCode::invalid, "opening the policy directory " + path,
                   "it is a file: give the directory that holds the policy's files");
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
    if (is_wanted(entry->d_name, wanted))
      names.emplace_back(entry->d_name);
    if (names.size() > max_policy_files)
      return failure(ErrorCode::limit, "listing the policy directory " + path,
                     fmt::format("it has more than {} {} files: join some of them",
                                 max_policy_files,
                                 wanted == Wanted::cases ? "*.cases.toml" : "*.toml"));
  }
  std::ranges::sort(names);
  return names;
}

Result<std::vector<PolicyFile>> read_files(const std::string& path, Wanted wanted) {
  std::vector<PolicyFile> files;
  for (std::string& name : TRY(file_names(path, wanted))) {
    std::string text = TRY(read_file(path + "/" + name, max_policy_file_bytes));
    files.push_back({.name = std::move(name), .text = std::move(text)});
  }
  return files;
}

} // namespace

Result<std::vector<PolicyFile>> read_directory(const std::string& path) {
  return read_files(path, Wanted::policy);
}

Result<std::vector<PolicyFile>> read_case_files(const std::string& path) {
  return read_files(path, Wanted::cases);
}

} // namespace ashlar::policy
