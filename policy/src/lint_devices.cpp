// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"
#include "ashlar/measure/devices.hpp"
#include "ashlar/measure/domain_configuration.hpp"
#include "check.hpp"
#include "device_conditions.hpp"

namespace ashlar::policy {

namespace {

constexpr std::size_t mac_text_bytes = 17;

/// The texts that a request can hold at some place.
struct Texts {
  std::string_view what; // "fits no …: …"
  std::size_t min_bytes;
  std::size_t max_bytes;
  bool (*may_stand)(char c, std::size_t position);
};

bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool letter_digit_or(char c, std::string_view others) {
  return letter_or_digit(c) || others.contains(c);
}

bool in_target(char c, std::size_t position) {
  return position == 0 ? c == '/' : letter_digit_or(c, "/._+:@-");
}

bool in_bridge(char c, std::size_t /*position*/) {
  return letter_digit_or(c, "._-");
}

bool in_mac(char c, std::size_t position) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (position % 3 == 2)
    return c == ':';
  const std::size_t value = digits.find(c);
  return value != std::string_view::npos && (position != 1 || value % 2 == 0);
}

bool in_label(char c, std::size_t /*position*/) {
  return letter_digit_or(c, "._:,-");
}

// As measure::validate() has them.
constexpr Texts targets = {
    .what = "target: those are absolute paths of at most 127 bytes, of A-Z a-z 0-9 / . _ + : @ -, "
            "in which no part is empty, \".\" or \"..\"",
    .min_bytes = 2,
    .max_bytes = measure::max_target_bytes,
    .may_stand = in_target};
constexpr Texts bridges = {.what = "bridge: those have 1 to 15 of A-Z a-z 0-9 . _ -",
                           .min_bytes = 1,
                           .max_bytes = measure::max_bridge_bytes,
                           .may_stand = in_bridge};
constexpr Texts macs = {
    .what = "address: those are like 00:16:3e:01:02:03, in lower case, with an even first byte",
    .min_bytes = mac_text_bytes,
    .max_bytes = mac_text_bytes,
    .may_stand = in_mac};
constexpr Texts labels = {.what = "XSM label: those have 1 to 127 of A-Z a-z 0-9 . _ : , -",
                          .min_bytes = 1,
                          .max_bytes = measure::max_xsm_label_bytes,
                          .may_stand = in_label};

/// Marks what is reached without a further character: a star may stand for none.
void pass_stars(std::string_view glob, std::vector<bool>& reached) {
  for (std::size_t p = 0; p < glob.size(); ++p)
    if (reached[p] && glob[p] == '*')
      reached[p + 1] = true;
}

/// Is there a text that it fits? All beginnings of such texts are followed at once, by the places
/// in the glob that they reach.
bool can_fit(std::string_view glob, const Texts& texts) {
  const auto stars = static_cast<std::size_t>(std::ranges::count(glob, '*'));
  if (glob.size() - stars > texts.max_bytes)
    return false;
  std::vector<bool> reached(glob.size() + 1, false);
  reached[0] = true;
  pass_stars(glob, reached);
  for (std::size_t length = 0; length < texts.max_bytes; ++length) {
    std::vector<bool> next(glob.size() + 1, false);
    for (std::size_t p = 0; p < glob.size(); ++p)
      if (reached[p]) {
        const bool star = glob[p] == '*';
        next[star ? p : p + 1] =
            next[star ? p : p + 1] || star || glob[p] == '?' || texts.may_stand(glob[p], length);
      }
    pass_stars(glob, next);
    reached = std::move(next);
    if (reached.back() && length + 1 >= texts.min_bytes)
      return true;
  }
  return false;
}

/// Parts that no target has, in a glob that writes them out.
bool has_empty_or_dotted_part(std::string_view glob) {
  constexpr std::array<std::string_view, 3> within = {"//", "/./", "/../"};
  constexpr std::array<std::string_view, 3> at_end = {"/", "/.", "/.."};
  return std::ranges::any_of(within, [&](std::string_view part) { return glob.contains(part); }) ||
         std::ranges::any_of(at_end, [&](std::string_view part) { return glob.ends_with(part); });
}

void lint_globs(const Choice& globs, std::string_view key, const Texts& texts, Findings& findings) {
  for (const Word& word : globs.words)
    if (!can_fit(word.text, texts) || (&texts == &targets && has_empty_or_dotted_part(word.text)))
      add_warning(findings, word.where,
                  fmt::format("\"{}\" in \"{}\" fits no {}; correct it, or delete it",
                              printable(word.text, 80), key, texts.what));
}

/// An entry beside a wider one reads as if it kept something back.
template <typename Pattern>
void lint_repeated(const std::vector<Pattern>& patterns, std::string_view key, Findings& findings) {
  for (std::size_t i = 0; i < patterns.size(); ++i)
    for (std::size_t j = 0; j < patterns.size(); ++j) {
      // Of two that are equally wide, the second goes.
      const bool hides = i != j && covers(patterns[j], patterns[i]) &&
                         (j < i || !covers(patterns[i], patterns[j]));
      if (!hides)
        continue;
      add_warning(
          findings, patterns[i].where,
          fmt::format("this entry of \"{}\" takes nothing that the one at {} does not take: "
                      "delete one of them",
                      key, patterns[j].where.text()));
      break;
    }
}

} // namespace

void lint_devices(const Rule& rule, Findings& findings) {
  if (!rule.guest)
    return;
  if (rule.guest->xsm_labels)
    lint_globs(*rule.guest->xsm_labels, "xsm_labels", labels, findings);
  for (const DiskPattern& disk : rule.guest->disks)
    lint_globs(disk.targets, "targets", targets, findings);
  for (const NicPattern& nic : rule.guest->nics) {
    lint_globs(nic.bridges, "bridges", bridges, findings);
    lint_globs(nic.macs, "macs", macs, findings);
  }
  lint_repeated(rule.guest->disks, "disks", findings);
  lint_repeated(rule.guest->nics, "nics", findings);
}

} // namespace ashlar::policy
