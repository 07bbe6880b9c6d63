// SPDX-License-Identifier: LGPL-2.1-or-later
// What the broker needs from the outside, without Xen: every call can be made to fail, and the
// order of the calls that matter is kept.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ashlar/broker/event_loop.hpp"
#include "ashlar/broker/tpm_manager.hpp"
#include "ashlar/broker/workshop.hpp"
#include "ashlar/ipc/transport.hpp"
#include "ashlar/xen/hypervisor.hpp"
#include "ashlar/xen/store.hpp"

namespace ashlar::broker::test {

/// A machine that outlives the broker under test.
struct World {
  std::vector<std::string> calls; // "construct web", "unpause 1", "destroy 1", …
  std::map<std::uint32_t, xen::DomainStatus> domains;
  std::map<std::uint32_t, int> more_pauses; // of a paused domain, beyond the first
  std::uint32_t next_domid = 1;
  std::uint64_t free_memory_kib = 64ull << 20;

  std::map<std::string, std::string> nodes;
  std::set<std::string> watches;
  std::deque<std::string> events;
  UniqueFd event_fd; // readable while events wait
  std::size_t store_reads = 0;

  std::map<std::string, int> faults; // how many of the next calls of this name fail
  std::optional<Error> inspect_error;
  std::vector<std::string> signed_by;          // what the verifier says of any image
  std::vector<std::string> brought_by;         // and of any signature that comes with a request
  std::optional<measure::Sha256> authenticode; // of every kernel that is looked into
  std::optional<Error> verify_error;
  bool hold_verify = false;
  std::optional<Error> construct_error; // after the domain was created: it is left half-built
  bool hold_inspect = false;            // jobs wait for release()
  bool hold_construct = false;
  std::deque<std::function<void()>> held;
  std::size_t running_jobs = 0;
  std::size_t most_running_jobs = 0;
  std::vector<constructor::Plan> plans;
  std::vector<std::string> loaded; // the bytes of the last construct's kernel and initrds

  bool tpm_manager = false;      // is there one?
  bool hold_tpm_manager = false; // its answers wait for release_tpm_manager()
  std::deque<std::function<void()>> tpm_answers;
  std::vector<tpm::Binding> bindings;
  tpm::HostIdentity identity;

  std::function<void(std::uint32_t)> before_unpause;
  std::function<void(std::uint32_t)> before_destroy;

  World();
  /// True (and one fault fewer) when this call must fail.
  [[nodiscard]] bool fails(const std::string& call);
  [[nodiscard]] std::size_t count(const std::string& prefix) const;
  /// As xenstored does: the broker gets the event when it watches the path or one above it.
  void fire(const std::string& path);
  /// A guest stops by itself.
  void shut_down(std::uint32_t domid, xen::ShutdownReason reason);
  /// Somebody else destroys a domain.
  void vanish(std::uint32_t domid);
  /// Lets the TPM Manager answer what has waited longest.
  void release_tpm_manager();
  /// Lets the job go on that has waited longest.
  void release();
};

[[nodiscard]] std::unique_ptr<xen::Hypervisor> fake_hypervisor(World& world);
[[nodiscard]] std::unique_ptr<xen::Store> fake_store(World& world);
/// Calls are noted as "tpm-put SERIAL", "tpm-bind SERIAL", "tpm-revoke SERIAL", and fail as told.
[[nodiscard]] std::unique_ptr<TpmManager> fake_tpm_manager(World& world);
[[nodiscard]] std::unique_ptr<Workshop> fake_workshop(World& world, EventLoop& loop);

/// One end of a socket pair, which says that it comes from a domain.
[[nodiscard]] std::unique_ptr<ipc::Transport> domain_transport(UniqueFd fd, std::uint32_t domid);

/// The content of an open file, from its start.
[[nodiscard]] std::string content(int fd);

} // namespace ashlar::broker::test
