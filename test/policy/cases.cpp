// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cases.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "ashlar/base/bytes.hpp"
#include "document.hpp"
#include "fields.hpp"

namespace ashlar::test {

namespace {

using policy::Fields;

measure::Sha256 repeated_digest(const std::string& digits) {
  const auto bytes = from_hex(digits);
  REQUIRE_MESSAGE((bytes && bytes->size() == 1), digits);
  measure::Sha256 digest{};
  digest.fill(bytes->front());
  return digest;
}

policy::ImageFacts image(const std::string& digits) {
  policy::ImageFacts facts{.label = "image", .size = 1, .digests = {}, .claimed = true};
  facts.digests.sha256 = repeated_digest(digits);
  return facts;
}

policy::Peer peer_of(Fields& fields) {
  if (const auto domain = fields.text("domain"))
    return policy::DomainPeer{domain->text, "00000000-0000-0000-0000-000000000001"};
  if (const auto uuid = fields.text("uuid"))
    return policy::DomainPeer{"unnamed", uuid->text};
  if (const auto uid = fields.number("uid", 0, 65535)) {
    const auto gid = fields.number("gid", 0, 65535).value_or(*uid);
    return policy::ProcessPeer{static_cast<std::uint32_t>(*uid), static_cast<std::uint32_t>(gid)};
  }
  return policy::BootManifestPeer{};
}

policy::Verb verb_of(Fields& fields) {
  const auto word = fields.text("verb");
  REQUIRE(word.has_value());
  const auto found = std::ranges::find(policy::all_verbs, word->text, [](policy::Verb verb) {
    return std::string(to_string(verb));
  });
  REQUIRE_MESSAGE(found != policy::all_verbs.end(), word->text);
  return *found;
}

policy::GuestFacts guest_of(Fields& fields) {
  policy::GuestFacts guest;
  if (const auto name = fields.text("name"))
    guest.configuration.name = name->text;
  if (const auto type = fields.text("type"))
    guest.configuration.type =
        type->text == "pv" ? measure::GuestType::pv : measure::GuestType::pvh;
  guest.configuration.vcpus =
      static_cast<std::uint32_t>(fields.number("vcpus", 0, 4096).value_or(1));
  guest.configuration.memory_kib = fields.number("memory_mib", 1, 1u << 30).value_or(128) * 1024;
  guest.configuration.max_memory_kib =
      fields.number("max_memory_kib", 1, 1u << 30).value_or(guest.configuration.memory_kib);
  if (const auto* line = fields.entry("command_line"); line != nullptr)
    guest.command_line = line->value.text;
  const auto kernel = fields.text("kernel");
  guest.kernel = image(kernel ? kernel->text : "00");
  const auto initrds = fields.texts("initrds");
  if (initrds)
    for (const policy::Word& initrd : *initrds)
      guest.initrds.push_back(image(initrd.text));
  return guest;
}

policy::UploadFacts upload_of(Fields& fields) {
  const auto digest = fields.text("sha256");
  return {.size = fields.number("size", 0, std::uint64_t{1} << 40).value_or(1),
          .sha256 = repeated_digest(digest ? digest->text : "00")};
}

Case read_case(Fields fields) {
  Case one;
  one.where = fields.where().text();
  one.request.peer = peer_of(fields);
  one.request.verb = verb_of(fields);
  if (one.request.verb == policy::Verb::create)
    one.request.guest = guest_of(fields);
  if (one.request.verb == policy::Verb::upload)
    one.request.upload = upload_of(fields);
  if (const auto owner = fields.text("owner"))
    one.request.owner = owner->text;
  const auto expected = fields.text("expect");
  REQUIRE(expected.has_value());
  one.allowed = expected->text == "allow";
  if (const auto rule = fields.text("rule"))
    one.rule = rule->text;
  const auto reason = fields.text("reason");
  REQUIRE(reason.has_value());
  one.reason = reason->text;
  fields.report_unknown();
  return one;
}

} // namespace

std::vector<Case> read_cases(const policy::PolicyFile& file) {
  const auto document = policy::parse_document(file);
  REQUIRE_MESSAGE(document.has_value(), document.error().text());
  policy::Findings findings;
  Fields fields(*document, "a cases file", findings);
  std::vector<Case> cases;
  const policy::Entry* list = fields.entry("case");
  REQUIRE(list != nullptr);
  for (const policy::Node& table : list->value.items)
    cases.push_back(read_case(Fields(table, "[[case]]", findings)));
  for (const auto& finding : findings)
    FAIL_CHECK(finding.text());
  return cases;
}

} // namespace ashlar::test
