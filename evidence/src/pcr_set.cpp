// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/evidence/pcr_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "ashlar/base/bytes.hpp"
#include "ashlar/evidence/limits.hpp"

namespace ashlar::evidence {

namespace {

using measure::Bank;

constexpr std::string_view sysfs_folder = "pcr-";
constexpr std::string_view old_sysfs = "PCR-";

// What one line says.
struct Line {
  std::string_view bank; // "sha256"; empty: that of the heading
  std::string_view number;
  std::string_view value; // hexadecimal, perhaps with spaces or 0x; empty: this is a heading
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

std::optional<Bank> bank_from(std::string_view text) {
  for (const Bank bank : measure::all_banks)
    if (text == to_string(bank))
      return bank;
  return std::nullopt;
}

Line split(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == text.npos)
    return {};
  const std::string_view before = trimmed(text.substr(0, colon));
  const std::string_view after = trimmed(text.substr(colon + 1));
  if (before.starts_with(old_sysfs))
    return {"sha1", before.substr(old_sysfs.size()), after};
  if (const std::size_t slash = before.rfind('/'); slash != before.npos) { // …/pcr-sha256/11
    std::string_view folder = before.substr(0, slash);
    folder = folder.substr(std::min(folder.rfind('/') + 1, folder.size()));
    if (!folder.starts_with(sysfs_folder))
      return {};
    return {folder.substr(sysfs_folder.size()), before.substr(slash + 1), after};
  }
  if (const std::size_t space = after.find(' '); before.starts_with("sha") && space != after.npos)
    return {before, after.substr(0, space), trimmed(after.substr(space))};
  if (before.starts_with("sha") || before.starts_with("sm3"))
    return {before, {}, {}};
  return {{}, before, after};
}

std::optional<std::vector<std::byte>> value_from(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X"))
    text.remove_prefix(2);
  std::string digits(text);
  std::erase(digits, ' ');
  return from_hex(digits);
}

std::optional<std::uint32_t> number_from(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > max_pcr)
    return std::nullopt;
  return number;
}

Status add(PcrSet& set, std::string_view bank_name, const Line& line, const std::string& doing) {
  const std::optional<std::uint32_t> number = number_from(line.number);
  const auto value = value_from(line.value);
  if (!number || !value || bank_name.empty())
    return failure(ErrorCode::invalid, doing,
                   "it is no PCR value as tpm2_pcrread, sysfs or a bundle have it");
  const std::optional<Bank> bank = bank_from(bank_name);
  if (!bank)
    return {}; // SHA-512, SM3
  if (value->size() != measure::Digests{}.of(*bank).size())
    return failure(ErrorCode::invalid, doing, "the value has not its bank's length");
  if (!set[*bank].emplace(*number, *value).second)
    return failure(ErrorCode::invalid, doing, "the PCR is there twice");
  return {};
}

} // namespace

Result<PcrSet> read_pcr_set(std::string_view text, std::string_view what) {
  PcrSet set;
  std::string_view heading;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view words = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty() || words.front() == '#')
      continue;
    const Line line = split(words);
    if (!line.bank.empty() && line.number.empty()) {
      heading = line.bank;
      continue;
    }
    TRY(add(set, line.bank.empty() ? heading : line.bank, line,
            fmt::format("reading line {} of {}", number, what)));
  }
  if (set.empty())
    return failure(ErrorCode::invalid, fmt::format("reading {}", what), "it has no PCR values");
  return set;
}

PcrSet pcr_set_of(const measure::PcrValues& values, const std::vector<Bank>& banks) {
  PcrSet set;
  for (const auto& [pcr, digests] : values)
    for (const Bank bank : banks) {
      const std::span<const std::byte> value = digests.of(bank);
      set[bank][pcr] = {value.begin(), value.end()};
    }
  return set;
}

} // namespace ashlar::evidence
