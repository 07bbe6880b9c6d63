// SPDX-License-Identifier: LGPL-2.1-or-later
#include "model.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ashlar::policy {

namespace {

bool same(const Identity& identity, const Peer& peer) {
  if (const auto* domain = std::get_if<DomainPeer>(&peer))
    return identity == Identity(DomainName{domain->name}) ||
           identity == Identity(DomainUuid{domain->uuid});
  if (const auto* process = std::get_if<ProcessPeer>(&peer))
    return identity == Identity(UserId{process->uid}) ||
           identity == Identity(GroupId{process->gid});
  return identity == Identity(BootManifest{});
}

/// The first number from 65534 ("nobody") down whose identity no requester has.
template <typename Make>
std::uint32_t unclaimed(const std::vector<Requester>& requesters, Make identity_of) {
  std::uint32_t number = 65534;
  while (std::ranges::find(requesters, Identity(identity_of(number)), &Requester::identity) !=
         requesters.end())
    --number;
  return number;
}

std::string numbered_uuid(std::uint32_t number) {
  return fmt::format("00000000-0000-0000-0000-{:012x}", number);
}

template <typename Named>
const Named* find_named(const std::vector<Named>& all, std::string_view name) {
  const auto found = std::ranges::find(all, name, &Named::name);
  return found == all.end() ? nullptr : &*found;
}

} // namespace

const char* to_string(Verb verb) {
  switch (verb) {
  case Verb::create:
    return "create";
  case Verb::upload:
    return "upload";
  case Verb::list:
    return "list";
  case Verb::info:
    return "info";
  case Verb::measurement:
    return "measurement";
  case Verb::destroy:
    return "destroy";
  case Verb::pause:
    return "pause";
  case Verb::unpause:
    return "unpause";
  case Verb::shutdown:
    return "shutdown";
  case Verb::reboot:
    return "reboot";
  case Verb::console:
    return "console";
  case Verb::images:
    return "images";
  case Verb::policy_show:
    return "policy-show";
  case Verb::host:
    return "host";
  case Verb::policy_reload:
    return "policy-reload";
  }
  return "unknown";
}

const Image* Model::image(std::string_view name) const {
  return find_named(images, name);
}

const Certificate* Model::certificate(std::string_view name) const {
  return find_named(certificates, name);
}

const Release* Model::release(std::string_view name) const {
  return find_named(releases, name);
}

const Revoked* find_digest(const std::vector<Revoked>& all, const measure::Sha256& sha256) {
  const auto found = std::ranges::find(all, sha256, &Revoked::sha256);
  return found == all.end() ? nullptr : &*found;
}

const Revoked* Model::revoked_image(const measure::Sha256& sha256) const {
  return find_digest(revoked_images, sha256);
}

const Revoked* Model::revoked_kernel(const measure::Sha256& authenticode) const {
  return find_digest(revoked_authenticode, authenticode);
}

signature::Anchors Model::anchors(const std::vector<Word>& names) const {
  signature::Anchors anchors;
  for (const Word& name : names)
    if (const Certificate* named = certificate(name.text); named != nullptr) {
      anchors.certificates.push_back(named->x509);
      if (named->code_only)
        anchors.code_only.push_back(named->x509.fingerprint());
    }
  for (const Revoked& revoked : revoked_certificates)
    anchors.revoked.push_back(revoked.sha256);
  for (const Revoked& revoked : revoked_keys)
    anchors.revoked_keys.push_back(revoked.sha256);
  return anchors;
}

const Requester* Model::requester(std::string_view name) const {
  return find_named(requesters, name);
}

const Requester* Model::requester_of(const Peer& peer) const {
  const auto found = std::ranges::find_if(
      requesters, [&](const Requester& requester) { return same(requester.identity, peer); });
  return found == requesters.end() ? nullptr : &*found;
}

Peer Model::peer_of(const Requester& requester) const {
  const auto user = [](std::uint32_t number) { return UserId{number}; };
  const auto group = [](std::uint32_t number) { return GroupId{number}; };
  const auto domain = [](std::uint32_t number) { return DomainUuid{numbered_uuid(number)}; };
  if (const auto* name = std::get_if<DomainName>(&requester.identity))
    return DomainPeer{name->name, numbered_uuid(unclaimed(requesters, domain))};
  if (const auto* uuid = std::get_if<DomainUuid>(&requester.identity))
    return DomainPeer{{}, uuid->uuid};
  if (const auto* uid = std::get_if<UserId>(&requester.identity))
    return ProcessPeer{uid->uid, unclaimed(requesters, group)};
  if (const auto* gid = std::get_if<GroupId>(&requester.identity))
    return ProcessPeer{unclaimed(requesters, user), gid->gid};
  return BootManifestPeer{};
}

bool contains(const Choice& choice, std::string_view word) {
  return choice.any || std::ranges::find(choice.words, word, &Word::text) != choice.words.end();
}

bool any_glob_fits(const Choice& globs, std::string_view text) {
  return globs.any || std::ranges::any_of(globs.words, [&](const Word& word) {
           return glob_fits(word.text, text);
         });
}

bool glob_fits(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  // On a mismatch only the last star needs to take one character more: earlier ones cannot help.
  std::size_t after_star = std::string_view::npos;
  std::size_t star_end = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      after_star = ++p;
      star_end = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (after_star != std::string_view::npos) {
      p = after_star;
      t = ++star_end;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

} // namespace ashlar::policy
