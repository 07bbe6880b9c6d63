// SPDX-License-Identifier: LGPL-2.1-or-later
#include "fakes.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ashlar::broker::test {

namespace {

std::unexpected<Error> fault(const std::string& call) {
  return failure(ErrorCode::io, call, "a fault of the test", EIO);
}

class FakeHypervisor final : public xen::Hypervisor {
public:
  explicit FakeHypervisor(World& world) : world_(world) {}

  Result<std::vector<xen::DomainStatus>> domains() override {
    if (world_.fails("domains"))
      return fault("listing");
    std::vector<xen::DomainStatus> all;
    for (const auto& [domid, status] : world_.domains)
      all.push_back(status);
    return all;
  }

  Result<std::optional<xen::DomainStatus>> domain(std::uint32_t domid) override {
    if (world_.fails("domain"))
      return fault("looking");
    const auto found = world_.domains.find(domid);
    return found == world_.domains.end() ? std::nullopt : std::optional(found->second);
  }

  Status pause(std::uint32_t domid) override { return set_paused("pause", domid, true); }

  Status unpause(std::uint32_t domid) override {
    if (world_.before_unpause)
      world_.before_unpause(domid);
    return set_paused("unpause", domid, false);
  }

  Status destroy(std::uint32_t domid, const measure::Uuid& uuid) override {
    if (world_.before_destroy)
      world_.before_destroy(domid);
    world_.calls.push_back(fmt::format("destroy {}", domid));
    if (world_.fails("destroy"))
      return fault("destroying");
    const auto found = world_.domains.find(domid);
    if (found != world_.domains.end() && found->second.uuid == uuid)
      world_.domains.erase(found);
    return {};
  }

  Result<std::uint64_t> free_memory_kib() override { return world_.free_memory_kib; }

private:
  Status set_paused(const std::string& call, std::uint32_t domid, bool paused) {
    world_.calls.push_back(fmt::format("{} {}", call, domid));
    const auto found = world_.domains.find(domid);
    if (world_.fails(call) || found == world_.domains.end())
      return fault(call);
    // Xen counts, and has nothing to take back of a domain that runs.
    int& more = world_.more_pauses[domid];
    if (paused && found->second.paused)
      ++more;
    else if (!paused && !found->second.paused)
      return fault(call);
    else if (!paused && more > 0)
      --more;
    else
      found->second.paused = paused;
    return {};
  }
  World& world_;
};

class FakeStore final : public xen::Store {
public:
  explicit FakeStore(World& world) : world_(world) { world_.watches.clear(); }

  int descriptor() const override { return world_.event_fd.value(); }
  Status watch(const std::string& path) override {
    if (world_.fails("watch"))
      return fault("watching");
    world_.watches.insert(path);
    return {};
  }
  Status unwatch(const std::string& path) override {
    world_.watches.erase(path);
    return {};
  }
  std::optional<std::string> next_event() override {
    if (world_.events.empty()) {
      eventfd_t count = 0; // readable while events wait, as libxenstore's descriptor
      static_cast<void>(eventfd_read(world_.event_fd.value(), &count));
      return std::nullopt;
    }
    std::string path = world_.events.front();
    world_.events.pop_front();
    return path;
  }
  Result<std::string> read(const std::string& path) override {
    ++world_.store_reads;
    const auto found = world_.nodes.find(path);
    if (found == world_.nodes.end())
      return failure(ErrorCode::not_found, "reading " + path, "no such node");
    return found->second;
  }
  Status write(const std::string& path, const std::string& value) override {
    world_.nodes[path] = value;
    return {};
  }
  Result<std::vector<std::string>> list(const std::string& path) override {
    std::vector<std::string> names;
    for (const auto& [node, value] : world_.nodes)
      if (node.starts_with(path + "/"))
        names.push_back(node.substr(path.size() + 1));
    return names;
  }
  Status remove(const std::string& path) override {
    std::erase_if(world_.nodes, [&path](const auto& node) { return node.first.starts_with(path); });
    return {};
  }
  Status replace(const std::string& stale, const std::vector<xen::StoreNode>& nodes) override {
    if (world_.fails("replace"))
      return fault("writing " + stale);
    TRY(remove(stale));
    for (const xen::StoreNode& node : nodes)
      TRY(write(node.path, node.value.value()));
    return {};
  }
  Status update(const std::string& path, const std::vector<xen::StoreNode>& nodes) override {
    if (world_.fails("update"))
      return fault("changing " + path);
    for (const xen::StoreNode& node : nodes)
      if (world_.nodes.contains(path) && (!node.unless || world_.nodes[node.path] != *node.unless))
        TRY(write(node.path, node.value.value()));
    return {};
  }
  Status remove_domain(std::uint32_t domid, const measure::Uuid&) override {
    world_.calls.push_back(fmt::format("remove-nodes {}", domid));
    if (world_.fails("remove-nodes"))
      return fault("removing nodes");
    return remove(fmt::format("/local/domain/{}/", domid));
  }
  Status request_shutdown(std::uint32_t domid, const std::string& how) override {
    return write(fmt::format("/local/domain/{}/control/shutdown", domid), how);
  }

private:
  World& world_;
};

/// Counts as running for as long as it exists; its work is not called after that.
class FakeJob final : public Job {
public:
  FakeJob(World& world, EventLoop& loop, bool hold, std::function<void()> work)
      : world_(world), loop_(loop), alive_(std::make_shared<bool>(true)) {
    world_.most_running_jobs = std::max(world_.most_running_jobs, ++world_.running_jobs);
    auto guarded = [alive = alive_, work = std::move(work)] {
      if (*alive)
        work();
    };
    if (hold)
      world_.held.push_back(std::move(guarded));
    else
      timer_ = loop_.after(std::chrono::milliseconds(0), std::move(guarded));
  }
  FakeJob(const FakeJob&) = delete;
  FakeJob& operator=(const FakeJob&) = delete;
  ~FakeJob() override {
    *alive_ = false;
    loop_.forget(timer_);
    --world_.running_jobs;
  }

private:
  World& world_;
  EventLoop& loop_;
  std::shared_ptr<bool> alive_;
  EventLoop::Id timer_ = 0;
};

class FakeWorkshop final : public Workshop {
public:
  FakeWorkshop(World& world, EventLoop& loop) : world_(world), loop_(loop) {}

  Result<std::unique_ptr<Job>> inspect(const Image& kernel, Inspected done) override {
    world_.calls.push_back("inspect");
    if (world_.fails("inspect"))
      return fault("starting the inspector");
    const std::uint64_t size = kernel.size;
    return std::make_unique<FakeJob>(world_, loop_, world_.hold_inspect,
                                     [this, size, done = std::move(done)] {
                                       if (world_.inspect_error)
                                         return done(std::unexpected(*world_.inspect_error));
                                       InspectedKernel kernel_form;
                                       kernel_form.description.plain_bytes = size;
                                       kernel_form.description.pv = true;
                                       kernel_form.description.pvh = true;
                                       done(std::move(kernel_form));
                                     });
  }

  Result<std::unique_ptr<Job>> verify(const SignatureQuery& query, const policy::Signers& signers,
                                      Verified done) override {
    std::string what = query.look_inside ? content(query.look_inside->file.value()) : "";
    for (const SignatureQuery::Brought& brought : query.brought)
      what += fmt::format(
          "[{} of {}]",
          std::string_view(reinterpret_cast<const char*>(brought.signature.message.data()),
                           brought.signature.message.size()),
          brought.label);
    world_.calls.push_back(fmt::format("verify {} {}", what, fmt::join(signers.names, ",")));
    if (world_.fails("verify"))
      return fault("starting the verifier");
    return std::make_unique<FakeJob>(
        world_, loop_, world_.hold_verify,
        [this, brought = query.brought.size(), done = std::move(done)] {
          if (world_.verify_error)
            return done(std::unexpected(*world_.verify_error));
          done(FoundSigners{world_.signed_by, world_.authenticode,
                            std::vector(brought, world_.brought_by)});
        });
  }

  Result<std::unique_ptr<Job>> construct(const constructor::Plan& plan, int kernel,
                                         const std::vector<int>& initrds,
                                         Constructed done) override {
    world_.calls.push_back("construct " + plan.configuration.name);
    if (world_.fails("construct"))
      return fault("starting the constructor");
    world_.plans.push_back(plan);
    world_.loaded = {content(kernel)};
    for (const int initrd : initrds)
      world_.loaded.push_back(content(initrd));
    const std::uint32_t domid = world_.next_domid++;
    xen::DomainStatus status;
    status.domid = domid;
    status.uuid = plan.uuid;
    status.paused = true;
    status.memory_kib = plan.configuration.memory_kib;
    world_.domains[domid] = status;
    return std::make_unique<FakeJob>(world_, loop_, world_.hold_construct,
                                     [this, domid, done = std::move(done)] {
                                       if (world_.construct_error)
                                         return done(std::unexpected(*world_.construct_error));
                                       done(domid);
                                     });
  }

private:
  World& world_;
  EventLoop& loop_;
};

class DomainTransport final : public ipc::Transport {
public:
  DomainTransport(UniqueFd fd, std::uint32_t domid) : fd_(std::move(fd)), domid_(domid) {}
  ipc::TransportPeer peer() const override { return ipc::VchanPeer{domid_}; }
  int descriptor() const override { return fd_.value(); }
  bool polls_for_room() const override { return true; }
  void acknowledge() override {}
  Result<std::size_t> read(std::span<std::byte> buffer) override {
    const ssize_t count = recv(fd_.value(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count == 0 && !buffer.empty())
      return failure(ErrorCode::peer_closed, "reading", "the peer closed the connection");
    return moved(count);
  }
  Result<std::size_t> write(std::span<const std::byte> bytes) override {
    return moved(send(fd_.value(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }

private:
  static Result<std::size_t> moved(ssize_t count) {
    if (count >= 0)
      return static_cast<std::size_t>(count);
    if (errno == EAGAIN)
      return std::size_t{0};
    return errno_failure("using a socket pair");
  }
  UniqueFd fd_;
  std::uint32_t domid_;
};

} // namespace

World::World() : event_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

bool World::fails(const std::string& call) {
  const auto found = faults.find(call);
  if (found == faults.end() || found->second == 0)
    return false;
  --found->second;
  return true;
}

std::size_t World::count(const std::string& prefix) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      calls, [&prefix](const std::string& call) { return call.starts_with(prefix); }));
}

void World::fire(const std::string& path) {
  const bool watched = std::ranges::any_of(
      watches, [&path](const std::string& watch) { return path.starts_with(watch); });
  if (!watched)
    return;
  events.push_back(path);
  static_cast<void>(eventfd_write(event_fd.value(), 1));
}

void World::shut_down(std::uint32_t domid, xen::ShutdownReason reason) {
  domains.at(domid).shutdown = reason;
  fire("@releaseDomain");
}

void World::vanish(std::uint32_t domid) {
  domains.erase(domid);
  fire("@releaseDomain");
}

void World::release() {
  const std::function<void()> work = std::move(held.front());
  held.pop_front();
  work();
}

std::unique_ptr<xen::Hypervisor> fake_hypervisor(World& world) {
  return std::make_unique<FakeHypervisor>(world);
}
std::unique_ptr<xen::Store> fake_store(World& world) {
  return std::make_unique<FakeStore>(world);
}
std::unique_ptr<Workshop> fake_workshop(World& world, EventLoop& loop) {
  return std::make_unique<FakeWorkshop>(world, loop);
}
std::unique_ptr<ipc::Transport> domain_transport(UniqueFd fd, std::uint32_t domid) {
  return std::make_unique<DomainTransport>(std::move(fd), domid);
}

std::string content(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0)
    return {};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t count = pread(fd, text.data(), text.size(), 0);
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return text;
}

} // namespace ashlar::broker::test
