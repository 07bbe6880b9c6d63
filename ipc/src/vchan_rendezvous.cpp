// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's side of meeting the builder: see vchan.hpp for the steps.
extern "C" {
#include <libxenvchan.h>
#include <xenstore.h>
}
#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>

#include "ashlar/base/bytes.hpp"
#include "ashlar/ipc/vchan.hpp"

namespace ashlar::ipc {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view refused_prefix = "refused: ";
// The builder says "ready" in xenstore; what it wrote for libxenvchan may be seen a moment later.
constexpr std::chrono::milliseconds retry_pause{20};

struct CloseStore {
  void operator()(xs_handle* store) const { xs_close(store); }
};
using Store = std::unique_ptr<xs_handle, CloseStore>;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

std::optional<std::string> read_node(xs_handle* store, const std::string& path) {
  unsigned length = 0;
  const std::unique_ptr<void, FreeMemory> value(xs_read(store, XBT_NULL, path.c_str(), &length));
  if (!value)
    return std::nullopt;
  return std::string(static_cast<const char*>(value.get()), length);
}

Result<std::uint32_t> own_domid(xs_handle* store) {
  const std::string doing = "asking xenstore for this domain's number";
  const std::optional<std::string> text = read_node(store, "domid");
  if (!text)
    return errno_failure(doing, "the node domid cannot be read");
  std::uint32_t domid = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), domid);
  if (error != std::errc{} || end != text->data() + text->size())
    return failure(ErrorCode::invalid, doing, "the node domid holds " + printable(*text));
  return domid;
}

Result<std::string> new_token() {
  std::array<std::byte, 4> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return errno_failure("picking a vchan token");
  return to_hex(random);
}

// This client's request to be served: there from construction to destruction.
class Invitation {
public:
  Invitation(xs_handle* store, const std::string& token)
      : store_(store), path_("data/ashlar/" + token) {}
  Invitation(const Invitation&) = delete;
  Invitation& operator=(const Invitation&) = delete;
  ~Invitation() { xs_rm(store_, XBT_NULL, path_.c_str()); }

  [[nodiscard]] Status write(std::uint32_t builder_domid, RingBytes rings) {
    const std::string word = vchan_invitation(builder_domid, rings);
    if (!xs_write(store_, XBT_NULL, path_.c_str(), word.data(), static_cast<unsigned>(word.size())))
      return errno_failure("writing " + path_ + " in xenstore",
                           "a domain needs a data node that it may write to ask for a connection");
    if (!xs_watch(store_, path_.c_str(), "ashlar"))
      return errno_failure("watching " + path_ + " in xenstore");
    return {};
  }

  // Waits for the builder's word. Errors: denied, timeout, io.
  [[nodiscard]] Status wait(const std::string& doing, Clock::time_point deadline) {
    for (;;) {
      const std::optional<std::string> value = read_node(store_, path_);
      if (!value)
        return errno_failure(doing, "the node " + path_ + " is gone");
      if (*value == "ready")
        return {};
      if (value->starts_with(refused_prefix))
        return failure(ErrorCode::denied, doing,
                       "refused: " + printable(value->substr(refused_prefix.size())));
      if (milliseconds_until(deadline) == 0)
        return failure(ErrorCode::timeout, doing,
                       "the builder did not answer in xenstore; does it run there, and may this "
                       "domain connect to it?");
      TRY(wait_for_change(deadline));
    }
  }

private:
  [[nodiscard]] Status wait_for_change(Clock::time_point deadline) {
    pollfd waiting{xs_fileno(store_), POLLIN, 0};
    if (poll(&waiting, 1, milliseconds_until(deadline)) < 0 && errno != EINTR)
      return errno_failure("waiting for xenstore");
    while (char** event = xs_check_watch(store_))
      std::free(static_cast<void*>(event));
    return {};
  }

  xs_handle* store_;
  std::string path_;
};

Result<std::unique_ptr<Transport>> join(std::uint32_t builder_domid, const std::string& path,
                                        Clock::time_point deadline) {
  for (;;) {
    Result<std::unique_ptr<Transport>> joined = join_vchan(builder_domid, path);
    if (joined || joined.error().code != ErrorCode::not_found || milliseconds_until(deadline) == 0)
      return joined;
    std::this_thread::sleep_for(retry_pause);
  }
}

} // namespace

Result<std::unique_ptr<Transport>> connect_vchan(std::uint32_t builder_domid, RingBytes rings,
                                                 int timeout_ms) {
  const std::string doing = fmt::format("connecting to the builder in domain {}", builder_domid);
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (const char* device : {"/dev/xen/evtchn", "/dev/xen/gntdev"})
    if (access(device, R_OK | W_OK) != 0)
      return failure(errno == ENOENT ? ErrorCode::not_found : ErrorCode::denied, doing,
                     fmt::format("{} cannot be opened; is this a Xen domain with the modules "
                                 "xen-evtchn and xen-gntdev loaded, and are you root?",
                                 device),
                     errno);
  const Store store(xs_open(0));
  if (!store)
    return failure(ErrorCode::not_found, doing, "xenstore cannot be reached", errno);
  const std::uint32_t domid = TRY(own_domid(store.get()));
  const std::string token = TRY(new_token());
  Invitation invitation(store.get(), token);
  TRY(invitation.write(builder_domid, rings));
  TRY(invitation.wait(doing, deadline));
  return join(builder_domid, vchan_server_path(builder_domid, domid, token), deadline);
}

} // namespace ashlar::ipc
