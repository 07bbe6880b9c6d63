// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/device_specification.hpp"
#include "device_backend.hpp"
#include "xlutil_complaints.hpp"

namespace ashlar::cli {

namespace {

/// What libxlutil makes of a specification. All of it is made and freed here: libxl's functions for
/// it would need libxenlight, and with it most of Xen's tools.
class ParsedDisk {
public:
  ParsedDisk() = default;
  ParsedDisk(const ParsedDisk&) = delete;
  ParsedDisk& operator=(const ParsedDisk&) = delete;
  ~ParsedDisk() {
    for (char* text : {disk_.backend_domname, disk_.pdev_path, disk_.vdev, disk_.script,
                       disk_.colo_host, disk_.colo_export, disk_.active_disk, disk_.hidden_disk})
      std::free(text);
  }
  [[nodiscard]] libxl_device_disk* writable() { return &disk_; }
  [[nodiscard]] const libxl_device_disk& get() const { return disk_; }

private:
  libxl_device_disk disk_{}; // zeros are each member's default
};

/// One setting that no disk of a guest can have.
struct Setting {
  bool asked = false;
  std::string setting;
  const char* why = nullptr;
};

std::string text_of(const char* text) {
  return text != nullptr ? text : "";
}

bool set(const char* text) {
  return text != nullptr && *text != '\0';
}

const char* word(libxl_disk_format format) {
  switch (format) {
  case LIBXL_DISK_FORMAT_QCOW:
    return "qcow";
  case LIBXL_DISK_FORMAT_QCOW2:
    return "qcow2";
  case LIBXL_DISK_FORMAT_VHD:
    return "vhd";
  case LIBXL_DISK_FORMAT_QED:
    return "qed";
  case LIBXL_DISK_FORMAT_EMPTY:
    return "empty";
  default:
    return "unknown";
  }
}

const char* word(libxl_disk_backend backend) {
  switch (backend) {
  case LIBXL_DISK_BACKEND_TAP:
    return "tap";
  case LIBXL_DISK_BACKEND_QDISK:
    return "qdisk";
  case LIBXL_DISK_BACKEND_STANDALONE:
    return "standalone";
  default:
    return "unknown";
  }
}

/// A prefix of old that libxlutil takes off a target without a trace, though it names another
/// backend; empty: there is none. The words are looked at where its scanner
/// does: at the beginning, behind each comma and behind another prefix.
std::string_view dropped_prefix(std::string_view text) {
  constexpr std::array<std::string_view, 6> dropped = {
      "file:", "tap:", "tap2:", "aio:", "ioemu:", "tapdisk:"};
  constexpr std::array<std::string_view, 2> kept = {"phy:", "raw:"};
  const auto starts = [&text](std::string_view prefix) { return text.starts_with(prefix); };
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
    if (text.starts_with("target=")) // it takes all of the rest
      return {};
    if (const auto found = std::ranges::find_if(dropped, starts); found != dropped.end())
      return *found;
    if (const auto found = std::ranges::find_if(kept, starts); found != kept.end())
      text.remove_prefix(found->size());
    else
      text.remove_prefix(std::min(text.find(','), text.size() - 1) + 1);
  }
  return {};
}

constexpr const char* needs_qemu =
    "it would need QEMU in the backend's domain: give a block device or file with the plain bytes";

std::optional<Setting> refused_setting(const libxl_device_disk& disk) {
  const bool raw = disk.format == LIBXL_DISK_FORMAT_RAW || disk.format == LIBXL_DISK_FORMAT_UNKNOWN;
  const bool phy =
      disk.backend == LIBXL_DISK_BACKEND_PHY || disk.backend == LIBXL_DISK_BACKEND_UNKNOWN;
  const bool colo = disk.colo_enable.val != 0 || disk.colo_restore_enable.val != 0 ||
                    set(disk.colo_host) || disk.colo_port != 0 || set(disk.colo_export) ||
                    set(disk.active_disk) || set(disk.hidden_disk);
  const std::array<Setting, 9> settings = {{
      {disk.is_cdrom != 0 || disk.removable != 0, "cdrom",
       "what is in a drive could be changed while the guest runs, and its measurement would not "
       "show it: give a disk with access=ro"},
      {!raw, fmt::format("format {}", word(disk.format)), needs_qemu},
      {!phy, fmt::format("backendtype={}", word(disk.backend)), needs_qemu},
      {disk.specification == LIBXL_DISK_SPECIFICATION_VIRTIO, "specification=virtio",
       "Ashlar's disks are those of Xen's own protocol: remove it"},
      {set(disk.script), "script " + printable(text_of(disk.script), 64),
       "a script runs as root in the backend's domain, so a request cannot name one: let that "
       "domain make the block device, and give its path"},
      {disk.direct_io_safe, "direct-io-safe", "Ashlar cannot honour it: remove it"},
      {disk.discard_enable.val != 0, "discard",
       "Ashlar cannot honour it, nor no-discard: remove it"},
      {colo, "colo", "Ashlar's guests have no second machine: remove all of its settings"},
      {disk.trusted.val > 0, "trusted",
       "a guest is always told not to trust its backend: remove it"},
  }};
  const auto found = std::ranges::find(settings, true, &Setting::asked);
  return found == settings.end() ? std::nullopt : std::optional(*found);
}

/// "FILE: config parsing error in disk specification: WHAT in `TEXT'", without what is known here.
std::string complaint(const std::string& line) {
  constexpr std::string_view start = "disk specification: ";
  const std::size_t at = line.find(start);
  if (at == line.npos)
    return printable(line);
  const std::string what = line.substr(at + start.size());
  return printable(what.substr(0, what.rfind(" in `")));
}

Result<measure::Disk> read_disk(const std::string& text, const std::string& doing) {
  if (const std::string_view prefix = dropped_prefix(text); !prefix.empty())
    return failure(
        ErrorCode::unsupported, doing,
        fmt::format("{} asks for another backend: remove it; the path alone is that of a "
                    "block device, or of a file that has the plain bytes",
                    prefix));
  Complaints complaints;
  const std::unique_ptr<XLU_Config, DestroyConfig> config(
      complaints.stream() ? xlu_cfg_init(complaints.stream(), "disk") : nullptr);
  if (!config)
    return failure(ErrorCode::io, doing, "there is no memory for it");
  ParsedDisk parsed;
  const char* const specification = text.c_str();
  if (xlu_disk_parse(config.get(), 1, &specification, parsed.writable()) != 0)
    return failure(ErrorCode::invalid, doing,
                   complaint(complaints.first_line()) + "; see xl-disk-configuration(5)");
  const libxl_device_disk& disk = parsed.get();
  if (const auto refused = refused_setting(disk))
    return failure(ErrorCode::unsupported, doing,
                   fmt::format("{}: {}", refused->setting, refused->why));
  std::string backend = TRY(backend_of(disk.backend_domname, doing));
  return measure::Disk{.vdev = text_of(disk.vdev),
                       .writable = disk.readwrite != 0,
                       .backend = std::move(backend),
                       .target = text_of(disk.pdev_path)};
}

} // namespace

Result<std::vector<measure::Disk>> read_disks(std::span<const std::string> texts,
                                              std::string_view source) {
  std::vector<measure::Disk> disks;
  for (const std::string& text : texts) {
    const std::string doing = fmt::format("{} \"{}\"", source, printable(text));
    disks.push_back(TRY(read_disk(text, doing)));
    if (const Status valid = measure::validate(disks, {}); !valid)
      return failure(valid.error().code, doing, valid.error().why);
  }
  return disks;
}

} // namespace ashlar::cli
