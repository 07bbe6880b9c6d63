// SPDX-License-Identifier: LGPL-2.1-or-later
#include "conditions.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "device_conditions.hpp"

namespace ashlar::policy {

namespace {

constexpr std::size_t shown_command_line = 200;
constexpr std::size_t shown_parameter = 100;
constexpr std::size_t shown_label = measure::max_xsm_label_bytes;

/// Collects the outcome of each condition. `why` is only called for one that does not hold.
class Conditions {
public:
  explicit Conditions(Match& match) : match_(match) {}

  /// Who has signed `image` decides, and is not known.
  void leave_kernel_open() {
    match_.kernel_open = true;
    leave_open("the kernel");
  }
  void leave_open(std::string image) {
    if (match_.unverified.empty())
      match_.unverified = std::move(image);
  }

  template <typename Why>
  void expect(bool holds, Why why) {
    if (holds)
      ++match_.satisfied;
    else
      match_.failed.push_back(why());
  }

private:
  Match& match_;
};

bool known_by_signer(const Model& model, const Word& word) {
  const Image* image = model.image(word.text);
  return image != nullptr && image->known_by_signer();
}

bool any_known_by_signer(const Model& model, const Choice& choice) {
  return std::ranges::any_of(choice.words,
                             [&](const Word& word) { return known_by_signer(model, word); });
}

/// Has one of the certificates of the named images signed it?
bool signer_among(const Model& model, const Choice& choice, const ImageFacts& image) {
  return std::ranges::any_of(choice.words, [&](const Word& word) {
    return known_by_signer(model, word) &&
           std::ranges::any_of(model.image(word.text)->signed_by, [&](const Word& certificate) {
             return std::ranges::find(image.signers, certificate.text) != image.signers.end();
           });
  });
}

enum class Among { no, yes, unknown };

/// Is the image one of those chosen, by its digest or by who has signed it?
Among image_among(const Model& model, const Choice& choice, const ImageFacts& image) {
  if (digest_among(model, choice, image.digests.sha256) || signer_among(model, choice, image))
    return Among::yes;
  return image.all_signers_known || !any_known_by_signer(model, choice) ? Among::no
                                                                        : Among::unknown;
}

const char* or_signed(const Model& model, const Choice& choice) {
  return any_known_by_signer(model, choice) ? ", nor is it signed by one of their certificates"
                                            : "";
}

void check_kernel(const Model& model, const Choice& kernels, const GuestFacts& guest,
                  Conditions& conditions) {
  const Among among = image_among(model, kernels, guest.kernel);
  if (among == Among::unknown)
    return conditions.leave_kernel_open();
  conditions.expect(among == Among::yes, [&] {
    return fmt::format("the kernel's sha256 {} is none of its kernels{}",
                       to_hex(guest.kernel.digests.sha256), or_signed(model, kernels));
  });
}

void check_initrds(const Model& model, const Rule& rule, const GuestFacts& guest,
                   Conditions& conditions) {
  const Choice& initrds = *rule.guest->initrds;
  // One such initrd decides: for an allow rule a stranger, for a deny rule one of those listed.
  const Among decisive = rule.allow ? Among::no : Among::yes;
  std::size_t open = 0;
  for (std::size_t i = 0; i < guest.initrds.size(); ++i) {
    const Among among = image_among(model, initrds, guest.initrds[i]);
    if (among == decisive)
      return conditions.expect(!rule.allow, [&] {
        return fmt::format("the sha256 {} of initrd {} is none of its initrds{}",
                           to_hex(guest.initrds[i].digests.sha256), i + 1,
                           or_signed(model, initrds));
      });
    if (among == Among::unknown && open == 0)
      open = i + 1;
  }
  if (open != 0)
    return conditions.leave_open(fmt::format("initrd {}", open));
  conditions.expect(rule.allow || initrds.any,
                    [] { return std::string("no initrd is one of its initrds"); });
}

void check_allowed_parameters(const Choice& globs, std::string_view command_line,
                              Conditions& conditions) {
  const auto parameters = split_command_line(command_line);
  if (!parameters) {
    conditions.expect(false, [] {
      return std::string("the command line holds a quote or a byte that is not printable ASCII, so "
                         "that its parameters are not certain");
    });
    return;
  }
  const auto stranger = std::ranges::find_if_not(
      *parameters, [&](std::string_view parameter) { return any_glob_fits(globs, parameter); });
  conditions.expect(stranger == parameters->end(), [&] {
    return fmt::format(
        "the command line's parameter \"{}\" fits none of its command_line_parameters",
        printable(*stranger, shown_parameter));
  });
}

void check_parameters(const Rule& rule, std::string_view command_line, Conditions& conditions) {
  const Choice& globs = *rule.guest->command_line_parameters;
  if (globs.any) {
    conditions.expect(true, [] { return std::string(); });
    return;
  }
  if (rule.allow) {
    check_allowed_parameters(globs, command_line, conditions);
    return;
  }
  const auto parameters = split_command_line(command_line);
  // What cannot be split with certainty may hide a forbidden parameter: it is denied.
  const bool hit = !parameters || std::ranges::any_of(*parameters, [&](std::string_view parameter) {
    return any_glob_fits(globs, parameter);
  });
  conditions.expect(hit, [] {
    return std::string("no parameter of the command line fits its command_line_parameters");
  });
}

void check_limits(const GuestConditions& limits, const GuestFacts& guest, Conditions& conditions) {
  const measure::DomainConfiguration& configuration = guest.configuration;
  if (limits.max_vcpus)
    conditions.expect(configuration.vcpus <= *limits.max_vcpus, [&] {
      return fmt::format("{} vcpus are above its max_vcpus of {}", configuration.vcpus,
                         *limits.max_vcpus);
    });
  if (limits.max_memory_mib) {
    const std::uint64_t most = std::max(configuration.memory_kib, configuration.max_memory_kib);
    conditions.expect(most <= *limits.max_memory_mib * 1024, [&] {
      return fmt::format("{} KiB of memory are above its max_memory_mib of {} ({} KiB)", most,
                         *limits.max_memory_mib, *limits.max_memory_mib * 1024);
    });
  }
  if (limits.max_initrds)
    conditions.expect(guest.initrds.size() <= *limits.max_initrds, [&] {
      return fmt::format("{} initrds are above its max_initrds of {}", guest.initrds.size(),
                         *limits.max_initrds);
    });
}

void check_vtpm(const GuestConditions& wanted, measure::Vtpm vtpm, Conditions& conditions) {
  if (vtpm == measure::Vtpm::none) {
    conditions.expect(wanted.vtpm != VtpmUse::required, [] {
      return std::string("the guest is to have no vTPM and its vtpm is \"required\"");
    });
    return;
  }
  conditions.expect(wanted.vtpm != VtpmUse::forbidden, [] {
    return std::string("the guest is to have a vTPM and its vtpm is \"forbidden\"");
  });
  if (wanted.vtpm_versions)
    conditions.expect(contains(*wanted.vtpm_versions, measure::to_string(vtpm)), [&] {
      return fmt::format("the vTPM version {} is none of its vtpm_versions",
                         measure::to_string(vtpm));
    });
}

/// What an allow rule does not say is not allowed: a label decides what other domains may do to the
/// guest, and it to them.
void check_label(const Rule& rule, const std::string& label, Conditions& conditions) {
  const std::optional<Choice>& labels = rule.guest->xsm_labels;
  if (!labels && (!rule.allow || label.empty()))
    return;
  if (!labels)
    return conditions.expect(false, [&] {
      return fmt::format("the guest is to have the XSM label \"{}\" and the rule has no xsm_labels",
                         printable(label, shown_label));
    });
  conditions.expect(labels->any || (!label.empty() && any_glob_fits(*labels, label)), [&] {
    return label.empty()
               ? std::string(
                     "the guest is to have no XSM label and the rule wants one of its xsm_labels")
               : fmt::format("the XSM label \"{}\" fits none of its xsm_labels",
                             printable(label, shown_label));
  });
}

/// A guest without such devices is none the nearer to an allow rule that says something of them.
template <typename Pattern, typename Device>
void check_devices(const Rule& rule, const std::vector<Pattern>& patterns,
                   const std::vector<Device>& devices, Conditions& conditions) {
  if (rule.allow ? devices.empty() : patterns.empty())
    return;
  const auto failed =
      rule.allow ? why_not_allowed(patterns, devices) : why_not_denied(patterns, devices);
  conditions.expect(!failed, [&] { return *failed; });
}

void check_guest(const Model& model, const Rule& rule, const GuestFacts& guest,
                 Conditions& conditions) {
  const GuestConditions& wanted = *rule.guest;
  const measure::DomainConfiguration& configuration = guest.configuration;
  if (wanted.names)
    conditions.expect(any_glob_fits(*wanted.names, configuration.name), [&] {
      return fmt::format("the name \"{}\" fits none of its names",
                         printable(configuration.name, 63));
    });
  if (wanted.types)
    conditions.expect(contains(*wanted.types, measure::to_string(configuration.type)), [&] {
      return fmt::format("the type {} is none of its types",
                         measure::to_string(configuration.type));
    });
  if (wanted.kernels)
    check_kernel(model, *wanted.kernels, guest, conditions);
  if (wanted.initrds)
    check_initrds(model, rule, guest, conditions);
  if (wanted.command_lines)
    conditions.expect(contains(*wanted.command_lines, guest.command_line), [&] {
      return fmt::format("the command line \"{}\" is none of its command_lines",
                         printable(guest.command_line, shown_command_line));
    });
  if (wanted.command_line_parameters)
    check_parameters(rule, guest.command_line, conditions);
  check_limits(wanted, guest, conditions);
  check_label(rule, configuration.xsm_label, conditions);
  check_devices(rule, wanted.disks, configuration.disks, conditions);
  check_devices(rule, wanted.nics, configuration.nics, conditions);
  if (rule.allow)
    check_vtpm(wanted, configuration.vtpm, conditions);
}

void check_upload(const Model& model, const UploadConditions& wanted, const UploadFacts& upload,
                  Conditions& conditions) {
  // A signature is looked at when the bytes are there and a guest is to be built from them.
  if (wanted.images)
    conditions.expect(
        digest_among(model, *wanted.images, upload.sha256) ||
            any_known_by_signer(model, *wanted.images),
        [&] { return fmt::format("the sha256 {} is none of its images", to_hex(upload.sha256)); });
  if (wanted.max_mib)
    conditions.expect(upload.size <= *wanted.max_mib << 20, [&] {
      return fmt::format("{} bytes are above its max_mib of {} ({} bytes)", upload.size,
                         *wanted.max_mib, *wanted.max_mib << 20);
    });
}

} // namespace

bool digest_among(const Model& model, const Choice& choice, const measure::Sha256& digest) {
  return choice.any || std::ranges::any_of(choice.words, [&](const Word& word) {
           const Image* image = model.image(word.text);
           return image != nullptr &&
                  std::ranges::find(image->sha256, digest) != image->sha256.end();
         });
}

std::optional<std::vector<std::string_view>> split_command_line(std::string_view command_line) {
  std::vector<std::string_view> parameters;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= command_line.size(); ++i) {
    const char c = i < command_line.size() ? command_line[i] : ' ';
    if (c < ' ' || c > '~' || c == '"')
      return std::nullopt;
    if (c != ' ')
      continue;
    if (i > start)
      parameters.push_back(command_line.substr(start, i - start));
    start = i + 1;
  }
  return parameters;
}

Match evaluate(const Model& model, const Rule& rule, std::string_view requester,
               const Request& request) {
  Match match{.for_requester = contains(rule.requesters, requester),
              .for_verb = contains(rule.verbs, to_string(request.verb)),
              .unverified = {},
              .kernel_open = false,
              .satisfied = 0,
              .failed = {}};
  Conditions conditions(match);
  conditions.expect(match.for_requester,
                    [&] { return fmt::format("it is not for requester \"{}\"", requester); });
  conditions.expect(match.for_verb, [&] {
    return fmt::format("it does not cover the verb {}", to_string(request.verb));
  });
  if (!match.failed.empty())
    return match;
  if (request.verb == Verb::create && rule.guest && request.guest)
    check_guest(model, rule, *request.guest, conditions);
  if (request.verb == Verb::upload && rule.upload && request.upload)
    check_upload(model, *rule.upload, *request.upload, conditions);
  return match;
}

} // namespace ashlar::policy
