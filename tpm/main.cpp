// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-tpm-manager: wiring only. The engine is in manager.hpp.
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/ipc/tpmif.hpp"
#include "ashlar/tpm/host_tpm.hpp"
#include "ashlar/tpm/key_store.hpp"
#include "ashlar/tpm/manager.hpp"
#include "ashlar/tpm/server.hpp"
#include "ashlar/tpm/settings.hpp"

namespace {

using namespace ashlar;

constexpr std::string_view usage =
    "usage: ashlar-tpm-manager [OPTION VALUE]...\n"
    "Keeps the measurement records of the builder's domains, and extends each into the hardware "
    "TPM.\n"
    "  --listen WHERE       vchan (default) or unix:PATH: where the builder connects\n"
    "  --builder DOMID      the builder's domain (default 0): only it is let in by vchan\n"
    "  --tpm TCTI           device:PATH (default device:/dev/tpm0) or swtpm:host=H,port=N\n"
    "  --pcr N              8 to 15 (default 13): nobody else may extend it\n"
    "  --vtpm-images FILE   a kernel's and an initrd's SHA-256 a line: what vTPMs may be built "
    "from\n"
    "  --key-store WHERE    the vTPMs' keys, sealed to the TPM: store (with ashlar-vtpm-store) or\n"
    "                       directory:DIR; none (default): until this domain ends\n"
    "  --seal-pcrs LIST     of 0 to 7 (default 0-4,7): what the keys are sealed to\n"
    "  --run-directory DIR  the journal's, in a tmpfs (default /run/ashlar-tpm-manager)\n"
    "  --help, --version\n";

/// SIGTERM and SIGINT stop the loop, between two requests.
Result<UniqueFd> open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0)
    return errno_failure("blocking signals");
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd)
    return errno_failure("opening a signalfd");
  return fd;
}

/// Sealed, with a store or on a disk, or in the tmpfs of the journal for as long as that lives.
Result<std::unique_ptr<tpm::KeyStore>> open_keys(const tpm::Settings& settings,
                                                 const tpm::Manager& manager, tpm::Vault& vault) {
  // The store's domain is one of those whose records come first: it starts later.
  if (settings.key_place == tpm::Settings::KeyPlace::store)
    return tpm::KeyStore::open_when_asked(tpm::open_sealed_key_file(
        tpm::place_in_store([](std::chrono::milliseconds time) {
          return ipc::TpmifFrontend::connect(time, ipc::TpmifDevice::vtpm_state);
        }),
        vault));
  if (settings.key_place == tpm::Settings::KeyPlace::directory)
    return tpm::KeyStore::open(
        tpm::open_sealed_key_file(tpm::place_in_directory(settings.key_directory), vault));
  const bool fresh = manager.ledger().log().empty();
  return tpm::KeyStore::open(tpm::open_plain_key_file(settings.run_directory, fresh));
}

Status run(std::span<const char* const> arguments) {
  constexpr mode_t own = 0700;
  const tpm::Settings settings = TRY(tpm::parse_arguments(arguments));
  if (mkdir(settings.run_directory.c_str(), own) != 0 && errno != EEXIST)
    return errno_failure("creating the directory " + settings.run_directory);
  const UniqueFd signals = TRY(open_signals());
  tpm::HostTpm host = TRY(tpm::open_host_tpm(settings.tpm, settings.pcr, settings.seal_pcrs));
  tpm::ApprovedImages approved;
  if (!settings.vtpm_images.empty())
    approved = TRY(tpm::ApprovedImages::read(settings.vtpm_images));
  const std::unique_ptr<tpm::Manager> manager = TRY(tpm::Manager::start(
      settings.run_directory, settings.pcr, std::move(host.log), std::move(approved)));
  const std::unique_ptr<tpm::KeyStore> keys = TRY(open_keys(settings, *manager, *host.vault));
  const std::unique_ptr<tpm::Server> server =
      TRY(tpm::Server::open(*manager, *keys, *host.quoter, settings));
  const tpm::Ack status = manager->log_status();
  log::notice("takes records on {}; PCR {} holds {} after {} events", settings.listen, status.pcr,
              to_hex(status.value), status.log_events);
  return server->run(signals.value());
}

int print(std::string_view text) {
  return write(STDOUT_FILENO, text.data(), text.size()) >= 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  const std::span<const char* const> arguments(argv + 1, static_cast<std::size_t>(argc - 1));
  if (arguments.size() == 1 && arguments[0] == std::string_view("--help"))
    return print(usage);
  if (arguments.size() == 1 && arguments[0] == std::string_view("--version"))
    return print("ashlar-tpm-manager " ASHLAR_VERSION "\n");
  log::start("ashlar-tpm-manager");
  // A builder that hangs up is an error value of write(2), not a signal.
  signal(SIGPIPE, SIG_IGN);
  const Status status = run(arguments);
  if (status)
    return 0;
  log::error("{}", status.error().message());
  return status.error().code == ErrorCode::invalid ? 2 : 1;
}
