// SPDX-License-Identifier: LGPL-2.1-or-later
// What must be the same before and after a system test, as one text: domains, xenstore, processes.
// With the word "free": Xen's free memory in MiB. It asks Xen's libraries, not ours; a dozen shell
// commands would take seconds of the emulated processor after each test.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

extern "C" { // which these headers do not say themselves
#include <xenctrl.h>
#include <xenstore.h>
}

namespace {

using Control = std::unique_ptr<xc_interface, decltype(&xc_interface_close)>;
using Store = std::unique_ptr<xs_handle, decltype(&xs_close)>;

constexpr unsigned most_domains = 1024;
// Each connection is a node below its client's directory, which may stay as long as the client
// lives.
constexpr const char* rings = "/local/domain/0/data/ashlar";

/// A failure must not look like a machine without domains.
[[noreturn]] void give_up(const std::string& doing) {
  fmt::print(stderr, "ashlar-machine-state: {} failed\n", doing);
  std::exit(1);
}

std::vector<std::string> children(xs_handle* store, const std::string& path) {
  unsigned count = 0;
  const std::unique_ptr<char*, decltype(&std::free)> list(
      xs_directory(store, XBT_NULL, path.c_str(), &count), &std::free);
  if (!list && errno != ENOENT)
    give_up("listing " + path);
  return list ? std::vector<std::string>(list.get(), list.get() + count)
              : std::vector<std::string>();
}

std::string read(xs_handle* store, const std::string& path) {
  unsigned size = 0;
  const std::unique_ptr<void, decltype(&std::free)> value(
      xs_read(store, XBT_NULL, path.c_str(), &size), &std::free);
  return value ? std::string(static_cast<const char*>(value.get()), size) : "(none)";
}

std::string sorted(std::vector<std::string> words) {
  std::ranges::sort(words);
  return fmt::format("{}", fmt::join(words, " "));
}

// The domains that Xen has, whatever xenstore says.
std::vector<std::string> domains(xc_interface* control, xs_handle* store) {
  std::vector<xc_domaininfo_t> found(most_domains);
  const int count = xc_domain_getinfolist(control, 0, most_domains, found.data());
  if (count < 1) // domain 0 is always there
    give_up("listing the domains");
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i)
    names.push_back(read(
        store, fmt::format("/local/domain/{}/name", found[static_cast<std::size_t>(i)].domain)));
  return names;
}

std::size_t ring_nodes(xs_handle* store) {
  std::size_t count = 0;
  for (const std::string& domid : children(store, rings)) {
    count += children(store, fmt::format("{}/{}", rings, domid)).size();
    if (read(store, fmt::format("/local/domain/{}/name", domid)) == "(none)")
      ++count;
  }
  return count;
}

// Processes whose names begin so: the kernel keeps 15 characters of a name.
std::size_t processes(std::string_view prefix) {
  std::size_t count = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", gone)) {
    std::string name;
    std::ifstream(entry.path() / "comm") >> name;
    count += name.starts_with(prefix) ? 1 : 0;
  }
  return count;
}

} // namespace

int main(int count, char** words) {
  const Control control(xc_interface_open(nullptr, nullptr, 0), &xc_interface_close);
  if (!control)
    give_up("opening the hypervisor's interface");
  if (count > 1 && std::string_view(words[1]) == "free") {
    xc_physinfo_t info{};
    if (xc_physinfo(control.get(), &info) != 0)
      give_up("asking for the free memory");
    fmt::print("{}\n", info.free_pages >> (20 - XC_PAGE_SHIFT));
    return 0;
  }
  const Store store(xs_open(0), &xs_close);
  if (!store)
    give_up("connecting to xenstored");
  fmt::print("domains: {}\n", sorted(domains(control.get(), store.get())));
  fmt::print("xenstore domains: {}\n", sorted(children(store.get(), "/local/domain")));
  fmt::print("xenstore vm: {}\n", children(store.get(), "/vm").size());
  fmt::print("xenstore libxl: {}\n", children(store.get(), "/libxl").size());
  fmt::print("vchan nodes: {}\n", ring_nodes(store.get()));
  fmt::print("builders: {}\n", processes("ashlar-builder"));
  fmt::print("builder's children: {}\n", processes("ashlar-inspecto") +
                                             processes("ashlar-verifier") +
                                             processes("ashlar-construc"));
  return 0;
}
