// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include <unistd.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/vtpm_state/blob_store.hpp"

using namespace ashlar;
using namespace ashlar::vtpm_state;
namespace fs = std::filesystem;

namespace {

const BlobOwner guest{.requester = "tenant", .guest = {std::byte{1}}};
const BlobOwner neighbour{.requester = "tenant", .guest = {std::byte{2}}};
const BlobOwner squatter{.requester = "ten/ant", .guest = {std::byte{1}}};
const BlobOwner manager{};

struct Shop {
  fs::path directory = fs::temp_directory_path() / ("ashlar-blobs-" + std::to_string(getpid()));
  BlobStore store{directory.string()};

  Shop() { fs::remove_all(directory); }
  ~Shop() { fs::remove_all(directory); }
  Shop(const Shop&) = delete;
  Shop& operator=(const Shop&) = delete;

  Answer ask(const Request& request, const BlobOwner& who = guest) {
    const auto answer = decode_answer(store.answer(who, encode(request)));
    REQUIRE_MESSAGE(answer.has_value(), answer.error().message());
    return *answer;
  }
};

Request put_of(const std::string& text) {
  const auto all = as_bytes(text);
  return {.operation = Operation::put,
          .name = measure::digest(all)->sha256,
          .total = static_cast<std::uint32_t>(text.size()),
          .offset = 0,
          .part = {all.begin(), all.end()}};
}

Request named(Operation operation, const Request& put) {
  return {.operation = operation, .name = put.name, .total = 0, .offset = 0, .part = {}};
}

} // namespace

TEST_CASE("blob store: a blob is for its guest alone, until another is to be kept") {
  Shop shop;
  const Request first = put_of("first");
  const Request second = put_of("second");
  CHECK(shop.ask(first).outcome == Outcome::done);
  CHECK(shop.ask(second).outcome == Outcome::done);
  CHECK(shop.ask(named(Operation::get, first)).part == first.part);
  CHECK(shop.ask(named(Operation::get, first), neighbour).outcome == Outcome::not_found);
  CHECK(shop.ask(named(Operation::keep, second), neighbour).outcome == Outcome::not_found);
  CHECK(shop.ask(named(Operation::keep, second)).outcome == Outcome::done);
  CHECK(shop.ask(named(Operation::get, first)).outcome == Outcome::not_found);
  CHECK(shop.ask(named(Operation::get, second)).part == second.part);
}

TEST_CASE("blob store: two requesters with one UUID do not meet, nor do guests and TPM Manager") {
  Shop shop;
  const std::vector<BlobOwner> owners = {guest, neighbour, squatter, manager};
  for (const BlobOwner& owner : owners)
    CHECK(shop.ask(put_of("of " + to_string(owner)), owner).outcome == Outcome::done);
  for (const BlobOwner& owner : owners) {
    const Request own = put_of("of " + to_string(owner));
    CHECK(shop.ask(named(Operation::keep, own), owner).outcome == Outcome::done);
    for (const BlobOwner& asker : owners)
      CHECK((shop.ask(named(Operation::get, own), asker).outcome == Outcome::done) ==
            (asker == owner));
  }
  CHECK(fs::exists(shop.directory / "guests" / "ten%2Fant"));
  CHECK(fs::exists(shop.directory / "tpm-manager"));
}

TEST_CASE("blob store: a list names what is there, and nothing that is no blob") {
  Shop shop;
  CHECK(shop.ask(named(Operation::list, {}), manager).part.empty());
  const Request one = put_of("one");
  const Request two = put_of("two");
  shop.ask(one, manager);
  shop.ask(two, manager);
  std::ofstream(shop.directory / "tpm-manager" / "notes") << "somebody's";
  std::ofstream(shop.directory / "tpm-manager" / (to_hex(one.name) + ".new")) << "half";
  const Answer answer = shop.ask(named(Operation::list, {}), manager);
  REQUIRE(answer.part.size() == 64);
  CHECK(answer.total == 64);
  const auto listed = to_hex(answer.part);
  CHECK(listed.find(to_hex(one.name)) != std::string::npos);
  CHECK(listed.find(to_hex(two.name)) != std::string::npos);
}

TEST_CASE("blob store: a blob from before requesters had folders goes to who knows its name") {
  Shop shop;
  const Request old = put_of("old");
  const fs::path former = shop.directory / measure::to_string(guest.guest);
  fs::create_directories(former);
  std::ofstream(former / to_hex(old.name)) << "old";
  shop.ask(put_of("new"), squatter);
  CHECK(shop.ask(named(Operation::keep, put_of("new")), squatter).outcome == Outcome::done);
  CHECK(shop.ask(named(Operation::get, old)).part == old.part);
  CHECK_FALSE(fs::exists(former));
  CHECK(shop.ask(named(Operation::get, old)).part == old.part);
}

TEST_CASE("blob store: parts come in order and must be the bytes of the name") {
  Shop shop;
  Request part = put_of("two parts");
  const auto all = part.part;
  const auto piece = [&](std::uint32_t offset, std::size_t size) {
    part.offset = offset;
    part.part.assign(all.begin() + offset, all.begin() + offset + static_cast<long>(size));
    return shop.ask(part).outcome;
  };
  CHECK(piece(4, 5) == Outcome::refused); // nothing came before it
  CHECK(piece(0, 4) == Outcome::done);
  CHECK(piece(5, 4) == Outcome::refused);
  CHECK(shop.ask(named(Operation::get, part)).outcome == Outcome::not_found);
  CHECK(piece(4, 5) == Outcome::done);
  CHECK(shop.ask(named(Operation::get, part)).part == all);
  Request lie = put_of("other");
  lie.name[0] ^= std::byte{1};
  CHECK(shop.ask(lie).outcome == Outcome::refused);
  CHECK(shop.ask(named(Operation::get, lie)).outcome == Outcome::not_found);
}

TEST_CASE("blob store: a guest has so many blobs at most, and keeping one makes room") {
  Shop shop;
  for (std::size_t i = 0; i < max_blobs; ++i)
    CHECK(shop.ask(put_of("blob " + std::to_string(i))).outcome == Outcome::done);
  CHECK(shop.ask(put_of("one more")).outcome == Outcome::limit);
  CHECK(shop.ask(put_of("blob 0")).outcome == Outcome::done); // again the same
  CHECK(shop.ask(put_of("one more"), neighbour).outcome == Outcome::done);
  CHECK(shop.ask(named(Operation::keep, put_of("blob 3"))).outcome == Outcome::done);
  CHECK(shop.ask(put_of("one more")).outcome == Outcome::done);
}

TEST_CASE("blob store: what is no blob takes no room from a guest's blobs") {
  Shop shop;
  CHECK(shop.ask(put_of("blob")).outcome == Outcome::done);
  const fs::path home =
      shop.directory / "guests" / guest.requester / measure::to_string(guest.guest);
  for (std::size_t i = 0; i < max_blobs; ++i) // its writing failed, and the store was killed
    std::ofstream(home / (to_hex(put_of(std::to_string(i)).name) + ".new")) << "half";
  CHECK(shop.ask(put_of("next blob")).outcome == Outcome::done);
}

TEST_CASE("blob store: when its files fail the vTPM hears it") {
  Shop shop;
  std::ofstream(shop.directory) << "a file where the directory should be";
  CHECK(shop.ask(put_of("x")).outcome == Outcome::failed);
}

TEST_CASE("blob store: any packet gets an answer") {
  Shop shop;
  std::mt19937 random(20142);
  for (int i = 0; i < 3000; ++i) {
    auto packet = encode(put_of("some blob"));
    for (std::uint32_t changes = random() % 4; changes > 0; --changes)
      packet[random() % packet.size()] = static_cast<std::byte>(random());
    packet.resize(random() % 3 == 0 ? random() % 80 : packet.size());
    CHECK(decode_answer(shop.store.answer(guest, packet)));
  }
}

TEST_CASE("vTPM state messages: one message has one encoding, and the rules are checked") {
  const Request put = put_of("text");
  CHECK(*decode_request(encode(put)) == put);
  const Answer answer{.outcome = Outcome::done, .total = 9, .part = put.part};
  CHECK(*decode_answer(encode(answer)) == answer);
  const auto refused = [&put](auto spoil) {
    Request bad = put;
    spoil(bad);
    return !decode_request(encode(bad));
  };
  CHECK(refused([](Request& r) { r.total = 0; }));
  CHECK(refused([](Request& r) { r.total = max_blob_bytes + 1; }));
  CHECK(refused([](Request& r) { r.total = 3; }));
  CHECK(refused([](Request& r) { r.offset = 1; }));
  CHECK(refused([](Request& r) { r.offset = 0xffffffff; }));
  CHECK(refused([](Request& r) { r.part.clear(); }));
  CHECK(refused([](Request& r) { r.part.resize(max_part_bytes + 1); }));
  CHECK(refused([](Request& r) { r.operation = Operation::get; }));
  CHECK(refused([](Request& r) { r.operation = static_cast<Operation>(5); }));
  Answer more = answer;
  more.total = 3;
  CHECK_FALSE(decode_answer(encode(more)));
}
