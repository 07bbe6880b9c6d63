// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-vtpm-store: keeps what vTPMs give it, in files. Runs in a domain with a disk, which nobody
// has to trust: the blobs are encrypted, and their vTPMs notice what is lost, swapped or old.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string>
#include <string_view>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/ipc/tpmif.hpp"
#include "ashlar/vtpm_state/blob_store.hpp"

namespace {

using namespace ashlar;

constexpr std::string_view usage =
    "usage: ashlar-vtpm-store [--directory DIR]\n"
    "Keeps the encrypted states of vTPMs, for the domain that the builder's boot manifest gives\n"
    "vtpm_state_store = true.\n"
    "  --directory DIR  where (default /var/lib/ashlar/vtpm-state)\n"
    "  --help, --version\n"
    "Exit status: 1 failed, 2 wrong usage.\n";

constexpr const char* default_directory = "/var/lib/ashlar/vtpm-state";

/// One vTPM a guest: when a guest comes back its new vTPM may be here before the old one is gone.
class Door : public ipc::TpmifHandler {
public:
  explicit Door(std::string directory) : blobs_(std::move(directory)) {}

  Status connected(std::uint32_t frontend_domid) override {
    const std::string text =
        TRY(ipc::tpmif_device_uuid(ipc::TpmifDevice::vtpm_state, frontend_domid));
    const measure::Uuid guest = TRY(measure::uuid_from_text(text));
    std::erase_if(guests_, [&guest](const auto& entry) { return entry.second == guest; });
    guests_[frontend_domid] = guest;
    blobs_.forget_parts(guest);
    log::info("domain {} is the vTPM of guest {}", frontend_domid, text);
    return {};
  }
  std::vector<std::byte> answer(std::uint32_t frontend_domid,
                                std::span<const std::byte> packet) override {
    const auto guest = guests_.find(frontend_domid);
    if (guest != guests_.end())
      return blobs_.answer(guest->second, packet);
    log::warning("domain {} was the vTPM of a guest that has another one now", frontend_domid);
    return {};
  }
  void disconnected(std::uint32_t frontend_domid) override {
    const auto guest = guests_.find(frontend_domid);
    if (guest == guests_.end())
      return;
    blobs_.forget_parts(guest->second);
    guests_.erase(guest);
  }

private:
  vtpm_state::BlobStore blobs_;
  std::map<std::uint32_t, measure::Uuid> guests_; // by the vTPM's domain
};

Status run(const std::string& directory) {
  Door door(directory);
  const std::unique_ptr<ipc::TpmifBackends> devices =
      TRY(ipc::TpmifBackends::open(door, ipc::TpmifDevice::vtpm_state));
  log::notice("keeps vTPM states in {}", directory);
  for (;;) {
    TRY(devices->turn());
    pollfd waiting{devices->descriptor(), POLLIN, 0};
    if (poll(&waiting, 1, -1) < 0 && errno != EINTR)
      return errno_failure("waiting for vTPMs");
  }
}

int print(std::string_view text) {
  return write(STDOUT_FILENO, text.data(), text.size()) >= 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view argument = argc > 1 ? argv[1] : "";
  if (argc == 2 && argument == "--help")
    return print(usage);
  if (argc == 2 && argument == "--version")
    return print("ashlar-vtpm-store " ASHLAR_VERSION "\n");
  log::start("ashlar-vtpm-store");
  if (argc != 1 && (argc != 3 || argument != "--directory" || argv[2][0] == '\0')) {
    log::error("starting: \"{}\" is unknown or lacks its value: see --help", printable(argument));
    return 2;
  }
  const Status ended = run(argc == 3 ? argv[2] : default_directory);
  log::error("{}", ended.error().message());
  return 1;
}
