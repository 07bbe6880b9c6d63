// SPDX-License-Identifier: LGPL-2.1-or-later
// [[certificate]], [[release]], [[manifest]] and [[revoked]].
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "read.hpp"

namespace ashlar::policy {

namespace {

constexpr std::array<std::string_view, 2> signer_words = {"any", "code-signing"};

void add_revoked(Fields& fields, std::string_view key, const std::string& reason,
                 std::vector<Revoked>& all) {
  for (const Fields::Digest& digest : fields.digests(key))
    all.push_back({.sha256 = digest.sha256, .where = digest.where, .reason = reason});
}

} // namespace

void read_certificate(Fields fields, Model& model) {
  const auto name = read_name(fields, "name");
  const auto pem = fields.block("pem");
  const auto signers = fields.word("signers", signer_words);
  if (fields.entry("name") == nullptr)
    fields.missing("name", "write the name that images and releases use for it");
  if (fields.entry("pem") == nullptr)
    fields.missing("pem", "write the certificate, from -----BEGIN CERTIFICATE----- on, between "
                          "'''");
  fields.report_unknown();
  if (!name || !pem)
    return;
  auto x509 = signature::Certificate::from_pem(pem->text,
                                               fmt::format("the certificate \"{}\"", name->text));
  if (!x509)
    return fields.error(pem->where, x509.error().message());
  model.certificates.push_back({.name = name->text,
                                .where = fields.where(),
                                .x509 = std::move(*x509),
                                .code_only = signers && signers->text == "code-signing"});
}

void read_release(Fields fields, Model& model) {
  Release release;
  release.where = fields.where();
  const auto name = read_name(fields, "name");
  release.signed_by = fields.texts("signed_by").value_or(std::vector<Word>());
  release.min_sequence = fields.number("min_sequence", 1, max_sequence).value_or(0);
  if (fields.entry("name") == nullptr)
    fields.missing("name", "write the name that its manifests and images use");
  if (release.signed_by.empty())
    fields.missing("signed_by", "name the [[certificate]] that signs its manifests");
  if (fields.entry("min_sequence") == nullptr)
    fields.missing("min_sequence",
                   "write the smallest sequence number that is not too old; 1 takes "
                   "every manifest");
  fields.report_unknown();
  if (!name)
    return;
  release.name = name->text;
  model.releases.push_back(std::move(release));
}

void read_manifest(Fields fields, Model& model) {
  const auto pem = fields.block("pem");
  if (fields.entry("pem") == nullptr)
    fields.missing("pem", "write what ashlar policy sign printed, between '''");
  fields.report_unknown();
  if (pem)
    model.manifests.push_back({.where = fields.where(), .pem = pem->text});
}

void read_revoked(Fields fields, Model& model) {
  const auto reason = fields.text("reason");
  const std::string why = reason ? reason->text : std::string();
  add_revoked(fields, "sha256", why, model.revoked_images);
  add_revoked(fields, "authenticode_sha256", why, model.revoked_authenticode);
  add_revoked(fields, "certificates", why, model.revoked_certificates);
  add_revoked(fields, "public_keys", why, model.revoked_keys);
  constexpr std::array<std::string_view, 4> lists = {"sha256", "authenticode_sha256",
                                                     "certificates", "public_keys"};
  if (std::ranges::none_of(lists, [&](auto key) { return fields.entry(key) != nullptr; }))
    fields.missing("sha256", "list digests of images, or what else is revoked in "
                             "\"authenticode_sha256\", \"certificates\" or \"public_keys\"");
  fields.report_unknown();
}

} // namespace ashlar::policy
