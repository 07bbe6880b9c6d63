// SPDX-License-Identifier: LGPL-2.1-or-later
// What the builder must remember when its process is restarted: in a tmpfs, so that it is gone
// exactly when the domains are. Layout in docs/decisions/0002-journal.md.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/broker/domain.hpp"

namespace ashlar::broker {

/// The state that a journal adds up to.
struct JournalState {
  std::uint64_t next_serial = 1;
  // Builds that neither finished nor were given up, and revoked domains that may still exist.
  std::map<std::uint64_t, measure::Uuid> intents;
  std::map<std::uint64_t, Domain> ended;   // revoked ones with devices that may still be attached
  std::map<std::uint64_t, Domain> domains; // by serial, not revoked; without image handles
  std::set<std::uint64_t> started;         // serials that were unpaused once
  std::map<measure::Sha256, std::set<std::string>> holders; // of images
};

class Journal {
public:
  struct Opened;
  /// Reads the journal at `path` if there is one (an incomplete last entry, from a crash in the
  /// middle of a write, is dropped), then writes it anew without what is over. Errors: io, invalid,
  /// unsupported (another version of the builder wrote it, and what runs here is its).
  [[nodiscard]] static Result<Opened> open(const std::string& path);

  /// Before a domain is created: it will have this UUID. What is found with it after a crash is
  /// half-built.
  [[nodiscard]] Status intent(std::uint64_t serial, const measure::Uuid& uuid);
  /// The build failed or the domain was revoked, and nothing of it is left.
  [[nodiscard]] Status abandoned(std::uint64_t serial);
  /// The domain is complete and measured; it has not run yet.
  [[nodiscard]] Status built(const Domain& domain);
  /// Its record is where it belongs: it may run.
  [[nodiscard]] Status admitted(std::uint64_t serial);
  /// It was unpaused for the first time.
  [[nodiscard]] Status started(std::uint64_t serial);
  /// The incarnation ends: its record holds no longer. abandoned() follows when it is gone.
  [[nodiscard]] Status revoked(std::uint64_t serial);
  [[nodiscard]] Status holder(const measure::Sha256& image, const std::string& requester);
  [[nodiscard]] Status image_dropped(const measure::Sha256& image);

private:
  Journal(std::string path, UniqueFd file, JournalState state);
  [[nodiscard]] Status append(std::vector<std::byte> payload);
  [[nodiscard]] Status rewrite();

  std::string path_;
  UniqueFd file_;
  JournalState state_; // what a reader of the file would get: the source of a rewrite
  std::uint64_t grown_ = 0;
};

struct Journal::Opened {
  Journal journal;
  JournalState state;
  bool cut = false; // an incomplete last entry was dropped
};

} // namespace ashlar::broker
