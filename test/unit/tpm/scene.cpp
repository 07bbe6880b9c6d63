// SPDX-License-Identifier: LGPL-2.1-or-later
#include "scene.hpp"

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include <array>
#include <filesystem>
#include <utility>

#include "ashlar/base/bytes.hpp"
#include "ashlar/ipc/unix_socket.hpp"

namespace ashlar::tpm {

namespace {

class ArithmeticTpm final : public HardwareTpm {
public:
  explicit ArithmeticTpm(Machine& machine) : machine_(machine) {}

  [[nodiscard]] std::span<const measure::Bank> banks() const override { return banks_; }

  [[nodiscard]] Status extend(const measure::Digests& digests) override {
    if (machine_.dead || machine_.extend_fails_before)
      return failure(ErrorCode::io, "extending", "the test's TPM fails");
    machine_.pcr = TRY(extended(machine_.pcr, digests));
    machine_.pcr.sha384 = {}; // not an active bank
    ++machine_.extensions;
    if (machine_.read_fails_after_extend)
      machine_.dead = true;
    if (machine_.extend_fails_after)
      return failure(ErrorCode::io, "extending", "the test's TPM fails after it did it");
    return {};
  }

  [[nodiscard]] Result<PcrValue> read() override {
    if (machine_.dead)
      return failure(ErrorCode::io, "reading", "the test's TPM is dead");
    return machine_.pcr;
  }

private:
  Machine& machine_;
  std::array<measure::Bank, 2> banks_ = {measure::Bank::sha1, measure::Bank::sha256};
};

measure::Sha256 sha256(std::span<const std::byte> bytes) {
  measure::Sha256 out{};
  unsigned size = 0;
  REQUIRE(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()),
                     &size, EVP_sha256(), nullptr) == 1);
  return out;
}

} // namespace

measure::Record make_record(std::uint64_t serial, std::uint32_t domid,
                            const std::string& command_line) {
  measure::Record record;
  record.serial = serial;
  record.domid = domid;
  record.uuid[0] = std::byte{0x42};
  record.requester = "test";
  measure::Event event;
  event.type = measure::EventType::command_line;
  event.content = command_line;
  event.size = command_line.size();
  event.digests = *measure::digest(as_bytes(command_line));
  record.events.push_back(event);
  return record;
}

std::vector<std::byte> encoded(const measure::Record& record) {
  auto bytes = measure::encode(record);
  REQUIRE(bytes.has_value());
  return *std::move(bytes);
}

std::unique_ptr<HardwareTpm> make_tpm(Machine& machine) {
  return std::make_unique<ArithmeticTpm>(machine);
}

measure::Sha256 replay_sha256(const std::vector<std::vector<std::byte>>& records) {
  measure::Sha256 value{};
  for (const auto& record : records) {
    std::array<std::byte, 64> both{};
    const measure::Sha256 event = sha256(record);
    std::copy(value.begin(), value.end(), both.begin());
    std::copy(event.begin(), event.end(), both.begin() + 32);
    value = sha256(both);
  }
  return value;
}

TemporaryDirectory::TemporaryDirectory() : path_("/tmp/ashlar-tpm-test-XXXXXX") {
  REQUIRE(mkdtemp(path_.data()) != nullptr);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TransportPair make_transports(const TemporaryDirectory& directory) {
  auto listener = ipc::UnixListener::bind(directory.path() + "/socket");
  REQUIRE(listener.has_value());
  auto builder = ipc::connect_unix(directory.path() + "/socket");
  REQUIRE(builder.has_value());
  auto manager = listener->accept();
  REQUIRE(manager.has_value());
  REQUIRE(*manager);
  return {std::move(*builder), std::move(*manager)};
}

} // namespace ashlar::tpm
