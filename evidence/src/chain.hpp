// SPDX-License-Identifier: LGPL-2.1-or-later
// The chain while it is being checked.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ashlar/evidence/event_log.hpp"
#include "ashlar/evidence/reference.hpp"
#include "ashlar/evidence/tpm_structures.hpp"
#include "ashlar/evidence/verify.hpp"
#include "ashlar/measure/record.hpp"

namespace ashlar::evidence {

/// The names of the links, in the order of the chain.
namespace link {
inline constexpr const char* bundle = "bundle";
inline constexpr const char* nonce = "nonce";
inline constexpr const char* host_key = "host key";
inline constexpr const char* endorsement = "endorsement";
inline constexpr const char* host_quote = "host quote";
inline constexpr const char* host_pcrs = "host PCRs";
inline constexpr const char* firmware = "firmware";
inline constexpr const char* host_log = "host log";
inline constexpr const char* record = "record";
inline constexpr const char* binding = "binding";
inline constexpr const char* guest_key = "guest key";
inline constexpr const char* guest_quote = "guest quote";
inline constexpr const char* guest_pcrs = "guest PCRs";
inline constexpr const char* guest_log = "guest log";
inline constexpr const char* guest_events = "guest events";
inline constexpr const char* signed_references = "signed references";
inline constexpr const char* reference = "reference";
inline constexpr const char* incarnation = "incarnation";
} // namespace link

/// A reference whose signature holds.
struct TrustedReference {
  std::string name;
  std::string signer;
  Reference reference;
};

/// What the links that held have shown. Each link adds what the later ones build on, and finds
/// nothing where an earlier one failed.
class Chain {
public:
  Chain(const Bundle& evidence, const Trust& beforehand) : bundle(evidence), trust(beforehand) {}

  const Bundle& bundle;
  const Trust& trust;
  std::optional<TpmPublic> host_key;                    // enrolled
  std::optional<QuoteMessage> host;                     // signed by it
  HashAlgorithm host_hash = HashAlgorithm::sha256;      // of its signature
  bool host_pcrs_quoted = false;                        // the bundle's list is what was quoted
  std::optional<std::vector<measure::Sha256>> host_log; // what the host PCR was extended with
  std::optional<measure::Record> record;                // is in the log
  bool bound = false;                                   // the manager vouches for guest.ak.pub
  std::optional<TpmPublic> guest_key;
  std::optional<QuoteMessage> guest;
  HashAlgorithm guest_hash = HashAlgorithm::sha256;
  bool guest_pcrs_quoted = false;
  std::optional<EventLog> guest_log; // gives the quoted PCRs
  bool guest_events_match = false;   // and is what the record means
  std::optional<std::vector<TrustedReference>> references;
  std::string matching_reference;

  /// Runs one check: what it returns is the reason why the link holds, an Error why not.
  template <typename Check>
  void check(const char* name, Check&& check_link, bool optional = false) {
    Link link;
    link.name = name;
    link.optional = optional;
    expected_ = found_ = {};
    needs_ = nullptr;
    const Result<std::string> outcome = check_link(*this);
    link.state = outcome ? LinkState::ok : LinkState::failed;
    link.reason = outcome ? *outcome : outcome.error().message();
    if (needs_ != nullptr) {
      link.state = LinkState::unchecked;
      link.reason = std::string("needs the link \"") + needs_ + "\"";
    }
    if (nothing_to_compare_)
      link.state = LinkState::unchecked;
    nothing_to_compare_ = false;
    if (link.state == LinkState::failed) {
      link.expected = std::move(expected_);
      link.found = std::move(found_);
    }
    links_.push_back(std::move(link));
  }

  /// For a check that builds on another link which did not hold.
  [[nodiscard]] std::unexpected<Error> needs(const char* other);
  /// For an optional check: why there is nothing to compare with.
  [[nodiscard]] std::string nothing_to_compare(std::string why);
  /// For a check that found another value than it must.
  [[nodiscard]] std::unexpected<Error> differs(std::string doing, std::string why,
                                               std::string expected, std::string found);

  [[nodiscard]] std::vector<Link> take_links() { return std::move(links_); }

private:
  std::vector<Link> links_;
  const char* needs_ = nullptr;
  bool nothing_to_compare_ = false;
  std::string expected_;
  std::string found_;
};

/// Is this selection exactly the PCRs of `list`, in the SHA-256 bank, with `digest` over their
/// values? `hash` is that of the quote's signature. Errors: integrity, through Chain::differs.
[[nodiscard]] Status check_quoted(Chain& chain, const QuoteMessage& quote, HashAlgorithm hash,
                                  const PcrList& list, const std::set<std::uint32_t>& wanted,
                                  const std::string& what);

void check_host(Chain& chain);       // host key to binding
void check_guest(Chain& chain);      // guest key to guest events
void check_references(Chain& chain); // signed references to incarnation

} // namespace ashlar::evidence
