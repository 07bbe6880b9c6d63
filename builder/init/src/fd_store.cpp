// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/fd_store.hpp"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

namespace ashlar::init {

namespace {

/// Do both descriptors refer to one open file? fstat cannot tell (all anonymous inodes are one).
bool same_open_file(int left, int right) {
  const pid_t self = ::getpid();
  return ::syscall(SYS_kcmp, self, self, KCMP_FILE, left, right) == 0;
}

} // namespace

bool valid_descriptor_name(std::string_view name) {
  if (name.empty() || name.size() > max_descriptor_name)
    return false;
  return std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~' && c != ':'; });
}

Status FdStore::add(UniqueFd fd, std::string_view name) {
  const bool known = std::ranges::any_of(
      entries_, [&](const Entry& entry) { return same_open_file(entry.fd.value(), fd.value()); });
  if (known)
    return {};
  if (entries_.size() >= max_stored_descriptors)
    return failure(
        ErrorCode::limit, fmt::format("storing the descriptor {}", name),
        fmt::format("{} are stored already, the most there may be; remove some", entries_.size()));
  const std::string_view kept = valid_descriptor_name(name) ? name : unnamed_descriptor;
  entries_.push_back({std::move(fd), std::string(kept)});
  return {};
}

std::size_t FdStore::remove(std::string_view name) {
  return std::erase_if(entries_, [&](const Entry& entry) { return entry.name == name; });
}

std::vector<int> FdStore::descriptors() const {
  std::vector<int> all;
  all.reserve(entries_.size());
  for (const Entry& entry : entries_)
    all.push_back(entry.fd.value());
  return all;
}

std::string FdStore::names() const {
  std::string all;
  for (const Entry& entry : entries_) {
    if (!all.empty())
      all += ':';
    all += entry.name;
  }
  return all;
}

} // namespace ashlar::init
