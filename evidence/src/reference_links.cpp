// SPDX-License-Identifier: LGPL-2.1-or-later
// Is the guest one that somebody signed for?
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/difference.hpp"
#include "ashlar/evidence/signed_file.hpp"
#include "chain.hpp"

namespace ashlar::evidence {

namespace {

using measure::Event;
using measure::EventType;

Result<TrustedReference> read_signed(const ReferenceFile& file, const std::string& signers) {
  if (!file.signature)
    return failure(
        ErrorCode::denied, "checking the signature of " + file.name,
        fmt::format("the reference is unsigned: there is no {}.cms; sign it with openssl "
                    "cms -sign -binary -outform DER, or take it away",
                    file.name));
  std::string signer =
      TRY(verify_signed(as_bytes(file.manifest), *file.signature, signers, file.name));
  Reference reference = TRY(read_reference(file.manifest, file.name));
  return TrustedReference{file.name, std::move(signer), std::move(reference)};
}

Result<std::string> check_signatures(Chain& chain) {
  std::vector<TrustedReference> references;
  references.reserve(chain.trust.references.size());
  for (const ReferenceFile& file : chain.trust.references)
    references.push_back(TRY(read_signed(file, chain.trust.signers_pem)));
  if (chain.trust.reference_name)
    std::erase_if(references, [&](const TrustedReference& reference) {
      return reference.name != *chain.trust.reference_name;
    });
  if (references.empty())
    return failure(ErrorCode::not_found, "looking for references",
                   chain.trust.reference_name
                       ? "there is no " + *chain.trust.reference_name
                       : std::string("there is no *.manifest: write one with ashlar measure "
                                     "--manifest and sign it"));
  chain.references = std::move(references);
  return fmt::format("{} references, each signed by somebody in signers.pem",
                     chain.references->size());
}

bool has(const std::vector<Event>& events, EventType type) {
  return std::ranges::find(events, type, &Event::type) != events.end();
}

// The guest's events without those that the reference leaves open.
std::vector<Event> comparable(std::vector<Event> events, const Reference& reference) {
  std::erase_if(events, [&](const Event& event) {
    return (event.type == EventType::builder || event.type == EventType::policy) &&
           !has(reference.events, event.type);
  });
  return events;
}

// The kernels and initrds of all references, to name one that turns up in another's place.
std::vector<KnownFile> known_files(const std::vector<TrustedReference>& references) {
  std::vector<KnownFile> known;
  for (const TrustedReference& one : references)
    for (const Event& event : one.reference.events)
      if (!keeps_content(event.type))
        known.push_back({fmt::format("{} of {}", to_string(event.type), one.name), event.digests});
  return known;
}

struct Mismatch {
  std::size_t matching = 0; // events, before the first that differs
  std::string why;
  std::string expected;
  std::string found;
};

// How the guest fails a reference; nothing: it does not.
std::optional<Mismatch> mismatch(const Chain& chain, const TrustedReference& one,
                                 std::span<const KnownFile> known) {
  const Reference& reference = one.reference;
  if (reference.profile != chain.bundle.profile)
    return Mismatch{0, "another profile", to_string(reference.profile),
                    to_string(chain.bundle.profile)};
  const std::vector<Item> wanted = items_of(reference.events);
  const std::vector<Item> there = items_of(comparable(chain.record->events, reference));
  const auto difference = first_difference({.first = wanted,
                                            .second = there,
                                            .first_name = one.name,
                                            .second_name = "the guest",
                                            .banks = measure::all_banks,
                                            .known = known});
  if (difference)
    return Mismatch{difference->position - 1,
                    fmt::format("the {} differs: {}", difference->covers, difference->cause),
                    difference->first, difference->second};
  if (reference.uuid && *reference.uuid != chain.record->uuid)
    return Mismatch{reference.events.size(), "it is another guest: the UUID differs",
                    measure::to_string(*reference.uuid), measure::to_string(chain.record->uuid)};
  return std::nullopt;
}

Result<std::string> check_reference(Chain& chain) {
  if (!chain.references)
    return chain.needs(link::signed_references);
  if (!chain.guest_events_match)
    return chain.needs(link::guest_events);
  const std::vector<KnownFile> known = known_files(*chain.references);
  std::optional<Mismatch> nearest;
  std::string name;
  for (const TrustedReference& one : *chain.references) {
    std::optional<Mismatch> found = mismatch(chain, one, known);
    if (!found) {
      chain.matching_reference = one.name;
      return fmt::format("the guest is what {} says, signed by {}", one.name,
                         printable(one.signer));
    }
    if (!nearest || found->matching > nearest->matching) {
      nearest = std::move(found);
      name = one.name;
    }
  }
  return chain.differs("comparing the guest with " + name,
                       fmt::format("no signed reference fits; of the nearest, {}", nearest->why),
                       nearest->expected, nearest->found);
}

Result<std::string> check_incarnation(Chain& chain) {
  if (!chain.trust.record)
    return chain.nothing_to_compare("no record was given to compare with");
  if (!chain.bound)
    return chain.needs(link::binding);
  const measure::Sha256 record = TRY(measure::digest(chain.bundle.record)).sha256;
  if (record != *chain.trust.record)
    return chain.differs("comparing the record with the one given",
                         fmt::format("it is another incarnation: the guest was destroyed and built "
                                     "anew (this one has serial {})",
                                     chain.record->serial),
                         to_hex(*chain.trust.record), to_hex(record));
  return "it is the incarnation that was seen before";
}

} // namespace

void check_references(Chain& chain) {
  chain.check(link::signed_references, check_signatures);
  chain.check(link::reference, check_reference);
  chain.check(link::incarnation, check_incarnation, true);
}

} // namespace ashlar::evidence
