// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/tpm/settings.hpp"

#include <charconv>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ashlar/base/bytes.hpp"

namespace ashlar::tpm {

namespace {

constexpr const char* doing = "reading the command line";
// Those that the firmware fills and nothing extends later: a key sealed to another would be lost.
constexpr std::uint32_t last_seal_pcr = 7;
constexpr std::uint32_t last_domid = 0x7fef; // DOMID_FIRST_RESERVED - 1, xen/include/public/xen.h

Status take_number(std::uint32_t& out, std::string_view key, std::string_view text,
                   std::uint32_t low, std::uint32_t high) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low || number > high)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("{} must be a number from {} to {}, not \"{}\"", key, low, high,
                               printable(text)));
  out = number;
  return {};
}

Status take_listen(std::string& out, std::string_view text) {
  constexpr std::string_view unix_prefix = "unix:";
  if (text != "vchan" && (!text.starts_with(unix_prefix) || text.size() == unix_prefix.size()))
    return failure(ErrorCode::invalid, doing,
                   fmt::format("--listen must be vchan or unix:PATH, not \"{}\"", printable(text)));
  out = text;
  return {};
}

Status take_key_store(Settings& settings, std::string_view text) {
  constexpr std::string_view directory_prefix = "directory:";
  settings.key_directory.clear();
  settings.key_place = text == "store" ? Settings::KeyPlace::store : Settings::KeyPlace::none;
  if (text == "none" || text == "store")
    return {};
  if (!text.starts_with(directory_prefix) || text.size() == directory_prefix.size())
    return failure(ErrorCode::invalid, doing,
                   fmt::format("--key-store must be none, store or directory:PATH, not \"{}\"",
                               printable(text)));
  settings.key_place = Settings::KeyPlace::directory;
  settings.key_directory = text.substr(directory_prefix.size());
  return {};
}

/// "0-4,7": numbers and ranges.
Status take_pcrs(std::vector<std::uint32_t>& out, std::string_view key, std::string_view text) {
  std::vector<std::uint32_t> pcrs;
  for (bool more = true; more;) {
    const std::string_view item = text.substr(0, text.find(','));
    more = item.size() < text.size();
    text.remove_prefix(more ? item.size() + 1 : item.size());
    const std::string_view low = item.substr(0, item.find('-'));
    std::uint32_t first = 0;
    TRY(take_number(first, key, low, 0, last_seal_pcr));
    std::uint32_t last = first;
    if (low.size() < item.size())
      TRY(take_number(last, key, item.substr(low.size() + 1), first, last_seal_pcr));
    for (std::uint32_t pcr = first; pcr <= last; ++pcr)
      pcrs.push_back(pcr);
  }
  out = std::move(pcrs);
  return {};
}

Status take(Settings& settings, std::string_view key, std::string_view value) {
  if (key == "--listen")
    return take_listen(settings.listen, value);
  if (key == "--builder")
    return take_number(settings.builder_domid, key, value, 0, last_domid);
  if (key == "--pcr")
    return take_number(settings.pcr, key, value, first_host_pcr, last_host_pcr);
  if (key == "--key-store")
    return take_key_store(settings, value);
  if (key == "--seal-pcrs")
    return take_pcrs(settings.seal_pcrs, key, value);
  if (key == "--tpm")
    settings.tpm = value;
  else if (key == "--vtpm-images")
    settings.vtpm_images = value;
  else if (key == "--run-directory")
    settings.run_directory = value;
  else
    return failure(ErrorCode::invalid, doing,
                   fmt::format("\"{}\" is not known here: see --help", printable(key)));
  return {};
}

} // namespace

Result<Settings> parse_arguments(std::span<const char* const> arguments) {
  Settings settings;
  for (; !arguments.empty(); arguments = arguments.subspan(2)) {
    if (arguments.size() == 1)
      return failure(
          ErrorCode::invalid, doing,
          fmt::format("\"{}\" is unknown or lacks its value: see --help", printable(arguments[0])));
    TRY(take(settings, arguments[0], arguments[1]));
  }
  return settings;
}

} // namespace ashlar::tpm
