// SPDX-License-Identifier: LGPL-2.1-or-later
// [[image]] and [[requester]].
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "ashlar/measure/record.hpp"
#include "read.hpp"

namespace ashlar::policy {

namespace {

constexpr std::uint64_t max_u32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::array<std::string_view, 2> kind_words = {"kernel", "initrd"};
constexpr std::array<std::string_view, 2> sees_words = {"own", "all"};
constexpr std::array<std::string_view, 5> identity_keys = {"domain", "uuid", "uid", "gid", "boot"};

/// How an [[image]] says which bytes it is: exactly one way, since "both" and "either" would be
/// equally good readings of two.
void read_bytes(Fields& fields, Image& image) {
  for (const Fields::Digest& digest : fields.digests("sha256"))
    image.sha256.push_back(digest.sha256);
  image.signed_by = fields.texts("signed_by").value_or(std::vector<Word>());
  image.signatures = fields.blocks("signatures");
  if (const auto release = fields.text("release"))
    image.release = *release;
  std::vector<std::string_view> present;
  for (const std::string_view key : {"sha256", "signed_by", "release"})
    if (fields.entry(key) != nullptr)
      present.push_back(key);
  if (present.empty())
    fields.missing("sha256",
                   "write the digest that sha256sum prints for the file, or \"signed_by\" "
                   "or \"release\"");
  if (present.size() > 1)
    fields.error(fields.entry(present[1])->where,
                 fmt::format("[[image]] has both \"{}\" and \"{}\": keep one, and write a second "
                             "[[image]] for the other",
                             present[0], present[1]));
}

void check_signed(Fields& fields) {
  const Entry* signers = fields.entry("signed_by");
  const Entry* signatures = fields.entry("signatures");
  if (signers != nullptr && signers->value.kind == Node::Kind::list && signers->value.items.empty())
    fields.error(signers->where, "\"signed_by\" is empty: name at least one [[certificate]]");
  if (signatures != nullptr && signers == nullptr)
    fields.error(signatures->where,
                 "\"signatures\" without \"signed_by\": name the [[certificate]] that made them");
}

std::optional<Identity> read_domain(Fields& fields) {
  const auto name = read_name(fields, "domain");
  return name ? std::optional<Identity>(DomainName{name->text}) : std::nullopt;
}

std::optional<Identity> read_uuid(Fields& fields) {
  const auto text = fields.text("uuid");
  if (!text)
    return std::nullopt;
  const auto uuid = measure::uuid_from_text(text->text);
  if (!uuid) {
    fields.error(text->where, uuid.error().message());
    return std::nullopt;
  }
  return DomainUuid{measure::to_string(*uuid)};
}

std::optional<Identity> read_boot(Fields& fields) {
  const auto boot = fields.boolean("boot");
  if (boot && !*boot)
    fields.error(fields.entry("boot")->where,
                 "\"boot\" in [[requester]] is false: write true, or another identity");
  return boot && *boot ? std::optional<Identity>(BootManifest{}) : std::nullopt;
}

std::optional<Identity> read_identity_key(Fields& fields, std::string_view key) {
  if (key == "domain")
    return read_domain(fields);
  if (key == "uuid")
    return read_uuid(fields);
  if (key == "boot")
    return read_boot(fields);
  const auto id = fields.number(key, 0, max_u32);
  if (!id)
    return std::nullopt;
  if (key == "uid")
    return UserId{static_cast<std::uint32_t>(*id)};
  return GroupId{static_cast<std::uint32_t>(*id)};
}

/// Exactly one key says who this is: with two, "both" and "either" would be equally good readings.
std::optional<Identity> read_identity(Fields& fields) {
  std::vector<std::string_view> present;
  for (const std::string_view key : identity_keys)
    if (fields.entry(key) != nullptr)
      present.push_back(key);
  if (present.empty())
    fields.error(fields.where(), "[[requester]] does not say who it is: write one of domain, uuid, "
                                 "uid, gid, boot");
  if (present.size() > 1)
    fields.error(
        fields.entry(present[1])->where,
        fmt::format("[[requester]] has both \"{}\" and \"{}\": keep one, and write a second "
                    "[[requester]] for the other",
                    present[0], present[1]));
  if (present.size() != 1)
    return std::nullopt;
  return read_identity_key(fields, present.front());
}

template <typename Number>
std::optional<Number> read_quota(Fields& fields, std::string_view key, std::uint64_t most) {
  const auto number = fields.number(key, 0, most);
  return number ? std::optional(static_cast<Number>(*number)) : std::nullopt;
}

} // namespace

void read_image(Fields fields, Model& model) {
  const auto name = read_name(fields, "name");
  const auto kind = fields.word("kind", kind_words);
  Image image;
  image.where = fields.where();
  image.kind = kind && kind->text == "initrd" ? ImageKind::initrd : ImageKind::kernel;
  read_bytes(fields, image);
  if (fields.entry("name") == nullptr)
    fields.missing("name", "write the name that rules use for it");
  if (fields.entry("kind") == nullptr)
    fields.missing("kind", "write \"kernel\" or \"initrd\"");
  check_signed(fields);
  fields.report_unknown();
  if (!name)
    return;
  image.name = name->text;
  model.images.push_back(std::move(image));
}

void read_requester(Fields fields, Model& model) {
  Requester requester{
      .name = {}, .where = fields.where(), .identity = {}, .sees_all = false, .quota = {}};
  const auto name = read_name(fields, "name");
  const auto identity = read_identity(fields);
  const auto sees = fields.word("sees", sees_words);
  requester.sees_all = sees && sees->text == "all";
  requester.quota.max_domains = read_quota<std::uint32_t>(fields, "max_domains", max_u32);
  requester.quota.max_vcpus = read_quota<std::uint32_t>(fields, "max_vcpus", max_u32);
  requester.quota.max_memory_mib =
      read_quota<std::uint64_t>(fields, "max_memory_mib", max_mib_value);
  requester.quota.max_store_mib = read_quota<std::uint64_t>(fields, "max_store_mib", max_mib_value);
  if (fields.entry("name") == nullptr)
    fields.missing("name", "write the name that rules and records use for it");
  fields.report_unknown();
  if (!name)
    return;
  requester.name = name->text;
  // Without an identity the policy has an error and is not used; the name is kept for its
  // references.
  requester.identity = identity.value_or(DomainName{});
  model.requesters.push_back(std::move(requester));
}

} // namespace ashlar::policy
