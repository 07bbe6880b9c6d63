// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include <fmt/format.h>

#include "check.hpp"
#include "device_conditions.hpp"

namespace ashlar::policy {

namespace {

constexpr std::array<Verb, 8> one_domain_verbs = {
    Verb::info,    Verb::measurement, Verb::destroy, Verb::pause,
    Verb::unpause, Verb::shutdown,    Verb::reboot,  Verb::console,
};

bool restricts(const std::optional<Choice>& choice) {
  return choice && !choice->any;
}

bool restricts(const GuestConditions& guest) {
  return restricts(guest.names) || restricts(guest.types) || restricts(guest.kernels) ||
         restricts(guest.initrds) || restricts(guest.command_lines) ||
         restricts(guest.command_line_parameters) || restricts(guest.xsm_labels) ||
         guest.max_vcpus || guest.max_memory_mib || guest.max_initrds;
}

bool restricts(const UploadConditions& upload) {
  return restricts(upload.images) || upload.max_mib;
}

/// Does `earlier` take every guest, as far as its vTPM goes, that `rule` could take?
bool covers_vtpms_of(const Rule& earlier, const Rule& rule) {
  const GuestConditions& wide = *earlier.guest;
  if (!earlier.allow || (wide.vtpm == VtpmUse::allowed && !restricts(wide.vtpm_versions)))
    return true;
  return rule.allow && rule.guest && wide.vtpm == rule.guest->vtpm &&
         !restricts(wide.vtpm_versions);
}

/// Likewise for its XSM label: an allow rule that says nothing of labels takes guests without one.
bool covers_labels_of(const Rule& earlier, const Rule& rule) {
  return !earlier.allow || earlier.guest->xsm_labels ||
         (rule.allow && rule.guest && !rule.guest->xsm_labels);
}

/// Does `earlier` match every guest, as far as its devices go, that `rule` could match?
template <typename Pattern>
bool covers_devices_of(const Rule& earlier, const std::vector<Pattern>& wide, const Rule& rule,
                       const std::vector<Pattern>& narrow) {
  // A deny rule matches guests with whatever else beside a device that it names.
  if (earlier.allow)
    return rule.allow ? covers(wide, narrow) : takes_all(wide);
  return wide.empty() || (!rule.allow && !narrow.empty() && covers(wide, narrow));
}

bool covers_devices_of(const Rule& earlier, const Rule& rule) {
  static const GuestConditions unrestricted;
  const GuestConditions& narrow = rule.guest ? *rule.guest : unrestricted;
  return covers_devices_of(earlier, earlier.guest->disks, rule, narrow.disks) &&
         covers_devices_of(earlier, earlier.guest->nics, rule, narrow.nics);
}

/// Does the rule decide every request of this requester with this verb that `later` could match?
bool decides_all(const Rule& rule, const Rule& later, const Requester& requester, Verb verb) {
  if (!contains(rule.requesters, requester.name) || !contains(rule.verbs, to_string(verb)))
    return false;
  if (verb == Verb::create && rule.guest)
    return !restricts(*rule.guest) && covers_vtpms_of(rule, later) &&
           covers_labels_of(rule, later) && covers_devices_of(rule, later);
  if (verb == Verb::upload && rule.upload)
    return !restricts(*rule.upload);
  return true;
}

/// The first rule before `rule` that decides all requests of this requester with this verb.
const Rule* earlier_rule(const Model& model, const Rule& rule, const Requester& requester,
                         Verb verb) {
  for (const Rule& earlier : model.rules) {
    if (&earlier == &rule)
      return nullptr;
    if (decides_all(earlier, rule, requester, verb))
      return &earlier;
  }
  return nullptr;
}

/// The first of the earlier rules that together decide everything that `rule` is about; nullptr if
/// something is left for it.
const Rule* hiding_rule(const Model& model, const Rule& rule) {
  const Rule* first = nullptr;
  for (const Requester& requester : model.requesters) {
    if (!contains(rule.requesters, requester.name))
      continue;
    for (const Verb verb : all_verbs) {
      if (!contains(rule.verbs, to_string(verb)))
        continue;
      const Rule* earlier = earlier_rule(model, rule, requester, verb);
      if (earlier == nullptr)
        return nullptr;
      first = first == nullptr ? earlier : std::min(first, earlier);
    }
  }
  return first;
}

bool names_image(const std::optional<Choice>& choice, const Image& image) {
  return choice && !choice->any && contains(*choice, image.name);
}

bool uses(const Rule& rule, const Image& image) {
  return (rule.guest &&
          (names_image(rule.guest->kernels, image) || names_image(rule.guest->initrds, image))) ||
         (rule.upload && names_image(rule.upload->images, image));
}

void lint_declarations(const Model& model, Findings& findings) {
  for (const Image& image : model.images)
    if (std::ranges::none_of(model.rules, [&](const Rule& rule) { return uses(rule, image); }))
      add_warning(
          findings, image.where,
          fmt::format("no rule uses image \"{}\": delete it, or add it to a rule", image.name));
  for (const Requester& requester : model.requesters)
    if (std::ranges::none_of(model.rules, [&](const Rule& rule) {
          return contains(rule.requesters, requester.name);
        }))
      add_warning(findings, requester.where,
                  fmt::format("no rule is for requester \"{}\", so it can do nothing: add it to a "
                              "rule, or delete it",
                              requester.name));
}

/// "Allow create and destroy for guests named web-*" reads as if it kept destroy to web-*: it does
/// not.
void lint_misreadable(const Rule& rule, Findings& findings) {
  if (!rule.allow || !rule.guest || rule.verbs.any || !restricts(rule.guest->names))
    return;
  for (const Verb verb : one_domain_verbs)
    if (contains(rule.verbs, to_string(verb))) {
      add_warning(findings, rule.verbs.where,
                  fmt::format("rule \"{}\" allows {} for every domain that the requester may see: "
                              "\"names\" restricts create only; put {} in a rule of its own",
                              rule.name, to_string(verb), to_string(verb)));
      return;
    }
}

} // namespace

void lint(const Model& model, Findings& findings) {
  lint_declarations(model, findings);
  for (const Rule& rule : model.rules) {
    lint_misreadable(rule, findings);
    lint_devices(rule, findings);
    if (const Rule* hiding = hiding_rule(model, rule); hiding != nullptr)
      add_error(findings, rule.where,
                fmt::format("rule \"{}\" can never match: rule \"{}\" at {}{} decides all of its "
                            "requests first; move it before that, or delete it",
                            rule.name, hiding->name, hiding->where.text(),
                            hiding + 1 == &rule ? "" : " (alone or with rules after it)"));
  }
}

} // namespace ashlar::policy
