// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/ipc/tpmif_page.hpp"

#include <atomic>
#include <cstring>

#include <fmt/format.h>

namespace ashlar::ipc {

namespace {

constexpr std::size_t length_at = 0;
constexpr std::size_t state_at = 4;
constexpr std::size_t extra_pages_at = 7;
constexpr std::size_t packet_at = 8;
static_assert(packet_at + max_tpmif_packet_bytes == tpmif_page_bytes);

// The compiler must neither read a field twice nor read it earlier than the state that announces
// it.
template <typename Field>
std::atomic_ref<Field> field(std::byte* page, std::size_t offset) {
  return std::atomic_ref<Field>(*reinterpret_cast<Field*>(page + offset));
}

} // namespace

TpmifState TpmifPage::state() const {
  return static_cast<TpmifState>(field<std::uint8_t>(page_, state_at).load());
}

void TpmifPage::set_idle() {
  field<std::uint8_t>(page_, state_at).store(static_cast<std::uint8_t>(TpmifState::idle));
}

Result<std::vector<std::byte>> TpmifPage::take() const {
  const std::string doing = "reading a packet from the shared page of a vTPM device";
  const std::uint32_t length = field<std::uint32_t>(page_, length_at).load();
  if (const auto extra = field<std::uint8_t>(page_, extra_pages_at).load(); extra != 0)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("it is in {} extra pages: one page holds every TPM packet", extra));
  if (length > max_tpmif_packet_bytes)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("it says that it has {} bytes; at most {} fit", length,
                               max_tpmif_packet_bytes));
  std::vector<std::byte> packet(length);
  std::memcpy(packet.data(), page_ + packet_at, length);
  return packet;
}

Status TpmifPage::put(std::span<const std::byte> packet, TpmifState state) {
  if (packet.size() > max_tpmif_packet_bytes)
    return limit_failure("writing a packet to the shared page of a vTPM device",
                         fmt::format("it has {} bytes", packet.size()),
                         fmt::format("{} bytes", max_tpmif_packet_bytes));
  std::memcpy(page_ + packet_at, packet.data(), packet.size());
  field<std::uint32_t>(page_, length_at).store(static_cast<std::uint32_t>(packet.size()));
  field<std::uint8_t>(page_, extra_pages_at).store(0);
  field<std::uint8_t>(page_, state_at).store(static_cast<std::uint8_t>(state));
  return {};
}

} // namespace ashlar::ipc
