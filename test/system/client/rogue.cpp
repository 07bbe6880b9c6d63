// SPDX-License-Identifier: LGPL-2.1-or-later
// A client that misbehaves in one way, over the real transports: ashlar-rogue ADDRESS MODE
// [ARGUMENTS]. It prints what the builder did and exits with 0 when that is what a sound builder
// does, else 1.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "ashlar/base/memory_file.hpp"
#include "ashlar/ipc/client.hpp"
#include "ashlar/ipc/unix_socket.hpp"
#include "ashlar/ipc/vchan.hpp"
#include "ashlar/measure/digest.hpp"
#include "rogue_manager.hpp"

namespace {

using namespace ashlar;
using namespace ashlar::ipc;

constexpr int patience_ms = 30'000;
constexpr std::uint64_t max_file_bytes = std::uint64_t{1} << 30;
using Texts = std::vector<std::string>;

void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

Result<std::unique_ptr<Transport>> dial(const std::string& address) {
  if (address.starts_with("unix:"))
    return connect_unix(address.substr(5));
  return connect_vchan(static_cast<std::uint32_t>(std::atoi(address.c_str() + 6)),
                       RingBytes::for_images, patience_ms);
}

// Sleeps until the transport may have moved; false when the patience is used up.
bool wait(Transport& transport, std::chrono::steady_clock::time_point start, bool for_room) {
  const auto waited = std::chrono::steady_clock::now() - start;
  if (waited > std::chrono::milliseconds(patience_ms))
    return false;
  const auto events =
      static_cast<short>(for_room && transport.polls_for_room() ? POLLIN | POLLOUT : POLLIN);
  pollfd waiting{transport.descriptor(), events, 0};
  if (poll(&waiting, 1, 1000) > 0)
    transport.acknowledge();
  return true;
}

struct Ending {
  std::string word; // an ErrorCode word, "refused", "done", "closed" or "silence"
  std::string message;
};

Ending ending_of(const Response& response) {
  switch (response.which_part) {
  case ashlar_v1_Response_failure_tag:
    return {response.part.failure.code, response.part.failure.message};
  case ashlar_v1_Response_refusal_tag:
    return {"refused", response.part.refusal.reason};
  case ashlar_v1_Response_done_tag:
    return {"done", ""};
  default:
    return {"", ""};
  }
}

// Reads until the builder ends the request `id` or the connection.
Ending await_ending(Transport& transport, FrameStream& stream, std::uint32_t id) {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    const auto frame = stream.receive();
    if (!frame)
      return {"closed", frame.error().message()};
    if (!*frame) {
      if (!wait(transport, start, false))
        return {"silence", "no answer"};
      continue;
    }
    const auto response = decode_response((*frame)->payload);
    if (!response)
      return {"nonsense", response.error().message()};
    const Ending ending = ending_of(*response);
    if (!ending.word.empty() && (response->id == id || response->id == 0))
      return ending;
  }
}

int judge(const Ending& ending, const Texts& expected) {
  const bool right = std::ranges::find(expected, ending.word) != expected.end();
  say(fmt::format("builder: {} {} ({})", ending.word, ending.message,
                  right ? "as it should" : "WRONG"));
  return right ? 0 : 1;
}

// Writes bytes as they are; false when the builder hung up or took nothing for too long.
bool write_raw(Transport& transport, std::span<const std::byte> bytes) {
  const auto start = std::chrono::steady_clock::now();
  while (!bytes.empty()) {
    const auto count = transport.write(bytes);
    if (!count)
      return false;
    bytes = bytes.subspan(*count);
    if (*count == 0 && !wait(transport, start, true))
      return false;
  }
  return true;
}

ashlar_v1_ImageRef announce(const std::string& bytes) {
  ashlar_v1_ImageRef image{};
  const auto digests = measure::digest(std::as_bytes(std::span(bytes)));
  if (!digests || !set_bytes(image.sha256, digests->sha256))
    std::exit(2);
  image.size = bytes.size();
  set_text(image.label, "rogue");
  return image;
}

// The file's bytes in a memory file, from the start.
UniqueFd spool(const std::string& bytes) {
  auto fd = create_memory_file("rogue");
  if (!fd || !write_all(fd->value(), std::as_bytes(std::span(bytes)), "the image") ||
      lseek(fd->value(), 0, SEEK_SET) != 0)
    std::exit(2);
  return std::move(*fd);
}

int corrupt_upload(Client& client, const Texts& arguments) {
  auto bytes = read_file(arguments[0], max_file_bytes);
  if (!bytes || bytes->empty())
    return 2;
  const ashlar_v1_ImageRef image = announce(*bytes);
  (*bytes)[bytes->size() / 2] = static_cast<char>((*bytes)[bytes->size() / 2] ^ 1);
  const UniqueFd fd = spool(*bytes);
  const auto final = client.upload(image, fd.value(), {});
  return judge(final ? ending_of(*final) : Ending{"closed", final.error().message()},
               {"integrity"});
}

int stall_upload(Client& client, const Texts& arguments) {
  const auto bytes = read_file(arguments[0], max_file_bytes);
  if (!bytes)
    return 2;
  const auto stop_at = static_cast<std::uint64_t>(std::atoll(arguments[1].c_str()));
  const UniqueFd fd = spool(*bytes);
  // Called between frames: that is where it falls asleep, with the upload open.
  const auto final = client.upload(announce(*bytes), fd.value(), [&](std::uint64_t done, auto) {
    if (done < stop_at)
      return;
    say(fmt::format("stalled after {} bytes", done));
    for (;;)
      pause();
  });
  return judge(final ? ending_of(*final) : Ending{"closed", final.error().message()}, {});
}

int garbage(Transport& transport, const Texts&) {
  std::mt19937 random(20140317);
  std::vector<std::byte> bytes(4096);
  for (std::byte& byte : bytes)
    byte = static_cast<std::byte>(random());
  FrameStream stream(transport);
  write_raw(transport, bytes);
  return judge(await_ending(transport, stream, 0), {"invalid", "limit", "closed"});
}

int oversized_frame(Transport& transport, const Texts&) {
  const std::array<std::byte, 8> header = {std::byte{0xff}, std::byte{0xff}, std::byte{0xff},
                                           std::byte{0x7f}, std::byte{1}};
  FrameStream stream(transport);
  write_raw(transport, header);
  return judge(await_ending(transport, stream, 0), {"limit", "invalid", "closed"});
}

int no_hello(Transport& transport, const Texts&) {
  FrameStream stream(transport);
  Request request{};
  request.id = 1;
  request.which_verb = ashlar_v1_Request_list_tag;
  if (!stream.send(FrameKind::control, encode(request).value()))
    return 2;
  return judge(await_ending(transport, stream, 1), {"invalid", "denied", "closed"});
}

bool greet(Transport& transport, FrameStream& stream) {
  Request hello{};
  hello.id = 1;
  hello.which_verb = ashlar_v1_Request_hello_tag;
  hello.verb.hello.version = protocol_version;
  set_text(hello.verb.hello.client, "rogue");
  return stream.send(FrameKind::control, encode(hello).value()) &&
         await_ending(transport, stream, 1).word == "done";
}

int upload_without_begin(Transport& transport, const Texts&) {
  FrameStream stream(transport);
  if (!greet(transport, stream))
    return 2;
  const std::vector<std::byte> bytes(1000);
  if (!stream.send(FrameKind::data, bytes))
    return 2;
  return judge(await_ending(transport, stream, 0), {"invalid", "closed"});
}

// Asks and asks and reads nothing: a sound builder stops serving this connection, and no other.
int slow_reader(Transport& transport, const Texts&) {
  FrameStream stream(transport);
  if (!greet(transport, stream))
    return 2;
  const auto start = std::chrono::steady_clock::now();
  Request request{};
  request.which_verb = ashlar_v1_Request_policy_show_tag;
  for (std::uint32_t id = 2;; ++id) {
    request.id = id;
    if (const Status sent = stream.send(FrameKind::control, encode(request).value()); !sent) {
      const bool full = sent.error().code == ErrorCode::limit;
      return judge({full ? "busy" : "closed", sent.error().message()}, {"busy", "closed"});
    }
    if (stream.queued_bytes() > 0 && !wait(transport, start, true))
      return judge({"busy", fmt::format("it takes no more after {} requests", id)}, {"busy"});
  }
}

int many_connections(const std::string& address, int count) {
  std::vector<Client> clients;
  std::map<std::string, int> failures;
  for (int i = 0; i < count; ++i) {
    auto client = Client::connect(address, {"rogue", patience_ms});
    if (client)
      clients.push_back(std::move(*client));
    else
      ++failures[client.error().message()];
  }
  for (const auto& [message, times] : failures)
    say(fmt::format("{} times: {}", times, message));
  const bool bounded = !failures.empty() && !clients.empty();
  say(fmt::format("{} of {} connections served ({})", clients.size(), count,
                  bounded ? "as it should" : "WRONG"));
  return bounded ? 0 : 1;
}

struct ClientMode {
  std::size_t arguments;
  int (*run)(Client&, const Texts&);
};
struct RawMode {
  int (*run)(Transport&, const Texts&);
};
const std::map<std::string, ClientMode> client_modes = {{"corrupt-upload", {1, corrupt_upload}},
                                                        {"stall-upload", {2, stall_upload}}};
const std::map<std::string, RawMode> raw_modes = {{"garbage", {garbage}},
                                                  {"oversized-frame", {oversized_frame}},
                                                  {"no-hello", {no_hello}},
                                                  {"upload-without-begin", {upload_without_begin}},
                                                  {"slow-reader", {slow_reader}}};

int misbehave(const std::string& address, const std::string& mode, const Texts& rest) {
  if (mode == "many-connections" && rest.size() == 1)
    return many_connections(address, std::atoi(rest[0].c_str()));
  if (const auto found = client_modes.find(mode);
      found != client_modes.end() && rest.size() == found->second.arguments) {
    auto client = Client::connect(address, {"rogue", patience_ms});
    if (!client)
      say("rogue: " + client.error().message());
    return client ? found->second.run(*client, rest) : 2;
  }
  if (const auto found = raw_modes.find(mode); found != raw_modes.end()) {
    const auto transport = dial(address);
    if (!transport)
      say("rogue: " + transport.error().message());
    return transport ? found->second.run(**transport, rest) : 2;
  }
  say("usage: ashlar-rogue ADDRESS corrupt-upload FILE | stall-upload FILE BYTES | garbage | "
      "oversized-frame | no-hello | upload-without-begin | slow-reader | many-connections N\n"
      "       ashlar-rogue reach-manager DOMID | replay-records DOMID SERIAL");
  return 2;
}

} // namespace

int main(int argc, char** argv) {
  const Texts texts(argv + 1, argv + argc);
  if (texts.size() == 2 && texts[0] == "reach-manager")
    return rogue::reach_manager(static_cast<std::uint32_t>(std::atoi(texts[1].c_str())));
  if (texts.size() == 3 && texts[0] == "replay-records")
    return rogue::replay_records(static_cast<std::uint32_t>(std::atoi(texts[1].c_str())),
                                 static_cast<std::uint64_t>(std::atoll(texts[2].c_str())));
  if (texts.size() < 2)
    return misbehave("", "", {});
  return misbehave(texts[0], texts[1], Texts(texts.begin() + 2, texts.end()));
}
