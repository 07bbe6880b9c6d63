// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine.hpp"

#include <sys/socket.h>

#include <filesystem>

#include <doctest/doctest.h>

namespace ashlar::broker::test {

namespace {

Journal open_journal(const std::string& path) {
  Result<Journal::Opened> opened = Journal::open(path);
  REQUIRE(opened);
  return std::move(opened->journal);
}

Domain requester_domain(std::uint32_t domid, const std::string& name) {
  Domain domain;
  domain.record.serial = 100 + domid;
  domain.record.domid = domid;
  domain.record.uuid = {std::byte{0x77}, std::byte(domid)};
  domain.record.requester = "boot";
  domain.configuration.name = name;
  domain.requester = true;
  return domain;
}

} // namespace

std::string tenants_policy() {
  return "version = 1\n"
         "[[requester]]\nname = \"red\"\ndomain = \"red\"\n"
         "[[requester]]\nname = \"blue\"\ndomain = \"blue\"\n"
         "[[requester]]\nname = \"operator\"\ndomain = \"operator\"\nsees = \"all\"\n"
         "[[rule]]\nname = \"all\"\neffect = \"allow\"\n"
         "requesters = [\"red\", \"blue\", \"operator\"]\nverbs = \"any\"\n"
         "  [rule.guest]\n  kernels = \"any\"\n  initrds = \"any\"\n  command_lines = \"any\"\n";
}

Settings Engine::settings_in(const std::string& directory, const std::string& policy) {
  Settings settings;
  settings.policy_directory = directory;
  settings.run_directory = directory;
  settings.console_log_directory = directory;
  write_file(directory + "/10-test.toml", policy);
  return settings;
}

Engine::Engine(const std::string& policy)
    : settings(settings_in(directory.path(), policy)), hypervisor_(fake_hypervisor(world)),
      store_(fake_store(world)), workshop_(fake_workshop(world, loop)),
      manager_(fake_tpm_manager(world)), journal_(open_journal(directory.path() + "/journal")),
      policy_(directory.path(), directory.path() + "/releases"), images_(default_store_bytes),
      devices_(loop, *store_, settings.device_time),
      domains(*hypervisor_, *store_, journal_, *manager_, devices_),
      inspections_(*workshop_, images_), builds_(*workshop_, inspections_, domains, journal_,
                                                 *manager_, devices_, "builder of the test", 1),
      services_{loop,    settings,  *hypervisor_, *store_,      journal_, policy_,
                images_, fd_store_, domains,      inspections_, builds_,  *manager_},
      sessions(services_) {
  REQUIRE(policy_.reload());
  domains.on_change([this] { sessions.domains_changed(); });
}

Engine::~Engine() {
  domains.on_change([] {});
}

Client Engine::connect(std::uint32_t domid, const std::string& name) {
  if (!domains.find(domid)) {
    const Domain domain = requester_domain(domid, name);
    xen::DomainStatus status;
    status.domid = domid;
    status.uuid = domain.uuid();
    world.domains[domid] = status;
    domains.adopt(domain);
  }
  int ends[2] = {-1, -1};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  sessions.add(domain_transport(UniqueFd(ends[0]), domid), policy::DomainPeer{name, ""});
  Client client(domain_transport(UniqueFd(ends[1]), 0), [this] { turn(); });
  client.hello();
  return client;
}

void Engine::turn() {
  REQUIRE(loop.turn(std::chrono::milliseconds(1)));
}

} // namespace ashlar::broker::test
