// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/wire.hpp"

namespace ashlar::tpm {

namespace {

constexpr std::size_t length_bytes = 4;
constexpr std::size_t max_entry_bytes = measure::max_record_bytes + 64;
constexpr const char* doing_read = "reading the TPM Manager's journal";

enum class Kind : std::uint8_t {
  intent = 1,   // the encoded record, to the end of the entry
  extended = 2, // u64 serial
  revoked = 3,  // u64 serial
  past = 4,     // u64 serial, u32 domid, digests: extended and revoked, its record forgotten
  bound = 5,    // u64 guest serial, u64 vTPM serial, u8 version, u8 profile
};

std::vector<std::byte> framed(Kind kind, std::span<const std::byte> body) {
  WireWriter writer;
  writer.u32(static_cast<std::uint32_t>(1 + body.size()));
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.raw(body);
  return writer.take();
}

std::vector<std::byte> framed(Kind kind, std::uint64_t serial) {
  WireWriter body;
  body.u64(serial);
  return framed(kind, body.bytes());
}

std::vector<std::byte> framed_past(const LogEvent& event) {
  WireWriter body;
  body.u64(event.serial);
  body.u32(event.domid);
  for (const measure::Bank bank : measure::all_banks)
    body.raw(event.digests.of(bank));
  return framed(Kind::past, body.bytes());
}

std::vector<std::byte> framed(const Binding& binding) {
  WireWriter body;
  body.u64(binding.guest_serial);
  body.u64(binding.vtpm_serial);
  body.u8(static_cast<std::uint8_t>(binding.version));
  body.u8(static_cast<std::uint8_t>(binding.profile));
  return framed(Kind::bound, body.bytes());
}

/// The journal is this program's own: what it says was judged when it was written.
Status apply_bound(JournalState& state, WireReader& reader) {
  Binding binding;
  binding.guest_serial = reader.u64();
  binding.vtpm_serial = reader.u64();
  binding.version = static_cast<measure::Vtpm>(reader.u8());
  binding.profile = static_cast<measure::Profile>(reader.u8());
  TRY(reader.end("an entry of the TPM Manager's journal"));
  state.bindings.add(binding);
  return {};
}

Status apply_extended(JournalState& state, std::uint64_t serial) {
  if (!state.intent || state.intent->event.serial != serial)
    return failure(ErrorCode::invalid, doing_read,
                   fmt::format("record {} was extended without an intent", serial));
  Intent intent = std::move(*state.intent);
  state.intent.reset();
  TRY(state.ledger.add(std::move(intent.event)));
  return intent.revoked ? state.ledger.revoke(serial) : Status{};
}

Status apply_revoked(JournalState& state, std::uint64_t serial) {
  state.bindings.end(serial);
  if (!state.intent || state.intent->event.serial != serial)
    return state.ledger.revoke(serial);
  state.intent->revoked = true;
  return {};
}

Status apply_past(JournalState& state, WireReader& reader) {
  LogEvent event;
  event.serial = reader.u64();
  event.domid = reader.u32();
  reader.raw(event.digests.sha1);
  reader.raw(event.digests.sha256);
  reader.raw(event.digests.sha384);
  TRY(reader.end("an entry of the TPM Manager's journal"));
  return state.ledger.add(std::move(event));
}

Status apply_intent(JournalState& state, std::span<const std::byte> encoded) {
  if (state.intent)
    return failure(ErrorCode::invalid, doing_read, "two records were to be extended at once");
  state.intent = Intent{.event = TRY(log_event(encoded))};
  return {};
}

Status apply(JournalState& state, std::span<const std::byte> entry) {
  WireReader reader(entry);
  const auto kind = static_cast<Kind>(reader.u8());
  if (kind == Kind::intent)
    return apply_intent(state, entry.subspan(1));
  if (kind == Kind::past)
    return apply_past(state, reader);
  if (kind == Kind::bound)
    return apply_bound(state, reader);
  const std::uint64_t serial = reader.u64();
  TRY(reader.end("an entry of the TPM Manager's journal"));
  if (kind == Kind::extended)
    return apply_extended(state, serial);
  if (kind == Kind::revoked)
    return apply_revoked(state, serial);
  return failure(ErrorCode::invalid, doing_read,
                 fmt::format("an entry of the unknown kind {}", static_cast<unsigned>(kind)));
}

/// Applies all complete entries; whatever incomplete follows the last one is left out.
Status replay(std::span<const std::byte> bytes, JournalState& state) {
  while (bytes.size() >= length_bytes) {
    WireReader header(bytes.first(length_bytes));
    const std::uint32_t length = header.u32();
    if (length == 0 || length > max_entry_bytes)
      return failure(ErrorCode::invalid, doing_read, fmt::format("an entry of {} bytes", length));
    if (bytes.size() - length_bytes < length)
      return {};
    TRY(apply(state, bytes.subspan(length_bytes, length)));
    bytes = bytes.subspan(length_bytes + length);
  }
  return {};
}

std::vector<std::byte> summary(const JournalState& state) {
  std::vector<std::byte> all;
  const auto add = [&all](const std::vector<std::byte>& entry) {
    all.insert(all.end(), entry.begin(), entry.end());
  };
  for (const LogEvent& event : state.ledger.log()) {
    if (event.encoded.empty()) {
      add(framed_past(event));
      continue;
    }
    add(framed(Kind::intent, event.encoded));
    add(framed(Kind::extended, event.serial));
    if (event.revoked)
      add(framed(Kind::revoked, event.serial));
  }
  for (const auto& [serial, binding] : state.bindings.all())
    add(framed(binding));
  for (const std::uint64_t serial : state.ledger.unknown_revocations())
    add(framed(Kind::revoked, serial));
  if (state.intent)
    add(framed(Kind::intent, state.intent->event.encoded));
  if (state.intent && state.intent->revoked)
    add(framed(Kind::revoked, state.intent->event.serial));
  return all;
}

Result<UniqueFd> take_lock(const std::string& path) {
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock)
    return errno_failure("opening the lock " + path, "is its directory there?");
  if (flock(lock.value(), LOCK_EX | LOCK_NB) == 0)
    return lock;
  if (errno == EWOULDBLOCK)
    return failure(ErrorCode::busy, "taking the lock " + path,
                   "another TPM Manager runs in this directory: stop it first");
  return errno_failure("taking the lock " + path);
}

} // namespace

Result<LogEvent> log_event(std::span<const std::byte> encoded) {
  const measure::Record record = TRY(measure::decode(encoded));
  LogEvent event;
  event.serial = record.serial;
  event.domid = record.domid;
  event.digests = TRY(measure::digest(encoded));
  event.encoded.assign(encoded.begin(), encoded.end());
  return event;
}

Result<Journal> Journal::open(const std::string& directory, JournalState& state) {
  const std::string path = directory + "/log";
  Journal journal(path, TRY(take_lock(directory + "/lock")));
  const Result<std::string> old = read_file(path, max_journal_bytes);
  if (old)
    TRY(replay(as_bytes(*old), state));
  else if (old.error().code != ErrorCode::not_found)
    return std::unexpected(old.error());
  TRY(journal.rewrite(state));
  return journal;
}

Status Journal::rewrite(const JournalState& state) {
  const std::string fresh = path_ + ".new";
  UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!file)
    return errno_failure("writing the journal " + fresh);
  TRY(write_all(file.value(), summary(state), fresh));
  if (std::rename(fresh.c_str(), path_.c_str()) != 0)
    return errno_failure("putting the journal in place at " + path_);
  file_ = std::move(file);
  return {};
}

Status Journal::append(std::span<const std::byte> entry) {
  const std::uint64_t end = TRY(file_size(file_.value(), path_));
  const Status written = write_all(file_.value(), entry, "the journal " + path_);
  if (written) {
    grown_ += entry.size();
    return {};
  }
  // A part of an entry would make those after it unreadable. Cutting it off needs no memory, which
  // is what lacks most likely.
  if (ftruncate(file_.value(), static_cast<off_t>(end)) != 0)
    file_.reset(); // nothing more is written to it, so that nothing more is acknowledged
  return written;
}

Status Journal::intent(std::span<const std::byte> encoded) {
  return append(framed(Kind::intent, encoded));
}
Status Journal::extended(std::uint64_t serial) {
  return append(framed(Kind::extended, serial));
}
Status Journal::revoked(std::uint64_t serial) {
  return append(framed(Kind::revoked, serial));
}

Status Journal::bound(const Binding& binding) {
  return append(framed(binding));
}

void Journal::compact(const JournalState& state) {
  if (grown_ <= journal_slack_bytes)
    return;
  grown_ = 0; // after a failure, the next try is as far away as after a success
  static_cast<void>(rewrite(state));
}

} // namespace ashlar::tpm
