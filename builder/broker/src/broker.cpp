// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/broker.hpp"

#include <poll.h>

#include "ashlar/base/log.hpp"
#include "ashlar/broker/boot.hpp"
#include "ashlar/broker/limits.hpp"
#include "ashlar/broker/recovery.hpp"
#include "ashlar/broker/version.hpp"

namespace ashlar::broker {

namespace {
/// xenstored fires this special watch when a domain has stopped or is gone.
constexpr char release_domain[] = "@releaseDomain";
} // namespace

Broker::Broker(EventLoop& loop, const Settings& settings, Outside outside, FdStore fd_store,
               Journal journal, std::uint64_t next_serial)
    : loop_(loop), outside_(std::move(outside)), fd_store_(std::move(fd_store)),
      journal_(std::move(journal)),
      policy_(settings.policy_directory, settings.run_directory + "/releases"),
      images_(settings.store_bytes), devices_(loop_, *outside_.store, settings.device_time),
      domains_(*outside_.hypervisor, *outside_.store, journal_, *outside_.manager, devices_),
      inspections_(*outside_.workshop, images_),
      builds_(*outside_.workshop, inspections_, domains_, journal_, *outside_.manager, devices_,
              builder_version, next_serial),
      services_{loop_,           settings,  *outside_.hypervisor,
                *outside_.store, journal_,  policy_,
                images_,         fd_store_, domains_,
                inspections_,    builds_,   *outside_.manager},
      lifecycle_(services_), vtpms_(services_), sessions_(services_) {
  builds_.set_vtpms(&vtpms_);
  domains_.on_change([this] {
    sessions_.domains_changed();
    vtpms_.domains_changed();
  });
}

Broker::~Broker() {
  loop_.forget(store_watch_);
  domains_.on_change([] {});
}

Result<std::unique_ptr<Broker>> Broker::start(EventLoop& loop, const Settings& settings,
                                              Outside outside, FdStore fd_store) {
  const std::string journal_path = settings.run_directory + "/journal";
  Journal::Opened opened = TRY(Journal::open(journal_path));
  if (opened.cut)
    log::warning("the last entry of {} was incomplete and is dropped", journal_path);
  std::unique_ptr<Broker> broker(new Broker(loop, settings, std::move(outside), std::move(fd_store),
                                            std::move(opened.journal), opened.state.next_serial));
  TRY(broker->policy_.reload());
  TRY(broker->watch_store());
  TRY(recover(broker->services_, opened.state));
  // What died while the builder was down fired its watch to nobody.
  broker->lifecycle_.check();
  if (!settings.socket.empty())
    TRY(broker->sessions_.listen(settings.socket));
  if (const Status told = broker->fd_store_.ready("taking requests"); !told)
    log::warning("{}", told.error().message());
  return broker;
}

Status Broker::watch_store() {
  TRY(outside_.store->watch(release_domain));
  store_watch_ =
      loop_.watch(outside_.store->descriptor(), POLLIN, [this](short) { store_ready(); });
  return {};
}

void Broker::store_ready() {
  bool released = false;
  // Whoever writes to a watched node without end shall not keep the broker from everybody else: the
  // descriptor stays readable while events wait.
  for (std::size_t taken = 0; taken < store_events_per_turn; ++taken) {
    const std::optional<std::string> path = outside_.store->next_event();
    if (!path)
      break;
    if (*path == release_domain) {
      released = true;
      continue;
    }
    sessions_.store_changed(*path);
    vtpms_.store_changed(*path);
    devices_.store_changed(*path);
  }
  if (released)
    lifecycle_.check();
}

void Broker::boot(const std::vector<BootDomain>& domains) {
  start_boot_domains(services_, domains);
}

void Broker::reload_policy() {
  if (const Status reloaded = policy_.reload(); !reloaded)
    log::error("{}; the policy before it stays in force", reloaded.error().message());
}

} // namespace ashlar::broker
