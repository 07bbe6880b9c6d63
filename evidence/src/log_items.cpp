// SPDX-License-Identifier: LGPL-2.1-or-later
// What the entries of a log cover, read from their event data: the profiles' forms backwards.
#include <fmt/format.h>

#include <array>
#include <string_view>

#include "ashlar/evidence/difference.hpp"

namespace ashlar::evidence {

namespace {

using measure::EventType;
using measure::Extension;
using measure::LogType;

constexpr std::array described_types = {EventType::kernel, EventType::command_line,
                                        EventType::initrd, EventType::no_initrd};
constexpr std::string_view configuration_start = "ashlar-domain-configuration=";
constexpr std::string_view grub_command = "grub_cmd: ";
constexpr std::string_view kernel_command_line = "kernel_cmdline: ";
constexpr std::uint32_t text_pcr_uapi = 12;
constexpr std::uint32_t text_pcr_grub = 8;

void set_text(Item& item, EventType type, std::string_view text) {
  item.type = type;
  item.content = std::string(text);
}

// "kernel: vmlinuz" and the like.
void set_description(Item& item, std::string_view text) {
  for (const EventType type : described_types) {
    const std::string_view word = to_string(type);
    if (!text.starts_with(word))
      continue;
    const std::string_view rest = text.substr(word.size());
    if (!rest.empty() && !rest.starts_with(": "))
      continue;
    item.type = type;
    item.label = rest.empty() ? std::string() : std::string(rest.substr(2));
    if (keeps_content(type))
      item.content = item.label;
  }
}

Item item_of(const Extension& extension) {
  Item item;
  item.pcr = extension.pcr;
  item.digests = extension.digests;
  std::string_view text = extension.log_text;
  item.label = text;
  const bool load = extension.log_type == LogType::initial_load;
  if (load && extension.pcr == text_pcr_uapi) {
    set_text(item,
             text.starts_with(configuration_start) ? EventType::configuration
                                                   : EventType::command_line,
             text);
  } else if (text.ends_with('\0')) {
    text.remove_suffix(1);
    item.label = text;
    if (load && extension.pcr == text_pcr_grub && text.starts_with(kernel_command_line))
      set_text(item, EventType::command_line, text.substr(kernel_command_line.size()));
    else if (load && extension.pcr == text_pcr_grub && text.starts_with(grub_command))
      set_text(item, EventType::configuration, text.substr(grub_command.size()));
    else if (load || extension.log_type == LogType::compact_hash)
      set_description(item, text);
  }
  item.covers = item.type
                    ? to_string(*item.type)
                    : fmt::format("event of type 0x{:x} in PCR {}",
                                  static_cast<std::uint32_t>(extension.log_type), extension.pcr);
  return item;
}

} // namespace

std::vector<Item> items_of(std::span<const Extension> extensions) {
  std::vector<Item> items;
  for (const Extension& extension : extensions)
    items.push_back(item_of(extension));
  return items;
}

} // namespace ashlar::evidence
