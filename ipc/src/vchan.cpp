// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/ipc/vchan.hpp"

extern "C" {
#include <libxenvchan.h>
}
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "vchan_transport.hpp"

namespace ashlar::ipc {

namespace {

struct CloseVchan {
  void operator()(libxenvchan* vchan) const { libxenvchan_close(vchan); }
};
using Vchan = std::unique_ptr<libxenvchan, CloseVchan>;

class VchanTransport final : public Transport {
public:
  VchanTransport(Vchan vchan, std::uint32_t domid) : vchan_(std::move(vchan)), domid_(domid) {}

  [[nodiscard]] TransportPeer peer() const override { return VchanPeer{domid_}; }
  [[nodiscard]] int descriptor() const override { return libxenvchan_fd_for_select(vchan_.get()); }
  [[nodiscard]] bool polls_for_room() const override { return false; }

  // What libxenvchan_wait does; the descriptor does not block, so that neither does this.
  void acknowledge() override {
    const xenevtchn_port_or_error_t port = xenevtchn_pending(vchan_->event);
    if (port >= 0)
      xenevtchn_unmask(vchan_->event, static_cast<evtchn_port_t>(port));
  }

  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> buffer) override {
    if (buffer.empty())
      return 0U;
    int count = libxenvchan_read(vchan_.get(), buffer.data(), buffer.size());
    // The peer may have written and closed between libxenvchan's look at the ring and its look at
    // the peer: what it wrote is still there to be read.
    if (count < 0 && libxenvchan_data_ready(vchan_.get()) > 0)
      count = libxenvchan_read(vchan_.get(), buffer.data(), buffer.size());
    if (count < 0)
      return closed("reading from");
    return static_cast<std::size_t>(count);
  }

  [[nodiscard]] Result<std::size_t> write(std::span<const std::byte> bytes) override {
    if (bytes.empty())
      return 0U;
    const int count = libxenvchan_write(vchan_.get(), bytes.data(), bytes.size());
    if (count < 0)
      return closed("writing to");
    return static_cast<std::size_t>(count);
  }

private:
  [[nodiscard]] std::unexpected<Error> closed(const char* verb) const {
    const std::string doing = fmt::format("{} the vchan of domain {}", verb, domid_);
    if (libxenvchan_is_open(vchan_.get()) == 0)
      return failure(ErrorCode::peer_closed, doing, "the other end closed the connection");
    return errno_failure(doing, "the event channel could not be signalled");
  }

  Vchan vchan_;
  std::uint32_t domid_;
};

// libxenvchan 4.17's server_init, when it fails half way, closes a handle of which it has not set
// all fields: it frees and unmaps whatever malloc gave it. Running out of grants is such a failure,
// and requesters can bring it about. A block of the same size, cleared and freed just before, is
// the one that glibc hands out next, and then those fields are null.
void clear_next_handle() {
  void* volatile block = std::malloc(sizeof(libxenvchan));
  if (block)
    explicit_bzero(block, sizeof(libxenvchan));
  std::free(block);
}

} // namespace

Result<std::unique_ptr<Transport>> adopt_vchan(libxenvchan* vchan, std::uint32_t peer_domid) {
  Vchan owned(vchan);
  owned->blocking = 0;
  const int fd = libxenvchan_fd_for_select(owned.get());
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return errno_failure(fmt::format("preparing the vchan to domain {}", peer_domid),
                         "its event channel cannot be made non-blocking");
  return std::make_unique<VchanTransport>(std::move(owned), peer_domid);
}

bool valid_vchan_token(std::string_view token) {
  return token.size() >= 8 && token.size() <= 16 && std::ranges::all_of(token, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string vchan_invitation(std::uint32_t builder_domid, RingBytes rings) {
  const std::string whom =
      builder_domid == 0 ? "connect" : fmt::format("connect {}", builder_domid);
  return rings == RingBytes::for_messages ? whom + " small" : whom;
}

std::optional<RingBytes> wanted_rings(std::string_view node, std::uint32_t builder_domid) {
  for (const RingBytes rings : {RingBytes::for_images, RingBytes::for_messages})
    if (node == vchan_invitation(builder_domid, rings))
      return rings;
  return std::nullopt;
}

std::string vchan_server_path(std::uint32_t builder_domid, std::uint32_t client_domid,
                              std::string_view token) {
  return fmt::format("/local/domain/{}/data/ashlar/{}/{}", builder_domid, client_domid, token);
}

Result<std::unique_ptr<Transport>> serve_vchan(std::uint32_t client_domid,
                                               const std::string& xenstore_path, RingBytes rings) {
  const std::string doing =
      fmt::format("opening a vchan server for domain {} at {}", client_domid, xenstore_path);
  if (xenstore_path.size() > max_vchan_path_bytes)
    return failure(ErrorCode::limit, doing,
                   fmt::format("the path has {} bytes, libxenvchan takes {}; use a shorter token",
                               xenstore_path.size(), max_vchan_path_bytes));
  clear_next_handle();
  errno = 0;
  libxenvchan* const vchan =
      libxenvchan_server_init(nullptr, static_cast<int>(client_domid), xenstore_path.c_str(),
                              static_cast<std::size_t>(rings), static_cast<std::size_t>(rings));
  if (!vchan)
    return failure(
        ErrorCode::io, doing,
        "libxenvchan failed; are /dev/xen/gntalloc, /dev/xen/evtchn and xenstored there, "
        "and is xen_gntalloc's parameter limit above 513 pages a connection that sends images?",
        errno);
  return adopt_vchan(vchan, client_domid);
}

Result<std::unique_ptr<Transport>> join_vchan(std::uint32_t server_domid,
                                              const std::string& xenstore_path) {
  errno = 0;
  libxenvchan* const vchan =
      libxenvchan_client_init(nullptr, static_cast<int>(server_domid), xenstore_path.c_str());
  if (vchan)
    return adopt_vchan(vchan, server_domid);
  const std::string doing =
      fmt::format("joining the vchan of domain {} at {}", server_domid, xenstore_path);
  // EACCES in a domU also means "not there yet": xenstored hides what it would not let us read.
  if (errno == ENOENT || errno == EACCES)
    return failure(ErrorCode::not_found, doing, "nothing is served there for this domain", errno);
  return errno_failure(doing, "the vchan cannot be opened");
}

} // namespace ashlar::ipc
