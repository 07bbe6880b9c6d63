// SPDX-License-Identifier: LGPL-2.1-or-later
// The Xen vTPM device (xen/include/public/io/tpmif.h, version 2): TPM packets through one page
// shared by a frontend (who asks) and a backend (who is the TPM). What the page's fields mean is in
// tpmif_page.hpp; here are the two ends in user space, over libxengnttab, libxenevtchn and
// libxenstore. The xenstore nodes of a device are written by the builder before either end runs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ashlar/base/result.hpp"

namespace ashlar::ipc {

/// What a device is for. Both speak tpmif; a domain has at most one of each.
enum class TpmifDevice : std::uint8_t {
  vtpm,       // xenstore's "vtpm": a TPM, or the TPM Manager's door
  vtpm_state, // "vtpm-state": where a vTPM keeps its state, see docs/vtpm.md
};
/// Its name in xenstore: device/NAME/0 of the frontend, backend/NAME of the backend.
[[nodiscard]] constexpr const char* to_string(TpmifDevice device) {
  return device == TpmifDevice::vtpm ? "vtpm" : "vtpm-state";
}

/// The longest packet, in bytes: one page without its header, no extra pages.
inline constexpr std::size_t max_tpmif_packet_bytes = 4088;

/// What a backend does with packets. Calls come from within TpmifBackends::turn().
class TpmifHandler {
public:
  virtual ~TpmifHandler() = default;
  /// A frontend wants to connect. An error refuses it: its device is closed and the error logged.
  /// Also asked again when a frontend that had closed comes back.
  [[nodiscard]] virtual Status connected(std::uint32_t frontend_domid) = 0;
  /// The answer to one packet of 0 to max_tpmif_packet_bytes bytes, in a buffer of this process
  /// (the frontend cannot change it any more). Anything may be in it. At most
  /// max_tpmif_packet_bytes are sent back; an empty answer closes the device.
  [[nodiscard]] virtual std::vector<std::byte> answer(std::uint32_t frontend_domid,
                                                      std::span<const std::byte> packet) = 0;
  /// The frontend closed, or its domain is gone.
  virtual void disconnected(std::uint32_t frontend_domid) = 0;
};

/// All devices of one sort whose backend is this domain: found, and found gone, in this domain's
/// own backend/NAME directory of xenstore. The frontend's domid is that of the backend's node and
/// of the grant that Xen let us map: nothing that the frontend writes. One device a frontend
/// (handle 0); further ones are refused.
class TpmifBackends {
public:
  virtual ~TpmifBackends() = default;
  /// Errors: io, not_found (no Xen devices here).
  [[nodiscard]] static Result<std::unique_ptr<TpmifBackends>>
  open(TpmifHandler& handler, TpmifDevice device = TpmifDevice::vtpm);
  /// For poll(2): readable when turn() has something to do. One descriptor for all devices.
  [[nodiscard]] virtual int descriptor() const = 0;
  /// Does some of what there is to do, without waiting: new and closed devices, and one packet at
  /// most, the devices' in turn. While there is more, descriptor() stays readable. A device that
  /// breaks the protocol is closed and the others go on. Errors: io (xenstore or the event channels
  /// are gone: nothing works any more).
  [[nodiscard]] virtual Status turn() = 0;
};

/// What the builder says of this domain's own device vtpm/0: "1.2" or "2.0"; empty where it is no
/// TPM, but the TPM Manager's door. Errors: not_found (no such device).
[[nodiscard]] Result<std::string> tpmif_device_version();

/// Has this domain a device of this sort? Errors: not_found (no xenstore here).
[[nodiscard]] Result<bool> has_tpmif_device(TpmifDevice device);

/// What the builder wrote in a node of a device whose backend is this domain, such as the "uuid" of
/// the guest that it is about. Errors: not_found (no such device or node), io.
[[nodiscard]] Result<std::string>
tpmif_device_node(TpmifDevice device, std::uint32_t frontend_domid, const std::string& node);

/// One of this domain's own devices, as a user of it.
class TpmifFrontend {
public:
  virtual ~TpmifFrontend() = default;
  /// Shares a page with the backend that the device's node in xenstore names, and waits until it
  /// has connected. Errors: not_found (no such device, or no Xen devices here), timeout,
  /// peer_closed, io.
  [[nodiscard]] static Result<std::unique_ptr<TpmifFrontend>>
  connect(std::chrono::milliseconds timeout, TpmifDevice device = TpmifDevice::vtpm);
  /// Sends a packet and waits for the answer. Errors: limit (size), timeout (the device is of no
  /// more use: the answer may still come), peer_closed, invalid (the answer's length), io.
  [[nodiscard]] virtual Result<std::vector<std::byte>>
  exchange(std::span<const std::byte> packet, std::chrono::milliseconds timeout) = 0;
  [[nodiscard]] virtual std::uint32_t backend_domid() const = 0;
};

} // namespace ashlar::ipc
