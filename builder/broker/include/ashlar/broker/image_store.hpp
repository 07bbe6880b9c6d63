// SPDX-License-Identifier: LGPL-2.1-or-later
// The images that the builder holds: sealed memory files named by the digests of their bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/inspector/report.hpp"
#include "ashlar/measure/digest.hpp"

namespace ashlar::broker {

/// A kernel in the form that is loaded, kept only beside the digest of the bytes it came from.
struct InspectedKernel {
  inspector::Description description;
  UniqueFd plain; // sealed plain ELF; none: the image is itself a plain ELF
};

/// Which certificates of a policy have signed an image, as the verifier said.
struct VerifiedSigners {
  std::string policy_digest; // the names are those of this policy
  std::vector<std::string> names;
};

/// A file of the builder domain as it was when its bytes were read. Two of these are equal for one
/// file that nobody has written to since, but within the tick of the clock in which it was read.
/// What is loaded is what was measured in any case; a change so close is taken up later.
struct FileVersion {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;      // bytes
  std::int64_t changed_ns = 0; // of the inode, since 1970
  bool operator==(const FileVersion&) const = default;
};

/// One held image. `file` is sealed: from the moment its digests were known nobody can change it.
struct Image {
  measure::Digests digests;
  std::uint64_t size = 0; // bytes
  UniqueFd file;
  std::optional<InspectedKernel> inspected;    // set once the inspector has accepted it as a kernel
  bool refused_ahead = false;                  // by the inspector, before a build asked
  std::optional<VerifiedSigners> signers;      // inside; set once a policy asked for it
  bool looked_inside = false;                  // the verifier has, under this policy or another one
  std::optional<measure::Sha256> authenticode; // then, of a PE image: its digest under any policy
  std::optional<FileVersion> source;           // the builder's own file that it was read from last
  std::set<std::string> holders;               // requesters that brought these bytes themselves
  std::uint64_t last_use = 0;                  // rises with each use; the smallest is dropped first

  [[nodiscard]] std::uint64_t held_bytes() const;
};
using ImageHandle = std::shared_ptr<Image>; // a domain or a build that holds one pins it

class ImageStore;

/// Room in the store for bytes that are on their way; given back when it goes out of scope.
class Reservation {
public:
  Reservation(Reservation&& other) noexcept
      : store_(std::exchange(other.store_, nullptr)), requester_(std::move(other.requester_)),
        bytes_(other.bytes_) {}
  Reservation& operator=(Reservation&&) = delete;
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation();

private:
  friend class ImageStore;
  Reservation(ImageStore& store, std::string requester, std::uint64_t bytes)
      : store_(&store), requester_(std::move(requester)), bytes_(bytes) {}
  ImageStore* store_;
  std::string requester_;
  std::uint64_t bytes_;
};

class ImageStore {
public:
  explicit ImageStore(std::uint64_t budget_bytes) : budget_(budget_bytes) {}

  /// Makes room for `bytes` of `requester`, dropping unpacked kernels, which can be unpacked again,
  /// and then images that no domain or build uses, each least recently used first. Errors: limit
  /// (above the budget or the requester's quota), busy (all of it is in use).
  [[nodiscard]] Result<Reservation> reserve(const std::string& requester, std::uint64_t bytes,
                                            std::optional<std::uint64_t> quota_bytes);

  /// Takes a sealed file whose digests were computed while it was written. If the store has these
  /// bytes already, the given file is dropped and the requester becomes a holder of the held one.
  ImageHandle add(const std::string& requester, const measure::Digests& digests, std::uint64_t size,
                  UniqueFd file);

  /// The image with this digest if `requester` brought it. A digest alone is no right to bytes that
  /// somebody else brought, and the answer must not tell whether somebody did.
  [[nodiscard]] ImageHandle find(const std::string& requester, const measure::Sha256& sha256);

  /// All images that `requester` brought.
  [[nodiscard]] std::vector<ImageHandle> held_by(const std::string& requester) const;
  [[nodiscard]] std::vector<ImageHandle> all() const;

  /// Is more held, or promised, than the budget allows? What is unpacked is counted once it is
  /// there.
  [[nodiscard]] bool overfull() const { return used_bytes() > budget_; }

  /// What was dropped since the last call, for the journal and the supervisor's descriptor store.
  [[nodiscard]] std::vector<measure::Sha256> take_dropped() { return std::exchange(dropped_, {}); }

private:
  friend class Reservation;
  [[nodiscard]] std::uint64_t used_bytes() const;
  [[nodiscard]] std::uint64_t used_bytes(const std::string& requester) const;
  /// Make room: drop the least recently used unpacked form, or image that nothing pins; false when
  /// there is none. With a requester: of the images that it holds; what others hold too stays for
  /// them.
  bool drop_one(const std::string* requester); // an unpacked form, or else an image
  bool drop_unpacked(const std::string* requester);
  bool drop_image(const std::string* requester);
  /// The least recently used image of which this holds, of a requester if one is given.
  template <typename Condition>
  [[nodiscard]] std::map<measure::Sha256, ImageHandle>::iterator
  least_used(const std::string* requester, Condition condition);

  std::uint64_t budget_;
  std::map<std::string, std::uint64_t> reserved_; // by requester
  std::map<measure::Sha256, ImageHandle> images_;
  std::vector<measure::Sha256> dropped_;
  std::uint64_t uses_ = 0;
};

} // namespace ashlar::broker
