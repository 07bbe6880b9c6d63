// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/device_specification.hpp"
#include "device_backend.hpp"

namespace ashlar::cli {

namespace {

constexpr const char* default_bridge = "xenbr0"; // libxl's
constexpr const char* only_script = "vif-bridge";

struct Refusal {
  std::string_view key;
  const char* why;
};
/// Keys of xl-network-configuration(5) whose refusal has more to say than that they are unknown.
constexpr std::array<Refusal, 9> refusals = {{
    {"model", "an emulated card would need QEMU: remove it, the guest's driver is Xen's own"},
    {"ip", "Ashlar binds no interface to an address: give it to the guest on its command line"},
    {"rate", "Ashlar limits no interface's rate: remove it"},
    {"vifname", "the backend's domain names it vifDOMID.NUMBER: remove it"},
    {"mtu", "Ashlar sets none: remove it"},
    {"gatewaydev", "it is for scripts other than vif-bridge: remove it"},
    {"netdev", "it is for scripts other than vif-bridge: remove it"},
    {"devid", "an interface's number is its place in the list: remove it"},
    {"trusted", "a guest is always told not to trust its backend: remove it"},
}};

struct Words {
  std::optional<std::string> mac;
  std::optional<std::string> bridge;
  std::optional<std::string> backend;
  std::optional<std::string> type;
  std::optional<std::string> script;

  [[nodiscard]] std::optional<std::string>* find(std::string_view key) {
    return key == "mac"       ? &mac
           : key == "bridge"  ? &bridge
           : key == "backend" ? &backend
           : key == "type"    ? &type
           : key == "script"  ? &script
                              : nullptr;
  }
};

std::unexpected<Error> refused_key(std::string_view key, const std::string& doing) {
  const auto known = std::ranges::find(refusals, key, &Refusal::key);
  return failure(ErrorCode::unsupported, doing,
                 fmt::format("{}: {}", printable(key, 32),
                             known == refusals.end()
                                 ? "Ashlar cannot honour it; write mac, bridge and backend alone"
                                 : known->why));
}

Status take(Words& words, std::string_view word, const std::string& doing) {
  word.remove_prefix(std::min(word.find_first_not_of(' '), word.size())); // as xl
  const std::size_t equals = word.find('=');
  if (equals == word.npos || equals == 0)
    return failure(ErrorCode::invalid, doing,
                   fmt::format("\"{}\" is not of the form KEY=VALUE; see "
                               "xl-network-configuration(5)",
                               printable(word, 64)));
  const std::string_view key = word.substr(0, equals);
  std::optional<std::string>* const value = words.find(key);
  if (value == nullptr)
    return refused_key(key, doing);
  if (*value)
    return failure(ErrorCode::invalid, doing, fmt::format("it has {} twice: keep one", key));
  *value = std::string(word.substr(equals + 1));
  return {};
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return text;
}

Result<measure::Nic> read_nic(std::string_view text, const std::string& doing) {
  Words words;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    TRY(take(words, text.substr(0, comma), doing));
    if (comma == text.size() - 1)
      return failure(ErrorCode::invalid, doing, "it ends with a comma: remove it");
    text.remove_prefix(std::min(comma, text.size() - 1) + 1);
  }
  if (words.type && *words.type != "vif")
    return failure(ErrorCode::unsupported, doing,
                   fmt::format("type={}: it would need QEMU; the only type is vif",
                               printable(*words.type, 32)));
  if (words.script && *words.script != only_script)
    return failure(ErrorCode::unsupported, doing,
                   fmt::format("script={}: a script runs as root in the backend's domain, so a "
                               "request cannot name one; the only one is {}",
                               printable(*words.script, 64), only_script));
  if (words.mac && words.mac->empty())
    return failure(ErrorCode::invalid, doing, "mac is empty: remove it, and one is made");
  return measure::Nic{.backend =
                          TRY(backend_of(words.backend ? words.backend->c_str() : nullptr, doing)),
                      .bridge = words.bridge.value_or(default_bridge),
                      .mac = lower(words.mac.value_or(""))};
}

} // namespace

Result<std::string> backend_of(const char* text, const std::string& doing) {
  if (text == nullptr)
    return std::string(measure::domain_0_name);
  std::string name(text);
  if (name.empty() || name.find_first_not_of("0123456789") != name.npos)
    return name;
  if (name == "0")
    return std::string(measure::domain_0_name);
  return failure(ErrorCode::invalid, doing,
                 fmt::format("backend={}: give the domain's name; its number is another after it "
                             "has been restarted",
                             printable(name, 32)));
}

Result<std::vector<measure::Nic>> read_nics(std::span<const std::string> texts,
                                            std::string_view source) {
  std::vector<measure::Nic> nics;
  for (const std::string& text : texts) {
    const std::string doing = fmt::format("{} \"{}\"", source, printable(text));
    nics.push_back(TRY(read_nic(text, doing)));
    if (const Status valid = measure::validate({}, nics); !valid)
      return failure(valid.error().code, doing, valid.error().why);
  }
  return nics;
}

} // namespace ashlar::cli
