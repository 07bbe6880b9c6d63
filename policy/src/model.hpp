// SPDX-License-Identifier: LGPL-2.1-or-later
// A policy as it is after reading: what the checks look at and what decisions are made on.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ashlar/measure/digest.hpp"
#include "ashlar/measure/pcr_profile.hpp"
#include "ashlar/policy/policy.hpp"
#include "ashlar/policy/request.hpp"
#include "ashlar/signature/certificate.hpp"
#include "ashlar/signature/trust.hpp"

namespace ashlar::policy {

inline constexpr std::array<Verb, verb_count> all_verbs = {
    Verb::create,  Verb::upload, Verb::list,        Verb::info,          Verb::measurement,
    Verb::destroy, Verb::pause,  Verb::unpause,     Verb::shutdown,      Verb::reboot,
    Verb::console, Verb::images, Verb::policy_show, Verb::policy_reload, Verb::host,
};

/// A word of the file and where it stands.
struct Word {
  std::string text;
  Location where;
};

/// The value of a key that takes "any" or a list of words.
struct Choice {
  bool any = false;
  std::vector<Word> words; // empty when `any`
  Location where;
};

enum class ImageKind { kernel, initrd };

/// An [[image]]: a name for the bytes that have one of these digests, or that one of these has
/// signed.
struct Image {
  std::string name;
  Location where;
  ImageKind kind = ImageKind::kernel;
  std::vector<measure::Sha256> sha256; // also those that come from a release or from signatures
  std::vector<Word> signed_by;         // names of certificates
  std::vector<Word> signatures;        // detached, PEM: the image is what they sign
  std::optional<Word> release;         // it is any image of its kind in that release

  /// Its signature is in the image itself, or comes with the request: it has no digest to know it
  /// by.
  [[nodiscard]] bool known_by_signer() const { return !signed_by.empty() && signatures.empty(); }
};

/// A [[certificate]].
struct Certificate {
  std::string name;
  Location where;
  signature::Certificate x509;
  bool code_only = false; // vouches only for signers whose own certificate is for signing code
};

/// A [[release]]: who may say what belongs to it, and what they said last.
struct Release {
  std::string name;
  Location where;
  std::vector<Word> signed_by;
  std::uint64_t min_sequence = 0;
  // From the manifest that counts; a sequence of 0: there is none.
  std::uint64_t sequence = 0;
  std::vector<measure::Sha256> kernels;
  std::vector<measure::Sha256> initrds;
};

/// A [[manifest]]: a signed list of digests, which names its release itself.
struct Manifest {
  Location where;
  std::string pem;
};

/// One digest of a [[revoked]] table.
struct Revoked {
  measure::Sha256 sha256{};
  Location where;
  std::string reason; // may be empty
};

/// The entry with this digest, or nullptr.
[[nodiscard]] const Revoked* find_digest(const std::vector<Revoked>& all,
                                         const measure::Sha256& sha256);

struct DomainName {
  std::string name;
  bool operator==(const DomainName&) const = default;
};
struct DomainUuid {
  std::string uuid; // lower case
  bool operator==(const DomainUuid&) const = default;
};
struct UserId {
  std::uint32_t uid = 0;
  bool operator==(const UserId&) const = default;
};
struct GroupId {
  std::uint32_t gid = 0;
  bool operator==(const GroupId&) const = default;
};
struct BootManifest {
  bool operator==(const BootManifest&) const = default;
};
using Identity = std::variant<DomainName, DomainUuid, UserId, GroupId, BootManifest>;

/// A [[requester]]: a name for the peers with this identity, and what they may see and hold.
struct Requester {
  std::string name;
  Location where;
  Identity identity;
  bool sees_all = false;
  Quota quota;
};

/// An entry of `disks`: the disks that it takes. What an entry of a deny rule does not say is
/// "any".
struct DiskPattern {
  enum class Access { any, read_only, writable };
  Location where;
  Choice backends; // names of domains
  Choice targets;  // globs
  Access access = Access::any;
};

/// An entry of `nics`, likewise.
struct NicPattern {
  Location where;
  Choice backends;       // names of domains
  Choice bridges;        // globs
  Choice macs;           // globs, for an address that the request chooses
  bool automatic = true; // it takes interfaces whose address the builder makes
};

/// May a guest have a vTPM?
enum class VtpmUse { forbidden, allowed, required };

/// [rule.guest]: conditions on a create request. An absent one does not restrict.
struct GuestConditions {
  std::optional<Choice> names; // globs
  std::optional<Choice> types;
  std::optional<Choice> kernels;                 // names of images
  std::optional<Choice> initrds;                 // names of images
  std::optional<Choice> command_lines;           // exact
  std::optional<Choice> command_line_parameters; // globs
  std::optional<std::uint64_t> max_vcpus;
  std::optional<std::uint64_t> max_memory_mib;
  std::optional<std::uint64_t> max_initrds;
  VtpmUse vtpm = VtpmUse::forbidden; // allow rules: what is not said is not allowed
  std::optional<Choice> vtpm_versions;
  measure::Profile vtpm_profile = measure::Profile::uapi;
  std::optional<Choice> xsm_labels; // globs; absent in an allow rule: no label
  // Allow rule: each device fits one; empty: it has none. Deny rule: some device fits one; empty:
  // no condition. The word "any" is one entry that takes all.
  std::vector<DiskPattern> disks;
  std::vector<NicPattern> nics;
};

/// [rule.upload]: conditions on an upload request.
struct UploadConditions {
  std::optional<Choice> images; // names of images of either kind
  std::optional<std::uint64_t> max_mib;
};

/// A [[rule]].
struct Rule {
  std::string name;
  Location where;
  bool allow = false;
  Choice requesters;
  Choice verbs;
  std::optional<GuestConditions> guest;
  std::optional<UploadConditions> upload;
};

struct Model {
  std::vector<Image> images;
  std::vector<Certificate> certificates;
  std::vector<Release> releases;
  std::vector<Manifest> manifests;
  std::vector<Revoked> revoked_images;
  std::vector<Revoked> revoked_authenticode; // of kernels, whatever their unsigned bytes
  std::vector<Revoked> revoked_certificates; // their fingerprints
  std::vector<Revoked> revoked_keys;         // digests of public keys
  std::vector<Requester> requesters;
  std::vector<Rule> rules;

  /// What has this name, or nullptr.
  [[nodiscard]] const Image* image(std::string_view name) const;
  [[nodiscard]] const Certificate* certificate(std::string_view name) const;
  [[nodiscard]] const Release* release(std::string_view name) const;
  [[nodiscard]] const Requester* requester(std::string_view name) const;
  /// The entry that revokes an image with this digest, or nullptr.
  [[nodiscard]] const Revoked* revoked_image(const measure::Sha256& sha256) const;
  /// The entry that revokes a kernel with this Authenticode digest, or nullptr.
  [[nodiscard]] const Revoked* revoked_kernel(const measure::Sha256& authenticode) const;
  /// The certificates with these names, and all that are revoked.
  [[nodiscard]] signature::Anchors anchors(const std::vector<Word>& names) const;
  /// The first requester whose identity is that of `peer`, or nullptr.
  [[nodiscard]] const Requester* requester_of(const Peer& peer) const;
  /// A peer that is this requester and no other one: what its identity leaves open (the group of a
  /// user, the UUID of a named domain) is nobody's.
  [[nodiscard]] Peer peer_of(const Requester& requester) const;
};

/// Is the word among those chosen?
[[nodiscard]] bool contains(const Choice& choice, std::string_view word);

/// Is it open, or does one of its globs fit `text`?
[[nodiscard]] bool any_glob_fits(const Choice& globs, std::string_view text);

/// Does `pattern`, in which * stands for any number of characters and ? for one, fit all of `text`?
/// Time is at most proportional to the product of both lengths.
[[nodiscard]] bool glob_fits(std::string_view pattern, std::string_view text);

} // namespace ashlar::policy
