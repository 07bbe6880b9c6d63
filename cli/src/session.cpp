// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/session.hpp"

#include <sys/signalfd.h>

#include <csignal>

#include "ashlar/cli/address.hpp"

namespace ashlar::cli {

namespace {

// A descriptor that becomes readable on Ctrl-C or SIGTERM. Without one (no descriptors left), they
// kill the program as ever.
UniqueFd catch_interrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  UniqueFd descriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (descriptor)
    sigprocmask(SIG_BLOCK, &signals, nullptr);
  return descriptor;
}

} // namespace

Outcome<Session> Session::open(const Arguments& arguments, Sends sends) {
  const Result<std::string> address = builder_address(arguments.host);
  if (!address)
    return std::unexpected(address.error().code == ErrorCode::not_found
                               ? Problem::transport(address.error())
                               : Problem::usage(address.error()));
  ipc::ClientOptions options;
  options.name = std::string("ashlar ") + ASHLAR_VERSION;
  options.silence_ms = static_cast<int>(arguments.timeout_s) * 1000;
  options.sends_images = sends == Sends::images;
  Result<ipc::Client> client = ipc::Client::connect(*address, options);
  if (!client)
    return std::unexpected(Problem::transport(client.error()));
  UniqueFd interrupts = catch_interrupts();
  client->interrupt_by(interrupts.value());
  return Session(std::move(*client), std::move(interrupts));
}

Outcome<ipc::Response> Session::ask(ipc::Request& request, const ipc::PartHandler& on_part,
                                    const ipc::InputSource* input) {
  Result<ipc::Response> final = client_.call(request, on_part, input);
  if (!final && final.error().code == ErrorCode::cancelled)
    return std::unexpected(Problem(final.error()));
  if (!final)
    return std::unexpected(Problem::transport(final.error()));
  return *final;
}

Outcome<void> Session::call(ipc::Request& request, const ipc::PartHandler& on_part) {
  const ipc::Response final = TRY(ask(request, on_part));
  if (std::optional<Problem> problem = problem_of(final))
    return std::unexpected(std::move(*problem));
  return {};
}

} // namespace ashlar::cli
