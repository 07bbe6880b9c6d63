// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "ashlar/constructor/store_nodes.hpp"

using namespace ashlar;
using constructor::Plan, xen::StoreNode;

namespace {

constexpr std::uint32_t guest = 7;
constexpr std::uint32_t builder = 2;
const std::string uuid = "00112233-4455-6677-8899-aabbccddeeff";

Plan sample(measure::GuestType type) {
  Plan plan;
  plan.uuid = *measure::uuid_from_text(uuid);
  plan.configuration.name = "web";
  plan.configuration.type = type;
  plan.configuration.vcpus = 2;
  plan.configuration.memory_kib = 262144;
  plan.configuration.max_memory_kib = 524288;
  plan.builder_domid = builder;
  return plan;
}

std::vector<StoreNode> nodes_of(measure::GuestType type) {
  return constructor::store_nodes(sample(type), guest, {.page = 1234, .port = 1},
                                  {.page = 1235, .port = 2});
}

struct Stored {
  std::string value;
  xen::Permission permission;
};

/// What is in xenstore when the nodes have been written in their order: a new node, and each
/// directory above that is not there yet, gets the permission that its parent has at that moment.
std::map<std::string, Stored> stored(measure::GuestType type) {
  const xen::Permission domain0{.owner = 0, .reader = {}};
  std::map<std::string, Stored> store = {{"", {"", domain0}}};
  for (const StoreNode& node : nodes_of(type)) {
    REQUIRE((node.value || store.contains(node.path)));
    for (auto end = node.path.find('/', 1);; end = node.path.find('/', end + 1)) {
      const std::string path = node.path.substr(0, end);
      const xen::Permission inherited = store.at(path.substr(0, path.rfind('/'))).permission;
      store.try_emplace(path, "", inherited);
      if (end == std::string::npos)
        break;
    }
    Stored& written = store.at(node.path);
    written.value = node.value.value_or(written.value);
    written.permission = node.permission.value_or(written.permission);
  }
  return store;
}

std::map<std::string, std::string> values_of(measure::GuestType type) {
  std::map<std::string, std::string> values;
  for (const auto& [path, node] : stored(type))
    values[path] = node.value;
  return values;
}

} // namespace

TEST_CASE("store nodes: a guest finds what it boots with") {
  auto values = values_of(measure::GuestType::pv);
  CHECK(values["/local/domain/7/domid"] == "7");
  CHECK(values["/local/domain/7/name"] == "web");
  CHECK(values["/local/domain/7/vm"] == "/vm/" + uuid);
  CHECK(values["/local/domain/7/store/ring-ref"] == "1234");
  CHECK(values["/local/domain/7/store/port"] == "1");
  CHECK(values["/local/domain/7/console/ring-ref"] == "1235");
  CHECK(values["/local/domain/7/console/port"] == "2");
  CHECK(values["/local/domain/7/console/type"] == "xenconsoled");
  CHECK(values["/local/domain/7/cpu/1/availability"] == "online");
  CHECK_FALSE(values.contains("/local/domain/7/cpu/2/availability"));
  CHECK(values["/local/domain/7/memory/target"] == "262144");
}

TEST_CASE("store nodes: tools find the domain's type and name") {
  auto values = values_of(measure::GuestType::pvh);
  CHECK(values["/libxl/7/type"] == "pvh");
  CHECK(values["/vm/" + uuid + "/name"] == "web");
  CHECK(values["/vm/" + uuid + "/uuid"] == uuid);
}

TEST_CASE(
    "store nodes: a PV balloon may grow to the ceiling, a PVH guest has all that its map says") {
  CHECK(values_of(measure::GuestType::pv)["/local/domain/7/memory/static-max"] == "524288");
  CHECK(values_of(measure::GuestType::pvh)["/local/domain/7/memory/static-max"] == "262144");
}

TEST_CASE("store nodes: a guest writes where it is to answer, and nowhere else") {
  std::set<std::string> writable;
  for (const auto& [path, node] : stored(measure::GuestType::pvh))
    if (node.permission.owner == guest)
      writable.insert(path.substr(std::string("/local/domain/7/").size()));
  CHECK(writable == std::set<std::string>{"attr", "control/feature-poweroff",
                                          "control/feature-reboot", "control/feature-suspend",
                                          "control/shutdown", "control/sysrq", "data", "drivers",
                                          "error", "feature"});
}

TEST_CASE(
    "store nodes: the guest reads its own nodes but not the tools', and others read nothing") {
  for (const auto& [path, node] : stored(measure::GuestType::pv)) {
    CAPTURE(path);
    if (node.permission.owner == guest)
      CHECK_FALSE(node.permission.reader);
    else if (path.starts_with("/local/domain/7") || path.starts_with("/vm/" + uuid))
      CHECK(node.permission == xen::Permission{.owner = builder, .reader = guest});
    else if (path == "/libxl/7/type")
      CHECK(node.permission == xen::Permission{.owner = builder, .reader = {}});
    else // made by the way, as in a store without any domain
      CHECK(node.permission == xen::Permission{.owner = 0, .reader = {}});
  }
}

TEST_CASE("store nodes: no node is written twice, and none that xenstored makes by itself") {
  std::set<std::string> seen;
  std::set<std::string> directories;
  for (const StoreNode& node : nodes_of(measure::GuestType::pv)) {
    if (!node.value)
      continue;
    CHECK_FALSE(directories.contains(node.path));
    CHECK(seen.insert(node.path).second);
    directories.insert(node.path.substr(0, node.path.rfind('/')));
  }
}
