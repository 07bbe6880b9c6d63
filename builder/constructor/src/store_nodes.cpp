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

/// Collects nodes below one directory. Directories between are made by xenstored, with the
/// permissions of the one above, and not written here: each write costs it a look at every domain.
/// For the same reason there is nothing of what libxl writes for the suspending of guests, which
/// nobody can ask for.
class Directory {
public:
  Directory(std::vector<xen::StoreNode>& nodes, std::string path, const xen::Permission& permission)
      : nodes_(nodes), path_(std::move(path)) {
    nodes_.push_back({path_, "", permission});
  }
  void add(const std::string& name, std::string value,
           const std::optional<xen::Permission>& permission = {}) {
    nodes_.push_back({path_ + "/" + name, std::move(value), permission});
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
  home.add("console/type", "xenconsoled");
  home.add("console/output", "pty"); // xenconsoled adds its tty
}

void add_resources(Directory& home, const measure::DomainConfiguration& configuration) {
  home.add("memory/static-max", std::to_string(static_max_kib(configuration)));
  home.add("memory/target", std::to_string(configuration.memory_kib));
  for (std::uint32_t vcpu = 0; vcpu < configuration.vcpus; vcpu++)
    home.add(fmt::format("cpu/{}/availability", vcpu), "online");
}

} // namespace

std::vector<xen::StoreNode> store_nodes(const Plan& plan, std::uint32_t domid,
                                        std::uint32_t builder_domid, const Ring& store,
                                        const Ring& console) {
  const std::string uuid = measure::to_string(plan.uuid);
  const xen::Permission read_by_guest{.owner = builder_domid, .reader = domid};
  const xen::Permission written_by_guest{.owner = domid, .reader = {}};
  const xen::Permission ours{.owner = builder_domid, .reader = {}};

  std::vector<xen::StoreNode> nodes;
  Directory home(nodes, fmt::format("/local/domain/{}", domid), read_by_guest);
  home.add("vm", "/vm/" + uuid);
  home.add("name", plan.configuration.name);
  home.add("domid", std::to_string(domid));
  add_resources(home, plan.configuration);
  add_rings(home, store, console);
  home.add("control/platform-feature-xs_reset_watches", "1");
  for (const char* name :
       {"control/shutdown", "control/feature-poweroff", "control/feature-reboot",
        "control/feature-suspend", "control/sysrq", "data", "drivers", "feature", "attr", "error"})
    home.add(name, "", written_by_guest);

  Directory vm(nodes, "/vm/" + uuid, read_by_guest);
  vm.add("uuid", uuid);
  vm.add("name", plan.configuration.name);

  Directory libxl(nodes, fmt::format("/libxl/{}", domid), ours);
  libxl.add("device", "");
  libxl.add("type", measure::to_string(plan.configuration.type));
  return nodes;
}

} // namespace ashlar::constructor
