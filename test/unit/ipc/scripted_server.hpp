// SPDX-License-Identifier: LGPL-2.1-or-later
// A builder in miniature for tests of clients: a thread that listens on a Unix socket, answers
// Hello, collects uploads, and leaves every other request to the test's handler.
#pragma once

#include <poll.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/message.hpp"
#include "ashlar/ipc/unix_socket.hpp"

namespace ashlar::ipc {

class ScriptedServer {
public:
  using Handler = std::function<void(ScriptedServer&, const Request&)>;

  explicit ScriptedServer(Handler handler) : handler_(std::move(handler)) {
    if (mkdtemp(folder_.data()) == nullptr)
      std::abort();
    thread_ = std::thread(
        [this, listener = UnixListener::bind(socket()).value()]() mutable { listen(listener); });
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() {
    join();
    std::filesystem::remove_all(folder_);
  }

  /// Ends the thread: only then may the test look at what was received.
  void join() {
    stop_ = true;
    if (thread_.joinable())
      thread_.join();
  }

  [[nodiscard]] std::string socket() const { return folder_ + "/builder.sock"; }
  [[nodiscard]] std::string address() const { return "unix:" + socket(); }
  [[nodiscard]] const std::string& folder() const { return folder_; }

  // For handlers.
  void reply(std::uint32_t id, pb_size_t part, const std::function<void(Response&)>& fill = {}) {
    Response response{};
    response.id = id;
    response.which_part = part;
    if (fill)
      fill(response);
    send_bytes(FrameKind::control, encode(response).value());
  }
  void done(std::uint32_t id) { reply(id, ashlar_v1_Response_done_tag); }
  void fail(std::uint32_t id, const char* code, const char* message) {
    reply(id, ashlar_v1_Response_failure_tag, [&](Response& response) {
      set_text(response.part.failure.code, code);
      set_text(response.part.failure.message, message);
    });
  }
  void send_bytes(FrameKind kind, std::span<const std::byte> bytes) {
    if (!stream_->send(kind, bytes))
      hang_up();
  }
  void hang_up() { open_ = false; }

  std::vector<Request> requests;   // all but Hello
  std::vector<std::string> images; // the bytes of each upload
  bool welcome = true;             // false: Hello goes to the handler as well

private:
  void listen(UnixListener& listener) {
    while (!stop_) {
      const std::unique_ptr<Transport> transport = listener.accept().value();
      if (transport)
        serve(*transport);
      else
        sleep_on(listener.descriptor());
    }
  }

  void serve(Transport& transport) {
    FrameStream stream(transport);
    stream_ = &stream;
    open_ = true;
    // What came before the end is taken in all the same: a test looks at it afterwards.
    while (open_) {
      const bool last = stop_;
      const auto frame = stream.receive();
      if (!frame || !stream.flush())
        return;
      if (*frame)
        take(**frame);
      else if (last)
        return;
      else
        sleep_on(transport.descriptor());
    }
  }

  static void sleep_on(int descriptor) {
    pollfd waiting{descriptor, POLLIN, 0};
    poll(&waiting, 1, 5);
  }

  void take(const Frame& frame) {
    if (frame.kind == FrameKind::data) {
      for (const std::byte byte : frame.payload)
        images.back().push_back(std::to_integer<char>(byte));
      return;
    }
    const Request request = decode_request(frame.payload).value();
    if (request.which_verb == ashlar_v1_Request_hello_tag && welcome)
      return greet(request);
    if (request.which_verb == ashlar_v1_Request_upload_begin_tag)
      images.emplace_back();
    requests.push_back(request);
    handler_(*this, request);
  }

  void greet(const Request& request) {
    reply(request.id, ashlar_v1_Response_welcome_tag, [](Response& response) {
      response.part.welcome.version = 1;
      set_text(response.part.welcome.builder, "scripted 1");
      set_text(response.part.welcome.transport, "unix");
      set_text(response.part.welcome.requester, "tests");
    });
    done(request.id);
  }

  Handler handler_;
  std::string folder_ = "/tmp/ashlar-scripted-XXXXXX";
  FrameStream* stream_ = nullptr;
  bool open_ = false;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

} // namespace ashlar::ipc
