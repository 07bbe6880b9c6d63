// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "engine.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

std::vector<std::string> listed(Client& client) {
  ipc::Request request = ashlar_v1_Request_init_zero;
  request.which_verb = ashlar_v1_Request_list_tag;
  const ipc::Response answer = client.call(request);
  REQUIRE(done(answer));
  std::vector<std::string> names;
  for (const ipc::Response& part : client.parts(answer.id, ashlar_v1_Response_domain_tag))
    names.emplace_back(part.part.domain.name);
  return names;
}

} // namespace

TEST_CASE("tenants: bytes that another requester brought must be brought again") {
  Engine engine(tenants_policy());
  Client red = engine.connect(11, "red");
  Client blue = engine.connect(12, "blue");
  REQUIRE(done(red.upload("secret kernel")));
  const ipc::Request request = create_request("web", "secret kernel");
  CHECK(outcome(blue.call(request)) == "missing");
  REQUIRE(done(blue.upload("secret kernel")));
  CHECK(done(blue.call(request)));
}

TEST_CASE("tenants: the list shows one's own domains and builds only") {
  Engine engine(tenants_policy());
  Client red = engine.connect(11, "red");
  Client blue = engine.connect(12, "blue");
  red.build("red-web", "kernel");
  blue.build("blue-web", "kernel");
  engine.world.hold_construct = true;
  red.send(create_request("red-db", "kernel"));
  CHECK(listed(red) == std::vector<std::string>{"red-web", "red-db"});
  CHECK(listed(blue) == std::vector<std::string>{"blue-web"});
  Client all = engine.connect(13, "operator");
  CHECK(listed(all).size() == 3 + 3); // the three tenants' own domains as well
}

TEST_CASE("tenants: another's domain is answered word for word as one that does not exist") {
  Engine engine(tenants_policy());
  Client red = engine.connect(11, "red");
  Client blue = engine.connect(12, "blue");
  REQUIRE(red.build("web", "kernel") == 1);
  for (const int verb : {ashlar_v1_Request_info_tag, ashlar_v1_Request_measurement_tag,
                         ashlar_v1_Request_pause_tag, ashlar_v1_Request_unpause_tag,
                         ashlar_v1_Request_destroy_tag, ashlar_v1_Request_shutdown_tag,
                         ashlar_v1_Request_reboot_tag, ashlar_v1_Request_console_open_tag}) {
    CAPTURE(verb);
    const ipc::Response foreign = blue.call(by_domid(static_cast<pb_size_t>(verb), 1));
    const ipc::Response unknown = blue.call(by_domid(static_cast<pb_size_t>(verb), 2));
    CHECK(outcome(foreign) == "not_found");
    std::string said = foreign.part.failure.message;
    const std::size_t at = said.find("domid 1");
    REQUIRE(at != std::string::npos);
    CHECK(said.replace(at, 7, "domid 2") == unknown.part.failure.message);
  }
  CHECK_FALSE(engine.world.domains.at(1).paused);
  CHECK(engine.world.count("destroy") == 0);
}

TEST_CASE("tenants: a peer that the policy does not know may do nothing") {
  Engine engine(tenants_policy());
  Client stranger = engine.connect(14, "stranger");
  CHECK(outcome(stranger.call(create_request("web", "kernel"))) == "refusal");
  CHECK(outcome(stranger.call(by_domid(ashlar_v1_Request_info_tag, 1))) == "refusal");
  CHECK(engine.world.calls.empty());
}

TEST_CASE("tenants: the sessions of a domain end with it, also when it asked for that itself") {
  Engine engine(tenants_policy());
  Client self = engine.connect(5, "operator");
  Client second = engine.connect(5, "operator");
  self.send(by_domid(ashlar_v1_Request_destroy_tag, 5));
  CHECK(self.ends());
  CHECK(second.ends());
  CHECK(engine.sessions.count() == 0);
  CHECK_FALSE(engine.world.domains.contains(5));
}

TEST_CASE("tenants: the builds of a domain that is gone are given up") {
  Engine engine(tenants_policy());
  Client client = engine.connect(500, "operator");
  REQUIRE(done(client.upload("kernel")));
  engine.world.hold_construct = true;
  client.send(create_request("web", "kernel"));
  for (int i = 0; i < 2000 && engine.world.held.empty(); ++i)
    engine.turn();
  REQUIRE(engine.world.domains.size() == 2);
  REQUIRE(engine.domains.destroy(500));
  CHECK(client.ends());
  CHECK(engine.world.domains.empty());
  CHECK(engine.world.running_jobs == 0);
}
