// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/ipc/client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

#include "ashlar/ipc/unix_socket.hpp"
#include "ashlar/ipc/vchan.hpp"

namespace ashlar::ipc {

namespace {

using Clock = std::chrono::steady_clock;

// After Cancel the builder gets so long to confirm; then the connection is dropped, which cancels
// too.
constexpr int cancel_wait_ms = 5'000;

bool is_final(const Response& response) {
  switch (response.which_part) {
  case ashlar_v1_Response_done_tag:
  case ashlar_v1_Response_failure_tag:
  case ashlar_v1_Response_refusal_tag:
  case ashlar_v1_Response_missing_images_tag:
    return true;
  default:
    return false;
  }
}

Result<std::unique_ptr<Transport>> open_address(const std::string& address,
                                                const ClientOptions& options) {
  constexpr std::string_view unix_scheme = "unix:";
  constexpr std::string_view vchan_scheme = "vchan:";
  if (address.starts_with(unix_scheme))
    return connect_unix(address.substr(unix_scheme.size()));
  std::uint32_t domid = 0;
  if (address.starts_with(vchan_scheme)) {
    const std::string_view digits = std::string_view(address).substr(vchan_scheme.size());
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), domid);
    if (error == std::errc{} && end == digits.data() + digits.size())
      return connect_vchan(domid,
                           options.sends_images ? RingBytes::for_images : RingBytes::for_messages,
                           options.silence_ms);
  }
  return failure(ErrorCode::invalid, "reading the builder's address \"" + address + "\"",
                 "it must be unix:PATH or vchan:DOMID");
}

// The error for a failure of the whole connection (response id 0), or for a refused Hello.
std::unexpected<Error> rejection(const std::string& doing, const Response& response) {
  if (response.which_part == ashlar_v1_Response_failure_tag)
    return failure(ErrorCode::peer_closed, doing,
                   fmt::format("the builder says: {}", response.part.failure.message));
  if (response.which_part == ashlar_v1_Response_refusal_tag)
    return failure(ErrorCode::denied, doing,
                   fmt::format("the builder refuses: {}", response.part.refusal.reason));
  return failure(ErrorCode::invalid, doing, "the builder's answer does not fit the request");
}

} // namespace

Client::Client(std::unique_ptr<Transport> transport, ClientOptions options)
    : transport_(std::move(transport)), stream_(std::make_unique<FrameStream>(*transport_)),
      options_(std::move(options)), last_movement_(Clock::now()) {}

Result<Client> Client::connect(const std::string& address, ClientOptions options) {
  return over(TRY(open_address(address, options)), std::move(options));
}

Result<Client> Client::over(std::unique_ptr<Transport> transport, ClientOptions options) {
  Client client(std::move(transport), std::move(options));
  TRY(client.greet());
  return client;
}

Status Client::greet() {
  const std::string doing = "greeting the builder";
  Request hello{};
  hello.which_verb = ashlar_v1_Request_hello_tag;
  hello.verb.hello.version = protocol_version;
  set_text(hello.verb.hello.client, options_.name);
  bool welcomed = false;
  const Response final = TRY(call(hello, [&](const Response& part) {
    welcomed = part.which_part == ashlar_v1_Response_welcome_tag;
    if (welcomed)
      welcome_ = part.part.welcome;
  }));
  if (final.which_part != ashlar_v1_Response_done_tag || !welcomed)
    return rejection(doing, final);
  if (welcome_.version != protocol_version)
    return failure(ErrorCode::unsupported, doing,
                   fmt::format("it speaks version {} of the protocol, this program version {}",
                               welcome_.version, protocol_version));
  return {};
}

Status Client::post(const Request& request) {
  return stream_->send(FrameKind::control, TRY(encode(request)));
}

Status Client::begin(Request& request) {
  request.id = ++last_id_;
  last_movement_ = Clock::now();
  return post(request);
}

Result<std::optional<Response>> Client::poll_final(std::uint32_t id, const PartHandler& on_part) {
  for (;;) {
    const std::optional<Frame> frame = TRY(stream_->receive());
    if (!frame)
      return std::nullopt;
    last_movement_ = Clock::now();
    if (frame->kind != FrameKind::control)
      return failure(ErrorCode::invalid, "reading the builder's answer",
                     "it sent a data frame, which only clients send");
    Response response = TRY(decode_response(frame->payload));
    if (response.id == 0)
      return rejection("talking to the builder", response);
    // The answers to Cancel are of no further interest: the call that it ends is what counts.
    if (response.id != id)
      continue;
    if (is_final(response))
      return response;
    if (on_part)
      on_part(response);
  }
}

// Sleeps until something can go on, and serves the terminal. Errors: timeout, io, whatever input
// says.
Status Client::wait(const InputSource* input) {
  const auto silence =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - last_movement_);
  const std::int64_t left = options_.silence_ms - silence.count();
  if (left <= 0 && !input)
    return failure(ErrorCode::timeout, "waiting for the builder",
                   fmt::format("it has been silent for {} s; see its log", silence.count() / 1000));
  const bool wants_room = transport_->polls_for_room() && stream_->queued_bytes() > 0;
  const auto events = static_cast<short>(wants_room ? POLLIN | POLLOUT : POLLIN);
  // poll(2) passes over negative descriptors. A signal once seen is not waited for again.
  std::array<pollfd, 3> waiting{{{transport_->descriptor(), events, 0},
                                 {interrupted_ ? -1 : interrupt_descriptor_, POLLIN, 0},
                                 {input ? input->descriptor : -1, POLLIN, 0}}};
  const int limit = input ? -1 : static_cast<int>(left);
  if (poll(waiting.data(), waiting.size(), limit) < 0)
    return errno == EINTR ? Status{} : errno_failure("waiting for the builder");
  if (waiting[0].revents != 0)
    transport_->acknowledge();
  if (input && waiting[2].revents != 0)
    TRY(input->ready());
  const std::size_t before = stream_->queued_bytes();
  TRY(stream_->flush());
  if (stream_->queued_bytes() != before)
    last_movement_ = Clock::now();
  return {};
}

// On an interrupt: asks the builder to give up `id`, waits a little for its word, and fails.
Status Client::check_interrupt(std::uint32_t id) {
  pollfd interrupt{interrupt_descriptor_, POLLIN, 0};
  interrupted_ = interrupted_ || poll(&interrupt, 1, 0) > 0;
  if (!interrupted_)
    return {};
  Request cancel{};
  cancel.which_verb = ashlar_v1_Request_cancel_tag;
  cancel.verb.cancel.id = id;
  options_.silence_ms = std::min(options_.silence_ms, cancel_wait_ms);
  TRY(begin(cancel));
  for (;;) {
    const Result<std::optional<Response>> final = poll_final(id, {});
    if (!final || *final || !wait(nullptr))
      return failure(ErrorCode::cancelled, "waiting for the builder", "interrupted");
  }
}

Result<Response> Client::wait_final(std::uint32_t id, const PartHandler& on_part,
                                    const InputSource* input) {
  for (;;) {
    TRY(check_interrupt(id));
    if (const std::optional<Response> final = TRY(poll_final(id, on_part)))
      return *final;
    TRY(wait(input));
  }
}

Result<Response> Client::call(Request& request, const PartHandler& on_part,
                              const InputSource* input) {
  TRY(begin(request));
  return wait_final(request.id, on_part, input);
}

// Reads exactly one data frame's worth from the file and sends it.
Status Client::send_piece(int fd, std::span<std::byte> piece) {
  std::size_t filled = 0;
  while (filled < piece.size()) {
    const ssize_t count = ::read(fd, piece.subspan(filled).data(), piece.size() - filled);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return errno_failure("reading the image to upload");
    if (count == 0)
      return failure(ErrorCode::integrity, "reading the image to upload",
                     "the file became shorter since it was hashed; run the command again");
    filled += static_cast<std::size_t>(count);
  }
  last_movement_ = Clock::now();
  return stream_->send(FrameKind::data, piece);
}

Result<Response> Client::upload(const ashlar_v1_ImageRef& image, int fd,
                                const UploadHandler& on_sent) {
  Request request{};
  request.which_verb = ashlar_v1_Request_upload_begin_tag;
  request.verb.upload_begin.has_image = true;
  request.verb.upload_begin.image = image;
  TRY(begin(request));
  std::vector<std::byte> buffer(max_data_bytes);
  std::uint64_t sent = 0;
  while (sent < image.size) {
    TRY(check_interrupt(request.id));
    // An answer before the end is the builder's no: sending on would be in vain.
    if (const std::optional<Response> final = TRY(poll_final(request.id, {})))
      return *final;
    // One frame on its way while the next is read is enough to keep the builder busy.
    if (stream_->queued_bytes() > max_data_bytes) {
      TRY(wait(nullptr));
      continue;
    }
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(image.size - sent, max_data_bytes));
    if (const Status piece = send_piece(fd, std::span(buffer).first(length)); !piece) {
      // A builder that hung up may have said why before.
      const auto word = poll_final(request.id, {});
      return word && *word ? Result<Response>(**word) : std::unexpected(piece.error());
    }
    sent += length;
    if (on_sent)
      on_sent(sent, image.size);
  }
  Request end{};
  end.id = request.id;
  end.which_verb = ashlar_v1_Request_upload_end_tag;
  TRY(post(end));
  return wait_final(request.id, {}, nullptr);
}

} // namespace ashlar::ipc
