// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/init/fd_store.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "ashlar/base/memory_file.hpp"

using namespace ashlar;
using init::FdStore;

namespace {

UniqueFd memory() {
  Result<UniqueFd> fd = create_memory_file("stored");
  REQUIRE(fd);
  return std::move(*fd);
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

} // namespace

TEST_CASE("fd store: gives descriptors and names in the order in which they came") {
  FdStore store;
  UniqueFd first = memory();
  UniqueFd second = memory();
  const std::vector<int> wanted{first.value(), second.value()};
  REQUIRE(store.add(std::move(first), "journal"));
  REQUIRE(store.add(std::move(second), "image-1"));
  CHECK(store.descriptors() == wanted);
  CHECK(store.names() == "journal:image-1");
}

TEST_CASE("fd store: an open file that is stored already is closed, not stored again") {
  FdStore store;
  UniqueFd file = memory();
  UniqueFd again(::dup(file.value()));
  const int again_number = again.value();
  REQUIRE(store.add(std::move(file), "a"));
  REQUIRE(store.add(std::move(again), "b"));
  CHECK(store.names() == "a");
  CHECK_FALSE(is_open(again_number));
}

TEST_CASE("fd store: two anonymous files are two files") {
  FdStore store;
  int pipe_ends[2] = {-1, -1};
  REQUIRE(::pipe(pipe_ends) == 0);
  REQUIRE(store.add(UniqueFd(pipe_ends[0]), "p"));
  REQUIRE(store.add(UniqueFd(pipe_ends[1]), "p"));
  CHECK(store.names() == "p:p");
}

TEST_CASE("fd store: removal closes all of a name and no others") {
  FdStore store;
  UniqueFd first = memory();
  const int first_number = first.value();
  REQUIRE(store.add(std::move(first), "x"));
  REQUIRE(store.add(memory(), "y"));
  REQUIRE(store.add(memory(), "x"));
  CHECK(store.remove("x") == 2);
  CHECK_FALSE(is_open(first_number));
  CHECK(store.names() == "y");
  CHECK(store.remove("x") == 0);
}

TEST_CASE("fd store: refuses one more than its limit, and names the limit") {
  FdStore store;
  for (std::size_t count = 0; count < init::max_stored_descriptors; ++count)
    REQUIRE(store.add(memory(), "n"));
  const Status refused = store.add(memory(), "n");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::limit);
  CHECK(refused.error().why.find("512") != std::string::npos);
  CHECK(store.descriptors().size() == 512);
}

TEST_CASE("fd store: a name that LISTEN_FDNAMES cannot carry becomes \"stored\"") {
  CHECK(init::valid_descriptor_name("image-1"));
  CHECK_FALSE(init::valid_descriptor_name(""));
  CHECK_FALSE(init::valid_descriptor_name("a:b"));
  CHECK_FALSE(init::valid_descriptor_name("a\nb"));
  CHECK_FALSE(init::valid_descriptor_name(std::string(256, 'a')));
  FdStore store;
  REQUIRE(store.add(memory(), "a:b"));
  CHECK(store.names() == "stored");
}
