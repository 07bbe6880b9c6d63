// SPDX-License-Identifier: LGPL-2.1-or-later
// ashlar-vtpm-agent: gives a guest's kernel the TPM 2.0 of its vTPM domain. Linux' own driver for
// this device (xen-tpmfront) knows TPM 1.2 alone, so the device is used from here, and the kernel
// gets a TPM by its proxy driver (tpm_vtpm_proxy, linux/vtpm_proxy.h).
#include <fcntl.h>
#include <linux/vtpm_proxy.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "ashlar/base/log.hpp"
#include "ashlar/base/unique_fd.hpp"
#include "ashlar/ipc/tpmif.hpp"

namespace {

using namespace ashlar;

constexpr std::string_view usage =
    "usage: ashlar-vtpm-agent [--foreground]\n"
    "Makes this guest's TPM 2.0 a device of its kernel: /dev/tpmN and /dev/tpmrmN. Goes to the\n"
    "background as soon as they are there, and prints their number.\n"
    "  --foreground  stay in the foreground\n"
    "  --help, --version\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 the device is a TPM 1.2: load xen-tpmfront.\n";

constexpr int tpm12_status = 3;
constexpr std::chrono::seconds connect_time{60};
// Making an RSA key may take minutes on a loaded machine.
constexpr std::chrono::minutes answer_time{10};
constexpr int device_wait_ms = 30'000;
constexpr int device_poll_ms = 20;

// TPM2_SelfTest(fullTest = YES): the kernel's driver waits about two seconds for its own.
constexpr std::array<std::uint8_t, 11> self_test = {0x80, 0x01, 0x00, 0x00, 0x00, 0x0b,
                                                    0x00, 0x00, 0x01, 0x43, 0x01};
// The proxy's own command, TPM2_CC_SET_LOCALITY: for the emulator behind it, which has none.
constexpr std::array<std::uint8_t, 4> set_locality = {0x20, 0x00, 0x10, 0x00};
constexpr std::array<std::uint8_t, 10> success = {0x80, 0x01, 0x00, 0x00, 0x00,
                                                  0x0a, 0x00, 0x00, 0x00, 0x00};

struct ProxyDevice {
  UniqueFd server; // where the kernel's commands come
  std::uint32_t number = 0;
};

Result<ProxyDevice> make_device() {
  const UniqueFd control(open("/dev/vtpmx", O_RDWR | O_CLOEXEC));
  if (!control)
    return errno_failure("opening /dev/vtpmx", "is the module tpm_vtpm_proxy loaded?");
  vtpm_proxy_new_dev wanted{};
  wanted.flags = VTPM_PROXY_FLAG_TPM2;
  if (ioctl(control.value(), VTPM_PROXY_IOC_NEW_DEV, &wanted) != 0)
    return errno_failure("making a TPM device");
  return ProxyDevice{UniqueFd(static_cast<int>(wanted.fd)), wanted.tpm_num};
}

bool is_set_locality(std::span<const std::byte> command) {
  constexpr std::size_t code_at = 6;
  const auto wanted = std::as_bytes(std::span(set_locality));
  return command.size() >= code_at + wanted.size() &&
         std::ranges::equal(command.subspan(code_at, wanted.size()), wanted);
}

/// Carries commands and answers until one of the two ends is gone.
Status relay(ipc::TpmifFrontend& tpm, int device) {
  std::array<std::byte, ipc::max_tpmif_packet_bytes> buffer{};
  for (;;) {
    const ssize_t size = read(device, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR)
      continue;
    if (size <= 0)
      return errno_failure("reading the kernel's next TPM command");
    const auto command = std::span(buffer).first(static_cast<std::size_t>(size));
    const auto local = std::as_bytes(std::span(success));
    std::vector<std::byte> answer(local.begin(), local.end());
    if (!is_set_locality(command))
      answer = TRY(tpm.exchange(command, answer_time));
    // The kernel may have given the command up meanwhile: then it takes no answer.
    if (write(device, answer.data(), answer.size()) < 0 && errno != EINVAL && errno != EPIPE)
      return errno_failure("handing the kernel the TPM's answer");
  }
}

/// Does all the work. `told` gets the device's number as soon as there is one.
Status serve(int told) {
  const std::unique_ptr<ipc::TpmifFrontend> tpm = TRY(ipc::TpmifFrontend::connect(connect_time));
  TRY(tpm->exchange(std::as_bytes(std::span(self_test)), answer_time));
  const ProxyDevice device = TRY(make_device());
  if (write(told, &device.number, sizeof device.number) != sizeof device.number)
    return errno_failure("telling the device's number");
  close(told);
  return relay(*tpm, device.server.value());
}

/// Waits until the kernel has the device with this number.
Status await_device(std::uint32_t number) {
  const std::string path = fmt::format("/sys/class/tpm/tpm{}", number);
  for (int waited = 0; access(path.c_str(), F_OK) != 0; waited += device_poll_ms) {
    if (waited > device_wait_ms)
      return failure(ErrorCode::timeout, "waiting for the kernel's TPM device",
                     path + " does not appear; the kernel's log says why");
    usleep(device_poll_ms * 1000);
  }
  return {};
}

/// In a child, so that the caller goes on as soon as the device is there.
int in_background() {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    log::error("making a pipe: {}", std::strerror(errno));
    return 1;
  }
  const UniqueFd from_child(pipe_ends[0]);
  UniqueFd to_parent(pipe_ends[1]);
  const pid_t child = fork();
  if (child < 0) {
    log::error("going to the background: {}", std::strerror(errno));
    return 1;
  }
  if (child == 0) {
    setsid();
    const Status ended = serve(to_parent.release());
    log::error("{}", ended.error().message());
    _exit(1);
  }
  to_parent.reset();
  std::uint32_t number = 0;
  if (read(from_child.value(), &number, sizeof number) != sizeof number) {
    waitpid(child, nullptr, 0); // it has said why
    return 1;
  }
  if (const Status there = await_device(number); !there) {
    log::error("{}", there.error().message());
    return 1;
  }
  fmt::print("tpm{}\n", number);
  return 0;
}

int run(bool foreground) {
  const Result<std::string> version = ipc::tpmif_device_version();
  if (!version) {
    log::error("{}", version.error().message());
    return 1;
  }
  if (*version == "1.2") {
    log::notice("the device is a TPM 1.2: Linux' own driver serves it, load xen-tpmfront");
    return tpm12_status;
  }
  if (!foreground)
    return in_background();
  const Status ended = serve(open("/dev/null", O_WRONLY | O_CLOEXEC));
  log::error("{}", ended.error().message());
  return 1;
}

int print(std::string_view text) {
  return write(STDOUT_FILENO, text.data(), text.size()) >= 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view argument = argc > 1 ? argv[1] : "";
  if (argument == "--help")
    return print(usage);
  if (argument == "--version")
    return print("ashlar-vtpm-agent " ASHLAR_VERSION "\n");
  log::start("ashlar-vtpm-agent");
  if (argc > 2 || (argc == 2 && argument != "--foreground")) {
    log::error("starting: unknown arguments: see --help");
    return 2;
  }
  return run(argc == 2);
}
