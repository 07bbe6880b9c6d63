// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ashlar/measure/record.hpp"
#include "ashlar/vtpm_state/message.hpp"

namespace ashlar::vtpm_state {

/// Blobs of one guest that are kept at a time: the one in use, the one that is to follow it, and
/// what crashes left behind until the next keep.
inline constexpr std::size_t max_blobs = 8;

/// Blobs as files DIRECTORY/UUID/NAME. Nobody trusts it: the vTPMs encrypt what they give, and
/// check what they get.
class BlobStore {
public:
  explicit BlobStore(std::string directory) : directory_(std::move(directory)) {}

  /// What a packet of this guest's vTPM is answered, whatever is in it; errors go to the log.
  [[nodiscard]] std::vector<std::byte> answer(const measure::Uuid& guest,
                                              std::span<const std::byte> packet);
  /// Forgets a blob of this guest that is not complete.
  void forget_parts(const measure::Uuid& guest);

private:
  struct Incoming {
    measure::Sha256 name{};
    std::uint32_t total = 0;
    std::vector<std::byte> bytes;
  };
  [[nodiscard]] Result<Answer> perform(const measure::Uuid& guest, const Request& request);
  [[nodiscard]] Result<Answer> put(const measure::Uuid& guest, const Request& request);
  [[nodiscard]] Result<Answer> get(const measure::Uuid& guest, const Request& request) const;
  [[nodiscard]] Result<Answer> keep(const measure::Uuid& guest, const measure::Sha256& name) const;
  [[nodiscard]] Result<Answer> store(const measure::Uuid& guest, const Incoming& blob) const;
  [[nodiscard]] std::string home(const measure::Uuid& guest) const;

  std::string directory_;
  std::map<measure::Uuid, Incoming> incoming_; // one a guest
};

} // namespace ashlar::vtpm_state
