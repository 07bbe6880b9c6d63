// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-constructor: builds one domain and ends. The process contract is in plan.hpp.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/base/mapping.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/constructor/construct.hpp"
#include "ashlar/constructor/plan.hpp"
#include "ashlar/xen/control.hpp"
#include "ashlar/xen/store_connection.hpp"
#include "src/confinement.hpp"

namespace {

using namespace ashlar;

Result<Mapping> map_sealed(int fd, const std::string& what) {
  TRY(require_sealed(fd, what));
  return Mapping::of(fd, what);
}

struct Images {
  Mapping kernel;
  std::vector<Mapping> initrds;
  std::vector<std::span<const std::byte>> initrd_bytes;
};

Result<Images> map_images(const constructor::Plan& plan) {
  Images images;
  images.kernel = TRY(map_sealed(constructor::kernel_fd, "the kernel"));
  for (std::uint32_t i = 0; i < plan.initrd_count; i++)
    images.initrds.push_back(TRY(map_sealed(constructor::first_initrd_fd + static_cast<int>(i),
                                            fmt::format("initrd {}", i + 1))));
  for (const Mapping& initrd : images.initrds)
    images.initrd_bytes.push_back(initrd.bytes());
  return images;
}

Status report(const constructor::Outcome& outcome) {
  return write_all(constructor::outcome_fd, constructor::encode(outcome),
                   "the outcome to the builder");
}

/// Returns only when it has failed.
Status run(int parent) {
  TRY(constructor::die_with_parent(parent, constructor::outcome_fd));
  const Mapping encoded = TRY(map_sealed(constructor::plan_fd, "the build plan"));
  const constructor::Plan plan = TRY(constructor::decode_plan(encoded.bytes()));
  TRY(constructor::close_from(constructor::first_initrd_fd + static_cast<int>(plan.initrd_count)));
  const auto control = TRY(xen::Control::open());
  const auto store = TRY(xen::StoreConnection::open());
  TRY(constructor::confine());
  const Images images = TRY(map_images(plan));
  constructor::DomainGuard guard = TRY(
      constructor::construct(*control, *store, plan, images.kernel.bytes(), images.initrd_bytes));
  // When nobody could be told of the domain, the guard takes it away again.
  TRY(report({.domid = guard.domid()}));
  guard.commit();
  // Here, with everything mapped: see build_image(). The broker goes on when this process has
  // ended, and a guest does not run before that.
  _exit(EXIT_SUCCESS);
}

log::Level chosen_level() {
  const char* text = std::getenv("ASHLAR_LOG_LEVEL");
  return text != nullptr && std::string_view(text) == "debug" ? log::Level::debug
                                                              : log::Level::info;
}

} // namespace

int main() {
  const int parent = getppid();
  log::start("ashlar-constructor", chosen_level());
  std::signal(SIGPIPE, SIG_IGN);
  const Status failed = run(parent);
  log::error("{}", failed.error().message());
  // Without anybody to read it, the log has to do.
  [[maybe_unused]] const Status ignored = report({.domid = std::unexpected(failed.error())});
  return EXIT_FAILURE;
}
