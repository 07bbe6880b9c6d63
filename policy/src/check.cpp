// SPDX-License-Identifier: LGPL-2.1-or-later
#include "check.hpp"

#include <fmt/format.h>

#include "ashlar/signature/limits.hpp"

namespace ashlar::policy {

namespace {

template <typename Named>
void check_names(const std::vector<Named>& all, std::string_view what, Findings& findings) {
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (!all[i].name.empty() && all[i].name == all[j].name) {
        add_error(findings, all[i].where,
                  fmt::format("{} \"{}\" is already declared at {}: choose another name", what,
                              all[i].name, all[j].where.text()));
        break;
      }
}

/// The first requester that matches a peer is the one that counts: a second with the same identity
/// would never be anybody.
void check_identities(const Model& model, Findings& findings) {
  const auto& all = model.requesters;
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (all[i].name != all[j].name && all[i].identity == all[j].identity) {
        add_error(findings, all[i].where,
                  fmt::format("requester \"{}\" has the same identity as \"{}\" at {}: delete one",
                              all[i].name, all[j].name, all[j].where.text()));
        break;
      }
}

void check_signers(const Model& model, const std::vector<Word>& names, Findings& findings) {
  for (const Word& word : names)
    if (model.certificate(word.text) == nullptr)
      add_error(
          findings, word.where,
          fmt::format("no [[certificate]] is named \"{}\": declare it, or correct the name in "
                      "\"signed_by\"",
                      word.text));
}

void check_declarations(const Model& model, Findings& findings) {
  for (const Image& image : model.images) {
    check_signers(model, image.signed_by, findings);
    if (image.release && model.release(image.release->text) == nullptr)
      add_error(findings, image.release->where,
                fmt::format("no [[release]] is named \"{}\": declare it, or correct the name",
                            image.release->text));
  }
  for (const Release& release : model.releases)
    check_signers(model, release.signed_by, findings);
  if (model.certificates.size() > signature::max_certificates)
    add_error(findings, model.certificates.back().where,
              fmt::format("the policy has more than {} certificates: delete some",
                          signature::max_certificates));
  if (model.revoked_certificates.size() > signature::max_revoked_certificates)
    add_error(findings, model.revoked_certificates.back().where,
              fmt::format("the policy revokes more than {} certificates: delete those whose issuer "
                          "is not named any more",
                          signature::max_revoked_certificates));
  if (model.revoked_keys.size() > signature::max_revoked_keys)
    add_error(findings, model.revoked_keys.back().where,
              fmt::format("the policy revokes more than {} public keys: delete those whose issuer "
                          "is not named any more",
                          signature::max_revoked_keys));
}

/// A deny rule cannot know an image by its signer; `why` says so.
void check_denied(const Model& model, const std::optional<Choice>& images, std::string_view why,
                  Findings& findings) {
  if (!images)
    return;
  for (const Word& word : images->words)
    if (const Image* image = model.image(word.text); image != nullptr && image->known_by_signer())
      add_error(findings, word.where,
                fmt::format("image \"{}\" is known by who has signed it, {}: revoke it by "
                            "\"sha256\", or leave it out of the allow rules",
                            word.text, why));
}

/// Who wants such an image in leaves its signature out: one that comes with the request is not
/// sent, one inside a kernel is cut off. An upload is asked for before its bytes are there.
void check_denied(const Model& model, const Rule& rule, Findings& findings) {
  constexpr std::string_view left_out = "and would be let in without the signature";
  if (rule.allow)
    return;
  if (rule.upload)
    check_denied(model, rule.upload->images, "which nobody has seen before the upload", findings);
  if (!rule.guest)
    return;
  check_denied(model, rule.guest->kernels, left_out, findings);
  check_denied(model, rule.guest->initrds, left_out, findings);
}

void check_images(const Model& model, const std::optional<Choice>& choice, std::string_view key,
                  std::optional<ImageKind> kind, Findings& findings) {
  if (!choice)
    return;
  for (const Word& word : choice->words) {
    const Image* image = model.image(word.text);
    if (image == nullptr)
      add_error(
          findings, word.where,
          fmt::format("no [[image]] is named \"{}\": declare it, or correct the name in \"{}\"",
                      word.text, key));
    else if (kind && image->kind != *kind)
      add_error(
          findings, word.where,
          fmt::format("image \"{}\" is of kind \"{}\" (declared at {}) and cannot be in \"{}\": "
                      "correct one of them",
                      word.text, image->kind == ImageKind::kernel ? "kernel" : "initrd",
                      image->where.text(), key));
  }
}

void check_rule(const Model& model, const Rule& rule, Findings& findings) {
  for (const Word& word : rule.requesters.words)
    if (model.requester(word.text) == nullptr)
      add_error(findings, word.where,
                fmt::format("no [[requester]] is named \"{}\": declare it, or correct the name",
                            word.text));
  if (rule.guest) {
    check_images(model, rule.guest->kernels, "kernels", ImageKind::kernel, findings);
    check_images(model, rule.guest->initrds, "initrds", ImageKind::initrd, findings);
  }
  if (rule.upload)
    check_images(model, rule.upload->images, "images", std::nullopt, findings);
  check_denied(model, rule, findings);
}

} // namespace

void check_references(const Model& model, Findings& findings) {
  check_names(model.images, "image", findings);
  check_names(model.certificates, "certificate", findings);
  check_names(model.releases, "release", findings);
  check_names(model.requesters, "requester", findings);
  check_names(model.rules, "rule", findings);
  check_identities(model, findings);
  check_declarations(model, findings);
  for (const Rule& rule : model.rules)
    check_rule(model, rule, findings);
}

} // namespace ashlar::policy
