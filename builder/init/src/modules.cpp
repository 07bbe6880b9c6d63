// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/modules.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace ashlar::init {

namespace {

constexpr std::uint64_t max_list_bytes = 64 * 1024;

Status load(const Module& module) {
  const UniqueFd file(::open(module.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file)
    return errno_failure("opening the kernel module " + module.path);
  if (::syscall(SYS_finit_module, file.value(), module.parameters.c_str(), 0) != 0 &&
      errno != EEXIST)
    return errno_failure("loading the kernel module " + module.path);
  return {};
}

Module parse_line(std::string_view line) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos)
    return {std::string(line), {}};
  return {std::string(line.substr(0, blank)), std::string(line.substr(blank + 1))};
}

} // namespace

std::vector<Module> parse_module_list(std::string_view text) {
  std::vector<Module> modules;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (!line.empty() && line.front() != '#')
      modules.push_back(parse_line(line));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return modules;
}

Status load_modules(const std::string& path) {
  const std::string text = TRY(read_file(path, max_list_bytes));
  for (const Module& module : parse_module_list(text))
    TRY(load(module));
  return {};
}

} // namespace ashlar::init
