// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/verify.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/compare.hpp"
#include "chain.hpp"

namespace ashlar::evidence {

namespace {

Verdict unreadable(const Error& error) {
  Verdict verdict;
  verdict.links.push_back({.name = link::bundle,
                           .state = LinkState::failed,
                           .reason = error.message(),
                           .expected = {},
                           .found = {}});
  return verdict;
}

Result<std::string> check_nonce(Chain& chain) {
  if (chain.bundle.nonce != chain.trust.nonce)
    return chain.differs("comparing the nonce",
                         "the bundle answers another challenge: it is an old one, or was made for "
                         "another verifier",
                         to_hex(chain.trust.nonce), to_hex(chain.bundle.nonce));
  return "the bundle says that it answers this challenge";
}

// The record as it stands, checked or not: so that a refusal says whom it is about.
std::optional<Subject> subject_of(const Bundle& bundle) {
  const auto record = measure::decode(bundle.record);
  const auto digests = measure::digest(bundle.record);
  if (!record || !digests)
    return std::nullopt;
  return Subject{.name = guest_name(record->events),
                 .uuid = record->uuid,
                 .serial = record->serial,
                 .domid = record->domid,
                 .record = digests->sha256};
}

} // namespace

const char* to_string(LinkState state) {
  switch (state) {
  case LinkState::ok:
    return "ok";
  case LinkState::failed:
    return "failed";
  case LinkState::unchecked:
    return "unchecked";
  }
  return "failed";
}

bool Verdict::ok() const {
  return !links.empty() && std::ranges::all_of(links, [](const Link& link) {
    return link.state == LinkState::ok || (link.state == LinkState::unchecked && link.optional);
  });
}

std::unexpected<Error> Chain::needs(const char* other) {
  needs_ = other;
  return failure(ErrorCode::invalid, {}, {});
}

std::string Chain::nothing_to_compare(std::string why) {
  nothing_to_compare_ = true;
  return why;
}

std::unexpected<Error> Chain::differs(std::string doing, std::string why, std::string expected,
                                      std::string found) {
  expected_ = std::move(expected);
  found_ = std::move(found);
  return failure(ErrorCode::integrity, std::move(doing), std::move(why));
}

Verdict verify(std::span<const std::byte> bytes, const Trust& trust) {
  const Result<Bundle> bundle = read_bundle(bytes);
  if (!bundle)
    return unreadable(bundle.error());
  Chain chain(*bundle, trust);
  chain.check(link::bundle, [](Chain&) -> Result<std::string> { return "it can be read"; });
  chain.check(link::nonce, check_nonce);
  check_host(chain);
  check_guest(chain);
  check_references(chain);
  Verdict verdict;
  verdict.links = chain.take_links();
  verdict.subject = subject_of(*bundle);
  verdict.reference = chain.matching_reference;
  return verdict;
}

} // namespace ashlar::evidence
