// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/key_store.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/base/wire.hpp"
#include "ashlar/tpm/durable_file.hpp"
#include "ashlar/tpm/limits.hpp"

namespace ashlar::tpm {

namespace {

constexpr std::array<std::byte, 4> table_magic = {std::byte{'A'}, std::byte{'S'}, std::byte{'H'},
                                                  std::byte{'K'}};
constexpr std::uint32_t table_version = 2;

bool valid_length(std::size_t bytes) {
  return bytes == short_key_bytes || bytes == long_key_bytes;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void wipe(std::vector<std::byte>& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
}

class PlainKeyFile final : public KeyFile {
public:
  PlainKeyFile(std::string path, bool fresh) : path_(std::move(path)), fresh_(fresh) {}

  [[nodiscard]] Result<std::optional<std::vector<std::byte>>> read() override {
    const Result<std::string> text = read_file(path_, max_key_table_bytes);
    if (text) {
      const std::span<const std::byte> bytes = as_bytes(*text);
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    }
    if (text.error().code != ErrorCode::not_found)
      return std::unexpected(text.error());
    if (!fresh_)
      return failure(ErrorCode::integrity, "reading the vTPM keys " + path_,
                     "the file is lost, and records were taken since the machine started: restart "
                     "the machine");
    return std::nullopt;
  }

  [[nodiscard]] Status write(std::span<const std::byte> table) override {
    TRY(stage(path_, table));
    return put_in_place(path_);
  }

private:
  std::string path_;
  bool fresh_;
};

} // namespace

Result<std::unique_ptr<KeyStore>> KeyStore::open(std::unique_ptr<KeyFile> file) {
  std::unique_ptr<KeyStore> store = open_when_asked(std::move(file));
  TRY(store->read());
  return store;
}

std::unique_ptr<KeyStore> KeyStore::open_when_asked(std::unique_ptr<KeyFile> file) {
  return std::unique_ptr<KeyStore>(new KeyStore(std::move(file)));
}

KeyStore::~KeyStore() {
  forget();
}

void KeyStore::forget() {
  for (auto& [owner, key] : table_)
    wipe(key);
  table_.clear();
  read_ = false;
}

Status KeyStore::read() {
  if (read_)
    return {};
  std::optional<std::vector<std::byte>> table = TRY(file_->read());
  if (table) {
    Status decoded = decode(*table);
    wipe(*table);
    TRY(std::move(decoded));
  } else {
    // From now on a missing file is a loss.
    TRY(write());
  }
  read_ = true;
  return {};
}

// Version 1 had one entry a UUID, whoever's it was: each of its tables is one of version 2.
Status KeyStore::decode(std::span<const std::byte> bytes) {
  WireReader reader(bytes);
  std::array<std::byte, table_magic.size()> magic{};
  reader.raw(magic);
  const std::uint32_t version = reader.u32();
  const std::uint32_t count = reader.u32();
  if (magic != table_magic || version == 0 || version > table_version || count > max_keys)
    reader.reject("it is of another kind or version");
  Table table;
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) {
    KeyOwner owner;
    reader.raw(owner.uuid);
    owner.requester = reader.text(measure::max_requester_bytes);
    std::string text = reader.text(long_key_bytes);
    const std::span<const std::byte> key = as_bytes(text);
    const bool fresh = table.emplace(owner, std::vector(key.begin(), key.end())).second;
    OPENSSL_cleanse(text.data(), text.size());
    if (!valid_length(key.size()) || !fresh)
      reader.reject("an entry is none");
  }
  table_ = std::move(table);
  return reader.end("the table of vTPM keys");
}

Status KeyStore::write() {
  WireWriter writer;
  writer.raw(table_magic);
  writer.u32(table_version);
  writer.u32(static_cast<std::uint32_t>(table_.size()));
  for (const auto& [owner, key] : table_) {
    writer.raw(owner.uuid);
    writer.text(owner.requester);
    writer.text(as_text(key));
  }
  std::vector<std::byte> bytes = writer.take();
  const Status written = file_->write(bytes);
  wipe(bytes);
  return written;
}

Result<std::optional<std::vector<std::byte>>> KeyStore::load(const KeyOwner& owner) {
  TRY(read());
  const auto found = table_.find(owner);
  if (found == table_.end())
    return std::nullopt;
  return found->second;
}

Status KeyStore::save(const KeyOwner& owner, std::span<const std::byte> key) {
  const std::string doing =
      fmt::format("saving the vTPM key of guest {}", measure::to_string(owner.uuid));
  if (!valid_length(key.size()))
    return failure(
        ErrorCode::invalid, doing,
        fmt::format("it has {} bytes, not {} or {}", key.size(), short_key_bytes, long_key_bytes));
  TRY(read());
  const auto found = table_.find(owner);
  if (found != table_.end() && std::ranges::equal(found->second, key))
    return {};
  if (found == table_.end())
    TRY(check_room(owner, doing));
  table_[owner].assign(key.begin(), key.end());
  Status written = write();
  // Which of the two tables holds is open. Who was told of the former key would have the state of
  // the new one removed.
  if (!written)
    forget();
  return written;
}

Status KeyStore::check_room(const KeyOwner& owner, const std::string& doing) const {
  if (table_.size() >= max_keys)
    return limit_failure(doing, "the table is full", fmt::format("{} guests", max_keys));
  const auto theirs = std::ranges::count_if(
      table_, [&owner](const auto& entry) { return entry.first.requester == owner.requester; });
  if (static_cast<std::size_t>(theirs) >= max_requester_keys)
    return limit_failure(
        doing,
        fmt::format("requester \"{}\" has {} guests with keys", printable(owner.requester), theirs),
        fmt::format("{} guests a requester", max_requester_keys));
  return {};
}

std::unique_ptr<KeyFile> open_plain_key_file(const std::string& directory, bool fresh) {
  return std::make_unique<PlainKeyFile>(directory + "/vtpm-keys", fresh);
}

} // namespace ashlar::tpm
