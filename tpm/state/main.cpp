// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-vtpm-store: keeps what vTPMs give it, in files. Runs in a domain with a disk, which nobody
// has to trust: the blobs are encrypted, and their vTPMs notice what is lost, swapped or old.
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/ipc/tpmif.hpp"
#include "ashlar/vtpm_state/blob_store.hpp"

namespace {

using namespace ashlar;

constexpr std::string_view usage =
    "usage: ashlar-vtpm-store [--directory DIR]\n"
    "Keeps the encrypted states of vTPMs, and the TPM Manager's sealed keys to them, for the "
    "domain\n"
    "that the builder's boot manifest gives vtpm_state_store = true.\n"
    "  --directory DIR  where (default /var/lib/ashlar/vtpm-state)\n"
    "  --help, --version\n"
    "Exit status: 1 failed, 2 wrong usage.\n";

constexpr const char* default_directory = "/var/lib/ashlar/vtpm-state";

/// Whose device it is, by the builder's word: its nodes "owner", and for a guest's vTPM "uuid" and
/// "requester".
Result<vtpm_state::BlobOwner> owner_of(std::uint32_t frontend_domid) {
  const auto node = [frontend_domid](const char* name) {
    return ipc::tpmif_device_node(ipc::TpmifDevice::vtpm_state, frontend_domid, name);
  };
  vtpm_state::BlobOwner owner;
  const std::string kind = TRY(node("owner"));
  if (kind == "tpm-manager")
    return owner;
  const std::string uuid = TRY(node("uuid"));
  owner.guest = TRY(measure::uuid_from_text(uuid));
  owner.requester = TRY(node("requester"));
  if (kind != "guest" || owner.requester.empty())
    return failure(ErrorCode::invalid,
                   fmt::format("looking for what domain {}'s device is about", frontend_domid),
                   fmt::format("its owner is \"{}\", of requester \"{}\"", printable(kind),
                               printable(owner.requester)));
  return owner;
}

/// One vTPM a guest: when a guest comes back its new vTPM may be here before the old one is gone.
class Door : public ipc::TpmifHandler {
public:
  explicit Door(std::string directory) : blobs_(std::move(directory)) {}

  Status connected(std::uint32_t frontend_domid) override {
    const vtpm_state::BlobOwner owner = TRY(owner_of(frontend_domid));
    std::erase_if(owners_, [&owner](const auto& entry) { return entry.second == owner; });
    owners_[frontend_domid] = owner;
    blobs_.forget_parts(owner);
    log::info("domain {} keeps blobs for {}", frontend_domid, vtpm_state::to_string(owner));
    return {};
  }
  std::vector<std::byte> answer(std::uint32_t frontend_domid,
                                std::span<const std::byte> packet) override {
    const auto owner = owners_.find(frontend_domid);
    if (owner != owners_.end())
      return blobs_.answer(owner->second, packet);
    log::warning("domain {} was the vTPM of a guest that has another one now", frontend_domid);
    return {};
  }
  void disconnected(std::uint32_t frontend_domid) override {
    const auto owner = owners_.find(frontend_domid);
    if (owner == owners_.end())
      return;
    blobs_.forget_parts(owner->second);
    owners_.erase(owner);
  }

private:
  vtpm_state::BlobStore blobs_;
  std::map<std::uint32_t, vtpm_state::BlobOwner> owners_; // by the frontend's domain
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
