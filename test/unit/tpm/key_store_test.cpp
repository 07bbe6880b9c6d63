// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/tpm/key_store.hpp"
#include "ashlar/tpm/limits.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

using Bytes = std::vector<std::byte>;

class MemoryFile final : public KeyFile {
public:
  [[nodiscard]] Result<std::optional<Bytes>> read() override { return std::nullopt; }
  [[nodiscard]] Status write(std::span<const std::byte>) override { return {}; }
};

KeyOwner owner_of(const std::string& requester, std::size_t number) {
  KeyOwner owner{.uuid = {}, .requester = requester};
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
