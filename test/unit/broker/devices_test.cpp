// SPDX-License-Identifier: LGPL-2.1-or-later
// A guest with disks and network interfaces: it runs once their backends are set up, or not at all.
#include <doctest/doctest.h>

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/broker/device_nodes.hpp"
#include "ashlar/broker/limits.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

constexpr std::uint32_t storage = 100; // the domain of the boot manifest that has the disks
constexpr std::uint32_t guest = 1;
const std::string disk_path = fmt::format("/local/domain/{}/backend/vbd/{}/51712", storage, guest);
const std::string nic_path = fmt::format("/local/domain/{}/backend/vif/{}/0", storage, guest);

std::string devices_policy() {
  return open_policy() + "  disks = \"any\"\n  nics = \"any\"\n";
}

/// A builder whose boot manifest has a domain "storage", and a requester with a kernel.
struct WithBackend : Scene {
  std::unique_ptr<Client> client;

  explicit WithBackend(const std::string& policy = devices_policy()) : Scene(policy) {
    BootDomain wanted;
    wanted.configuration.name = "storage";
    wanted.configuration.memory_kib = 128 << 10;
    wanted.configuration.max_memory_kib = 128 << 10;
    wanted.kernel = directory.path() + "/service-vmlinuz";
    write_file(wanted.kernel, "service kernel");
    world.next_domid = storage;
    restart();
    broker->boot({wanted});
    REQUIRE(until([&] { return world.count("unpause 100") == 1; }));
    world.next_domid = guest;
    world.calls.clear();
    connect();
    REQUIRE(done(client->upload("kernel")));
  }

  void connect() {
    client = std::make_unique<Client>(*this);
    client->hello();
  }

  /// Asks for a guest with a disk and a network interface.
  static ipc::Request request(const std::string& backend = "storage") {
    ipc::Request request = create_request("web", "kernel");
    ashlar_v1_Create& create = request.verb.create;
    ashlar_v1_Disk& disk = create.disks[create.disks_count++];
    ipc::set_text(disk.vdev, "xvda");
    ipc::set_text(disk.backend, backend);
    ipc::set_text(disk.target, "/dev/vg0/web");
    ashlar_v1_Nic& nic = create.nics[create.nics_count++];
    ipc::set_text(nic.backend, backend);
    ipc::set_text(nic.bridge, "xenbr0");
    return request;
  }

  /// Asks for that guest, and waits until its backends are waited for.
  std::uint32_t begin() {
    const std::uint32_t id = client->send(request());
    REQUIRE(until([&] { return world.watches.contains(nic_path + "/hotplug-status"); }));
    return id;
  }

  void say(const std::string& device, const std::string& status) {
    if (status == "connected" && device == disk_path)
      world.nodes[device + "/physical-device"] = "7:0";
    world.nodes[device + "/hotplug-status"] = status;
    world.fire(device + "/hotplug-status");
  }

  std::uint32_t build() {
    const std::uint32_t id = begin();
    say(disk_path, "connected");
    say(nic_path, "connected");
    REQUIRE(done(client->wait_final(id)));
    return id;
  }

  /// As `xl devd` in the backend's domain: it removes what is closed.
  void let_go(const std::string& device) {
    std::erase_if(world.nodes, [&](const auto& node) { return node.first.starts_with(device); });
    world.fire(device);
  }

  [[nodiscard]] std::size_t backend_nodes() const {
    return static_cast<std::size_t>(std::ranges::count_if(world.nodes, [](const auto& node) {
      return node.first.starts_with(disk_path) || node.first.starts_with(nic_path);
    }));
  }
};

} // namespace

TEST_CASE("devices: a guest runs once every backend is connected, and not before") {
  WithBackend scene;
  const std::uint32_t id = scene.begin();
  scene.say(disk_path, "connected");
  scene.settle();
  CHECK_FALSE(scene.client->has_final(id));
  CHECK(scene.world.count("unpause 1") == 0);
  scene.say(nic_path, "connected");
  CHECK(done(scene.client->wait_final(id)));
  CHECK(scene.world.count("unpause 1") == 1);
  CHECK(scene.world.watches.size() == 1); // of domains that end
}

TEST_CASE("devices: the nodes say what was asked for, and that backends are not trusted") {
  WithBackend scene;
  scene.begin();
  const auto& nodes = scene.world.nodes;
  CHECK(nodes.at(disk_path + "/params") == "/dev/vg0/web");
  CHECK(nodes.at(disk_path + "/mode") == "r");
  CHECK(nodes.at(disk_path + "/script") == "/etc/xen/scripts/block");
  CHECK(nodes.at(disk_path + "/frontend") == "/local/domain/1/device/vbd/51712");
  CHECK(nodes.at("/local/domain/1/device/vbd/51712/backend") == disk_path);
  CHECK(nodes.at("/local/domain/1/device/vbd/51712/trusted") == "0");
  CHECK(nodes.at("/libxl/1/device/vbd/51712/backend") == disk_path);
  CHECK(nodes.at(nic_path + "/bridge") == "xenbr0");
  CHECK(nodes.at(nic_path + "/mac").starts_with("00:16:3e:"));
  CHECK(nodes.at(nic_path + "/mac") == nodes.at("/local/domain/1/device/vif/0/mac"));
  CHECK(nodes.at("/local/domain/1/device/vif/0/trusted") == "0");
  CHECK(nodes.at("/local/domain/1/device/vif/0/mtu") == "1500");
}

TEST_CASE("devices: made-up addresses keep to Xen's range, differ by interface and stay") {
  const measure::Uuid uuid = {std::byte{1}};
  const std::string first = made_up_mac(uuid, 0).value_or("");
  CHECK(first.starts_with("00:16:3e:"));
  CHECK(first == made_up_mac(uuid, 0).value_or(""));
  CHECK(first != made_up_mac(uuid, 1).value_or(""));
  CHECK(measure::validate({}, std::vector<measure::Nic>{{"net", "xenbr0", first}}).has_value());
}

TEST_CASE("devices: what a backend reports ends the build, and nothing is left") {
  WithBackend scene;
  const std::uint32_t id = scene.begin();
  scene.world.nodes[disk_path + "/hotplug-error"] = "/dev/vg0/web does not exist.\x1b[2J";
  scene.say(disk_path, "error");
  const ipc::Response answer = scene.client->wait_final(id);
  REQUIRE(outcome(answer) == "io");
  const std::string message = answer.part.failure.message;
  CHECK(message.find("attaching disk xvda: the domain \"storage\" reports: /dev/vg0/web does not "
                     "exist.") != std::string::npos);
  CHECK(message.find('\x1b') == std::string::npos);
  CHECK(scene.world.count("unpause 1") == 0);
  CHECK_FALSE(scene.world.domains.contains(guest));
  CHECK(scene.world.nodes.at(disk_path + "/online") == "0");
  scene.let_go(disk_path);
  scene.let_go(nic_path);
  CHECK(scene.until([&] { return scene.journal().intents.empty(); }));
  CHECK(scene.backend_nodes() == 0);
}

TEST_CASE(
    "devices: a disk whose target is not there ends the build, though the script is content") {
  WithBackend scene;
  const std::uint32_t id = scene.begin();
  scene.world.nodes[disk_path + "/hotplug-status"] = "connected";
  scene.world.fire(disk_path + "/hotplug-status");
  const ipc::Response answer = scene.client->wait_final(id);
  REQUIRE(outcome(answer) == "io");
  CHECK(std::string(answer.part.failure.message)
            .find("/dev/vg0/web is no block device or file there") != std::string::npos);
}

TEST_CASE("devices: a backend that writes without end does not keep the builder from others") {
  WithBackend scene;
  scene.begin();
  for (std::size_t i = 0; i < 3 * store_events_per_turn; ++i)
    scene.world.fire(disk_path + "/hotplug-status");
  const std::size_t before = scene.world.events.size();
  scene.turn();
  CHECK(scene.world.events.size() == before - store_events_per_turn);
  CHECK(scene.until([&] { return scene.world.events.empty(); }));
}

TEST_CASE("devices: only the boot manifest's domains and domain 0 are backends") {
  WithBackend scene;
  ipc::Request plain = create_request("storage-2", "kernel");
  REQUIRE(done(scene.client->call(plain)));
  for (const char* backend : {"storage-2", "storage-3", "web"}) {
    const ipc::Response answer = scene.client->call(WithBackend::request(backend));
    REQUIRE(outcome(answer) == "not_found");
    CHECK(std::string(answer.part.failure.message)
              .find(fmt::format("finding the backend of disk xvda: \"{}\" is no domain of the boot "
                                "manifest that runs",
                                backend)) != std::string::npos);
  }
  const std::uint32_t id = scene.client->send(WithBackend::request("Domain-0"));
  const std::string path = "/local/domain/0/backend/vbd/2/51712";
  CHECK(scene.until([&] { return scene.world.nodes.contains(path + "/params"); }));
  CHECK_FALSE(scene.client->has_final(id));
}

TEST_CASE("devices: a backend that ends while a build waits for its turn ends the build") {
  WithBackend scene;
  scene.world.hold_construct = true;
  const std::uint32_t id = scene.client->send(WithBackend::request());
  REQUIRE(scene.until([&] { return !scene.world.held.empty(); }));
  scene.world.vanish(storage);
  scene.settle();
  scene.world.release();
  CHECK(outcome(scene.client->wait_final(id)) == "not_found");
  CHECK_FALSE(scene.world.domains.contains(guest));
  CHECK(scene.world.count("unpause 1") == 0);
}

TEST_CASE("devices: a request that a rule without devices would allow is refused") {
  WithBackend scene(open_policy());
  CHECK(outcome(scene.client->call(WithBackend::request())) == "refusal");
}

TEST_CASE(
    "devices: a guest's end is told to its backends before it is destroyed, and they get time") {
  WithBackend scene;
  scene.build();
  bool frontend_at_destroy = true;
  scene.world.before_destroy = [&](std::uint32_t) {
    frontend_at_destroy = scene.world.nodes.contains("/local/domain/1/device/vbd/51712/state");
  };
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  CHECK(scene.world.nodes.at(disk_path + "/state") == "5");
  CHECK(scene.world.nodes.at(nic_path + "/online") == "0");
  CHECK_FALSE(frontend_at_destroy);
  CHECK(scene.journal().ended.size() == 1);
  scene.let_go(nic_path);
  scene.settle();
  CHECK(scene.journal().intents.size() == 1);
  scene.let_go(disk_path);
  CHECK(scene.until([&] { return scene.journal().intents.empty(); }));
  CHECK(scene.journal().ended.empty());
  CHECK(scene.backend_nodes() == 0);
  CHECK(scene.world.watches.size() == 1);
}

TEST_CASE("devices: a backend that has closed its end already stays closed") {
  WithBackend scene;
  scene.build();
  scene.world.nodes[disk_path + "/state"] = "6";
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  CHECK(scene.world.nodes.at(disk_path + "/state") == "6");
  CHECK(scene.world.nodes.at(disk_path + "/online") == "0");
  CHECK(scene.world.nodes.at(nic_path + "/state") == "5");
}

TEST_CASE(
    "devices: the next guest gets a disk when the guest before has let go of it, not earlier") {
  WithBackend scene;
  scene.build();
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  const std::uint32_t id = scene.client->send(WithBackend::request());
  const std::string next = fmt::format("/local/domain/{}/backend/vbd/2/51712", storage);
  REQUIRE(scene.until([&] { return scene.world.domains.contains(2); }));
  scene.settle();
  CHECK_FALSE(scene.world.nodes.contains(next + "/params"));
  scene.let_go(disk_path);
  scene.let_go(nic_path);
  CHECK(scene.until([&] { return scene.world.nodes.contains(next + "/params"); }));
  scene.say(fmt::format("/local/domain/{}/backend/vif/2/0", storage), "connected");
  scene.world.nodes[next + "/physical-device"] = "7:0";
  scene.say(next, "connected");
  CHECK(done(scene.client->wait_final(id)));
}

TEST_CASE("devices: a guest that is destroyed while it waits for its disk gets no nodes later") {
  WithBackend scene;
  scene.build();
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  const std::uint32_t id = scene.client->send(WithBackend::request());
  REQUIRE(scene.until([&] { return scene.world.domains.contains(2); }));
  scene.settle();
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, 2))));
  CHECK(outcome(scene.client->wait_final(id)) == "cancelled");
  scene.let_go(disk_path);
  scene.let_go(nic_path);
  CHECK(scene.until([&] { return scene.journal().intents.empty(); }));
  CHECK(scene.world.count("construct") == 2);
  CHECK_FALSE(scene.world.nodes.contains(
      fmt::format("/local/domain/{}/backend/vbd/2/51712/state", storage)));
}

TEST_CASE("devices: a guest that waits for a backend is listed once, and its memory counted once") {
  WithBackend scene(open_policy("max_domains = 2\n") + "  disks = \"any\"\n  nics = \"any\"\n");
  scene.world.free_memory_kib = 300 << 10; // Xen's, without what the guest has already
  const std::uint32_t build = scene.begin();
  const std::uint32_t id = scene.client->send([] {
    ipc::Request request = ashlar_v1_Request_init_zero;
    request.which_verb = ashlar_v1_Request_list_tag;
    return request;
  }());
  REQUIRE(done(scene.client->wait_final(id)));
  CHECK(scene.client->parts(id, ashlar_v1_Response_domain_tag).size() == 1);
  ipc::Request second = create_request("second", "kernel");
  second.verb.create.memory_kib = 200 << 10;
  second.verb.create.max_memory_kib = 200 << 10;
  CHECK(done(scene.client->call(second)));
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  CHECK(outcome(scene.client->wait_final(build)) == "cancelled"); // and not after the time limit
}

TEST_CASE("devices: guests that wait for a backend do not keep others from being built") {
  WithBackend scene;
  for (const char* name : {"web-1", "web-2", "web-3"}) {
    ipc::Request request = WithBackend::request();
    ipc::set_text(request.verb.create.name, name);
    ipc::set_text(request.verb.create.disks[0].target, std::string("/dev/vg0/") + name);
    scene.client->send(request);
  }
  REQUIRE(scene.until([&] { return scene.world.domains.size() == 4; }));
  CHECK(done(scene.client->call(create_request("plain", "kernel"))));
  CHECK(scene.world.count("unpause") == 1);
}

TEST_CASE("devices: a backend that is gone already is not brought back, and nothing waits for it") {
  WithBackend scene;
  scene.build();
  std::erase_if(scene.world.nodes,
                [](const auto& node) { return node.first.starts_with("/local/domain/100/"); });
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  CHECK(scene.backend_nodes() == 0);
  CHECK(scene.journal().intents.empty());
}

TEST_CASE("devices: a restarted builder goes on with the devices of a guest that had ended") {
  WithBackend scene;
  scene.build();
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  scene.restart();
  CHECK(scene.journal().ended.size() == 1);
  scene.let_go(disk_path);
  scene.let_go(nic_path);
  CHECK(scene.until([&] { return scene.journal().intents.empty(); }));
  CHECK(scene.backend_nodes() == 0);
}

TEST_CASE("devices: a builder killed while backends are waited for leaves no guest") {
  WithBackend scene;
  scene.begin();
  scene.restart();
  CHECK(scene.until([&] { return !scene.world.domains.contains(guest); }));
  CHECK(scene.world.count("unpause 1") == 0);
}

TEST_CASE("devices: what no backend has touched is gone with the guest, and nothing waits for it") {
  WithBackend scene;
  scene.begin();
  scene.world.nodes[disk_path + "/state"] = "2"; // XenbusStateInitWait
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  CHECK_FALSE(scene.world.nodes.contains(nic_path + "/state"));
  CHECK(scene.world.nodes.at(disk_path + "/state") == "5");
  CHECK(scene.journal().ended.size() == 1);
  scene.let_go(disk_path);
  CHECK(scene.until([&] { return scene.journal().intents.empty(); }));
}

TEST_CASE("devices: a restarted builder does not wait for what no backend has touched either") {
  WithBackend scene;
  scene.begin();
  scene.restart();
  CHECK(scene.until([&] { return scene.journal().intents.empty(); }));
  CHECK(scene.journal().ended.empty());
}

TEST_CASE(
    "devices: a running guest keeps them, and their backends, over a restart of the builder") {
  WithBackend scene;
  scene.build();
  scene.restart();
  CHECK(scene.world.nodes.at(disk_path + "/state") == "1");
  scene.connect();
  const std::uint32_t id = scene.client->send(by_domid(ashlar_v1_Request_info_tag, guest));
  REQUIRE(done(scene.client->wait_final(id)));
  const auto shown = scene.client->parts(id, ashlar_v1_Response_domain_tag);
  REQUIRE(shown.size() == 1);
  const ashlar_v1_Domain& domain = shown[0].part.domain;
  REQUIRE(domain.disks_count == 1);
  CHECK(std::string(domain.disks[0].target) == "/dev/vg0/web");
  REQUIRE(domain.nics_count == 1);
  CHECK(std::string(domain.nics[0].mac) == scene.world.nodes.at(nic_path + "/mac"));
  REQUIRE(done(scene.client->call(by_domid(ashlar_v1_Request_destroy_tag, guest))));
  CHECK(scene.world.nodes.at(disk_path + "/online") == "0");
}
