// SPDX-License-Identifier: LGPL-2.1-or-later
// The TPM Manager's service for vTPMs with two guests, their vTPMs, and a disk of the test's own.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/tpm/vtpm_service.hpp"
#include "scene.hpp"

namespace ashlar::tpm {

using Bytes = std::vector<std::byte>;

// Serials are the domids; 5 and 6 are guests, 15 and 16 their vTPMs.
inline constexpr std::uint32_t guest = 5;
inline constexpr std::uint32_t other_guest = 6;
inline constexpr std::uint32_t vtpm = 15;
inline constexpr std::uint32_t other_vtpm = 16;

inline measure::Event file_event(measure::EventType type, const std::string& content) {
  measure::Event event;
  event.type = type;
  event.size = content.size();
  event.digests = *measure::digest(as_bytes(content));
  return event;
}

inline measure::Record guest_record(std::uint32_t domid, const std::string& kernel,
                                    const std::string& requester = "tenant") {
  measure::Record record = make_record(domid, domid);
  record.uuid[15] = static_cast<std::byte>(domid);
  record.requester = requester;
  record.events.push_back(file_event(measure::EventType::kernel, kernel));
  return record;
}

inline measure::Record vtpm_record(std::uint32_t domid, const std::string& kernel = "vk") {
  measure::Record record = make_record(domid, domid);
  record.events.push_back(file_event(measure::EventType::kernel, kernel));
  record.events.push_back(file_event(measure::EventType::initrd, "vi"));
  return record;
}

inline ApprovedImages approved_images() {
  const auto hex = [](const std::string& content) {
    return to_hex(measure::digest(as_bytes(content))->sha256);
  };
  return *ApprovedImages::parse(fmt::format("{} {}\n", hex("vk"), hex("vi")), "images");
}

class ServingQuoter final : public Quoter {
public:
  [[nodiscard]] Result<Quote> quote(const measure::Sha256& qualifying) override {
    if (fails)
      return failure(ErrorCode::io, "quoting", "the test's TPM is dead");
    asked = qualifying;
    return Quote{Bytes(3, std::byte{1}), Bytes(2, std::byte{2}), Bytes(1, std::byte{3}), {}};
  }
  [[nodiscard]] std::span<const std::byte> attestation_key() const override { return {}; }
  [[nodiscard]] Result<std::map<std::uint32_t, measure::Sha256>> pcrs() override {
    return std::map<std::uint32_t, measure::Sha256>{};
  }
  [[nodiscard]] Result<Endorsement> endorsement() override { return Endorsement{}; }
  [[nodiscard]] Result<Bytes> activate(std::span<const std::byte>,
                                       std::span<const std::byte>) override {
    return Bytes{};
  }
  bool fails = false;
  measure::Sha256 asked{};
};

/// A file in memory that outlives its stores.
struct Disk {
  std::optional<Bytes> content;
  bool fails = false;
  ErrorCode error = ErrorCode::io;
  int writes = 0;
};
class FakeKeyFile final : public KeyFile {
public:
  explicit FakeKeyFile(Disk& disk) : disk_(disk) {}
  [[nodiscard]] Result<std::optional<Bytes>> read() override { return disk_.content; }
  [[nodiscard]] Status write(std::span<const std::byte> table) override {
    if (disk_.fails)
      return failure(disk_.error, "writing", "the test's disk is full");
    ++disk_.writes;
    disk_.content.emplace(table.begin(), table.end());
    return {};
  }

private:
  Disk& disk_;
};

struct Serving {
  TemporaryDirectory directory;
  Machine machine;
  std::unique_ptr<Manager> manager = start();
  Disk disk;
  std::unique_ptr<KeyStore> keys = *KeyStore::open(std::make_unique<FakeKeyFile>(disk));
  ServingQuoter quoter;
  Allowance::Time now{};
  VtpmService service{*manager, *keys, quoter, [this] { return now; }};

  Serving() {
    put(guest_record(guest, "kernel of 5"));
    put(guest_record(other_guest, "kernel of 6"));
    put(vtpm_record(vtpm));
    put(vtpm_record(other_vtpm));
    bind(guest, vtpm);
    bind(other_guest, other_vtpm);
  }
  [[nodiscard]] std::unique_ptr<Manager> start(ApprovedImages approved = approved_images()) {
    auto started = Manager::start(directory.path(), 13, make_tpm(machine), std::move(approved));
    REQUIRE(started.has_value());
    return *std::move(started);
  }
  void put(const measure::Record& record) { REQUIRE(manager->put(encoded(record))); }
  void bind(std::uint64_t guest_serial, std::uint64_t vtpm_serial) {
    REQUIRE(manager->bind({.guest_serial = guest_serial,
                           .vtpm_serial = vtpm_serial,
                           .version = measure::Vtpm::tpm12,
                           .profile = measure::Profile::pv_grub}));
  }
  void connect(std::uint32_t domid) { REQUIRE(service.connected(domid)); }
  [[nodiscard]] VtpmResponse ask(std::uint32_t domid, VtpmOrdinal ordinal, Bytes body = {}) {
    const auto response =
        decode_vtpm_response(service.answer(domid, encode(VtpmRequest{ordinal, std::move(body)})));
    REQUIRE(response.has_value());
    if (response->status != VtpmStatus::success)
      CHECK(response->body.size() <= max_vtpm_reason_bytes);
    return *response;
  }
  [[nodiscard]] VtpmStatus status(std::uint32_t domid, VtpmOrdinal ordinal, Bytes body = {}) {
    return ask(domid, ordinal, std::move(body)).status;
  }
};

inline Bytes key_of(std::byte fill, std::size_t size = long_key_bytes) {
  return Bytes(size, fill);
}

} // namespace ashlar::tpm
