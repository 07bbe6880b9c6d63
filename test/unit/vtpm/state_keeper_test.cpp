// SPDX-License-Identifier: LGPL-2.1-or-later
// A TPM's state between a store that may do anything and the TPM Manager, with the real store.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <unistd.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/vtpm_message.hpp"
#include "ashlar/vtpm/state_keeper.hpp"
#include "ashlar/vtpm_state/blob_store.hpp"

using namespace ashlar;
using namespace ashlar::vtpm;
namespace fs = std::filesystem;

namespace {

const measure::Uuid guest{std::byte{1}, std::byte{2}};

const vtpm_state::BlobOwner owner{.requester = "tenant", .guest = guest};

std::vector<std::byte> bytes(const std::string& text) {
  const auto all = as_bytes(text);
  return {all.begin(), all.end()};
}

/// Store and manager of one machine, which outlive a vTPM.
struct Machine {
  fs::path directory = fs::temp_directory_path() / ("ashlar-state-" + std::to_string(getpid()));
  vtpm_state::BlobStore store{directory.string()};
  std::optional<std::vector<std::byte>> key; // with the manager
  tpm::VtpmStatus refusal = tpm::VtpmStatus::success;
  std::string reason;
  int later = 0; // so often the manager says "ask later"
  int asked = 0; // for an answer of the manager
  std::chrono::steady_clock::time_point now{};
  bool lose_key = false; // the manager is killed before it has kept the key
  int restarts = 0;      // of the store: this many of its next packets find it started anew

  Machine() { fs::remove_all(directory); }
  ~Machine() { fs::remove_all(directory); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  [[nodiscard]] Exchange manager() {
    return [this](std::span<const std::byte> packet) -> Result<std::vector<std::byte>> {
      const tpm::VtpmRequest request = TRY(tpm::decode_vtpm_request(packet));
      if (++asked <= later)
        return tpm::encode(tpm::VtpmResponse{tpm::VtpmStatus::too_often, bytes(reason)});
      if (refusal != tpm::VtpmStatus::success)
        return tpm::encode(tpm::VtpmResponse{refusal, bytes(reason)});
      if (request.ordinal == tpm::VtpmOrdinal::load_hash_key)
        return tpm::encode(key ? tpm::VtpmResponse{tpm::VtpmStatus::success, *key}
                               : tpm::VtpmResponse{tpm::VtpmStatus::no_key, {}});
      if (lose_key)
        return failure(ErrorCode::peer_closed, "asking", "it is gone");
      key = request.body;
      return tpm::encode(tpm::VtpmResponse{tpm::VtpmStatus::success, {}});
    };
  }
  [[nodiscard]] Exchange blobs() {
    return [this](std::span<const std::byte> packet) -> Result<std::vector<std::byte>> {
      if (restarts > 0) {
        --restarts;
        store.forget_parts(owner);
      }
      return store.answer(owner, packet);
    };
  }
  [[nodiscard]] StateKeeper keeper(measure::Vtpm version = measure::Vtpm::tpm20) {
    return {manager(),
            blobs(),
            {.guest = guest, .version = version},
            {.now = [this] { return now; },
             .pause = [this](std::chrono::seconds time) { now += time; }}};
  }
  [[nodiscard]] std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry :
         fs::directory_iterator(directory / "guests" / "tenant" / measure::to_string(guest)))
      found.push_back(entry.path());
    return found;
  }
};

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

ErrorCode code(const Result<std::optional<std::vector<std::byte>>>& loaded) {
  REQUIRE_FALSE(loaded);
  return loaded.error().code;
}

} // namespace

TEST_CASE("state keeper: what was saved last is loaded, and the store sees none of it") {
  Machine machine;
  const StateKeeper keeper = machine.keeper();
  const auto first = keeper.load();
  REQUIRE(first);
  CHECK_FALSE(first->has_value());
  // Several parts, and the longer one first.
  for (const std::string& state : {std::string(9000, 'x') + "secret", std::string("secret too")}) {
    const Status saved = keeper.save(bytes(state));
    REQUIRE_MESSAGE(saved.has_value(), saved.error().message());
    const auto loaded = keeper.load();
    REQUIRE_MESSAGE(loaded.has_value(), loaded.error().message());
    CHECK(*loaded == bytes(state));
    REQUIRE(machine.files().size() == 1);
    CHECK(text_of(machine.files()[0]).find("secret") == std::string::npos);
  }
}

TEST_CASE("state keeper: a lost, an old, a swapped and a changed state are refused") {
  Machine machine;
  const StateKeeper keeper = machine.keeper();
  REQUIRE(keeper.save(bytes("old")));
  const fs::path old_file = machine.files()[0];
  const std::string old_blob = text_of(old_file);
  REQUIRE(keeper.save(bytes("new")));
  const fs::path file = machine.files()[0];
  const std::string blob = text_of(file);
  const auto put = [&file](const std::string& text) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
  };
  put(old_blob);
  CHECK(code(keeper.load()) == ErrorCode::integrity);
  for (const std::size_t at : {std::size_t{0}, blob.size() / 2, blob.size() - 1}) {
    std::string changed = blob;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    put(changed);
    CHECK(code(keeper.load()) == ErrorCode::integrity);
  }
  put(blob.substr(0, blob.size() - 1));
  CHECK(code(keeper.load()) == ErrorCode::integrity);
  put("");
  CHECK(code(keeper.load()) == ErrorCode::integrity);
  fs::remove(file);
  std::ofstream(old_file, std::ios::binary) << old_blob;
  CHECK(code(keeper.load()) == ErrorCode::integrity);
  put(blob);
  CHECK(keeper.load());
}

TEST_CASE("state keeper: a state is of one guest and one TPM version") {
  Machine machine;
  REQUIRE(machine.keeper().save(bytes("state")));
  CHECK(code(machine.keeper(measure::Vtpm::tpm12).load()) == ErrorCode::integrity);
  measure::Uuid other = guest;
  other[15] = std::byte{9};
  const StateKeeper swapped(machine.manager(), machine.blobs(),
                            {.guest = other, .version = measure::Vtpm::tpm20});
  CHECK(code(swapped.load()) == ErrorCode::integrity);
}

TEST_CASE("state keeper: killed between the store and the manager, the former state holds") {
  Machine machine;
  const StateKeeper keeper = machine.keeper();
  REQUIRE(keeper.save(bytes("former")));
  machine.lose_key = true;
  CHECK_FALSE(keeper.save(bytes("next")));
  machine.lose_key = false;
  CHECK(machine.files().size() == 2);
  const auto loaded = keeper.load();
  REQUIRE(loaded);
  CHECK(*loaded == bytes("former"));
  CHECK(machine.files().size() == 1);
  REQUIRE(keeper.save(bytes("next")));
  CHECK(machine.files().size() == 1);
}

TEST_CASE("state keeper: a store that is started anew in the middle gets all of it again") {
  Machine machine;
  machine.restarts = 2; // with the second part of the first attempt
  const std::string state(9000, 'x');
  const Status saved = machine.keeper().save(bytes(state));
  REQUIRE_MESSAGE(saved.has_value(), saved.error().message());
  CHECK(**machine.keeper().load() == bytes(state));
}

TEST_CASE("state keeper: a guest with a state gets no fresh TPM") {
  Machine machine;
  REQUIRE(machine.keeper().save(bytes("state")));
  const StateKeeper without(machine.manager(), {},
                            {.guest = guest, .version = measure::Vtpm::tpm20});
  CHECK_FALSE(without.keeps());
  CHECK(code(without.load()) == ErrorCode::denied);
  for (const auto status : {tpm::VtpmStatus::denied, tpm::VtpmStatus::failed,
                            tpm::VtpmStatus::bad_ordinal, tpm::VtpmStatus::bad_parameter}) {
    machine.refusal = status;
    CHECK(code(machine.keeper().load()) == ErrorCode::denied);
  }
  const auto refused = machine.keeper().load();
  CHECK(refused.error().message().find("its log says why") != std::string::npos);
  machine.reason = "they are older ones";
  const auto explained = machine.keeper().load();
  CHECK(explained.error().message().find("they are older ones") != std::string::npos);
  machine.refusal = tpm::VtpmStatus::success;
  machine.key->resize(52);
  CHECK(code(machine.keeper().load()) == ErrorCode::integrity);
}

TEST_CASE("state keeper: what is too large for the store is not begun") {
  Machine machine;
  const Status saved =
      machine.keeper().save(std::vector<std::byte>(vtpm_state::max_blob_bytes, std::byte{1}));
  REQUIRE_FALSE(saved);
  CHECK(saved.error().code == ErrorCode::limit);
  CHECK_FALSE(fs::exists(machine.directory));
}

TEST_CASE("state keeper: a manager that says \"ask later\" is asked again, for a while") {
  Machine machine;
  machine.reason = "it took longer than 8 s";
  machine.later = 5;
  REQUIRE(machine.keeper().save(bytes("state")));
  machine.later = machine.asked + 5;
  CHECK(**machine.keeper().load() == bytes("state"));

  machine.later = machine.asked + 1000;
  auto start = machine.now;
  const Status saved = machine.keeper().save(bytes("next"));
  REQUIRE_FALSE(saved);
  CHECK(saved.error().message().find("it took longer than 8 s") != std::string::npos);
  CHECK(machine.now - start <= save_patience);
  CHECK(machine.now - start > save_patience - 2 * ask_pause);
  start = machine.now;
  CHECK(code(machine.keeper().load()) == ErrorCode::denied);
  CHECK(machine.now - start <= load_patience);
  machine.later = 0;
  CHECK(**machine.keeper().load() == bytes("state"));
}

TEST_CASE("state keeper: states whose keys were refused do not fill the guest's room for ever") {
  Machine machine;
  REQUIRE(machine.keeper().save(bytes("state")));
  for (std::size_t start = 0; start < 2 * vtpm_state::max_blobs; ++start) {
    CHECK(**machine.keeper().load() == bytes("state"));
    machine.lose_key = true;
    CHECK_FALSE(machine.keeper().save(bytes("next " + std::to_string(start))));
    machine.lose_key = false;
  }
  CHECK(**machine.keeper().load() == bytes("state"));
  REQUIRE(machine.keeper().save(bytes("last")));
  CHECK(machine.files().size() == 1);
}
