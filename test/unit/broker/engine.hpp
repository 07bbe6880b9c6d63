// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "ashlar/broker/lifecycle.hpp"
#include "ashlar/broker/services.hpp"
#include "ashlar/broker/sessions.hpp"
#include "fakes.hpp"
#include "scene.hpp"

namespace ashlar::broker::test {

/// The engine's parts put together as the broker does it, with connections that come from domains:
/// a test can be any tenant, which it cannot on a Unix socket.
class Engine {
public:
  explicit Engine(const std::string& policy);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// A greeted client in the domain `domid` named `name`, which is made if there is none: as the
  /// boot manifest makes domains that may connect.
  [[nodiscard]] Client connect(std::uint32_t domid, const std::string& name);
  void turn();

  TemporaryDirectory directory;
  World world;
  Settings settings;
  EventLoop loop;

private:
  static Settings settings_in(const std::string& directory, const std::string& policy);
  std::unique_ptr<xen::Hypervisor> hypervisor_;
  std::unique_ptr<xen::Store> store_;
  std::unique_ptr<Workshop> workshop_;
  std::unique_ptr<TpmManager> manager_;
  FdStore fd_store_;
  Journal journal_;
  PolicyHolder policy_;
  ImageStore images_;

  Devices devices_;

public:
  Domains domains;

private:
  Inspections inspections_;
  Builds builds_;
  Services services_;

public:
  Sessions sessions;
};

/// Two tenants, "red" and "blue", who may do everything with what is theirs, and "operator", who
/// sees all.
[[nodiscard]] std::string tenants_policy();

} // namespace ashlar::broker::test
