// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/release_memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

/// Adds what one line says; false when it says nothing.
bool take_line(std::string_view line, std::map<std::string, std::uint64_t>& seen) {
  const std::size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos)
    return false;
  const std::optional<std::uint64_t> sequence = number(line.substr(space + 1));
  return sequence && seen.emplace(line.substr(0, space), *sequence).second;
}

} // namespace

Result<ReleaseMemory> ReleaseMemory::open(std::string path) {
  ReleaseMemory memory(std::move(path));
  const Result<std::string> text = read_file(memory.path_, max_release_memory_bytes);
  if (!text && text.error().code == ErrorCode::not_found)
    return memory;
  if (!text)
    return std::unexpected(text.error());
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos || !take_line(rest.substr(0, end), memory.seen_))
      return failure(ErrorCode::invalid, "reading " + memory.path_,
                     "it is not as the builder wrote it: which releases would be old is not "
                     "certain; delete it only if you trust the manifests of the policy");
    rest.remove_prefix(end + 1);
  }
  return memory;
}

Status ReleaseMemory::check(const policy::Policy& policy) const {
  for (const policy::Policy::ReleaseState& now : policy.releases()) {
    const auto before = seen_.find(now.name);
    if (before != seen_.end() && now.sequence != 0 && now.sequence < before->second)
      return failure(ErrorCode::invalid, "loading the policy",
                     fmt::format("release \"{}\" would go back from sequence {} to {}: get its "
                                 "current manifest; to go back on purpose, stop the builder, "
                                 "delete {} and start it",
                                 now.name, before->second, now.sequence, path_));
  }
  return {};
}

Status ReleaseMemory::remember(const policy::Policy& policy) {
  std::map<std::string, std::uint64_t> seen = seen_;
  for (const policy::Policy::ReleaseState& now : policy.releases())
    if (now.sequence > 0 && now.sequence > seen[now.name])
      seen[now.name] = now.sequence;
  if (seen == seen_)
    return {};
  TRY(write(seen));
  seen_ = std::move(seen);
  return {};
}

Status ReleaseMemory::write(const std::map<std::string, std::uint64_t>& seen) const {
  std::string text;
  for (const auto& [name, sequence] : seen)
    text += fmt::format("{} {}\n", name, sequence);
  if (text.size() > max_release_memory_bytes)
    return limit_failure("writing " + path_, "the policies had too many releases",
                         fmt::format("{} bytes", max_release_memory_bytes));
  const std::string fresh = path_ + ".new";
  const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file)
    return errno_failure("writing " + fresh);
  Status written = write_all(file.value(), as_bytes(text), fresh);
  if (written && std::rename(fresh.c_str(), path_.c_str()) != 0)
    written = errno_failure("putting " + path_ + " in place");
  if (!written)
    ::unlink(fresh.c_str()); // it takes room, which lacks most likely
  return written;
}

} // namespace ashlar::broker
