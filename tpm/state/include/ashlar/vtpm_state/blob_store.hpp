// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "ashlar/measure/record.hpp"
#include "ashlar/vtpm_state/message.hpp"

namespace ashlar::vtpm_state {

/// Whose blobs they are, as the builder says: a guest's, which a requester's name and a UUID tell
/// together (two requesters may use one UUID), or the TPM Manager's own.
struct BlobOwner {
  std::string requester; // empty: the TPM Manager
  measure::Uuid guest{};
  auto operator<=>(const BlobOwner&) const = default;
};
/// For messages: "guest UUID of REQUESTER".
[[nodiscard]] std::string to_string(const BlobOwner& owner);

/// Blobs as files DIRECTORY/guests/REQUESTER/UUID/NAME and DIRECTORY/tpm-manager/NAME. Nobody
/// trusts it: vTPMs and TPM Manager encrypt what they give, and check what they get. Up to version
/// 0.1 guests' blobs were DIRECTORY/UUID/NAME: one that is asked for there moves.
class BlobStore {
public:
  explicit BlobStore(std::string directory) : directory_(std::move(directory)) {}

  /// What a packet of this owner is answered, whatever is in it; errors go to the log.
  [[nodiscard]] std::vector<std::byte> answer(const BlobOwner& owner,
                                              std::span<const std::byte> packet);
  /// Forgets a blob of this owner that is not complete.
  void forget_parts(const BlobOwner& owner);

private:
  struct Incoming {
    measure::Sha256 name{};
    std::uint32_t total = 0;
    std::vector<std::byte> bytes;
  };
  [[nodiscard]] Result<Answer> perform(const BlobOwner& owner, const Request& request);
  [[nodiscard]] Result<Answer> put(const BlobOwner& owner, const Request& request);
  [[nodiscard]] Result<Answer> get(const BlobOwner& owner, const Request& request) const;
  [[nodiscard]] Result<Answer> keep(const BlobOwner& owner, const measure::Sha256& name) const;
  [[nodiscard]] Result<Answer> list(const BlobOwner& owner) const;
  [[nodiscard]] Result<Answer> store(const BlobOwner& owner, const Incoming& blob) const;
  [[nodiscard]] Status move_former(const BlobOwner& owner, const std::string& name) const;
  [[nodiscard]] std::string home(const BlobOwner& owner) const;

  std::string directory_;
  std::map<BlobOwner, Incoming> incoming_; // one each
};

} // namespace ashlar::vtpm_state
