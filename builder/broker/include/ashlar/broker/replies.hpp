// SPDX-License-Identifier: LGPL-2.1-or-later
// From the broker's values to response messages and back from request messages.
#pragma once

#include <optional>
#include <string>

#include "ashlar/broker/admission.hpp"
#include "ashlar/broker/domain.hpp"
#include "ashlar/ipc/message.hpp"
#include "ashlar/tpm/message.hpp"
#include "ashlar/xen/hypervisor.hpp"

namespace ashlar::broker {

[[nodiscard]] ipc::Response done_reply(std::uint32_t id);
[[nodiscard]] ipc::Response failure_reply(std::uint32_t id, const Error& error);
[[nodiscard]] ipc::Response refusal_reply(std::uint32_t id, const policy::Decision& decision);
[[nodiscard]] ipc::Response progress_reply(std::uint32_t id, const char* stage,
                                           std::uint64_t done = 0, std::uint64_t total = 0);
[[nodiscard]] ipc::Response image_reply(std::uint32_t id, const Image& image,
                                        const std::string& label);
/// `status`: what Xen says of it now; `vtpm`: its vTPM's domain, null for none; `all`: with the
/// fields that only `info` shows.
[[nodiscard]] ipc::Response domain_reply(std::uint32_t id, const Domain& domain,
                                         const std::optional<xen::DomainStatus>& status,
                                         const Domain* vtpm, bool all);
/// A draft that is being built.
[[nodiscard]] ipc::Response draft_reply(std::uint32_t id, const Domain& draft);
/// What the TPM Manager acknowledged of the hardware PCR.
[[nodiscard]] ipc::Response host_reply(std::uint32_t id, const tpm::Ack& state);
/// Errors: limit.
[[nodiscard]] Result<ipc::Response> host_keys_reply(std::uint32_t id,
                                                    const tpm::HostIdentity& identity);
[[nodiscard]] ipc::Response record_reply(std::uint32_t id, const Domain& domain);
[[nodiscard]] ipc::Response event_reply(std::uint32_t id, const measure::Event& event);

/// Reads a create message; image handles are not resolved yet. Errors: invalid.
[[nodiscard]] Result<GuestRequest> guest_request(const ashlar_v1_Create& create);
/// Reads an image reference. Errors: invalid (digest not 32 bytes).
[[nodiscard]] Result<UsedImage> used_image(const ashlar_v1_ImageRef& reference,
                                           const std::string& what);

} // namespace ashlar::broker
