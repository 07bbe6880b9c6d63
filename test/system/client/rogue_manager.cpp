// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rogue_manager.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <string>

extern "C" {
#include <xenevtchn.h>
#include <xengnttab.h>
}

#include "ashlar/ipc/frame.hpp"
#include "ashlar/ipc/vchan.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/tpm/manager_link.hpp"
#include "ashlar/tpm/message.hpp"

namespace ashlar::rogue {

namespace {

constexpr std::chrono::seconds patience{30};
// Above what a domain of this sort uses: rings of at most 513 pages, and its devices.
constexpr std::uint32_t last_reference = 2048;
constexpr std::uint32_t last_port = 256;
constexpr int store_devices = 1; // of the manager, with this domain: one page, one port

void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
  std::fflush(stdout);
}

int verdict(bool right, const std::string& what) {
  say(fmt::format("{} ({})", what, right ? "as it should" : "WRONG"));
  return right ? 0 : 1;
}

int count_pages(std::uint32_t domid) {
  xengnttab_handle* grants = xengnttab_open(nullptr, 0);
  if (grants == nullptr)
    return -1;
  int mapped = 0;
  for (std::uint32_t reference = 0; reference <= last_reference; ++reference) {
    void* page = xengnttab_map_grant_ref(grants, domid, reference, PROT_READ);
    if (page == nullptr)
      continue;
    ++mapped;
    xengnttab_unmap(grants, page, 1);
  }
  xengnttab_close(grants);
  return mapped;
}

int count_ports(std::uint32_t domid) {
  xenevtchn_handle* events = xenevtchn_open(nullptr, 0);
  if (events == nullptr)
    return -1;
  int bound = 0;
  for (std::uint32_t port = 1; port <= last_port; ++port)
    bound += xenevtchn_bind_interdomain(events, domid, port) >= 0 ? 1 : 0;
  xenevtchn_close(events);
  return bound;
}

/// Asks the manager and waits for its answer.
class Builder {
public:
  explicit Builder(std::unique_ptr<ipc::Transport> transport)
      : transport_(std::move(transport)), stream_(*transport_) {}

  [[nodiscard]] Result<tpm::Ack> ask(decltype(tpm::Request::body) body) {
    const std::vector<std::byte> message = TRY(tpm::encode(tpm::Request{++id_, std::move(body)}));
    TRY(stream_.send(ipc::FrameKind::control, message));
    const auto end = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < end) {
      const auto frame = TRY(stream_.receive());
      if (!frame) {
        pollfd waiting{transport_->descriptor(), POLLIN, 0};
        if (poll(&waiting, 1, 1000) > 0)
          transport_->acknowledge();
        continue;
      }
      const tpm::Reply reply = TRY(tpm::decode_reply(frame->payload));
      if (const auto* ack = std::get_if<tpm::Ack>(&reply.body))
        return *ack;
      return std::unexpected(tpm::error_of(std::get<tpm::Refused>(reply.body), "asking"));
    }
    return failure(ErrorCode::timeout, "asking the TPM Manager", "no answer");
  }

private:
  std::unique_ptr<ipc::Transport> transport_;
  ipc::FrameStream stream_;
  std::uint64_t id_ = 0;
};

/// The manager serves a new ring a moment after the builder is gone.
Result<std::unique_ptr<ipc::Transport>> join(std::uint32_t manager_domid) {
  constexpr int pause_ms = 200;
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto joined = ipc::join_vchan(manager_domid, tpm::manager_vchan_path(manager_domid));
    if (joined || std::chrono::steady_clock::now() > end)
      return joined;
    poll(nullptr, 0, pause_ms);
  }
}

tpm::PutRecord put_of(std::uint64_t serial, std::uint32_t domid, const std::string& command_line) {
  measure::Record record;
  record.serial = serial;
  record.domid = domid;
  record.requester = "nobody";
  measure::Event event;
  event.type = measure::EventType::command_line;
  const auto bytes = std::as_bytes(std::span(command_line));
  event.content = command_line;
  event.size = bytes.size();
  if (const auto digests = measure::digest(bytes))
    event.digests = *digests;
  record.events.push_back(std::move(event));
  const auto encoded = measure::encode(record);
  return {encoded ? *encoded : std::vector<std::byte>()};
}

/// What the answer is: "N events", or the word of an error.
std::string told(const Result<tpm::Ack>& answer, std::uint64_t before) {
  if (answer)
    return fmt::format("+{}", answer->log_events - before);
  say("  " + answer.error().message());
  return to_string(answer.error().code);
}

} // namespace

int reach_manager(std::uint32_t manager_domid) {
  const auto joined = ipc::join_vchan(manager_domid, tpm::manager_vchan_path(manager_domid));
  int wrong = verdict(!joined, joined ? "the ring was joined" : joined.error().message());
  const int pages = count_pages(manager_domid);
  wrong += verdict(pages >= 0 && pages <= store_devices, fmt::format("{} pages mapped", pages));
  const int ports = count_ports(manager_domid);
  wrong += verdict(ports >= 0 && ports <= store_devices, fmt::format("{} ports bound", ports));
  return wrong == 0 ? 0 : 1;
}

int replay_records(std::uint32_t manager_domid, std::uint64_t guest_serial) {
  auto joined = join(manager_domid);
  if (!joined)
    return verdict(false, joined.error().message());
  Builder builder(*std::move(joined));
  const Result<tpm::Ack> hello = builder.ask(tpm::Hello{});
  if (!hello)
    return verdict(false, hello.error().message());
  constexpr std::uint32_t domid = 30'000; // nobody's
  // Taken out of order (serial_window), so that the builder's own next ones are still free.
  const std::uint64_t serial = hello->serial + 500;
  const std::uint64_t events = hello->log_events;
  int wrong = 0;
  const auto expect = [&](const char* what, decltype(tpm::Request::body) body, const char* answer) {
    const std::string found = told(builder.ask(std::move(body)), events);
    wrong += verdict(found == answer, fmt::format("{}: {}, expected {}", what, found, answer));
  };
  expect("a record", put_of(serial, domid, "quiet"), "+1");
  expect("again", put_of(serial, domid, "quiet"), "+1");
  expect("changed", put_of(serial, domid, "init=/bin/sh"), "exists");
  expect("the domain's second", put_of(serial + 1, domid, "quiet"), "exists");
  expect("its end", tpm::Revoke{serial}, "+1");
  expect("after its end", put_of(serial, domid, "quiet"), "denied");
  expect("the domain's next", put_of(serial + 1, domid, "quiet"), "+2");
  expect("the end of that", tpm::Revoke{serial + 1}, "+2");
  expect("the end of the guest's", tpm::Revoke{guest_serial}, "+2");
  return wrong == 0 ? 0 : 1;
}

} // namespace ashlar::rogue
