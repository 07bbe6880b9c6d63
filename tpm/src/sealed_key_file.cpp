// SPDX-License-Identifier: LGPL-2.1-or-later
// A value of the counter belongs to what was written while the counter was one below it. What was
// acknowledged under a value must be the only content that ever had it: docs/decisions/0008.
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/wire.hpp"
#include "ashlar/tpm/aes_gcm.hpp"
#include "ashlar/tpm/key_store.hpp"
#include "ashlar/tpm/limits.hpp"
#include "ashlar/tpm/sealed_place.hpp"

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
  Bytes whole;
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
std::optional<Sealed> take_apart(std::span<const std::byte> bytes) {
  constexpr std::size_t fixed_bytes = 20; // magic, version, value, length of the object
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
  sealed.whole.assign(bytes.begin(), bytes.end());
  return sealed;
}

/// Of what was read, or of what it takes to open it: neither the place nor the TPM failed.
bool is_about_content(const Error& error) {
  return error.code == ErrorCode::integrity || error.code == ErrorCode::denied;
}

class SealedKeyFile final : public KeyFile {
public:
  SealedKeyFile(std::unique_ptr<SealedPlace> place, Vault& vault)
      : place_(std::move(place)), vault_(vault) {}
  ~SealedKeyFile() override {
    OPENSSL_cleanse(key_.data(), key_.size());
    OPENSSL_cleanse(current_.data(), current_.size());
  }

  [[nodiscard]] Result<std::optional<Bytes>> read() override;
  [[nodiscard]] Status write(std::span<const std::byte> table) override;

private:
  /// Added under a value that the counter may not have reached.
  struct Pending {
    std::uint64_t value = 0;
    Bytes content;
    Bytes table;
  };
  [[nodiscard]] std::string doing(const char* what) const {
    return fmt::format("{} the vTPM keys {}", what, place_->where());
  }
  [[nodiscard]] Status begin(bool counted);
  [[nodiscard]] Status take(std::span<const Sealed> found, std::uint64_t value);
  [[nodiscard]] std::unexpected<Error> none_fits(std::span<const Sealed> found,
                                                 std::uint64_t counter) const;
  [[nodiscard]] Status unseal(const Bytes& object);
  /// With key_, which must be that of its object.
  [[nodiscard]] Result<Bytes> open(const Sealed& sealed) const;
  [[nodiscard]] Status commit(std::span<const std::byte> table);
  [[nodiscard]] Status add(std::uint64_t value, std::span<const std::byte> table);
  [[nodiscard]] Status settle();

  std::unique_ptr<SealedPlace> place_;
  Vault& vault_;
  SealedKey key_{};
  Bytes object_;                   // key_, sealed
  Bytes current_;                  // what holds; empty: nothing was ever written
  bool marked_ = false;            // the vault has its mark
  std::optional<Pending> pending_; // settled before anything else is added
  // Other bytes may have been added, by a process before this one or in vain, under the value that
  // comes next: read() uses it up with what holds already.
  bool use_up_next_ = true;
};

Result<std::optional<Bytes>> SealedKeyFile::read() {
  const std::optional<std::uint64_t> counter = TRY(vault_.counter());
  std::vector<Sealed> found;
  for (const Bytes& content : TRY(place_->contents()))
    if (std::optional<Sealed> sealed = take_apart(content))
      found.push_back(*std::move(sealed));
  std::ranges::sort(found, {}, &Sealed::object); // take() has each one unsealed once
  if (!counter && !found.empty())
    return failure(
        ErrorCode::integrity, doing("reading"),
        "this TPM never counted for them: they are another machine's, or the TPM was cleared");
  marked_ = TRY(vault_.marked());
  if (!counter) {
    TRY(begin(false));
  } else if (Status taken = take(found, *counter); !taken) {
    // Under the mark nothing was acknowledged: whatever the place says, nothing is lost.
    if (!marked_ || !is_about_content(taken.error()))
      return std::unexpected(taken.error());
    TRY(begin(true));
  }
  // Before anybody is told of what holds, and acts on it.
  if (use_up_next_)
    TRY(commit(Bytes(current_)));
  if (current_.empty())
    return std::nullopt;
  return current_;
}

/// Of those with this value, one that opens.
Status SealedKeyFile::take(std::span<const Sealed> found, std::uint64_t value) {
  Result<Bytes> table = none_fits(found, value);
  const Sealed* tried = nullptr;
  Status unsealed;
  for (const Sealed& sealed : found) {
    if (sealed.value != value)
      continue;
    if (!tried || tried->object != sealed.object)
      unsealed = unseal(sealed.object);
    tried = &sealed;
    table = unsealed ? open(sealed) : std::unexpected(unsealed.error());
    if (!table)
      continue;
    pending_ = Pending{value, sealed.whole, *std::move(table)};
    TRY(settle());
    use_up_next_ = true;
    return {};
  }
  return std::unexpected(table.error());
}

std::unexpected<Error> SealedKeyFile::none_fits(std::span<const Sealed> found,
                                                std::uint64_t counter) const {
  if (found.empty())
    return failure(ErrorCode::integrity, doing("reading"),
                   fmt::format("they are lost or damaged, and were written (the TPM counted to "
                               "{}): bring them back",
                               counter));
  const std::uint64_t value = std::ranges::max_element(found, {}, &Sealed::value)->value;
  if (value > counter)
    return failure(ErrorCode::integrity, doing("reading"),
                   fmt::format("they are those of another machine (their number is {}, this TPM's "
                               "{}): bring this one's back",
                               value, counter));
  return failure(ErrorCode::integrity, doing("reading"),
                 fmt::format("they are older ones (their number is {}, the TPM's {}): bring the "
                             "last ones back",
                             value, counter));
}

// The mark comes before the first count and goes when the first content is settled, so that an end
// in between leaves what can be begun again. That content is empty and has the counter's own value,
// however often it is begun: the place may choose among them, and TPM memory is not worn out.
Status SealedKeyFile::begin(bool counted) {
  SealedKey key{};
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(key.data()), static_cast<int>(key.size())) !=
      1)
    return failure(ErrorCode::internal, "making the key of the vTPM keys", "OpenSSL refused");
  object_ = TRY(vault_.seal(key));
  key_ = key;
  OPENSSL_cleanse(key.data(), key.size());
  if (!counted) {
    TRY(vault_.mark());
    marked_ = true;
    TRY(vault_.count_up());
  }
  const std::optional<std::uint64_t> counter = TRY(vault_.counter());
  if (!counter)
    return failure(ErrorCode::integrity, doing("writing"), "the TPM's counter is gone");
  return add(*counter, {});
}

Status SealedKeyFile::unseal(const Bytes& object) {
  key_ = TRY(vault_.unseal(object));
  object_ = object;
  return {};
}

Result<Bytes> SealedKeyFile::open(const Sealed& sealed) const {
  std::optional<Bytes> table = TRY(decrypt(key_, sealed.header, sealed.text));
  if (!table)
    return failure(ErrorCode::integrity, doing("reading"),
                   "somebody changed them: bring the last ones back");
  return *std::move(table);
}

Status SealedKeyFile::write(std::span<const std::byte> table) {
  if (use_up_next_)
    return failure(ErrorCode::internal, doing("writing"), "they were not read before");
  return commit(table);
}

Status SealedKeyFile::commit(std::span<const std::byte> table) {
  const std::optional<std::uint64_t> counter = TRY(vault_.counter());
  if (!counter)
    return failure(ErrorCode::integrity, doing("writing"), "the TPM's counter is gone");
  return add(*counter + 1, table);
}

Status SealedKeyFile::add(std::uint64_t value, std::span<const std::byte> table) {
  Bytes content = header_of(value, object_);
  const Bytes text = TRY(encrypt(key_, content, table));
  content.insert(content.end(), text.begin(), text.end());
  use_up_next_ = true;
  TRY(place_->add(content));
  pending_ = Pending{value, std::move(content), {table.begin(), table.end()}};
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
    return failure(ErrorCode::integrity, doing("writing"),
                   "somebody else counts with the TPM's counter: restart the TPM Manager");
  TRY(place_->keep(pending_->content));
  if (marked_)
    TRY(vault_.unmark());
  marked_ = false;
  OPENSSL_cleanse(current_.data(), current_.size());
  current_ = std::move(pending_->table);
  pending_.reset();
  use_up_next_ = false;
  return {};
}

} // namespace

std::unique_ptr<KeyFile> open_sealed_key_file(std::unique_ptr<SealedPlace> place, Vault& vault) {
  return std::make_unique<SealedKeyFile>(std::move(place), vault);
}

} // namespace ashlar::tpm
