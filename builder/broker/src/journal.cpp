// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/journal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/broker/limits.hpp"
#include "journal_entry.hpp"

namespace ashlar::broker {

namespace {

constexpr std::uint64_t max_journal_bytes = 256u << 20;
constexpr std::size_t length_bytes = 4;

std::vector<std::byte> framed(std::span<const std::byte> entry) {
  WireWriter writer;
  writer.u32(static_cast<std::uint32_t>(entry.size()));
  writer.raw(entry);
  return writer.take();
}

/// Applies all complete entries, the first of which says the version; true when something
/// incomplete follows the last one.
Result<bool> replay(std::span<const std::byte> bytes, JournalState& state) {
  bool first = true;
  while (bytes.size() >= length_bytes) {
    WireReader header(bytes.first(length_bytes));
    const std::uint32_t length = header.u32();
    if (length > journal_entry::max_bytes)
      return failure(ErrorCode::invalid, "reading the journal",
                     fmt::format("an entry of {} bytes", length));
    if (bytes.size() - length_bytes < length)
      return true;
    const std::span<const std::byte> entry = bytes.subspan(length_bytes, length);
    TRY(first ? journal_entry::check_version(entry) : journal_entry::apply(state, entry));
    first = false;
    bytes = bytes.subspan(length_bytes + length);
  }
  return !bytes.empty();
}

Result<std::vector<std::byte>> summary(const JournalState& state) {
  std::vector<std::byte> all;
  const auto add = [&all](std::span<const std::byte> entry) {
    const std::vector<std::byte> bytes = framed(entry);
    all.insert(all.end(), bytes.begin(), bytes.end());
  };
  add(journal_entry::version());
  add(journal_entry::counter(state.next_serial));
  for (const auto& [image, requesters] : state.holders)
    for (const std::string& requester : requesters)
      add(journal_entry::holder(image, requester));
  for (const auto& [serial, domain] : state.ended) {
    add(TRY(journal_entry::built(domain)));
    add(journal_entry::revoked(serial));
  }
  for (const auto& [serial, uuid] : state.intents)
    if (!state.ended.contains(serial))
      add(journal_entry::intent(serial, uuid));
  for (const auto& [serial, domain] : state.domains)
    add(TRY(journal_entry::built(domain)));
  for (const std::uint64_t serial : state.started)
    add(journal_entry::started(serial));
  return all;
}

} // namespace

Journal::Journal(std::string path, UniqueFd file, JournalState state)
    : path_(std::move(path)), file_(std::move(file)), state_(std::move(state)) {}

Result<Journal::Opened> Journal::open(const std::string& path) {
  JournalState state;
  bool cut = false;
  const Result<std::string> old = read_file(path, max_journal_bytes);
  if (old)
    cut = TRY(replay(as_bytes(*old), state));
  else if (old.error().code != ErrorCode::not_found)
    return std::unexpected(old.error());
  Journal journal(path, UniqueFd(), state);
  TRY(journal.rewrite());
  return Opened{std::move(journal), std::move(state), cut};
}

Status Journal::rewrite() {
  const std::string fresh = path_ + ".new";
  UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!file)
    return errno_failure("writing the journal " + fresh);
  const std::vector<std::byte> entries = TRY(summary(state_));
  Status written = write_all(file.value(), entries, fresh);
  if (written && std::rename(fresh.c_str(), path_.c_str()) != 0)
    written = errno_failure("putting the journal in place at " + path_);
  if (!written) {
    // It has what was left of the tmpfs' room, which the next entries need.
    unlink(fresh.c_str());
    return written;
  }
  file_ = std::move(file);
  grown_ = 0;
  return {};
}

Status Journal::append(std::vector<std::byte> payload) {
  if (payload.size() > journal_entry::max_bytes)
    return failure(ErrorCode::internal, "writing the journal",
                   fmt::format("an entry of {} bytes", payload.size()));
  const std::vector<std::byte> bytes = framed(payload);
  // One write(2): on a tmpfs a killed process leaves all of it or (if memory ran out) a part that
  // the next reader drops.
  const std::uint64_t end = TRY(file_size(file_.value(), path_));
  if (const Status written = write_all(file_.value(), bytes, "the journal " + path_); !written) {
    // What was written in part would make the entries after it unreadable. Cutting it off needs no
    // memory, which is what lacks most likely.
    if (ftruncate(file_.value(), static_cast<off_t>(end)) != 0)
      TRY(rewrite());
    return written;
  }
  TRY(journal_entry::apply(state_, payload));
  grown_ += bytes.size();
  if (grown_ > journal_slack_bytes) {
    grown_ = 0;
    // The entry itself is written: without room for the new file the old one just goes on.
    if (const Status rewritten = rewrite(); !rewritten)
      log::warning("{}; the old journal is kept", rewritten.error().message());
  }
  return {};
}

Status Journal::intent(std::uint64_t serial, const measure::Uuid& uuid) {
  return append(journal_entry::intent(serial, uuid));
}
Status Journal::abandoned(std::uint64_t serial) {
  return append(journal_entry::abandoned(serial));
}
Status Journal::built(const Domain& domain) {
  return append(TRY(journal_entry::built(domain)));
}
Status Journal::admitted(std::uint64_t serial) {
  return append(journal_entry::admitted(serial));
}
Status Journal::started(std::uint64_t serial) {
  return append(journal_entry::started(serial));
}
Status Journal::revoked(std::uint64_t serial) {
  return append(journal_entry::revoked(serial));
}
Status Journal::holder(const measure::Sha256& image, const std::string& requester) {
  return append(journal_entry::holder(image, requester));
}
Status Journal::image_dropped(const measure::Sha256& image) {
  return append(journal_entry::image_dropped(image));
}

} // namespace ashlar::broker
