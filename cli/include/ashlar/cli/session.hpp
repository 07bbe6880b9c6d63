// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>

#include "ashlar/base/unique_fd.hpp"
#include "ashlar/cli/arguments.hpp"
#include "ashlar/cli/problem.hpp"
#include "ashlar/ipc/client.hpp"

namespace ashlar::cli {

/// What goes over a connection: those for images are large, which takes the builder's memory and
/// time.
enum class Sends { messages, images };

/// A connection to the builder for one command. Every break of the connection is a transport
/// problem.
class Session {
public:
  /// Connects as the arguments say. From then on, Ctrl-C and SIGTERM do not kill the program but
  /// cancel the call under way, so that the terminal is restored and the builder told.
  [[nodiscard]] static Outcome<Session> open(const Arguments& arguments,
                                             Sends sends = Sends::messages);

  /// Makes the call; anything but Done is a problem. The request gets its id here.
  [[nodiscard]] Outcome<void> call(ipc::Request& request, const ipc::PartHandler& on_part);

  /// Makes the call and gives the final response, whatever it is.
  [[nodiscard]] Outcome<ipc::Response> ask(ipc::Request& request, const ipc::PartHandler& on_part,
                                           const ipc::InputSource* input = nullptr);

  [[nodiscard]] ipc::Client& client() { return client_; }

private:
  Session(ipc::Client client, UniqueFd interrupts)
      : client_(std::move(client)), interrupts_(std::move(interrupts)) {}

  ipc::Client client_;
  UniqueFd interrupts_;
};

} // namespace ashlar::cli
