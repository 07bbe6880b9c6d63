// SPDX-License-Identifier: LGPL-2.1-or-later
// What the TPM Manager's tests share: records, a TPM of arithmetic only, and a place for a journal.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ashlar/ipc/transport.hpp"
#include "ashlar/measure/record.hpp"
#include "ashlar/tpm/hardware_tpm.hpp"
#include "ashlar/tpm/manager.hpp"

namespace ashlar::tpm {

/// A record with one event; `command_line` makes two of one serial differ.
[[nodiscard]] measure::Record make_record(std::uint64_t serial, std::uint32_t domid,
                                          const std::string& command_line = "quiet");
[[nodiscard]] std::vector<std::byte> encoded(const measure::Record& record);

/// The machine's part of a test: outlives the managers that use it, as a TPM does.
struct Machine {
  PcrValue pcr{};
  int extensions = 0;
  bool dead = false;               // neither reads nor extends
  bool extend_fails_after = false; // extends, and reports an error
  bool extend_fails_before = false;
  bool read_fails_after_extend = false; // the manager "dies" between extension and its end
};
/// A TPM with the banks SHA-1 and SHA-256.
[[nodiscard]] std::unique_ptr<HardwareTpm> make_tpm(Machine& machine);

/// What the host PCR must hold after these records, computed without the code under test.
[[nodiscard]] measure::Sha256 replay_sha256(const std::vector<std::vector<std::byte>>& records);

/// A directory of its own, removed with its contents.
class TemporaryDirectory {
public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

private:
  std::string path_;
};

/// Two connected transports; each says that the other is this process's user.
struct TransportPair {
  std::unique_ptr<ipc::Transport> builder;
  std::unique_ptr<ipc::Transport> manager;
};
[[nodiscard]] TransportPair make_transports(const TemporaryDirectory& directory);

} // namespace ashlar::tpm
