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
  return plan;
}

std::vector<StoreNode> nodes_of(measure::GuestType type) {
  return constructor::store_nodes(sample(type), guest, builder, {.page = 1234, .port = 1},
                                  {.page = 1235, .port = 2});
}

std::map<std::string, std::string> values_of(measure::GuestType type) {
  std::map<std::string, std::string> values;
  for (const StoreNode& node : nodes_of(type))
    values[node.path] = node.value;
  return values;
}

/// The permission that holds for a node: its own, or that of the nearest node above with one.
xen::Permission effective(const std::vector<StoreNode>& nodes, std::string path) {
  for (; !path.empty(); path.resize(path.rfind('/')))
    for (const StoreNode& node : nodes)
      if (node.path == path && node.permission)
        return *node.permission;
  FAIL("no permission holds");
  return {};
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
  const auto nodes = nodes_of(measure::GuestType::pvh);
  std::set<std::string> writable;
  for (const StoreNode& node : nodes)
    if (effective(nodes, node.path).owner == guest)
      writable.insert(node.path.substr(std::string("/local/domain/7/").size()));
  CHECK(writable == std::set<std::string>{"attr", "control/feature-poweroff",
                                          "control/feature-reboot", "control/feature-suspend",
                                          "control/shutdown", "control/sysrq", "data", "drivers",
                                          "error", "feature"});
}

TEST_CASE(
    "store nodes: the guest reads its own nodes but not the tools', and others read nothing") {
  const auto nodes = nodes_of(measure::GuestType::pv);
  for (const StoreNode& node : nodes) {
    const xen::Permission permission = effective(nodes, node.path);
    if (permission.owner == guest)
      CHECK_FALSE(permission.reader);
    else if (node.path.starts_with("/libxl"))
      CHECK(permission == xen::Permission{.owner = builder, .reader = {}});
    else
      CHECK(permission == xen::Permission{.owner = builder, .reader = guest});
  }
}

TEST_CASE("store nodes: what others inherit permissions from comes first, and no node twice") {
  std::set<std::string> seen;
  for (const StoreNode& node : nodes_of(measure::GuestType::pv)) {
    const std::string root =
        node.path.substr(0, node.path.find('/', node.path.starts_with("/local") ? 14 : 7));
    CHECK((root == node.path || seen.contains(root)));
    // xenstored makes it by itself for the first node below it, with the root's permissions.
    const std::string parent = node.path.substr(0, node.path.rfind('/'));
    CHECK((parent == root || root == node.path || !seen.contains(parent)));
    CHECK(seen.insert(node.path).second);
  }
}
