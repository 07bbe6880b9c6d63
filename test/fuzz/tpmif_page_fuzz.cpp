// SPDX-License-Identifier: LGPL-2.1-or-later
// The input is what the other end has written to the shared page of a vTPM device, and goes on
// writing: a first page, then bytes that overwrite it while the packet is looked at.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "ashlar/ipc/tpmif_page.hpp"

using namespace ashlar::ipc;

namespace {

void require(bool holds) {
  if (!holds)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Of its own size on the heap: a byte read after the page is found.
  std::vector<std::byte> shared(tpmif_page_bytes);
  std::span<const std::uint8_t> input(data, size);
  TpmifPage page(shared.data());
  while (!input.empty()) {
    const std::size_t count = std::min(input.size(), tpmif_page_bytes);
    std::memcpy(shared.data(), input.data(), count);
    input = input.subspan(count);
    static_cast<void>(page.state());
    const auto packet = page.take();
    if (!packet)
      continue;
    require(packet->size() <= max_tpmif_packet_bytes);
    const std::vector<std::byte> copy = *packet;
    std::ranges::fill(shared, std::byte{0xff}); // the other end changes its mind
    require(copy == *packet);
    require(page.put(*packet, TpmifState::finish).has_value());
    const auto again = page.take();
    require(again.has_value() && *again == *packet);
  }
  return 0;
}
