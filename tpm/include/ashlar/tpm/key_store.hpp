// SPDX-License-Identifier: LGPL-2.1-or-later
// The keys of the vTPMs' states, by guest: what save_hash_key gave and load_hash_key gets back.
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/tpm/sealed_place.hpp"
#include "ashlar/tpm/vault.hpp"

namespace ashlar::tpm {

/// Whose key it is. The UUID is chosen by who requests a guest, so that it alone would give one
/// tenant's key to another tenant's guest of the same UUID, or keep that guest from having one.
struct KeyOwner {
  std::string requester; // the policy's name for who asked for the guest
  measure::Uuid uuid{};
  auto operator<=>(const KeyOwner&) const = default;
};

/// The lengths of a blob: the stock vTPM's, and its newer form with a SHA-256 in place of SHA-1.
inline constexpr std::size_t short_key_bytes = 52;
inline constexpr std::size_t long_key_bytes = 64;

/// Where a store's table is kept as bytes.
class KeyFile {
public:
  virtual ~KeyFile() = default;
  /// What was written last; nothing: nothing was ever. It stays so until the next write(). Errors:
  /// io, integrity (lost, rolled back or changed), denied (the TPM does not give the key of the
  /// file out).
  [[nodiscard]] virtual Result<std::optional<std::vector<std::byte>>> read() = 0;
  /// Durable, and the only one that is read back, when it returns. Errors: io; then either the old
  /// or the new is read back, and must be read before anything is written. Also before the first.
  [[nodiscard]] virtual Status write(std::span<const std::byte> table) = 0;
};

class KeyStore {
public:
  /// Errors: those of KeyFile::read(), invalid (what was read is no table).
  [[nodiscard]] static Result<std::unique_ptr<KeyStore>> open(std::unique_ptr<KeyFile> file);
  /// The file may not be there yet, or not as it should be: it is read when a key is asked for, as
  /// often as it takes, and until then load() and save() fail with the errors of open().
  [[nodiscard]] static std::unique_ptr<KeyStore> open_when_asked(std::unique_ptr<KeyFile> file);
  ~KeyStore();
  KeyStore(const KeyStore&) = delete;
  KeyStore& operator=(const KeyStore&) = delete;

  /// What was saved last; nothing: never anything for this owner.
  [[nodiscard]] Result<std::optional<std::vector<std::byte>>> load(const KeyOwner& owner);

  /// Durable when it returns; what is saved already is not written again. Errors: invalid (the
  /// length), limit (max_keys, max_requester_keys): the former key holds; those of KeyFile: the
  /// former or this one holds, and the next load() tells which.
  [[nodiscard]] Status save(const KeyOwner& owner, std::span<const std::byte> key);

private:
  using Table = std::map<KeyOwner, std::vector<std::byte>>; // ordered: a table has one encoding

  explicit KeyStore(std::unique_ptr<KeyFile> file) : file_(std::move(file)) {}
  [[nodiscard]] Status read();
  void forget();
  [[nodiscard]] Status decode(std::span<const std::byte> bytes);
  [[nodiscard]] Status write();
  /// For one more guest of this requester. Errors: limit.
  [[nodiscard]] Status check_room(const KeyOwner& owner, const std::string& doing) const;

  std::unique_ptr<KeyFile> file_;
  bool read_ = false; // the table is what the file has; until then it is empty
  Table table_;
};

/// A file in the run directory, as it is: it ends with the manager's domain, whose memory it is in.
/// `fresh`: nothing was taken since the machine started, so that a missing file is no loss.
[[nodiscard]] std::unique_ptr<KeyFile> open_plain_key_file(const std::string& directory,
                                                           bool fresh);

/// A file in a place that others can write to: encrypted by a key that the vault gives out in one
/// state of the machine, and bound to the vault's counter, so that only what was written last is
/// read back. docs/decisions/0008-sealing.md has the layout and the crash windows. `vault` outlives
/// it.
[[nodiscard]] std::unique_ptr<KeyFile> open_sealed_key_file(std::unique_ptr<SealedPlace> place,
                                                            Vault& vault);

} // namespace ashlar::tpm
