// SPDX-License-Identifier: LGPL-2.1-or-later
// For evidence_swtpm_test.py: what a vTPM gets from a TPM Manager that drives this TPM, as files.
// Usage: evidence-tool TCTI DIRECTORY [CREDENTIAL SECRET]: extends three records, of which the
// second is the guest's, and writes what ashlar-attest in that guest gets, its vTPM being in this
// process; with a credential (the two structures' files), activates it instead.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "ashlar/attest/evidence.hpp"
#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/evidence_message.hpp"
#include "ashlar/tpm/evidence_service.hpp"
#include "ashlar/tpm/host_tpm.hpp"
#include "ashlar/vtpm/commands.hpp"
#include "ashlar/vtpm/vendor_commands.hpp"

using namespace ashlar;

namespace {

constexpr std::uint64_t guest_serial = 2;
constexpr std::uint64_t vtpm_serial = 9;
constexpr auto profile = measure::Profile::uapi;

measure::MeasuredImage image(const std::string& content) {
  return {.label = content, .size = content.size(), .digests = *measure::digest(as_bytes(content))};
}

Result<measure::Record> make_record(std::uint64_t serial) {
  measure::Ingredients ingredients;
  ingredients.builder_identity = "ashlar-builder test";
  ingredients.policy_digest = std::string(64, '0');
  ingredients.configuration.name = "guest-" + std::to_string(serial);
  ingredients.configuration.vcpus = 1;
  ingredients.configuration.memory_kib = 256 << 10;
  ingredients.configuration.max_memory_kib = 256 << 10;
  ingredients.configuration.vtpm = measure::Vtpm::tpm20;
  ingredients.kernel = image("kernel");
  ingredients.command_line = "quiet";
  ingredients.initrds = {image("initrd")};
  measure::Record record;
  record.serial = serial;
  record.domid = static_cast<std::uint32_t>(serial);
  record.requester = "test";
  record.events = TRY(measure::make_events(ingredients));
  return record;
}

Status write_file(const std::string& path, std::span<const std::byte> content) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(content.data()),
             static_cast<std::streamsize>(content.size()));
  return file ? Status{} : failure(ErrorCode::io, "writing " + path, "it cannot be written");
}

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

Result<tpm::EvidenceParts> parts_of(const tpm::VtpmResponse& response, std::size_t count) {
  if (response.status != tpm::VtpmStatus::success)
    return failure(ErrorCode::denied, "asking for evidence",
                   std::to_string(static_cast<std::uint32_t>(response.status)));
  return tpm::decode_evidence_parts(response.body, count);
}

/// The TPM Manager's answers to the vTPM of the guest.
Result<std::vector<std::byte>> answer(tpm::Manager& manager, tpm::EvidenceService& service,
                                      std::span<const std::byte> packet) {
  const tpm::VtpmRequest request = TRY(tpm::decode_vtpm_request(packet));
  switch (request.ordinal) {
  case tpm::VtpmOrdinal::get_host_log:
    return tpm::encode(service.host_log(request.body));
  case tpm::VtpmOrdinal::get_guest_quote:
    return tpm::encode(
        service.guest_quote(*manager.ledger().find(guest_serial), vtpm_serial, request.body));
  default:
    return tpm::encode(service.host_keys(vtpm_serial, request.body));
  }
}

/// What the guest's ashlar-attest writes.
Result<std::vector<std::byte>> make_bundle(tpm::Manager& manager, tpm::EvidenceService& service) {
  const measure::Record record = TRY(make_record(guest_serial));
  const auto engine = TRY(vtpm::Engine::start(measure::Vtpm::tpm20));
  const auto extensions = TRY(measure::extensions_of(profile, record.events));
  TRY(vtpm::extend_all(*engine, extensions, measure::banks_of(profile)));
  vtpm::VendorCommands vendor(
      *engine, [&](std::span<const std::byte> packet) { return answer(manager, service, packet); },
      {.record = record, .version = measure::Vtpm::tpm20, .profile = profile});
  const std::vector<std::byte> nonce(attest::nonce_bytes, std::byte{0x4e});
  return attest::make_bundle(
      [&](std::span<const std::byte> packet) -> Result<std::vector<std::byte>> {
        if (vtpm::is_vendor_command(packet))
          return vendor.answer(packet);
        return engine->process(packet);
      },
      nonce);
}

Status write_evidence(tpm::Manager& manager, tpm::EvidenceService& service,
                      const std::string& directory) {
  for (std::uint64_t serial = 1; serial <= 3; ++serial) {
    const measure::Record record = TRY(make_record(serial));
    const std::vector<std::byte> encoded = TRY(measure::encode(record));
    TRY(manager.put(encoded));
  }
  return write_file(directory + "/bundle", TRY(make_bundle(manager, service)));
}

Status run(std::span<const char* const> words) {
  const std::string directory = words[1];
  tpm::HostTpm host = TRY(tpm::open_host_tpm(words[0], 13, {}));
  const auto manager = TRY(tpm::Manager::start(directory + "/run", 13, std::move(host.log)));
  tpm::EvidenceService service(*manager, *host.quoter);
  if (words.size() == 2)
    return write_evidence(*manager, service, directory);
  const auto body = TRY(tpm::encode(tpm::EvidenceParts{read_file(words[2]), read_file(words[3])}));
  const tpm::EvidenceParts secret = TRY(parts_of(service.activate(vtpm_serial, body), 1));
  return write_file(directory + "/secret", secret[0]);
}

} // namespace

int main(int argc, char** argv) {
  const std::span<const char* const> words(argv + 1, static_cast<std::size_t>(argc - 1));
  if (words.size() != 2 && words.size() != 4)
    return 2;
  const Status done = run(words);
  if (!done)
    std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
