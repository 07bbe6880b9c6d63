// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-vtpm: the TPM of one guest, in a domain of its own. Fetches the guest's measurement from
// the TPM Manager, extends it, and only then offers the guest its device.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

extern "C" {
#include <xenstore.h>
}

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/ipc/tpmif.hpp"
#include "ashlar/vtpm/commands.hpp"
#include "ashlar/vtpm/engine.hpp"
#include "ashlar/vtpm/guest_measurement.hpp"
#include "ashlar/vtpm/state_keeper.hpp"
#include "ashlar/vtpm/vendor_commands.hpp"

namespace {

using namespace ashlar;

constexpr std::string_view usage =
    "usage: ashlar-vtpm\n"
    "The TPM of one guest. Runs in a domain that the builder made for it, takes the guest's\n"
    "measurement from the TPM Manager, extends it, and offers the guest its device.\n"
    "  --help, --version\n";

constexpr std::chrono::seconds manager_time{60};
constexpr std::chrono::seconds answer_time{30};
constexpr std::chrono::seconds store_time{60};         // the store may be starting anew
constexpr const char* report_node = "data/vtpm-state"; // below this domain's own directory
constexpr std::size_t max_report_bytes = 600;

/// Tells the builder, which waits for it.
Status report(const std::string& text) {
  xs_handle* store = xs_open(0);
  if (!store)
    return errno_failure("reporting to the builder", "xenstore cannot be reached");
  const bool written =
      xs_write(store, XBT_NULL, report_node, text.data(), static_cast<unsigned>(text.size()));
  const int number = errno;
  xs_close(store);
  errno = number;
  return written ? Status{} : errno_failure("reporting to the builder");
}

/// Lets in the guest whose measurement is in the TPM, and nobody else.
class Door : public ipc::TpmifHandler {
public:
  /// `vendor` answers what a TPM 2.0 has beside the TCG's commands; null: nobody does.
  Door(vtpm::Engine& engine, std::uint32_t guest, vtpm::VendorCommands* vendor)
      : engine_(engine), guest_(guest), vendor_(vendor) {}

  Status connected(std::uint32_t frontend_domid) override {
    if (frontend_domid == guest_)
      return {};
    return failure(ErrorCode::denied, "letting a frontend in",
                   "this is the TPM of domain " + std::to_string(guest_));
  }
  std::vector<std::byte> answer(std::uint32_t, std::span<const std::byte> packet) override {
    if (vendor_ && vtpm::is_vendor_command(packet))
      return vendor_->answer(packet);
    Result<std::vector<std::byte>> answer = engine_.process(packet);
    if (answer)
      return std::move(*answer);
    log::error("{}", answer.error().message());
    return {};
  }
  void disconnected(std::uint32_t) override {}

private:
  vtpm::Engine& engine_;
  std::uint32_t guest_;
  vtpm::VendorCommands* vendor_;
};

/// One of this domain's devices, connected when it is needed, and anew when the other end was
/// started anew: all that a vTPM asks for may be asked twice.
class Line {
public:
  Line(ipc::TpmifDevice device, std::chrono::seconds connect_time)
      : device_(device), connect_time_(connect_time) {}

  Result<std::vector<std::byte>> exchange(std::span<const std::byte> packet) {
    Result<std::vector<std::byte>> answer = ask(packet);
    if (!answer && answer.error().code == ErrorCode::peer_closed)
      answer = ask(packet);
    return answer;
  }
  [[nodiscard]] vtpm::Exchange as_exchange() {
    return [this](std::span<const std::byte> packet) { return exchange(packet); };
  }

private:
  Result<std::vector<std::byte>> ask(std::span<const std::byte> packet) {
    if (!frontend_)
      frontend_ = TRY(ipc::TpmifFrontend::connect(connect_time_, device_));
    Result<std::vector<std::byte>> answer = frontend_->exchange(packet, answer_time);
    if (!answer)
      frontend_.reset();
    return answer;
  }

  ipc::TpmifDevice device_;
  std::chrono::seconds connect_time_;
  std::unique_ptr<ipc::TpmifFrontend> frontend_;
};

/// A TPM with the state that the guest's last one had; the first one is fresh.
Result<std::unique_ptr<vtpm::Engine>> start_engine(const vtpm::StateKeeper& keeper,
                                                   measure::Vtpm version) {
  const std::optional<std::vector<std::byte>> saved = TRY(keeper.load());
  const bool first = !saved.has_value();
  std::unique_ptr<vtpm::Engine> engine =
      TRY(vtpm::Engine::start(version, first ? std::vector<std::byte>() : *saved));
  log::notice("the TPM is {}; its state is {}", first ? "new" : "the one that the guest had",
              keeper.keeps() ? "kept" : "lost when this domain ends");
  if (keeper.keeps())
    TRY(engine->keep_state(
        [&keeper](std::span<const std::byte> state) { return keeper.save(state); }));
  return engine;
}

Status serve(ipc::TpmifBackends& devices) {
  for (;;) {
    TRY(devices.turn());
    pollfd waiting{devices.descriptor(), POLLIN, 0};
    if (poll(&waiting, 1, -1) < 0 && errno != EINTR)
      return errno_failure("waiting for the guest");
  }
}

Status run() {
  Line manager(ipc::TpmifDevice::vtpm, manager_time);
  Line store(ipc::TpmifDevice::vtpm_state, store_time);
  const vtpm::GuestMeasurement measurement = TRY(vtpm::fetch_measurement(manager.as_exchange()));
  const measure::Record& record = measurement.record;
  log::notice("the guest is domain {} with record {}; TPM {}, profile {}", record.domid,
              record.serial, measure::to_string(measurement.version),
              measure::to_string(measurement.profile));
  const bool keeps = TRY(ipc::has_tpmif_device(ipc::TpmifDevice::vtpm_state));
  const vtpm::StateKeeper keeper(manager.as_exchange(),
                                 keeps ? store.as_exchange() : vtpm::Exchange(),
                                 {.guest = record.uuid, .version = measurement.version});
  const std::unique_ptr<vtpm::Engine> engine = TRY(start_engine(keeper, measurement.version));
  const auto extensions = TRY(measure::extensions_of(measurement.profile, record.events));
  const auto banks = measurement.version == measure::Vtpm::tpm12
                         ? measure::banks_of(measure::Profile::pv_grub) // a TPM 1.2 has SHA-1 alone
                         : measure::banks_of(measurement.profile);
  TRY(vtpm::extend_all(*engine, extensions, banks));
  vtpm::VendorCommands vendor(*engine, manager.as_exchange(), measurement);
  Door door(*engine, record.domid, measurement.version == measure::Vtpm::tpm20 ? &vendor : nullptr);
  const std::unique_ptr<ipc::TpmifBackends> devices = TRY(ipc::TpmifBackends::open(door));
  TRY(devices->turn()); // finds the guest's device and offers it
  TRY(report("extended"));
  log::notice("the measurement is extended: {} events", extensions.size());
  return serve(*devices);
}

int print(std::string_view text) {
  return write(STDOUT_FILENO, text.data(), text.size()) >= 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  if (argc == 2 && argv[1] == std::string_view("--help"))
    return print(usage);
  if (argc == 2 && argv[1] == std::string_view("--version"))
    return print("ashlar-vtpm " ASHLAR_VERSION "\n");
  log::start("ashlar-vtpm");
  if (argc != 1) {
    log::error("starting: \"{}\" is unknown: see --help", printable(argv[1]));
    return 2;
  }
  const Status ended = run();
  if (ended)
    return 0;
  log::error("{}", ended.error().message());
  const std::string text = "failed: " + printable(ended.error().message(), max_report_bytes);
  if (const Status told = report(text); !told)
    log::error("{}", told.error().message());
  return 1;
}
