// SPDX-License-Identifier: LGPL-2.1-or-later
// Checks a bundle link by link, from the hardware TPM up to the guest's own PCRs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ashlar/evidence/bundle.hpp"
#include "ashlar/evidence/key.hpp"
#include "ashlar/evidence/pcr_list.hpp"

namespace ashlar::evidence {

inline constexpr std::uint32_t default_host_pcr = 13;

/// A reference manifest as it lies in a directory; nothing about it is believed yet.
struct ReferenceFile {
  std::string name;
  std::string manifest;
  std::optional<Bytes> signature; // the detached CMS; nothing: there is none
};

/// What the verifier knows and trusts beforehand.
struct Trust {
  measure::Sha256 nonce{};    // what this verifier has just chosen
  std::vector<Key> host_keys; // attestation keys of enrolled hosts
  std::string signers_pem;    // certificates of those who may sign references
  /// Certificates (PEM) of those who certify TPMs; nothing: an EK's issuer is not judged.
  std::optional<std::string> endorsement_authorities;
  std::vector<ReferenceFile> references;
  std::optional<PcrChoices> firmware; // of PCRs 0 to 7; nothing: they are not compared
  std::uint32_t host_pcr = default_host_pcr;
  std::optional<std::string> reference_name; // the one that must match; nothing: any of them
  std::optional<measure::Sha256> record;     // of the guest as it was seen before; nothing: any
};

enum class LinkState {
  ok,
  failed,
  unchecked, // it hangs on a link that failed, or (Link::optional) there is nothing to compare with
};
[[nodiscard]] const char* to_string(LinkState state); // "ok", "failed", "unchecked"

/// One link of the chain. Texts come partly from the bundle: printable, but not to be trusted.
struct Link {
  std::string name; // "host quote": a fixed word for programs
  LinkState state = LinkState::unchecked;
  bool optional = false; // may stay unchecked
  std::string reason;    // what was found right, or what is wrong
  std::string expected;  // where it failed for a value: that, and what was there
  std::string found;
};

/// Who the evidence is about, as far as the record could be read.
struct Subject {
  std::string name; // from the record's configuration
  measure::Uuid uuid{};
  std::uint64_t serial = 0;
  std::uint32_t domid = 0;
  measure::Sha256 record{}; // of its encoded form: what names this incarnation
};

struct Verdict {
  std::vector<Link> links; // every link, in the order of the chain
  std::optional<Subject> subject;
  std::string reference; // the manifest that matches
  [[nodiscard]] bool ok() const;
};

/// Are these certificates that Trust::endorsement_authorities takes? So that a mistake in the
/// verifier's own file is told from bad evidence. Errors: invalid, limit.
[[nodiscard]] Status require_authorities(std::string_view pem, const std::string& what);

/// Checks every link that can be checked. The bundle is controlled by whoever wants to be believed,
/// and the references by whoever can write to the directory; Trust::host_keys, signers_pem,
/// endorsement_authorities and firmware are the verifier's own. Never fails: what cannot be read is
/// a failed link.
[[nodiscard]] Verdict verify(std::span<const std::byte> bundle, const Trust& trust);

} // namespace ashlar::evidence
