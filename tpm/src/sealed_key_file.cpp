// SPDX-License-Identifier: LGPL-2.1-or-later
// A value of the counter belongs to what was written while the counter was one below it. What was
// acknowledged under a value must be the only content that ever had it: docs/decisions/0008.
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/tpm/aes_gcm.hpp"
#include "ashlar/tpm/durable_file.hpp"
#include "ashlar/tpm/key_store.hpp"
#include "ashlar/tpm/limits.hpp"

namespace ashlar::tpm {

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::array<std::byte, 4> file_magic = {std::byte{'A'}, std::byte{'S'}, std::byte{'H'},
                                                 std::byte{'V'}};
constexpr std::uint32_t file_version = 1;

/// A file, taken apart and not yet believed.
struct Sealed {
  std::uint64_t value = 0; // of the counter
  Bytes object;            // the sealed key
  Bytes header;            // all before the ciphertext: authenticated with it
  Bytes text;              // see encrypt()
};

Bytes header_of(std::uint64_t value, std::span<const std::byte> object) {
  WireWriter writer;
  writer.raw(file_magic);
  writer.u32(file_version);
  writer.u64(value);
  writer.text({reinterpret_cast<const char*>(object.data()), object.size()});
  return writer.take();
}

/// Nothing: the file is none of ours, or was cut in the middle of being written.
std::optional<Sealed> take_apart(std::string_view content) {
  constexpr std::size_t fixed_bytes = 20; // magic, version, value, length of the object
  const std::span<const std::byte> bytes = as_bytes(content);
  if (bytes.size() < fixed_bytes)
    return std::nullopt;
  WireReader fixed(bytes.first(fixed_bytes));
  std::array<std::byte, file_magic.size()> magic{};
  fixed.raw(magic);
  const std::uint32_t version = fixed.u32();
  Sealed sealed;
  sealed.value = fixed.u64();
  const std::uint32_t object_bytes = fixed.u32();
  if (magic != file_magic || version != file_version || object_bytes > max_sealed_object_bytes ||
      object_bytes > bytes.size() - fixed_bytes)
    return std::nullopt;
  const auto object = bytes.subspan(fixed_bytes, object_bytes);
  sealed.object.assign(object.begin(), object.end());
  sealed.header = header_of(sealed.value, sealed.object);
  const auto text = bytes.subspan(sealed.header.size());
  sealed.text.assign(text.begin(), text.end());
  return sealed;
}

class SealedKeyFile final : public KeyFile {
public:
  SealedKeyFile(std::string path, Vault& vault) : path_(std::move(path)), vault_(vault) {}
  ~SealedKeyFile() override {
    OPENSSL_cleanse(key_.data(), key_.size());
    OPENSSL_cleanse(current_.data(), current_.size());
  }

  [[nodiscard]] Result<std::optional<Bytes>> read() override;
  [[nodiscard]] Status write(std::span<const std::byte> table) override;

private:
  /// Staged under a value that the counter may not have reached.
  struct Pending {
    std::uint64_t value = 0;
    Bytes table;
  };
  [[nodiscard]] Result<std::optional<Sealed>> content_of(const std::string& path) const;
  [[nodiscard]] Status begin();
  [[nodiscard]] Result<Bytes> open(const Sealed& sealed);
  [[nodiscard]] Status commit(std::span<const std::byte> table);
  [[nodiscard]] Status settle();

  std::string path_;
  Vault& vault_;
  SealedKey key_{};
  Bytes object_;                   // key_, sealed
  Bytes current_;                  // what the file holds
  std::optional<Pending> pending_; // settled before anything else is staged
  // Other bytes may have been staged, by a process before this one or in vain, under the value that
  // comes next: it is used up with what holds already.
  bool use_up_next_ = true;
};

/// Nothing: there is no file, or (staged) none that is whole.
Result<std::optional<Sealed>> SealedKeyFile::content_of(const std::string& path) const {
  const Result<std::string> content = read_file(path, max_key_file_bytes);
  if (content)
    return take_apart(*content);
  if (content.error().code == ErrorCode::not_found)
    return std::nullopt;
  return std::unexpected(content.error());
}

Result<std::optional<Bytes>> SealedKeyFile::read() {
  const std::string doing = "reading the vTPM keys " + path_;
  const std::optional<std::uint64_t> counter = TRY(vault_.counter());
  const std::optional<Sealed> file = TRY(content_of(path_));
  const std::optional<Sealed> staged = TRY(content_of(staged_path(path_)));
  if (!counter && (file || staged))
    return failure(
        ErrorCode::integrity, doing,
        "this TPM never counted for it: it is another machine's, or the TPM was cleared");
  if (!counter) {
    TRY(begin());
    return std::nullopt;
  }
  if (file && file->value == *counter)
    return TRY(open(*file));
  // The last process ended after it had staged, and after or before it counted.
  if (staged && (staged->value == *counter || (!file && staged->value == *counter + 1))) {
    pending_ = Pending{staged->value, TRY(open(*staged))};
    TRY(settle());
    use_up_next_ = true;
    return current_;
  }
  if (!file)
    return failure(ErrorCode::integrity, doing,
                   fmt::format("the file is lost or damaged, and was written (the TPM counted to "
                               "{}): bring it back",
                               *counter));
  return failure(ErrorCode::integrity, doing,
                 fmt::format("the file is an older one (its number is {}, the TPM's {}): bring the "
                             "last one back",
                             file->value, *counter));
}

Status SealedKeyFile::begin() {
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(key_.data()),
                      static_cast<int>(key_.size())) != 1)
    return failure(ErrorCode::internal, "making the key of the vTPM keys", "OpenSSL refused");
  object_ = TRY(vault_.seal(key_));
  return vault_.count_up();
}

Result<Bytes> SealedKeyFile::open(const Sealed& sealed) {
  key_ = TRY(vault_.unseal(sealed.object));
  object_ = sealed.object;
  std::optional<Bytes> table = TRY(decrypt(key_, sealed.header, sealed.text));
  if (!table)
    return failure(ErrorCode::integrity, "reading the vTPM keys " + path_,
                   "somebody changed the file: bring the last one back");
  current_ = *table;
  return *std::move(table);
}

Status SealedKeyFile::write(std::span<const std::byte> table) {
  TRY(settle());
  if (use_up_next_ && !current_.empty())
    TRY(commit(Bytes(current_)));
  return commit(table);
}

Status SealedKeyFile::commit(std::span<const std::byte> table) {
  const std::optional<std::uint64_t> counter = TRY(vault_.counter());
  if (!counter)
    return failure(ErrorCode::integrity, "writing the vTPM keys " + path_,
                   "the TPM's counter is gone");
  Bytes content = header_of(*counter + 1, object_);
  const Bytes text = TRY(encrypt(key_, content, table));
  content.insert(content.end(), text.begin(), text.end());
  use_up_next_ = true;
  TRY(stage(path_, content));
  pending_ = Pending{*counter + 1, {table.begin(), table.end()}};
  return settle();
}

Status SealedKeyFile::settle() {
  if (!pending_)
    return {};
  std::optional<std::uint64_t> counter = TRY(vault_.counter());
  if (counter && *counter + 1 == pending_->value) {
    TRY(vault_.count_up());
    counter = TRY(vault_.counter());
  }
  if (counter != pending_->value)
    return failure(ErrorCode::integrity, "writing the vTPM keys " + path_,
                   "somebody else counts with the TPM's counter: restart the TPM Manager");
  TRY(put_in_place(path_));
  OPENSSL_cleanse(current_.data(), current_.size());
  current_ = std::move(pending_->table);
  pending_.reset();
  use_up_next_ = false;
  return {};
}

} // namespace

std::unique_ptr<KeyFile> open_sealed_key_file(const std::string& directory, Vault& vault) {
  return std::make_unique<SealedKeyFile>(directory + "/vtpm-keys", vault);
}

} // namespace ashlar::tpm
