// SPDX-License-Identifier: LGPL-2.1-or-later
// The file of the vTPM keys against whoever holds its disk, and against ends in the wrong moment:
// with a vault of arithmetic. swtpm_test.py has a real TPM.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/tpm/key_store.hpp"
#include "fake_vault.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::tpm;

namespace {

using Bytes = std::vector<std::byte>;

Bytes key(int fill) {
  return Bytes(long_key_bytes, static_cast<std::byte>(fill));
}

struct Disk {
  TemporaryDirectory directory;
  FakeVault vault;
  std::string file = directory.path() + "/vtpm-keys";
  std::string staged = file + ".new";
  KeyOwner owner{.requester = "tenant", .uuid = {std::byte{5}}};

  [[nodiscard]] Result<std::unique_ptr<KeyStore>> open() {
    return KeyStore::open(open_sealed_key_file(place_in_directory(directory.path()), vault));
  }
  [[nodiscard]] std::unique_ptr<KeyStore> start() {
    auto opened = open();
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message());
    return *std::move(opened);
  }
  [[nodiscard]] std::string refusal() {
    const auto opened = open();
    REQUIRE_FALSE(opened.has_value());
    return opened.error().message();
  }
  void save(KeyStore& store, int fill) { REQUIRE(store.save(owner, key(fill))); }
  [[nodiscard]] std::optional<Bytes> load(KeyStore& store) {
    const auto loaded = store.load(owner);
    REQUIRE(loaded.has_value());
    return *loaded;
  }
  void copy(const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  }
};

} // namespace

TEST_CASE("sealed keys: what was saved is there after a restart, and the disk does not show it") {
  Disk disk;
  const auto store = disk.start();
  CHECK_FALSE(disk.load(*store).has_value());
  disk.save(*store, 0x61);
  for (int restart = 0; restart < 3; ++restart)
    CHECK(disk.load(*disk.start()) == key(0x61));
  const auto content = read_file(disk.file, 1 << 20);
  REQUIRE(content.has_value());
  CHECK(content->find("aaaaaaaa") == std::string::npos);
  CHECK(content->find("tenant") == std::string::npos);
}

TEST_CASE("sealed keys: an older file is refused") {
  Disk disk;
  auto store = disk.start();
  disk.copy(disk.file, disk.file + ".empty");
  disk.save(*store, 1);
  disk.copy(disk.file, disk.file + ".one");
  disk.save(*store, 2);
  for (const char* old : {".empty", ".one"}) {
    disk.copy(disk.file, disk.file + ".last");
    disk.copy(disk.file + old, disk.file);
    CHECK(disk.refusal().find("older ones") != std::string::npos);
    disk.copy(disk.file + old, disk.staged); // and where an interrupted one would be
    CHECK(disk.refusal().find("older ones") != std::string::npos);
    std::filesystem::remove(disk.staged);
    disk.copy(disk.file + ".last", disk.file);
  }
  CHECK(disk.load(*disk.start()) == key(2));
}

TEST_CASE("sealed keys: a lost file is refused, even when nothing was saved into it") {
  Disk disk;
  static_cast<void>(disk.start());
  std::filesystem::remove(disk.file);
  CHECK(disk.refusal().find("lost") != std::string::npos);
}

TEST_CASE("sealed keys: a first write that failed is begun again") {
  Disk disk;
  const std::string home = disk.directory.path();
  const std::string away = home + ".away";
  std::filesystem::rename(home, away); // counted, and nothing can be written
  CHECK_FALSE(disk.open().has_value());
  CHECK_FALSE(disk.open().has_value());
  CHECK(disk.vault.value == 41); // however often it is tried
  CHECK(disk.vault.mark_there);
  std::filesystem::rename(away, home);
  disk.save(*disk.start(), 1);
  CHECK_FALSE(disk.vault.mark_there);
  CHECK(disk.load(*disk.start()) == key(1));
}

TEST_CASE("sealed keys: a TPM that fails at any step of the first write loses nothing") {
  // The mark, the first count, the mark's end; the empty table's count.
  for (int done = 0; done < 4; ++done)
    for (const bool before : {false, true}) {
      Disk disk;
      disk.vault.changes_left = done;
      (before ? disk.vault.fails_before : disk.vault.fails_after) = true;
      CHECK_FALSE(disk.open().has_value());
      disk.vault.fails_before = disk.vault.fails_after = false;
      const auto store = disk.start();
      CHECK_FALSE(disk.load(*store).has_value());
      disk.save(*store, 1);
      CHECK(disk.load(*disk.start()) == key(1));
      CHECK_FALSE(disk.vault.mark_there);
    }
}

TEST_CASE("sealed keys: a first file that is lost or damaged before it was settled is no loss") {
  for (const char* content : {"", "ASHV, and nothing more that makes sense"}) {
    Disk disk;
    disk.vault.changes_left = 2; // up to the mark's end
    disk.vault.fails_before = true;
    CHECK_FALSE(disk.open().has_value());
    disk.vault.fails_before = false;
    REQUIRE(std::filesystem::exists(disk.file));
    std::ofstream(disk.file, std::ios::binary | std::ios::trunc) << content;
    disk.save(*disk.start(), 1);
    CHECK(disk.load(*disk.start()) == key(1));
  }
}

TEST_CASE("sealed keys: a file cut in the middle of its first write is begun again") {
  Disk disk;
  disk.vault.changes_left = 2;
  disk.vault.fails_before = true;
  CHECK_FALSE(disk.open().has_value());
  disk.vault.fails_before = false;
  const std::string whole = *read_file(disk.file, 1 << 20);
  std::ofstream(disk.file, std::ios::binary | std::ios::trunc) << whole.substr(0, whole.size() - 1);
  disk.save(*disk.start(), 1);
  CHECK(disk.load(*disk.start()) == key(1));
}

TEST_CASE("sealed keys: no first file brings a store of keys back to its beginning") {
  Disk disk;
  std::vector<std::string> firsts;
  disk.vault.changes_left = 2;
  disk.vault.fails_before = true;
  for (int attempt = 0; attempt < 2; ++attempt) {
    CHECK_FALSE(disk.open().has_value());
    firsts.push_back(*read_file(disk.file, 1 << 20));
    std::filesystem::remove(disk.file);
    disk.vault.changes_left = 0; // marked and counted already
  }
  disk.vault.fails_before = false;
  auto store = disk.start();
  for (int save = 0; save < 2; ++save) { // with the empty table, and with a key in it
    const std::string last = *read_file(disk.file, 1 << 20);
    for (const std::string& first : firsts) {
      std::ofstream(disk.file, std::ios::binary | std::ios::trunc) << first;
      CHECK(disk.refusal().find("older ones") != std::string::npos);
    }
    std::filesystem::remove(disk.file);
    CHECK(disk.refusal().find("lost") != std::string::npos);
    std::ofstream(disk.file, std::ios::binary | std::ios::trunc) << last;
    store = disk.start();
    disk.save(*store, 1);
  }
}

TEST_CASE("sealed keys: a changed file is refused, whichever byte it is") {
  Disk disk;
  disk.save(*disk.start(), 1);
  const std::string good = *read_file(disk.file, 1 << 20);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    std::ofstream(disk.file, std::ios::binary | std::ios::trunc) << bad;
    CHECK_FALSE(disk.open().has_value());
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    std::ofstream(disk.file, std::ios::binary | std::ios::trunc) << good.substr(0, size);
    CHECK_FALSE(disk.open().has_value());
  }
  std::ofstream(disk.file, std::ios::binary | std::ios::trunc) << good;
  CHECK(disk.load(*disk.start()) == key(1));
}

TEST_CASE("sealed keys: another state of the machine, or another machine, gets nothing") {
  Disk disk;
  disk.save(*disk.start(), 1);
  disk.vault.state = std::byte{2};
  CHECK(disk.refusal().find("another state") != std::string::npos);
  disk.vault.state = std::byte{1};
  disk.vault.value.reset();
  CHECK(disk.refusal().find("another machine's") != std::string::npos);
}

TEST_CASE("sealed keys: a save whose counting failed is settled before the next") {
  for (const bool counted : {false, true}) {
    Disk disk;
    const auto store = disk.start();
    disk.save(*store, 1);
    (counted ? disk.vault.fails_after : disk.vault.fails_before) = true;
    CHECK_FALSE(store->save(disk.owner, key(2)).has_value());
    CHECK_FALSE(store->load(disk.owner).has_value()); // it is open which one holds
    disk.vault.fails_after = disk.vault.fails_before = false;
    CHECK(disk.load(*store) == disk.load(*disk.start()));
    disk.save(*store, 3);
    CHECK(disk.load(*disk.start()) == key(3));
  }
}

TEST_CASE("sealed keys: an end at any moment of a save leaves the old key or the new one") {
  for (const bool counted : {false, true}) {
    Disk disk;
    auto store = disk.start();
    disk.save(*store, 1);
    (counted ? disk.vault.fails_after : disk.vault.fails_before) = true;
    CHECK_FALSE(store->save(disk.owner, key(2)).has_value());
    disk.vault.fails_after = disk.vault.fails_before = false;
    store = disk.start();
    CHECK(disk.load(*store) == key(counted ? 2 : 1));
    disk.save(*store, 3);
    CHECK(disk.load(*disk.start()) == key(3));
  }
}

TEST_CASE("sealed keys: an interrupted save is over once somebody was told of the former key") {
  Disk disk;
  auto store = disk.start();
  disk.save(*store, 1);
  disk.vault.fails_before = true;
  CHECK_FALSE(store->save(disk.owner, key(2)).has_value());
  disk.vault.fails_before = false;
  CHECK(disk.load(*store) == key(1));
  // Whatever fails from now on, the disk has nothing of it left.
  for (const bool counted : {false, true}) {
    disk.vault.changes_left = 1;
    (counted ? disk.vault.fails_after : disk.vault.fails_before) = true;
    static_cast<void>(store->save({.requester = "other", .uuid = {}}, key(7)));
    disk.vault.fails_before = disk.vault.fails_after = false;
    store = disk.start();
    CHECK(disk.load(*store) == key(1));
  }
}

TEST_CASE("sealed keys: an interrupted save that is kept and brought later does not undo another") {
  Disk disk;
  auto store = disk.start();
  disk.save(*store, 1);
  disk.vault.fails_before = true;
  CHECK_FALSE(store->save(disk.owner, key(2)).has_value());
  disk.vault.fails_before = false;
  std::filesystem::rename(disk.staged, disk.file + ".kept");
  store = disk.start();
  CHECK(disk.load(*store) == key(1));
  disk.save(*store, 3);
  disk.copy(disk.file + ".kept", disk.file);
  CHECK(disk.refusal().find("older ones") != std::string::npos);
  disk.copy(disk.file + ".kept", disk.staged);
  std::filesystem::remove(disk.file);
  CHECK(disk.refusal().find("older ones") != std::string::npos);
}

TEST_CASE("sealed keys: a save that the disk refused leaves no way to undo the next") {
  Disk disk;
  const auto store = disk.start();
  disk.save(*store, 1);
  const std::uint64_t before = *disk.vault.value;
  std::filesystem::create_directory(disk.staged); // nothing can be staged
  CHECK_FALSE(store->save(disk.owner, key(2)).has_value());
  std::filesystem::remove(disk.staged);
  disk.save(*store, 3);
  CHECK(*disk.vault.value == before + 2); // the number in between was used up
  CHECK(disk.load(*disk.start()) == key(3));
}

TEST_CASE("sealed keys: a dead TPM fails the save and loses nothing") {
  Disk disk;
  const auto store = disk.start();
  disk.save(*store, 1);
  disk.vault.dead = true;
  CHECK_FALSE(store->save(disk.owner, key(2)).has_value());
  CHECK_FALSE(disk.open().has_value());
  disk.vault.dead = false;
  CHECK(disk.load(*disk.start()) == key(1));
}

TEST_CASE("plain keys: they live as long as the run directory, and are not lost before") {
  const TemporaryDirectory directory;
  const KeyOwner owner{.requester = "tenant", .uuid = {std::byte{5}}};
  const auto first = KeyStore::open(open_plain_key_file(directory.path(), true));
  REQUIRE(first.has_value());
  REQUIRE((*first)->save(owner, key(1)));
  const auto again = KeyStore::open(open_plain_key_file(directory.path(), false));
  REQUIRE(again.has_value());
  CHECK((*again)->load(owner) == key(1));
  struct stat info = {};
  REQUIRE(stat((directory.path() + "/vtpm-keys").c_str(), &info) == 0);
  CHECK((info.st_mode & 077) == 0);
  std::filesystem::remove(directory.path() + "/vtpm-keys");
  CHECK_FALSE(KeyStore::open(open_plain_key_file(directory.path(), false)).has_value());
}
