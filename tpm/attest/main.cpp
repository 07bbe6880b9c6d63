// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-attest: a guest's evidence for somebody far away, and its event log, from its vTPM.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/attest/evidence.hpp"
#include "ashlar/base/bytes.hpp"
#include "ashlar/base/log.hpp"
#include "ashlar/base/unique_fd.hpp"

namespace {

using namespace ashlar;

constexpr std::string_view usage =
    "usage: ashlar-attest --nonce HEX -o BUNDLE\n"
    "       ashlar-attest --log FILE\n"
    "       ashlar-attest --activate CREDENTIAL -o SECRET\n"
    "In a guest with a TPM 2.0: writes evidence of what the guest was built from, for `ashlar\n"
    "verify`; its event log alone; or the secret of a credential made for the host's TPM.\n"
    "  --nonce HEX        64 hexadecimal digits that the verifier chose\n"
    "  --log FILE         the TCG event log of the guest's measurement\n"
    "  --activate FILE    what tpm2_makecredential wrote, for host.ek.pub and the name of\n"
    "                     host.ak.pub of this guest's bundle\n"
    "  -o FILE            where the result goes; \"-\" is standard output\n"
    "  --device PATH      the TPM (default /dev/tpm0; not tpmrm0, which has no such commands)\n"
    "  --help, --version\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

struct Arguments {
  std::string nonce, log, credential, output, device = "/dev/tpm0";
  attest::Bytes nonce_value;
};

std::unexpected<Error> misused(std::string why) {
  return failure(ErrorCode::invalid, "reading the arguments", std::move(why) + ": see --help");
}

Result<Arguments> parse(std::span<const char* const> words) {
  Arguments arguments;
  const std::array<std::pair<std::string_view, std::string*>, 5> options = {
      {{"--nonce", &arguments.nonce},
       {"--log", &arguments.log},
       {"--activate", &arguments.credential},
       {"-o", &arguments.output},
       {"--device", &arguments.device}}};
  for (std::size_t i = 0; i < words.size(); i += 2) {
    std::string* target = nullptr;
    for (const auto& [name, value] : options)
      if (words[i] == name)
        target = value;
    if (!target)
      return misused(fmt::format("\"{}\" is unknown", printable(words[i])));
    if (i + 1 == words.size())
      return misused(fmt::format("{} needs a value", words[i]));
    *target = words[i + 1];
  }
  const int wishes =
      !arguments.nonce.empty() + !arguments.log.empty() + !arguments.credential.empty();
  if (wishes != 1)
    return misused("exactly one of --nonce, --log and --activate must be given");
  if (arguments.log.empty() == arguments.output.empty())
    return misused("-o goes with --nonce and --activate, and must be given there");
  arguments.nonce_value = from_hex(arguments.nonce).value_or(attest::Bytes());
  if (!arguments.nonce.empty() && arguments.nonce_value.size() != attest::nonce_bytes)
    return misused("--nonce wants 64 hexadecimal digits");
  return arguments;
}

/// A TPM 1.2 would only say that it does not know the command.
Status require_tpm20(const std::string& device) {
  const std::string name = device.substr(device.rfind('/') + 1);
  std::ifstream file("/sys/class/tpm/" + name + "/tpm_version_major");
  std::string version;
  if (std::getline(file, version) && version == "1")
    return failure(ErrorCode::unsupported, "looking at the TPM " + device,
                   "it is a TPM 1.2, which gives no evidence: have the guest built with "
                   "--vtpm 2.0; what it was built from, ashlar measurement tells the toolstack");
  return {};
}

Status write_file(const std::string& path, std::span<const std::byte> content) {
  constexpr mode_t mode = 0644;
  UniqueFd file(path == "-" ? dup(STDOUT_FILENO)
                            : open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!file)
    return errno_failure("writing " + path);
  while (!content.empty()) {
    const ssize_t size = write(file.value(), content.data(), content.size());
    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0)
      return errno_failure("writing " + path);
    content = content.subspan(static_cast<std::size_t>(size));
  }
  return {};
}

Result<attest::Bytes> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(attest::max_credential_file_bytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad() || file.gcount() == 0)
    return failure(ErrorCode::io, "reading " + path, "it cannot be read, or is empty");
  const auto bytes = as_bytes(content).first(static_cast<std::size_t>(file.gcount()));
  return attest::Bytes(bytes.begin(), bytes.end());
}

Status attest_with(const Arguments& arguments) {
  TRY(require_tpm20(arguments.device));
  const attest::Exchange exchange = TRY(attest::open_device(arguments.device));
  return write_file(arguments.output, TRY(attest::make_bundle(exchange, arguments.nonce_value)));
}

Status run(const Arguments& arguments) {
  if (!arguments.nonce.empty())
    return attest_with(arguments);
  TRY(require_tpm20(arguments.device));
  if (!arguments.log.empty()) {
    const attest::Exchange exchange = TRY(attest::open_device(arguments.device));
    const attest::Document document = TRY(attest::fetch_log(exchange));
    return write_file(arguments.log, document.of(vtpm::DocumentItem::event_log));
  }
  const attest::Bytes credential = TRY(read_file(arguments.credential));
  const attest::Exchange exchange = TRY(attest::open_device(arguments.device));
  return write_file(arguments.output, TRY(attest::activate(exchange, credential)));
}

int print(std::string_view text) {
  return write(STDOUT_FILENO, text.data(), text.size()) >= 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  const std::span<const char* const> words(argv + 1, static_cast<std::size_t>(argc - 1));
  if (words.size() == 1 && words[0] == std::string_view("--help"))
    return print(usage);
  if (words.size() == 1 && words[0] == std::string_view("--version"))
    return print("ashlar-attest " ASHLAR_VERSION "\n");
  log::start("ashlar-attest");
  const Result<Arguments> arguments = parse(words);
  if (!arguments) {
    log::error("{}", arguments.error().message());
    return 2;
  }
  const Status done = run(*arguments);
  if (done)
    return 0;
  log::error("{}", done.error().message());
  return 1;
}
