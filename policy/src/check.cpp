// SPDX-License-Identifier: LGPL-2.1-or-later
#include "check.hpp"

#include <fmt/format.h>

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
}

} // namespace

void check_references(const Model& model, Findings& findings) {
  check_names(model.images, "image", findings);
  check_names(model.requesters, "requester", findings);
  check_names(model.rules, "rule", findings);
  check_identities(model, findings);
  for (const Rule& rule : model.rules)
    check_rule(model, rule, findings);
}

} // namespace ashlar::policy
