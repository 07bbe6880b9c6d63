// SPDX-License-Identifier: LGPL-2.1-or-later
// For evidence_swtpm_test.py: what a vTPM gets from a TPM Manager that drives this TPM, as files.
// Usage: evidence-tool TCTI DIRECTORY [CREDENTIAL SECRET]: extends three records, of which the
// second is the guest's; with a credential (the two structures' files), activates it instead.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/evidence_message.hpp"
#include "ashlar/tpm/evidence_service.hpp"
#include "ashlar/tpm/host_tpm.hpp"

using namespace ashlar;

namespace {

std::vector<std::byte> make_record(std::uint64_t serial) {
  measure::Record record;
  record.serial = serial;
  record.domid = static_cast<std::uint32_t>(serial);
  record.requester = "test";
  return *measure::encode(record);
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

Status write_evidence(tpm::Manager& manager, tpm::EvidenceService& service,
                      const std::string& directory) {
  for (std::uint64_t serial = 1; serial <= 3; ++serial)
    TRY(manager.put(make_record(serial)));
  TRY(write_file(directory + "/record", make_record(2)));
  const tpm::VtpmResponse log = service.host_log(std::vector<std::byte>(4));
  TRY(write_file(directory + "/host.log",
                 std::span(log.body).subspan(tpm::host_log_part_header_bytes)));
  tpm::GuestQuoteRequest request;
  request.nonce.fill(std::byte{0x4e});
  request.key.fill(std::byte{0x7b});
  request.events = 3;
  const tpm::VtpmResponse quoted =
      service.guest_quote(*manager.ledger().find(2), 9, tpm::encode(request));
  const tpm::EvidenceParts quote = TRY(parts_of(quoted, tpm::guest_quote_parts));
  const char* const names[] = {"host.quote.msg", "host.quote.sig", "host.ak.pub", "pcrs"};
  for (std::size_t i = 0; i < quote.size(); ++i)
    TRY(write_file(directory + "/" + names[i], quote[i]));
  const tpm::EvidenceParts keys = TRY(parts_of(service.host_keys(9, {}), tpm::host_keys_parts));
  TRY(write_file(directory + "/host.ek.pub", keys[0]));
  return write_file(directory + "/host.ek.crt", keys[1]);
}

Status run(std::span<const char* const> words) {
  const std::string directory = words[1];
  tpm::HostTpm host = TRY(tpm::open_host_tpm(words[0], 13, {}));
  const auto manager = TRY(tpm::Manager::start(directory + "/run", 13, std::move(host.log)));
  tpm::EvidenceService service(*manager, *host.quoter);
  if (words.size() == 2)
    return write_evidence(*manager, service, directory);
  const auto body = TRY(tpm::encode(tpm::EvidenceParts{read_file(words[2]), read_file(words[3])}));
  const tpm::EvidenceParts secret = TRY(parts_of(service.activate(9, body), 1));
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
