// SPDX-License-Identifier: LGPL-2.1-or-later
// A session's guest consoles.
#include "ashlar/broker/session.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/broker/limits.hpp"

namespace ashlar::broker {

namespace {
constexpr std::size_t piece_bytes = 4096;          // ConsoleOutput.data in ashlar.options
constexpr std::size_t patience_bytes = 256u << 10; // waiting output at which consoles are held
} // namespace

void Session::console_open(std::uint32_t id, const ashlar_v1_ConsoleOpen& open) {
  const Domain* domain = allowed_domain(id, policy::Verb::console, open.domain);
  if (!domain)
    return;
  const std::size_t wanted = std::min(open.tail_bytes, max_console_tail_bytes);
  const Result<std::string> tail =
      console_tail(services_.settings.console_log_directory, domain->name(), wanted);
  if (!tail)
    return finish(id, std::unexpected(tail.error()));
  console_output(id, as_bytes(*tail));
  if (!open.follow)
    return send(done_reply(id));
  follow(id, *domain);
}

void Session::follow(std::uint32_t id, const Domain& domain) {
  if (consoles_.size() >= max_requests_per_connection)
    return finish(id, failure(ErrorCode::busy, "opening a console",
                              "this connection has as many open as it may"));
  const std::string path = fmt::format("/local/domain/{}/console/tty", domain.domid());
  const Result<std::string> terminal = services_.store.read(path);
  if (!terminal)
    return finish(id,
                  failure(ErrorCode::not_found, "opening the console of " + domain.name(),
                          "xenconsoled has not set it up: is it running in the builder domain?"));
  Result<std::unique_ptr<Console>> console = Console::attach(
      services_.loop, *terminal,
      [this, id](std::span<const std::byte> bytes) {
        console_output(id, bytes);
        hold_consoles();
      },
      [this, id] {
        send(done_reply(id));
        consoles_.erase(id);
      });
  if (!console)
    return finish(id, std::unexpected(console.error()));
  note("console of domain {} ({}) opened", domain.domid(), domain.name());
  consoles_[id] = std::move(*console);
}

void Session::console_output(std::uint32_t id, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::span<const std::byte> piece = bytes.first(std::min(bytes.size(), piece_bytes));
    ipc::Response response = ashlar_v1_Response_init_zero;
    response.id = id;
    response.which_part = ashlar_v1_Response_console_output_tag;
    static_cast<void>(ipc::set_bytes(response.part.console_output.data, piece));
    send(response);
    bytes = bytes.subspan(piece.size());
  }
}

void Session::console_input(std::uint32_t id, const ashlar_v1_ConsoleInput& input) {
  const auto console = consoles_.find(id);
  if (console == consoles_.end())
    return; // it ended while this was on its way
  if (const Status written = console->second->input(ipc::bytes_of(input.data)); !written) {
    consoles_.erase(console);
    finish(id, written);
  }
}

void Session::hold_consoles() {
  const bool slow = frames_.queued_bytes() > patience_bytes;
  for (const auto& [id, console] : consoles_)
    console->hold(slow);
}

} // namespace ashlar::broker
