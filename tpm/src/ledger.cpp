// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/ledger.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ashlar::tpm {

Status Ledger::check_room() const {
  const std::string doing = "adding a record to the ledger";
  if (by_domid_.size() >= max_live_records)
    return limit_failure(doing,
                         fmt::format("{} records hold: destroy a domain first", by_domid_.size()),
                         fmt::format("{} records", max_live_records));
  if (log_.size() >= max_log_events)
    return limit_failure(doing,
                         fmt::format("{} records since boot: restart the machine", log_.size()),
                         fmt::format("{} log events", max_log_events));
  if (kept_bytes_ - prunable_bytes_ + measure::max_record_bytes > max_kept_record_bytes)
    return limit_failure(doing, "the records that hold fill it: destroy a domain first",
                         fmt::format("{} MiB", max_kept_record_bytes >> 20));
  return {};
}

Result<Ledger::Verdict> Ledger::judge(const measure::Record& record,
                                      const measure::Digests& digests) const {
  const std::string doing = fmt::format("accepting record {}", record.serial);
  if (record.serial == 0)
    return failure(ErrorCode::invalid, doing, "serials begin with 1");
  if (const LogEvent* event = find(record.serial)) {
    if (event->digests != digests)
      return failure(ErrorCode::exists, doing, "another record was accepted under this serial");
    if (event->revoked)
      return failure(ErrorCode::denied, doing, "it was revoked");
    return Verdict::known;
  }
  if (unknown_.contains(record.serial))
    return failure(ErrorCode::denied, doing, "it was revoked before it came");
  if (too_old(record.serial))
    return failure(ErrorCode::invalid, doing,
                   fmt::format("records up to {} were accepted, and serials rise; at most {} below "
                               "is taken for a late one",
                               last_serial_, serial_window));
  if (const LogEvent* event = find_domid(record.domid))
    return failure(
        ErrorCode::exists, doing,
        fmt::format("domain {} has record {}: revoke that one first", record.domid, event->serial));
  TRY(check_room());
  return Verdict::fresh;
}

Status Ledger::add(LogEvent event) {
  if (by_serial_.contains(event.serial))
    return failure(ErrorCode::internal, fmt::format("adding record {}", event.serial),
                   "it is in the ledger already");
  pcr_ = TRY(extended(pcr_, event.digests));
  event.revoked = event.encoded.empty();
  log_.push_back(std::move(event));
  LogEvent& added = log_.back();
  by_serial_.emplace(added.serial, &added);
  if (!added.revoked)
    by_domid_.emplace(added.domid, &added);
  last_serial_ = std::max(last_serial_, added.serial);
  kept_bytes_ += added.encoded.size();
  forget_bytes_above(max_kept_record_bytes);
  return {};
}

bool Ledger::too_old(std::uint64_t serial) const {
  return serial < last_serial_ && last_serial_ - serial > serial_window;
}

Status Ledger::judge_revocation(std::uint64_t serial) const {
  const std::string doing = fmt::format("revoking record {}", serial);
  if (serial == 0)
    return failure(ErrorCode::invalid, doing, "serials begin with 1");
  if (by_serial_.contains(serial) || unknown_.contains(serial))
    return {};
  // One below the window gives its place up: its record would not be taken anyway.
  if (unknown_.size() >= max_unknown_revocations && !too_old(*unknown_.begin()))
    return limit_failure(doing, "too many records were revoked that never came",
                         fmt::format("{} serials", max_unknown_revocations));
  return {};
}

Status Ledger::revoke(std::uint64_t serial) {
  TRY(judge_revocation(serial));
  if (const auto found = by_serial_.find(serial); found != by_serial_.end()) {
    LogEvent& event = *found->second;
    if (event.revoked)
      return {};
    event.revoked = true;
    by_domid_.erase(event.domid);
    prunable_.push_back(&event);
    prunable_bytes_ += event.encoded.size();
    return {};
  }
  while (!unknown_.empty() && too_old(*unknown_.begin()))
    unknown_.erase(unknown_.begin());
  unknown_.insert(serial);
  return {};
}

const LogEvent* Ledger::find(std::uint64_t serial) const {
  const auto found = by_serial_.find(serial);
  return found == by_serial_.end() ? nullptr : found->second;
}

const LogEvent* Ledger::find_domid(std::uint32_t domid) const {
  const auto found = by_domid_.find(domid);
  return found == by_domid_.end() ? nullptr : found->second;
}

void Ledger::forget_bytes_above(std::size_t limit) {
  while (kept_bytes_ > limit && !prunable_.empty()) {
    std::vector<std::byte>& bytes = prunable_.front()->encoded;
    kept_bytes_ -= bytes.size();
    prunable_bytes_ -= bytes.size();
    bytes = {};
    prunable_.pop_front();
  }
}

} // namespace ashlar::tpm
