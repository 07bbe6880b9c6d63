// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker::test;

namespace {

constexpr std::size_t mib = 1u << 20;

ipc::Request begin_request(const ashlar_v1_ImageRef& image) {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = ashlar_v1_Request_upload_begin_tag;
  request.verb.upload_begin.has_image = true;
  request.verb.upload_begin.image = image;
  return request;
}

ipc::Request end_request(std::uint32_t id) {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.id = id;
  request.which_verb = ashlar_v1_Request_upload_end_tag;
  return request;
}

/// Announces `announced` and sends `bytes`.
ipc::Response upload_as(Client& client, const ashlar_v1_ImageRef& announced,
                        const std::string& bytes) {
  const std::uint32_t id = client.send(begin_request(announced));
  client.send_data(bytes);
  client.send(end_request(id));
  return client.wait_final(id);
}

std::size_t held_images(Client& client) {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = ashlar_v1_Request_images_tag;
  const ipc::Response answer = client.call(request);
  REQUIRE(done(answer));
  return client.parts(answer.id, ashlar_v1_Response_image_tag).size();
}

} // namespace

TEST_CASE("upload: bytes that differ from the announced digest are refused and nothing is kept") {
  Scene scene;
  Client client(scene);
  client.hello();
  CHECK(outcome(upload_as(client, reference("good bytes", "kernel"), "evil bytes")) == "integrity");
  CHECK(held_images(client) == 0);
  CHECK(outcome(client.call(create_request("web", "good bytes"))) == "missing");
  CHECK(outcome(client.call(create_request("web", "evil bytes"))) == "missing");
  CHECK(scene.journal().holders.empty());
}

TEST_CASE("upload: fewer bytes than announced are refused") {
  Scene scene;
  Client client(scene);
  client.hello();
  CHECK(outcome(upload_as(client, reference("ten bytes!", "kernel"), "ten")) == "integrity");
  CHECK(held_images(client) == 0);
}

TEST_CASE("upload: more bytes than announced are refused, and the next upload works") {
  Scene scene;
  Client client(scene);
  client.hello();
  ashlar_v1_ImageRef announced = reference("ten bytes!", "kernel");
  announced.size = 3;
  const ipc::Response answer = upload_as(client, announced, "ten bytes!");
  CHECK(outcome(answer) == "limit");
  CHECK(held_images(client) == 0);
  CHECK(done(client.upload("ten bytes!")));
  CHECK(held_images(client) == 1);
}

TEST_CASE("upload: a size of 0 or above the limit is refused before any byte") {
  Scene scene;
  Client client(scene);
  client.hello();
  ashlar_v1_ImageRef image = reference("x", "kernel");
  image.size = 0;
  CHECK(outcome(client.call(begin_request(image))) == "limit");
  image.size = (std::uint64_t{1} << 30) + 1;
  CHECK(outcome(client.call(begin_request(image))) == "limit");
  image.size = ~std::uint64_t{0};
  CHECK(outcome(client.call(begin_request(image))) == "limit");
}

TEST_CASE("upload: a digest of a wrong length is refused") {
  Scene scene;
  Client client(scene);
  client.hello();
  ashlar_v1_ImageRef image = reference("x", "kernel");
  image.sha256.size = 31;
  CHECK(outcome(client.call(begin_request(image))) == "invalid");
}

TEST_CASE("upload: what the policy does not allow is refused and its bytes are dropped") {
  Scene scene(closed_policy());
  Client client(scene);
  client.hello();
  CHECK(outcome(upload_as(client, reference("kernel", "kernel"), "kernel")) == "refusal");
  scene.settle();
  CHECK(scene.journal().holders.empty());
  CHECK_FALSE(client.closed);
}

TEST_CASE("upload: an image above the requester's quota is refused") {
  Scene scene(open_policy("max_store_mib = 2"));
  Client client(scene);
  client.hello();
  const std::string large(3 * mib, 'x');
  CHECK(outcome(client.call(begin_request(reference(large, "large")))) == "limit");
}

TEST_CASE("upload: within the quota the least recently used image makes room") {
  Scene scene(open_policy("max_store_mib = 3"));
  Client client(scene);
  client.hello();
  const std::string first(mib, '1');
  const std::string second(mib, '2');
  REQUIRE(done(client.upload(first)));
  REQUIRE(done(client.upload(second)));
  CHECK(outcome(client.call(create_request("other", first, {"not there"}))) == "missing"); // a use
  REQUIRE(done(client.upload(std::string(2 * mib, '3'))));
  CHECK(held_images(client) == 2);
  const ipc::Response answer = client.call(create_request("web", first, {second}));
  REQUIRE(outcome(answer) == "missing");
  REQUIRE(answer.part.missing_images.positions_count == 1);
  CHECK(answer.part.missing_images.positions[0] == 1);
  CHECK(scene.journal().holders.size() == 2);
}

TEST_CASE("upload: images of a domain are never dropped for others") {
  Scene scene(open_policy(), 16 * mib);
  Client client(scene);
  client.hello();
  client.build("web", std::string(10 * mib, 'k'));
  CHECK(outcome(client.call(begin_request(reference(std::string(8 * mib, 'x'), "x")))) == "busy");
  CHECK(held_images(client) == 1);
  REQUIRE(done(client.call(by_domid(ashlar_v1_Request_destroy_tag, 1))));
  CHECK(done(client.upload(std::string(8 * mib, 'x'))));
  CHECK(held_images(client) == 1);
}

TEST_CASE("upload: an upload that goes on holds its room") {
  Scene scene(open_policy(), 16 * mib);
  Client first(scene);
  first.hello();
  const std::uint32_t id = first.send(begin_request(reference(std::string(10 * mib, 'a'), "a")));
  first.send_data(std::string(1000, 'a'));
  Client second(scene);
  second.hello();
  const ipc::Request wanted = begin_request(reference(std::string(10 * mib, 'b'), "b"));
  CHECK(outcome(second.call(wanted)) == "busy");
  ipc::Request cancel = ashlar_v1_Request_init_zero;
  cancel.which_verb = ashlar_v1_Request_cancel_tag;
  cancel.verb.cancel.id = id;
  REQUIRE(done(first.call(cancel)));
  CHECK(outcome(first.wait_final(id)) == "cancelled");
  CHECK(done(second.upload(std::string(10 * mib, 'b'))));
}

TEST_CASE("upload: a client that leaves in the middle gives its room back") {
  Scene scene(open_policy(), 16 * mib);
  {
    Client leaver(scene);
    leaver.hello();
    leaver.send(begin_request(reference(std::string(10 * mib, 'a'), "a")));
    leaver.send_data(std::string(1000, 'a'));
    scene.settle();
  }
  scene.settle();
  Client client(scene);
  client.hello();
  CHECK(done(client.upload(std::string(10 * mib, 'b'))));
}

TEST_CASE("upload: two at once on one connection are refused") {
  Scene scene;
  Client client(scene);
  client.hello();
  client.send(begin_request(reference("one", "one")));
  CHECK(outcome(client.call(begin_request(reference("two", "two")))) == "busy");
}
