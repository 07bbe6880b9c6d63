// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/constructor/store_nodes.hpp"

#include <fmt/format.h>

namespace ashlar::constructor {

namespace {

// What xenconsoled keeps of output that nobody reads, in bytes (libxl's figure).
constexpr const char* console_buffer_limit = "1048576";

/// The balloon's ceiling as the guest is to understand it, KiB.
///
/// A translated Linux guest compares this with the memory that it finds in its map, and takes the
/// difference for memory that was never populated: it would balloon down by that much at once. The
/// whole map of our PVH guests is populated, so the two must be equal. How far the guest may grow
/// later is Xen's limit on the domain (Linux adds such memory by hotplug, and its user space has to
/// bring it online). A PV guest takes the figure as it is.
std::uint64_t static_max_kib(const measure::DomainConfiguration& configuration) {
  return configuration.type == measure::GuestType::pvh ? configuration.memory_kib
                                                       : configuration.max_memory_kib;
}

/// Collects nodes below one directory, as few messages as possible: each costs xenstored a look at
/// every domain. Directories between are made by xenstored, with the permissions that the one above
/// has then, and not written here. Nor is anything of what libxl writes for the suspending of
/// guests, which nobody can ask for.
class Directory {
public:
  Directory(std::vector<xen::StoreNode>& nodes, std::string path, const xen::Permission& permission)
      : nodes_(nodes), path_(std::move(path)) {
    nodes_.push_back({path_, "", permission});
  }
  void add(const std::string& name, std::string value) {
    nodes_.push_back({path_ + "/" + name, std::move(value), {}});
  }
  /// From now on this one holds for the directory and what is made in it, not for what is there.
  void set(const xen::Permission& permission) { nodes_.push_back({path_, {}, permission}); }
  void set(const std::string& name, const xen::Permission& permission) {
    nodes_.push_back({path_ + "/" + name, {}, permission});
  }

private:
  std::vector<xen::StoreNode>& nodes_;
  std::string path_;
};

void add_rings(Directory& home, const Ring& store, const Ring& console) {
  home.add("store/port", std::to_string(store.port));
  home.add("store/ring-ref", std::to_string(store.page));
  home.add("console/port", std::to_string(console.port));
  home.add("console/ring-ref", std::to_string(console.page));
  home.add("console/limit", console_buffer_limit);
  home.add("console/type", "xenconsoled"); // which adds its tty
}

void add_resources(Directory& home, const measure::DomainConfiguration& configuration) {
  home.add("memory/static-max", std::to_string(static_max_kib(configuration)));
  home.add("memory/target", std::to_string(configuration.memory_kib));
  for (std::uint32_t vcpu = 0; vcpu < configuration.vcpus; vcpu++)
    home.add(fmt::format("cpu/{}/availability", vcpu), "online");
}

} // namespace

std::vector<xen::StoreNode> store_nodes(const Plan& plan, std::uint32_t domid, const Ring& store,
                                        const Ring& console) {
  const std::string uuid = measure::to_string(plan.uuid);
  const xen::Permission read_by_guest{.owner = plan.builder_domid, .reader = domid};
  const xen::Permission written_by_guest{.owner = domid, .reader = {}};
  const xen::Permission ours{.owner = plan.builder_domid, .reader = {}};

  std::vector<xen::StoreNode> nodes;
  // First what the guest answers in: all of it gets its permission from the directory.
  Directory home(nodes, fmt::format("/local/domain/{}", domid), written_by_guest);
  for (const char* name :
       {"control/shutdown", "control/feature-poweroff", "control/feature-reboot",
        "control/feature-suspend", "control/sysrq", "data", "drivers", "feature", "attr", "error"})
    home.add(name, "");
  home.set("control", read_by_guest);
  home.set(read_by_guest);
  home.add("control/platform-feature-xs_reset_watches", "1");
  home.add("vm", "/vm/" + uuid);
  home.add("name", plan.configuration.name);
  home.add("domid", std::to_string(domid));
  add_resources(home, plan.configuration);
  add_rings(home, store, console);

  Directory vm(nodes, "/vm/" + uuid, read_by_guest);
  vm.add("uuid", uuid);
  vm.add("name", plan.configuration.name);

  nodes.push_back(
      {fmt::format("/libxl/{}/type", domid), measure::to_string(plan.configuration.type), ours});
  return nodes;
}

} // namespace ashlar::constructor
