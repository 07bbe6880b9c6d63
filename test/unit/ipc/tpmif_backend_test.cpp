// SPDX-License-Identifier: LGPL-2.1-or-later
// Backends of the vTPM device, with a Xen of this program's own; real ones are in the system tests.
#include <doctest/doctest.h>
#include <poll.h>

#include <functional>

#include <fmt/format.h>

#include "ashlar/ipc/tpmif.hpp"
#include "ashlar/ipc/tpmif_page.hpp"
#include "fake_xen.hpp"

using namespace ashlar;
using namespace ashlar::ipc;

namespace {

constexpr int initialising = 1;
constexpr int init_wait = 2;
constexpr int initialised = 3;
constexpr int connected_state = 4;
constexpr int closed = 6;

class Recorder final : public TpmifHandler {
public:
  Status connected(std::uint32_t domid) override {
    if (open.contains(domid))
      return failure(ErrorCode::denied, "connecting", "it has a connection already");
    open.insert(domid);
    return {};
  }
  std::vector<std::byte> answer(std::uint32_t domid, std::span<const std::byte> packet) override {
    served.push_back(domid);
    if (meanwhile)
      meanwhile(domid);
    return {packet.begin(), packet.end()};
  }
  void disconnected(std::uint32_t domid) override { open.erase(domid); }

  std::set<std::uint32_t> open;
  std::vector<std::uint32_t> served;
  std::function<void(std::uint32_t)> meanwhile; // what happens while an answer is made
};

/// The domain of the backends, and its frontends: each has its domid as port and grant reference.
struct Devices {
  FakeXen xen;
  Recorder handler;
  std::unique_ptr<TpmifBackends> backends = *TpmifBackends::open(handler);

  [[nodiscard]] static std::string front(std::uint32_t domid, const char* node) {
    return fmt::format("/local/domain/{}/device/vtpm/0/{}", domid, node);
  }
  void set_state(std::uint32_t domid, int state) {
    xen.write(front(domid, "state"), std::to_string(state));
  }
  [[nodiscard]] int state(std::uint32_t domid) {
    return std::stoi(xen.nodes[fmt::format("backend/vtpm/{}/0/state", domid)]);
  }
  [[nodiscard]] bool readable() const {
    pollfd waiting{backends->descriptor(), POLLIN, 0};
    return poll(&waiting, 1, 0) == 1;
  }
  void turn() { REQUIRE(backends->turn()); }
  void turn_while_readable() {
    for (int turns = 0; readable(); ++turns) {
      REQUIRE(turns < 100);
      turn();
    }
  }
  /// What the builder writes before either end runs.
  void add(std::uint32_t domid) {
    set_state(domid, initialising);
    xen.write(fmt::format("backend/vtpm/{}/0/frontend-id", domid), std::to_string(domid));
  }
  void share(std::uint32_t domid, std::uint32_t number) {
    xen.shared[number] = {};
    xen.write(front(domid, "ring-ref"), std::to_string(number));
    xen.write(front(domid, "event-channel"), std::to_string(number));
    set_state(domid, initialised);
  }
  void connect(std::uint32_t domid) {
    add(domid);
    turn_while_readable();
    CHECK(state(domid) == init_wait);
    share(domid, domid);
    turn_while_readable();
    CHECK(state(domid) == connected_state);
    set_state(domid, connected_state);
    turn_while_readable();
  }
  void submit(std::uint32_t number) {
    TpmifPage page(xen.shared.at(number).data());
    REQUIRE(page.put(std::vector<std::byte>(4, std::byte{1}), TpmifState::submit));
    xen.notify(number);
  }
  [[nodiscard]] TpmifState page_state(std::uint32_t number) {
    return TpmifPage(xen.shared.at(number).data()).state();
  }
};

} // namespace

TEST_CASE("tpmif backends: one packet is answered a turn, and what is left keeps it readable") {
  Devices devices;
  for (const std::uint32_t domid : {5U, 6U, 7U})
    devices.connect(domid);
  for (const std::uint32_t domid : {5U, 6U, 7U})
    devices.submit(domid);
  for (std::size_t answered = 1; answered <= 3; ++answered) {
    REQUIRE(devices.readable());
    devices.turn();
    CHECK(devices.handler.served.size() == answered);
  }
  CHECK(devices.handler.served == std::vector<std::uint32_t>{5, 6, 7});
  for (const std::uint32_t domid : {5U, 6U, 7U})
    CHECK(devices.page_state(domid) == TpmifState::finish);
  devices.turn_while_readable();
  CHECK(devices.handler.served.size() == 3);
}

TEST_CASE("tpmif backends: who always has a next packet waits in line behind the others") {
  Devices devices;
  devices.connect(5);
  devices.connect(6);
  devices.handler.meanwhile = [&devices](std::uint32_t domid) {
    if (domid == 5)
      devices.xen.notify(5); // before it has its answer
  };
  const auto submit_again = [&devices] {
    if (devices.page_state(5) != TpmifState::submit)
      devices.submit(5);
  };
  submit_again();
  devices.submit(6);
  for (int turn = 0; turn < 4; ++turn) {
    devices.turn();
    submit_again();
  }
  CHECK(devices.handler.served == std::vector<std::uint32_t>{5, 6, 5, 5});
}

TEST_CASE("tpmif backends: a packet that was there before the connection is answered") {
  Devices devices;
  devices.add(5);
  devices.turn_while_readable();
  devices.share(5, 5);
  devices.submit(5); // its notification is lost: the port is not bound yet
  devices.turn_while_readable();
  CHECK(devices.handler.served == std::vector<std::uint32_t>{5});
  CHECK(devices.page_state(5) == TpmifState::finish);
}

TEST_CASE("tpmif backends: a frontend that was killed while it was connected comes anew") {
  Devices devices;
  devices.connect(5);
  devices.set_state(5, initialising); // the next process, which waits for the offer
  devices.turn_while_readable();
  CHECK(devices.state(5) == init_wait);
  CHECK(devices.xen.mapped.empty());
  CHECK(devices.xen.bound.empty());
  devices.share(5, 50);
  devices.turn_while_readable();
  CHECK(devices.state(5) == connected_state);
  CHECK(devices.xen.mapped == std::set<std::uint32_t>{50});
  devices.submit(50);
  devices.turn_while_readable();
  CHECK(devices.page_state(50) == TpmifState::finish);
  CHECK(devices.handler.open == std::set<std::uint32_t>{5});
}

TEST_CASE("tpmif backends: a page that breaks the format closes its device and no other") {
  Devices devices;
  devices.connect(5);
  devices.connect(6);
  devices.submit(5);
  devices.xen.shared[5][0] = std::byte{0xff}; // its length
  devices.xen.shared[5][1] = std::byte{0xff};
  devices.submit(6);
  devices.turn_while_readable();
  CHECK(devices.state(5) == closed);
  CHECK(devices.handler.served == std::vector<std::uint32_t>{6});
  CHECK(devices.xen.mapped == std::set<std::uint32_t>{6});
}
