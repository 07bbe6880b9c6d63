// SPDX-License-Identifier: LGPL-2.1-or-later
// vchan between a toolstack domain and the builder domain.
//
// Xen binds a vchan to one peer domain, so the builder opens one per connection. How they meet:
//   1. the client picks a token (8 to 16 lower-case hexadecimal digits) and writes "connect", or
//      "connect BUILDER" where the builder is not domain 0, to its own data/ashlar/TOKEN, that is
//      /local/domain/CLIENT/data/ashlar/TOKEN; with " small" after it, it asks for small rings;
//   2. the builder, which watches that directory for the domains that it accepts as requesters,
//   opens
//      a vchan server for CLIENT at /local/domain/BUILDER/data/ashlar/CLIENT/TOKEN and answers by
//      setting the client's node to "ready" (or to "refused: REASON");
//   3. the client connects there as vchan client, and removes its node.
// The peer's domid is the one that the grants and the event channel are bound to: Xen enforces it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/ipc/transport.hpp"

namespace ashlar::ipc {

/// Bytes of each direction's ring, a page of the server's memory and a grant for each 4 KiB.
enum class RingBytes : std::size_t {
  for_images = std::size_t{1} << 20,    // images with smaller ones take longer: 4 KiB, 100 times
  for_messages = std::size_t{64} << 10, // set up and taken down in a tenth of the time
};

/// Longest xenstore path for a vchan. libxenvchan 4.17 forms "PATH/event-channel" in 64 bytes and
/// cuts what does not fit, without an error.
inline constexpr std::size_t max_vchan_path_bytes = 63 - 14;

/// 8 to 16 lower-case hexadecimal digits. Clients pick 8: with two five-digit domids the path is
/// then still within max_vchan_path_bytes.
[[nodiscard]] bool valid_vchan_token(std::string_view token);

/// What a client's node says while it waits for the builder in this domain: any other domain leaves
/// it alone.
[[nodiscard]] std::string vchan_invitation(std::uint32_t builder_domid, RingBytes rings);

/// Which rings such a node asks the builder in this domain for; nothing when it says anything else.
[[nodiscard]] std::optional<RingBytes> wanted_rings(std::string_view node,
                                                    std::uint32_t builder_domid);

/// Where the builder serves a client: /local/domain/BUILDER/data/ashlar/CLIENT/TOKEN.
[[nodiscard]] std::string vchan_server_path(std::uint32_t builder_domid, std::uint32_t client_domid,
                                            std::string_view token);

/// Opens the server end for `client_domid` at the path above. It takes 33 or 513 pages of
/// xen_gntalloc, whose module parameter `limit` (1024 pages by default) bounds how many can be open
/// at once.
/// Errors: limit (the path is too long), io (no grants left, no Xen devices, …).
/// The transport's destructor closes the ring and removes the server's xenstore nodes.
[[nodiscard]] Result<std::unique_ptr<Transport>>
serve_vchan(std::uint32_t client_domid, const std::string& xenstore_path, RingBytes rings);

/// Joins, as its client, a vchan that `server_domid` serves for this domain at `xenstore_path`.
/// Never waits. Errors: not_found (nobody serves there now, or not for us: xenstored does not tell
/// which), io.
[[nodiscard]] Result<std::unique_ptr<Transport>> join_vchan(std::uint32_t server_domid,
                                                            const std::string& xenstore_path);

/// Connects to the builder in domain `builder_domid`, with the steps above, within `timeout_ms`.
/// Errors: denied (refused, with the reason), timeout, not_found (no Xen devices here), io.
[[nodiscard]] Result<std::unique_ptr<Transport>> connect_vchan(std::uint32_t builder_domid,
                                                               RingBytes rings, int timeout_ms);

} // namespace ashlar::ipc
