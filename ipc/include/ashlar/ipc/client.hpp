// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's end of the RPC: one connection, one call at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/message.hpp"
#include "ashlar/ipc/transport.hpp"

namespace ashlar::ipc {

inline constexpr std::uint32_t protocol_version = 1;

struct ClientOptions {
  std::string name;          // sent in Hello, for the builder's log: "ashlar 0.1.0"
  int silence_ms = 60'000;   // give up when nothing moves for so long; also bounds connecting
  bool sends_images = false; // the connection is made for much at a time
};

/// A second descriptor to serve during a call: the terminal of a console.
struct InputSource {
  int descriptor = -1;
  std::function<Status()> ready; // called when it is readable; an error ends the call
};

/// Called with each partial response of a call.
using PartHandler = std::function<void(const Response&)>;
/// Called with the bytes sent so far, and all there are.
using UploadHandler = std::function<void(std::uint64_t done, std::uint64_t total)>;

class Client {
public:
  /// Connects to "unix:PATH" or "vchan:DOMID" and says Hello.
  /// Errors: invalid (the address), not_found, denied (refused by the builder), timeout, io, …
  [[nodiscard]] static Result<Client> connect(const std::string& address, ClientOptions options);

  /// Says Hello over a connection that is already there.
  [[nodiscard]] static Result<Client> over(std::unique_ptr<Transport> transport,
                                           ClientOptions options);

  /// What the builder said in answer to Hello.
  [[nodiscard]] const ashlar_v1_Welcome& welcome() const { return welcome_; }

  /// From now on, a call under way is cancelled when this descriptor (such as a signalfd) is
  /// readable.
  void interrupt_by(int descriptor) { interrupt_descriptor_ = descriptor; }

  /// Sends the request (its id is set here) and waits for its final response: Done, Failure,
  /// Refusal or MissingImages. While `input` is given, silence is no error. Errors: cancelled
  /// (interrupted), timeout, peer_closed, invalid (the builder breaks the protocol), io; a failure
  /// of the connection that the builder reports comes as peer_closed with its words.
  [[nodiscard]] Result<Response> call(Request& request, const PartHandler& on_part,
                                      const InputSource* input = nullptr);

  /// Uploads the next image.size bytes of the open file `fd` as that image and waits for the final
  /// response. The builder hashes what arrives: bytes that are not the announced ones come back as
  /// its Failure "integrity". Errors: as call(); integrity when the file ends early.
  [[nodiscard]] Result<Response> upload(const ashlar_v1_ImageRef& image, int fd,
                                        const UploadHandler& on_sent);

  /// Sends a request that has no response of its own (ConsoleInput), as it is.
  [[nodiscard]] Status post(const Request& request);

  /// Bytes that wait for the builder to take them.
  [[nodiscard]] std::size_t queued_bytes() const { return stream_->queued_bytes(); }

private:
  Client(std::unique_ptr<Transport> transport, ClientOptions options);
  [[nodiscard]] Status greet();
  [[nodiscard]] Status begin(Request& request);
  /// The final response to `id` when it is already there; hands on partial ones.
  [[nodiscard]] Result<std::optional<Response>> poll_final(std::uint32_t id,
                                                           const PartHandler& on_part);
  [[nodiscard]] Result<Response> wait_final(std::uint32_t id, const PartHandler& on_part,
                                            const InputSource* input);
  [[nodiscard]] Status wait(const InputSource* input);
  [[nodiscard]] Status check_interrupt(std::uint32_t id);
  [[nodiscard]] Status send_piece(int fd, std::span<std::byte> piece);

  std::unique_ptr<Transport> transport_;
  std::unique_ptr<FrameStream> stream_;
  ClientOptions options_;
  ashlar_v1_Welcome welcome_{};
  std::uint32_t last_id_ = 0;
  int interrupt_descriptor_ = -1;
  bool interrupted_ = false;
  std::chrono::steady_clock::time_point last_movement_;
};

} // namespace ashlar::ipc
