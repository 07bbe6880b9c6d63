// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading a policy and deciding by it. docs/policy.md and ashlar-policy(5) describe the language.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/base/result.hpp"
#include "ashlar/measure/pcr_profile.hpp"
#include "ashlar/policy/request.hpp"
#include "ashlar/signature/trust.hpp"

namespace ashlar::policy {

/// Where something is written: for "file:line:column: …".
struct Location {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  [[nodiscard]] std::string text() const;
};

/// One remark of the checker. A policy with an error is not loaded.
struct Finding {
  enum class Severity { error, warning };
  Severity severity = Severity::error;
  Location where;
  std::string message; // what is wrong, and what to do
  /// "guests.toml:3:1: error: …", the form that compilers and editors know.
  [[nodiscard]] std::string text() const;
};

/// Why one rule did not match, or that it did: in rule order, for `explain`.
struct RuleTrace {
  std::string rule;
  Location where;
  std::string failed_condition; // empty: it matched
};

/// The reason of a denial when the requester may not see the domain: the same as for one that does
/// not exist, so that nobody learns what others run. The broker uses it for unknown domains as
/// well.
inline constexpr std::string_view no_such_domain = "there is no such domain";
/// The longest Decision::reason, in bytes.
inline constexpr std::size_t max_reason_bytes = 1000;

/// The answer. A denial is a value, not an Error.
struct Decision {
  bool allowed = false;
  /// Not allowed as yet: a rule that comes before all that match depends on who has signed an
  /// image, or the policy revokes Authenticode digests, and that is not known. Ask again with
  /// ImageFacts::all_signers_known and looked_inside.
  bool unverified = false;
  /// Then: what is inside the kernel may matter. False: signatures that came along settle it.
  bool needs_kernel = false;
  std::string requester; // the policy's name for the peer; empty when no requester matches it
  std::string rule;      // name of the rule that decided; empty: no rule matched, so denied
  Location where;        // of that rule
  std::string reason;    // one sentence for the requester, without facts about other requesters
  /// Which PCRs of the guest's vTPM are extended; there if it is allowed and has one.
  std::optional<measure::Profile> vtpm_profile;
  /// Every rule that was considered, up to the one that decided: for admins only, since it names
  /// rules that are for others.
  std::vector<RuleTrace> trace;
};

/// What a requester may hold at once. Absent: the builder's own limits apply alone.
struct Quota {
  std::optional<std::uint32_t> max_domains;
  std::optional<std::uint32_t> max_vcpus;      // over all its domains
  std::optional<std::uint64_t> max_memory_mib; // over all its domains
  std::optional<std::uint64_t> max_store_mib;  // images held for it
};

/// One named text of a policy directory.
struct PolicyFile {
  std::string name;
  std::string text;
};

/// The names that a policy declares, in the order of its files: for tools and messages.
struct Declared {
  std::vector<std::string> certificates;
  std::vector<std::string> images;
  std::vector<std::string> requesters;
  std::vector<std::string> rules;
};

/// What the verifier of signatures inside images is given.
struct Signers {
  std::vector<std::string> names; // of certificates, in the order of `anchors`
  signature::Anchors anchors;

  /// The names of those that trust a signer. `trust` has one answer for each.
  [[nodiscard]] std::vector<std::string> trusting(const std::vector<signature::Trust>& trust) const;
};

inline constexpr std::size_t max_policy_files = 64;
inline constexpr std::uint64_t max_policy_file_bytes = 1u << 20;

class Policy {
public:
  struct Load;

  /// Parses and checks all files, in the order given (callers sort by name). Never fails otherwise
  /// than through findings: `policy` is set only if none of them is an error.
  /// `now` is the time at which certificates are looked at, in seconds since 1970: by itself the
  /// clock's.
  [[nodiscard]] static Load load(const std::vector<PolicyFile>& files,
                                 std::optional<std::int64_t> now = {});

  Policy(Policy&&) noexcept;
  Policy& operator=(Policy&&) noexcept;
  ~Policy();

  /// First rule that matches decides; no rule that matches means no.
  [[nodiscard]] Decision decide(const Request& request) const;

  /// Does a rule let `peer` create guests of the kernel with this digest, however they look
  /// otherwise, and may no rule before it deny one? Of a kernel that is known by its signer, no:
  /// who has signed it is not looked at. What is approved so may be inspected before a guest is
  /// asked for; whether one may be built is for decide() to say.
  [[nodiscard]] bool approves_kernel(const Peer& peer, const measure::Sha256& sha256) const;

  /// The policy's name for a peer, if one of its requesters matches it.
  [[nodiscard]] std::optional<std::string> requester_name(const Peer& peer) const;
  /// May `requester` see and touch domains of `owner`? (Its own: always. Others': if the policy
  /// says so.)
  [[nodiscard]] bool may_see(std::string_view requester, std::string_view owner) const;
  [[nodiscard]] Quota quota(std::string_view requester) const;

  [[nodiscard]] Declared declared() const;
  /// A peer that is the requester of this name and no other, for questions asked without a
  /// connection.
  [[nodiscard]] std::optional<Peer> peer_of(std::string_view requester) const;
  /// The first digest of the image of this name.
  [[nodiscard]] std::optional<measure::Sha256> image_digest(std::string_view image) const;

  /// The certificates, any of which must have signed the image of this name; empty for images known
  /// by digests.
  [[nodiscard]] std::vector<std::string> image_signers(std::string_view image) const;
  [[nodiscard]] Signers signers() const;
  /// The sequence number of each release's manifest; 0: it has none.
  struct ReleaseState {
    std::string name;
    std::uint64_t sequence = 0;
  };
  [[nodiscard]] std::vector<ReleaseState> releases() const;

  /// SHA-256 over the files (name, length, text), 64 hexadecimal digits: part of every record.
  [[nodiscard]] const std::string& digest() const;
  /// The files as loaded, for `ashlar policy show`.
  [[nodiscard]] const std::vector<PolicyFile>& files() const;

private:
  struct Impl;
  explicit Policy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct Policy::Load {
  std::optional<Policy> policy;
  std::vector<Finding> findings;
};

/// Reads all *.toml files of a directory (hidden ones and *.cases.toml excepted) in the byte order
/// of their names; none gives an empty list, which load() refuses. Errors: not_found, io, limit
/// (named above).
[[nodiscard]] Result<std::vector<PolicyFile>> read_directory(const std::string& path);

} // namespace ashlar::policy
