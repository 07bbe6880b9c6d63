// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/guest_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "ashlar/base/bytes.hpp"
#include "ashlar/base/memory_file.hpp"
#include "ashlar/cli/statements.hpp"
#include "xl_config_library.hpp"

namespace ashlar::cli {

namespace {

constexpr std::uint64_t max_file_bytes = 64 * 1024;
constexpr long max_count = 1L << 30; // MiB or vCPUs: the builder's limits are lower

constexpr std::array<std::string_view, 20> understood = {"name",
                                                         "uuid",
                                                         "type",
                                                         "builder",
                                                         "kernel",
                                                         "ramdisk",
                                                         "cmdline",
                                                         "root",
                                                         "extra",
                                                         "memory",
                                                         "maxmem",
                                                         "vcpus",
                                                         "maxvcpus",
                                                         "on_poweroff",
                                                         "on_reboot",
                                                         "on_crash",
                                                         "seclabel",
                                                         "ashlar_vtpm",
                                                         "ashlar_kernel_signature",
                                                         "ashlar_ramdisk_signature"};

// What a guest could not have been given knowingly: a message of their own says what it does get.
constexpr std::array<std::string_view, 9> hardware = {
    "pci", "usbdev", "dtdev", "ioports", "iomem", "irqs", "rdm", "gfx_passthru", "device_tree"};
constexpr std::array<std::string_view, 11> devices = {
    "disk", "vif", "vfb", "vkb", "vdispl", "vsnd", "p9", "pvcalls", "channel", "usbctrl", "virtio"};

// Where libxlutil writes its complaints.
class Complaints {
public:
  Complaints() : stream_(open_memstream(&text_, &size_)) {}
  Complaints(const Complaints&) = delete;
  Complaints& operator=(const Complaints&) = delete;
  ~Complaints() {
    if (stream_)
      std::fclose(stream_);
    std::free(text_);
  }
  [[nodiscard]] FILE* stream() { return stream_; }
  [[nodiscard]] std::string first_line() {
    std::fflush(stream_);
    const std::string_view all(text_, size_);
    return std::string(all.substr(0, all.find('\n')));
  }

private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  FILE* stream_;
};

class GuestFile {
public:
  GuestFile(std::string path, const XlConfigLibrary& xl, XLU_Config* config,
            std::vector<Statement> statements)
      : path_(std::move(path)), xl_(xl), config_(config), statements_(std::move(statements)) {}

  [[nodiscard]] Result<Guest> read() {
    for (const Statement& statement : statements_)
      TRY(check_honoured(statement));
    Guest guest;
    guest.name = TRY(string("name"));
    guest.uuid = TRY(string("uuid"));
    guest.type = TRY(type());
    guest.kernel = TRY(string("kernel"));
    if (const std::optional<std::string> ramdisk = TRY(string("ramdisk"));
        ramdisk && *ramdisk != "")
      guest.initrds.push_back(*ramdisk);
    guest.command_line = TRY(command_line());
    guest.vcpus = TRY(vcpus());
    guest.memory_kib = TRY(mebibytes("memory"));
    guest.max_memory_kib = TRY(mebibytes("maxmem"));
    guest.on_poweroff = TRY(string("on_poweroff"));
    guest.on_reboot = TRY(string("on_reboot"));
    guest.on_crash = TRY(string("on_crash"));
    guest.vtpm = TRY(string("ashlar_vtpm"));
    guest.xsm_label = TRY(string("seclabel"));
    guest.kernel_signature = TRY(string("ashlar_kernel_signature"));
    if (const std::optional<std::string> signature = TRY(string("ashlar_ramdisk_signature")))
      guest.initrd_signatures.push_back(*signature);
    return guest;
  }

private:
  // The last assignment of a key is the one in force.
  [[nodiscard]] std::string place(std::string_view key) const {
    const auto at =
        std::ranges::find(statements_.rbegin(), statements_.rend(), key, &Statement::key);
    return fmt::format("{}:{}", path_, at == statements_.rend() ? 0 : at->line);
  }

  [[nodiscard]] std::unexpected<Error> fault(ErrorCode code, std::string_view key,
                                             const std::string& why) const {
    return failure(code, fmt::format("{}: {}", place(key), key), why);
  }

  [[nodiscard]] bool empty_value(const char* key) const {
    const char* text = nullptr;
    if (xl_.get_string(config_, key, &text, 1) == 0)
      return *text == '\0';
    int entries = 0;
    return xl_.get_list(config_, key, nullptr, &entries, 1) == 0 && entries == 0;
  }

  [[nodiscard]] Status check_honoured(const Statement& statement) const {
    if (std::ranges::find(understood, statement.key) != understood.end() ||
        empty_value(statement.key.c_str()))
      return {};
    if (statement.key == "vtpm")
      return fault(ErrorCode::unsupported, statement.key,
                   "the builder makes the vTPM's domain itself: write ashlar_vtpm = \"1.2\" or "
                   "\"2.0\" instead");
    if (std::ranges::find(hardware, statement.key) != hardware.end())
      return fault(ErrorCode::unsupported, statement.key,
                   "no request can ask for the machine's hardware, and so no policy allows it: "
                   "remove it or leave its list empty");
    if (std::ranges::find(devices, statement.key) != devices.end())
      return fault(ErrorCode::unsupported, statement.key,
                   "a guest gets a console and, with ashlar_vtpm, a TPM, and no other device: "
                   "remove it or leave its list empty, and bring what the guest needs in its "
                   "initrd");
    return fault(ErrorCode::unsupported, statement.key,
                 "Ashlar cannot honour this setting; remove it or leave its list empty");
  }

  [[nodiscard]] Result<std::optional<std::string>> string(const char* key) const {
    const char* text = nullptr;
    const int error = xl_.get_string(config_, key, &text, 1);
    if (error == ESRCH)
      return std::nullopt;
    if (error != 0)
      return fault(ErrorCode::invalid, key, "it must be a single value, not a list");
    return std::string(text);
  }

  [[nodiscard]] Result<std::optional<std::uint64_t>> number(const char* key) const {
    long value = 0;
    const int error = xl_.get_bounded_long(config_, key, 1, max_count, &value, 1);
    if (error == ESRCH)
      return std::nullopt;
    if (error != 0)
      return fault(ErrorCode::invalid, key,
                   fmt::format("it must be a number from 1 to {}", max_count));
    return static_cast<std::uint64_t>(value);
  }

  [[nodiscard]] Result<std::optional<std::uint64_t>> mebibytes(const char* key) const {
    std::optional<std::uint64_t> value = TRY(number(key));
    if (value)
      *value *= 1024;
    return value;
  }

  [[nodiscard]] Result<std::optional<std::uint32_t>> vcpus() const {
    const std::optional<std::uint64_t> start = TRY(number("vcpus"));
    const std::optional<std::uint64_t> most = TRY(number("maxvcpus"));
    if (most && *most != start.value_or(1))
      return fault(ErrorCode::unsupported, "maxvcpus",
                   "it must equal vcpus: Ashlar's guests start with all of their vCPUs");
    if (!start)
      return std::nullopt;
    return static_cast<std::uint32_t>(*start);
  }

  [[nodiscard]] Result<std::optional<std::string>> type() const {
    const std::optional<std::string> builder = TRY(string("builder"));
    if (builder && *builder != "generic")
      return fault(ErrorCode::unsupported, "builder", "Ashlar builds pv and pvh guests: say type=");
    const std::optional<std::string> type = TRY(string("type"));
    if (type && *type != "pv" && *type != "pvh")
      return fault(ErrorCode::unsupported, "type", "Ashlar builds pv and pvh guests");
    return type ? type : std::optional<std::string>("pv");
  }

  [[nodiscard]] Result<std::optional<std::string>> command_line() const {
    const std::optional<std::string> whole = TRY(string("cmdline"));
    const std::optional<std::string> root = TRY(string("root"));
    const std::optional<std::string> extra = TRY(string("extra"));
    if (whole && (root || extra))
      return fault(ErrorCode::invalid, "cmdline", "give either cmdline, or root and extra");
    if (!root)
      return whole ? whole : extra;
    return "root=" + *root + (extra ? " " + *extra : "");
  }

  std::string path_;
  XlConfigLibrary xl_;
  XLU_Config* config_;
  std::vector<Statement> statements_;
};

} // namespace

Result<Guest> read_guest_file(const std::string& path) {
  const std::string text = TRY(read_file(path, max_file_bytes));
  Complaints complaints;
  if (!complaints.stream())
    return errno_failure("reading " + path);
  const XlConfigLibrary xl = TRY(XlConfigLibrary::load());
  const std::unique_ptr<XLU_Config, decltype(xl.destroy)> config(
      xl.init(complaints.stream(), path.c_str()), xl.destroy);
  if (!config)
    return failure(ErrorCode::io, "reading " + path, "there is no memory for it");
  // The bytes just read, not the file again: both readers see the same.
  if (xl.readdata(config.get(), text.data(), static_cast<int>(text.size())) != 0)
    return failure(ErrorCode::invalid, "reading " + path,
                   printable(complaints.first_line()) + "; see xl.cfg(5)");
  return GuestFile(path, xl, config.get(), statements_of(text)).read();
}

} // namespace ashlar::cli
