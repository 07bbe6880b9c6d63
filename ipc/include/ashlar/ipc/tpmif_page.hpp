// SPDX-License-Identifier: LGPL-2.1-or-later
// The shared page of a Xen vTPM device (struct tpmif_shared_page of xen/include/public/io/tpmif.h):
//   u32 length   bytes of the packet, native byte order
//   u8 state     see TpmifState
//   u8 locality
//   u8 pad
//   u8 nr_extra_pages, then that many u32 grant references, then the packet
// The header's comment puts the packet at byte 16; every implementation has it at 8 + 4 * extra
// pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/tpmif.hpp"

namespace ashlar::ipc {

inline constexpr std::size_t tpmif_page_bytes = 4096;

enum class TpmifState : std::uint8_t {
  idle = 0,   // nothing is asked; set by the backend when a cancelled request is dropped
  submit = 1, // the frontend has put a request there
  finish = 2, // the backend has put the answer there
  cancel = 3, // the frontend wants no answer any more
};

/// One end's view of the page. The other end may write to every byte of it at any time: each field
/// is read once, checked, and only the copy is used.
class TpmifPage {
public:
  /// `page` is tpmif_page_bytes of shared memory, which must outlive this.
  explicit TpmifPage(void* page) : page_(static_cast<std::byte*>(page)) {}

  [[nodiscard]] TpmifState state() const;
  /// The backend drops a cancelled request.
  void set_idle();

  /// Copies the packet that the other end has put there. Errors: invalid (longer than the page, or
  /// in extra pages, which nobody uses).
  [[nodiscard]] Result<std::vector<std::byte>> take() const;
  /// Puts a packet there, then hands it over by setting the state. Errors: limit.
  [[nodiscard]] Status put(std::span<const std::byte> packet, TpmifState state);

private:
  std::byte* page_;
};

} // namespace ashlar::ipc
