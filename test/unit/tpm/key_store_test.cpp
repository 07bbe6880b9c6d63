// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <array>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/key_store.hpp"
#include "ashlar/tpm/limits.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

using Bytes = std::vector<std::byte>;

class MemoryFile final : public KeyFile {
public:
  [[nodiscard]] Result<std::optional<Bytes>> read() override { return content; }
  [[nodiscard]] Status write(std::span<const std::byte> table) override {
    if (!fails || lands)
      content.emplace(table.begin(), table.end());
    if (fails)
      return failure(ErrorCode::io, "writing", "the test's disk fails");
    return {};
  }
  std::optional<Bytes> content;
  bool fails = false;
  bool lands = false; // and fails
};

KeyOwner owner_of(const std::string& requester, std::size_t number) {
  KeyOwner owner{.requester = requester, .uuid = {}};
  owner.uuid[0] = static_cast<std::byte>(requester.back());
  owner.uuid[1] = static_cast<std::byte>(number >> 8);
  owner.uuid[2] = static_cast<std::byte>(number);
  return owner;
}

const Bytes key(long_key_bytes, std::byte{7});

} // namespace

TEST_CASE("key store: one requester cannot take the others' room") {
  const auto store = *KeyStore::open(std::make_unique<MemoryFile>());
  for (std::size_t number = 0; number < max_requester_keys; ++number)
    REQUIRE(store->save(owner_of("a", number), key));
  const Status refused = store->save(owner_of("a", max_requester_keys), key);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::limit);
  CHECK(store->save(owner_of("b", 0), key));
  // What it has it may go on to use.
  CHECK(store->save(owner_of("a", 0), Bytes(long_key_bytes, std::byte{8})));
}

TEST_CASE("key store: a table of version 1, one entry a UUID, is taken over") {
  const KeyOwner owner = owner_of("a", 7);
  std::vector<std::byte> table;
  const auto add = [&table](std::span<const std::byte> bytes) {
    table.insert(table.end(), bytes.begin(), bytes.end());
  };
  const auto number = [&add](std::uint8_t value) {
    add(std::array{std::byte{value}, std::byte{0}, std::byte{0}, std::byte{0}});
  };
  add(as_bytes("ASHK"));
  number(1);
  number(1);
  add(owner.uuid);
  number(1);
  add(as_bytes("a"));
  number(long_key_bytes);
  add(key);
  const auto opened = [](const Bytes& content) {
    auto file = std::make_unique<MemoryFile>();
    file->content = content;
    return KeyStore::open(std::move(file));
  };
  const auto store = opened(table);
  REQUIRE_MESSAGE(store.has_value(), store.error().message());
  CHECK((*store)->load(owner) == key);
  CHECK((*store)->load(KeyOwner{.requester = "b", .uuid = owner.uuid}) == std::nullopt);
  table[4] = std::byte{3};
  CHECK_FALSE(opened(table).has_value());
}

TEST_CASE("key store: after a failed write the key that is told is the one that holds") {
  for (const bool lands : {false, true}) {
    auto owned = std::make_unique<MemoryFile>();
    MemoryFile& file = *owned;
    const auto store = *KeyStore::open(std::move(owned));
    const KeyOwner owner = owner_of("a", 1);
    const Bytes next(long_key_bytes, std::byte{8});
    REQUIRE(store->save(owner, key));
    file.fails = true;
    file.lands = lands;
    CHECK_FALSE(store->save(owner, next).has_value());
    file.fails = false;
    CHECK(store->load(owner) == (lands ? next : key));
    CHECK(store->save(owner, next).has_value());
    CHECK(store->load(owner) == next);
  }
}

TEST_CASE("key store: all requesters together have a limit, too") {
  const auto store = *KeyStore::open(std::make_unique<MemoryFile>());
  for (std::size_t number = 0; number < max_keys; ++number) {
    const std::string requester(1, static_cast<char>('a' + number / max_requester_keys));
    REQUIRE(store->save(owner_of(requester, number), key));
  }
  const Status refused = store->save(owner_of("z", 0), key);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::limit);
}
