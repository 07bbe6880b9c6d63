// SPDX-License-Identifier: LGPL-2.1-or-later
// The manager's keys with a store in another domain, which may do anything: the real store between
// a line that breaks where it is told to, and somebody who changes its files.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/tpm/key_store.hpp"
#include "ashlar/tpm/limits.hpp"
#include "ashlar/vtpm_state/blob_store.hpp"
#include "fake_vault.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;
namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<std::byte>;

Bytes key(int fill) {
  return Bytes(long_key_bytes, static_cast<std::byte>(fill));
}

/// Store and TPM of one machine, which outlive its managers.
struct Machinery {
  TemporaryDirectory directory;
  vtpm_state::BlobStore blobs{directory.path()};
  FakeVault vault;
  bool present = true;
  bool stalls = false;
  std::chrono::steady_clock::time_point now{};
  std::chrono::milliseconds packet_time{0};
  int connections = 0;
  int closed_after = -1; // packets; then the store is started anew, once
  int lost_after = -1;   // packets; then an answer comes too late, once
  KeyOwner owner{.requester = "tenant", .uuid = {std::byte{5}}};

  [[nodiscard]] std::unique_ptr<KeyStore> open();
  [[nodiscard]] fs::path home() const { return fs::path(directory.path()) / "tpm-manager"; }
  [[nodiscard]] std::string refusal() {
    const auto loaded = open()->load(owner);
    REQUIRE_FALSE(loaded.has_value());
    return loaded.error().message();
  }
  [[nodiscard]] std::optional<Bytes> load() {
    const auto loaded = open()->load(owner);
    REQUIRE_MESSAGE(loaded.has_value(), loaded.error().message());
    return *loaded;
  }
  void save(int fill) {
    const Status saved = open()->save(owner, key(fill));
    REQUIRE_MESSAGE(saved.has_value(), saved.error().message());
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(home()), fs::directory_iterator()));
  }
  void copy(const fs::path& from, const fs::path& to) {
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive);
  }
};

/// Whether as many packets went by as were to; a negative number is never.
bool comes_now(int& after) {
  if (after < 0)
    return false;
  return after-- == 0;
}

class FakeLine final : public ipc::TpmifFrontend {
public:
  explicit FakeLine(Machinery& machine) : machine_(machine) {}
  [[nodiscard]] Result<Bytes> exchange(std::span<const std::byte> packet,
                                       std::chrono::milliseconds) override {
    if (machine_.stalls)
      return failure(ErrorCode::timeout, "asking", "no answer");
    machine_.now += machine_.packet_time;
    if (comes_now(machine_.closed_after)) {
      machine_.blobs.forget_parts({});
      return failure(ErrorCode::peer_closed, "asking", "it was closed");
    }
    Bytes answer = machine_.blobs.answer({}, packet);
    if (comes_now(machine_.lost_after)) {
      machine_.now += store_time_in_window;
      return failure(ErrorCode::timeout, "asking", "no answer");
    }
    return answer;
  }
  [[nodiscard]] std::uint32_t backend_domid() const override { return 2; }

private:
  Machinery& machine_;
};

std::unique_ptr<KeyStore> Machinery::open() {
  StoreConnector connect =
      [this](std::chrono::milliseconds) -> Result<std::unique_ptr<ipc::TpmifFrontend>> {
    ++connections;
    if (!present)
      return failure(ErrorCode::not_found, "connecting", "xenstore has no device");
    return std::make_unique<FakeLine>(*this);
  };
  return KeyStore::open_when_asked(
      open_sealed_key_file(place_in_store(std::move(connect), [this] { return now; }), vault));
}

} // namespace

TEST_CASE("keys in a store: they outlive managers, and one content is left of many") {
  Machinery machine;
  CHECK_FALSE(machine.load().has_value());
  for (int save = 1; save < 6; ++save) {
    machine.save(save);
    CHECK(machine.load() == key(save));
    CHECK(machine.files() == 1);
  }
}

TEST_CASE("keys in a store: before the store is there none is given and none is begun") {
  Machinery machine;
  machine.present = false;
  const auto store = machine.open();
  const auto early = store->load(machine.owner);
  REQUIRE_FALSE(early.has_value());
  CHECK(early.error().message().find("no key store yet") != std::string::npos);
  CHECK_FALSE(store->save(machine.owner, key(1)).has_value());
  CHECK_FALSE(machine.vault.value.has_value());
  machine.present = true;
  CHECK(store->save(machine.owner, key(1)).has_value());
  CHECK(store->load(machine.owner) == key(1));
}

TEST_CASE("keys in a store: a store that cannot take the first content may take a later one") {
  Machinery machine;
  std::ofstream(machine.home()) << "a file where the folder should be: its disk is full, say";
  for (int attempt = 0; attempt < 3; ++attempt)
    CHECK_FALSE(machine.open()->load(machine.owner).has_value());
  CHECK(machine.vault.value.has_value());
  fs::remove(machine.home());
  machine.save(1);
  CHECK(machine.load() == key(1));
}

TEST_CASE("keys in a store: a first content that was kept back and is shown later is no harm") {
  Machinery machine;
  const auto store = machine.open();
  machine.vault.changes_left = 2; // the mark and the first count
  machine.vault.fails_before = true;
  CHECK_FALSE(store->load(machine.owner).has_value());
  machine.vault.fails_before = false;
  machine.copy(machine.home(), machine.directory.path() + "/first");
  fs::remove_all(machine.home());
  machine.vault.changes_left = 1; // begun again, by the same manager, up to the first table's count
  machine.vault.fails_before = true;
  CHECK_FALSE(store->load(machine.owner).has_value());
  machine.vault.fails_before = false;
  machine.copy(machine.directory.path() + "/first", machine.home());
  CHECK_FALSE(machine.vault.mark_there);
  machine.save(1);
  CHECK(machine.load() == key(1));
  machine.copy(machine.directory.path() + "/first", machine.home());
  CHECK(machine.refusal().find("older ones") != std::string::npos);
}

TEST_CASE("keys in a store: lost, older, changed and foreign ones are refused, each by its name") {
  Machinery machine;
  machine.save(1);
  machine.copy(machine.home(), machine.directory.path() + "/old");
  machine.save(2);
  machine.copy(machine.home(), machine.directory.path() + "/last");

  fs::remove_all(machine.home());
  CHECK(machine.refusal().find("lost or damaged") != std::string::npos);
  machine.copy(machine.directory.path() + "/old", machine.home());
  CHECK(machine.refusal().find("older ones") != std::string::npos);

  Machinery other;
  for (int save = 1; save < 9; ++save)
    other.save(save);
  other.copy(other.home(), machine.home());
  CHECK(machine.refusal().find("another machine") != std::string::npos);

  machine.copy(machine.directory.path() + "/last", machine.home());
  CHECK(machine.load() == key(2));
}

TEST_CASE("keys in a store: a changed file is refused, also under the name of its new content") {
  Machinery machine;
  machine.save(1);
  const fs::path file = fs::directory_iterator(machine.home())->path();
  const std::string good = *read_file(file.string(), 1 << 20);
  fs::remove(file);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    const fs::path named = machine.home() / to_hex(measure::digest(as_bytes(bad))->sha256);
    std::ofstream(named, std::ios::binary) << bad;
    CHECK_FALSE(machine.open()->load(machine.owner).has_value());
    fs::remove(named);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bad;
    CHECK_FALSE(machine.open()->load(machine.owner).has_value());
  }
  std::ofstream(file, std::ios::binary | std::ios::trunc) << good;
  CHECK(machine.load() == key(1));
}

TEST_CASE("keys in a store: what lies beside the right content does not hide it") {
  Machinery machine;
  machine.save(1);
  machine.copy(machine.home(), machine.directory.path() + "/old");
  machine.save(2);
  for (const auto& entry : fs::directory_iterator(machine.directory.path() + "/old"))
    fs::copy(entry.path(), machine.home());
  std::ofstream(machine.home() / std::string(64, '0')) << "none of ours";
  CHECK(machine.load() == key(2));
}

TEST_CASE("keys in a store: killed at any moment of a save, the old key or the new one is there") {
  for (const bool counted : {false, true}) {
    Machinery machine;
    machine.save(1);
    auto store = machine.open();
    REQUIRE(store->load(machine.owner) == key(1));
    (counted ? machine.vault.fails_after : machine.vault.fails_before) = true;
    CHECK_FALSE(store->save(machine.owner, key(2)).has_value());
    machine.vault.fails_after = machine.vault.fails_before = false;
    CHECK(machine.files() == 2);
    store = machine.open();
    CHECK(store->load(machine.owner) == key(counted ? 2 : 1));
    CHECK(machine.files() == 1); // who was told of a key is not told of the other later
    REQUIRE(store->save(machine.owner, key(3)).has_value());
    CHECK(machine.load() == key(3));
    CHECK(machine.files() == 1);
  }
}

TEST_CASE("keys in a store: a store that is started anew in the middle loses nothing") {
  for (int packets = 0; packets < 12; ++packets) {
    Machinery machine;
    machine.save(1);
    machine.closed_after = packets;
    machine.save(2);
    machine.closed_after = -1;
    CHECK(machine.load() == key(2));
  }
}

TEST_CASE("keys in a store: a store that stalls is left alone for a while") {
  Machinery machine;
  machine.save(1);
  const auto store = machine.open();
  machine.stalls = true;
  CHECK(store->load(machine.owner).error().code == ErrorCode::timeout);
  const int before = machine.connections;
  machine.stalls = false;
  CHECK(store->load(machine.owner).error().code == ErrorCode::timeout);
  CHECK(machine.connections == before);
}

TEST_CASE("keys in a store: a slow store has so much of the manager's time, and more later") {
  Machinery machine;
  machine.save(1);
  const auto store = machine.open();
  machine.packet_time = std::chrono::milliseconds(store_time_in_window) / 5;
  const auto start = machine.now;
  // Listing, fetching, keeping; adding and keeping what uses the next value up. Then no time is
  // left.
  CHECK(store->load(machine.owner) == key(1));
  for (int fill = 2; fill < 8; ++fill)
    CHECK(store->save(machine.owner, key(fill)).error().code == ErrorCode::timeout);
  CHECK(machine.now - start <= store_time_in_window + machine.packet_time);
  machine.packet_time = std::chrono::milliseconds(1);
  CHECK(store->save(machine.owner, key(8)).error().code == ErrorCode::timeout);
  machine.now = start + store_window;
  CHECK(store->save(machine.owner, key(9)).has_value());
  CHECK(machine.load() == key(9));
}

TEST_CASE("keys in a store: contents that landed after their time do not fill the store") {
  Machinery machine;
  machine.save(1);
  const auto store = machine.open();
  REQUIRE(store->load(machine.owner) == key(1));
  for (int fill = 2; fill < 14; ++fill) {
    machine.lost_after = 0; // of the put
    CHECK(store->save(machine.owner, key(fill)).error().code == ErrorCode::timeout);
    machine.now += store_window;
    REQUIRE(store->load(machine.owner) == key(1));
  }
  CHECK(store->save(machine.owner, key(99)).has_value());
  CHECK(machine.load() == key(99));
  CHECK(machine.files() == 1);
}

TEST_CASE(
    "keys in a store: an answer that is lost at any moment leaves the old key or the new one") {
  for (int packets = 0; packets < 12; ++packets) {
    Machinery machine;
    machine.save(1);
    const auto store = machine.open();
    machine.lost_after = packets;
    const bool saved = store->save(machine.owner, key(2)).has_value();
    machine.lost_after = -1;
    machine.now += store_window;
    const auto told = store->load(machine.owner);
    REQUIRE(told.has_value());
    CHECK((told == key(2) || (!saved && told == key(1))));
    CHECK(machine.load() == *told);
    machine.save(3);
    CHECK(machine.load() == key(3));
  }
}

TEST_CASE("keys in a store: a store full of wrong contents costs the TPM one unsealing") {
  Machinery machine;
  machine.save(1);
  const fs::path file = fs::directory_iterator(machine.home())->path();
  std::string bad = *read_file(file.string(), 1 << 20);
  for (std::size_t i = 1; i < vtpm_state::max_blobs; ++i) {
    bad.back() = static_cast<char>(bad.back() + 1);
    const fs::path named = machine.home() / to_hex(measure::digest(as_bytes(bad))->sha256);
    std::ofstream(named, std::ios::binary) << bad;
  }
  CHECK(machine.files() == vtpm_state::max_blobs);
  machine.vault.unseals = 0;
  CHECK(machine.load() == key(1));
  CHECK(machine.vault.unseals == 1);
}
