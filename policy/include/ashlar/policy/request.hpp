// SPDX-License-Identifier: LGPL-2.1-or-later
// The facts that a policy decides on. All are established by the builder; none is taken on trust.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ashlar/measure/digest.hpp"
#include "ashlar/measure/domain_configuration.hpp"

namespace ashlar::policy {

/// Who is at the other end, as the transport says.
struct DomainPeer {
  std::string name; // the boot manifest's name for the domain
  std::string uuid; // 8-4-4-4-12, lower case
};
struct ProcessPeer {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};
struct BootManifestPeer {}; // the builder itself, starting what its boot manifest lists
using Peer = std::variant<DomainPeer, ProcessPeer, BootManifestPeer>;

/// What is asked for. The words in policy files are the enumerators' names with '-' for '_'.
enum class Verb {
  create,
  upload,
  list,
  info,
  measurement,
  destroy,
  pause,
  unpause,
  shutdown,
  reboot,
  console,
  images,
  policy_show,
  policy_reload,
  host,
};
inline constexpr std::size_t verb_count = 15;
[[nodiscard]] const char* to_string(Verb verb); // "policy-show"

struct ImageFacts {
  std::string label;        // the requester's own name for it: shown, never matched
  std::uint64_t size = 0;   // bytes
  measure::Digests digests; // only sha256 is set when `claimed`
  bool claimed = false;     // not received yet: the requester says that it has this digest
  /// The policy's names of the certificates that are known to have signed it: inside, or by a
  /// signature that came with the request.
  std::vector<std::string> signers = {};
  /// There are no others. False: nobody has looked inside the kernel, or verified the signature
  /// that came with the image.
  bool all_signers_known = false;
  /// Somebody has looked inside the kernel, under this policy or another one: what it has no
  /// Authenticode digest for is no PE image, or one that breaks the format.
  bool looked_inside = false;
  std::optional<measure::Sha256> authenticode = {}; // SHA-256; changes with no unsigned byte
};

struct GuestFacts {
  measure::DomainConfiguration configuration;
  std::string command_line;
  ImageFacts kernel;
  std::vector<ImageFacts> initrds;
};

struct UploadFacts {
  std::uint64_t size = 0;   // announced
  measure::Sha256 sha256{}; // announced
};

/// One question to the policy.
struct Request {
  Peer peer;
  Verb verb = Verb::list;
  std::optional<GuestFacts> guest;   // for create (and the rebuild after a guest's reboot)
  std::optional<UploadFacts> upload; // for upload
  /// For verbs about one domain: the policy name of the requester that owns it.
  std::optional<std::string> owner;
};

} // namespace ashlar::policy
