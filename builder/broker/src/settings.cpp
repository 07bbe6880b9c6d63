// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/broker/settings.hpp"

#include <algorithm>
#include <optional>

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "ashlar/base/memory_file.hpp"

namespace ashlar::broker {

const char* const installed_libexec_directory = ASHLAR_LIBEXEC_DIRECTORY;

namespace {

/// Reads one table strictly: remembers the first error, and which keys were asked for.
class TableReader {
public:
  TableReader(const toml::table& table, std::string path) : table_(table), path_(std::move(path)) {}

  void text(std::string_view key, std::string& out) { value(key, out, "a string"); }
  void boolean(std::string_view key, bool& out) { value(key, out, "true or false"); }
  /// An absolute path: another one would depend on where the builder was started.
  void path(std::string_view key, std::string& out) {
    if (value(key, out, "a string") && !absolute(out))
      fail(key, "must be an absolute path");
  }
  void path_or_nothing(std::string_view key, std::string& out) {
    if (value(key, out, "a string") && !out.empty() && !absolute(out))
      fail(key, "must be an absolute path, or empty");
  }

  template <typename Number>
  void number(std::string_view key, Number& out, std::int64_t low, std::int64_t high) {
    std::int64_t number = 0;
    if (!value(key, number, "a whole number"))
      return;
    if (number < low || number > high)
      fail(key, fmt::format("must be from {} to {}", low, high));
    else
      out = static_cast<Number>(number);
  }
  /// One without a default.
  void number(std::string_view key, std::optional<std::uint64_t>& out, std::int64_t low,
              std::int64_t high) {
    if (table_.contains(key))
      number(key, out.emplace(), low, high);
    seen_.emplace_back(key);
  }

  template <typename Choice, std::size_t N>
  void choice(std::string_view key, Choice& out, const Choice (&choices)[N]) {
    std::string word;
    if (!value(key, word, "a string"))
      return;
    for (const Choice candidate : choices)
      if (word == measure::to_string(candidate)) {
        out = candidate;
        return;
      }
    fail(key, fmt::format("\"{}\" is none of the words that it may be", word));
  }

  void paths(std::string_view key, std::vector<std::string>& out) {
    seen_.emplace_back(key);
    const toml::node* node = table_.get(key);
    if (!node)
      return;
    const toml::array* array = node->as_array();
    if (!array)
      return fail(key, "must be a list of strings");
    for (const toml::node& item : *array) {
      const auto text = item.value_exact<std::string>();
      if (!text)
        return fail(key, "must be a list of strings");
      if (!absolute(*text))
        return fail(key, "must be absolute paths");
      out.push_back(*text);
    }
  }

  /// The table of this key; null when it is not there, or is none.
  [[nodiscard]] const toml::table* table(std::string_view key) {
    seen_.emplace_back(key);
    const toml::node* node = table_.get(key);
    if (node && !node->is_table())
      fail(key, "must be a table");
    return node ? node->as_table() : nullptr;
  }

  /// The tables of a list; none when it is not there.
  [[nodiscard]] std::vector<const toml::table*> tables(std::string_view key) {
    std::vector<const toml::table*> found;
    seen_.emplace_back(key);
    const toml::node* node = table_.get(key);
    const toml::array* array = node ? node->as_array() : nullptr;
    if (node && (!array || !array->is_array_of_tables()))
      fail(key, "must be a list of tables");
    else if (array)
      for (const toml::node& item : *array)
        found.push_back(item.as_table());
    return found;
  }

  void required(std::string_view key) {
    if (!table_.contains(key))
      fail(key, "is missing: add it");
  }

  [[nodiscard]] Status end() {
    for (const auto& [key, node] : table_)
      if (std::ranges::find(seen_, key.str()) == seen_.end())
        fail(key.str(), "is not a key that is known here: check its spelling");
    if (error_)
      return std::unexpected(*error_);
    return {};
  }

private:
  [[nodiscard]] static bool absolute(const std::string& path) {
    return path.starts_with('/') && !path.contains('\0');
  }

  template <typename T>
  bool value(std::string_view key, T& out, const char* wanted) {
    seen_.emplace_back(key);
    const toml::node* node = table_.get(key);
    if (!node)
      return false;
    const auto value = node->value_exact<T>();
    if (!value) {
      fail(key, fmt::format("must be {}", wanted));
      return false;
    }
    out = *value;
    return true;
  }

  void fail(std::string_view key, std::string why) {
    if (error_)
      return;
    const toml::node* node = table_.get(key);
    const toml::source_position at = node ? node->source().begin : table_.source().begin;
    error_ = Error{ErrorCode::invalid, fmt::format("{}:{}:{}", path_, at.line, at.column),
                   fmt::format("\"{}\" {}", key, why), 0};
  }

  const toml::table& table_;
  std::string path_;
  std::vector<std::string> seen_;
  std::optional<Error> error_;
};

Result<toml::table> parse(std::string_view text, const std::string& path) {
  toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    const toml::source_position at = parsed.error().source().begin;
    return failure(ErrorCode::invalid, fmt::format("{}:{}:{}", path, at.line, at.column),
                   std::string(parsed.error().description()));
  }
  return std::move(parsed).table();
}

/// "boot.toml:3:1"
std::string place(const std::string& path, const toml::node& node) {
  return fmt::format("{}:{}:{}", path, node.source().begin.line, node.source().begin.column);
}

Result<std::vector<constructor::IoPages>>
read_io_pages(const std::vector<const toml::table*>& tables, const std::string& path) {
  if (tables.size() > constructor::max_io_ranges)
    return failure(
        ErrorCode::limit, path,
        fmt::format("iomem has {} ranges, at most {}", tables.size(), constructor::max_io_ranges));
  std::vector<constructor::IoPages> ranges;
  for (const toml::table* table : tables) {
    constructor::IoPages pages;
    TableReader reader(*table, path);
    reader.required("first_page");
    reader.required("pages");
    reader.number("first_page", pages.first_page, 1,
                  static_cast<std::int64_t>(constructor::max_io_page) - 1);
    reader.number("pages", pages.count, 1, constructor::max_io_pages);
    TRY(reader.end());
    ranges.push_back(pages);
  }
  return ranges;
}

constexpr measure::GuestType guest_types[] = {measure::GuestType::pv, measure::GuestType::pvh};

Result<VtpmImages> read_vtpm_images(const toml::table& table, const std::string& path) {
  VtpmImages images;
  std::uint64_t memory_mib = images.memory_kib >> 10;
  TableReader reader(table, path);
  for (const char* key : {"kernel", "initrd"})
    reader.required(key);
  reader.path("kernel", images.kernel);
  reader.path("initrd", images.initrd);
  reader.text("command_line", images.command_line);
  reader.choice("type", images.type, guest_types);
  reader.number("memory_mib", memory_mib, min_memory_kib >> 10,
                static_cast<std::int64_t>(max_memory_kib >> 10));
  TRY(reader.end());
  images.memory_kib = memory_mib << 10;
  return images;
}

Result<BootDomain> read_boot_domain(const toml::table& table, const std::string& path) {
  using measure::StopAction;
  static constexpr StopAction actions[] = {StopAction::destroy, StopAction::restart,
                                           StopAction::preserve};
  BootDomain domain;
  std::uint64_t memory_mib = 0;
  std::optional<std::uint64_t> max_memory_mib;
  TableReader reader(table, path);
  for (const char* key : {"name", "kernel", "memory_mib"})
    reader.required(key);
  constexpr auto most_mib = static_cast<std::int64_t>(max_memory_kib >> 10);
  reader.text("name", domain.configuration.name);
  reader.choice("type", domain.configuration.type, guest_types);
  reader.number("vcpus", domain.configuration.vcpus, 1, max_vcpus);
  reader.number("memory_mib", memory_mib, min_memory_kib >> 10, most_mib);
  reader.number("max_memory_mib", max_memory_mib, min_memory_kib >> 10, most_mib);
  reader.choice("on_poweroff", domain.configuration.on_poweroff, actions);
  reader.choice("on_reboot", domain.configuration.on_reboot, actions);
  reader.choice("on_crash", domain.configuration.on_crash, actions);
  reader.path("kernel", domain.kernel);
  reader.paths("initrds", domain.initrds);
  reader.text("command_line", domain.command_line);
  reader.boolean("requester", domain.requester);
  reader.boolean("essential", domain.essential);
  reader.boolean("tpm_manager", domain.tpm_manager);
  reader.boolean("vtpm_state_store", domain.vtpm_state_store);
  const std::vector<const toml::table*> io_pages = reader.tables("iomem");
  TRY(reader.end());
  domain.io_pages = TRY(read_io_pages(io_pages, path));
  domain.configuration.memory_kib = memory_mib << 10;
  domain.configuration.max_memory_kib = max_memory_mib.value_or(memory_mib) << 10;
  if (Status valid = measure::validate(domain.configuration); !valid) {
    valid.error().doing = place(path, table) + ": " + valid.error().doing;
    return std::unexpected(std::move(valid).error());
  }
  return domain;
}

std::uint64_t physical_memory_bytes() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

} // namespace

Result<Settings> parse_settings(std::string_view text, const std::string& path) {
  const toml::table table = TRY(parse(text, path));
  Settings settings;
  std::uint64_t store_mib = default_store_bytes_in(physical_memory_bytes()) >> 20;
  auto device_seconds = static_cast<std::uint64_t>(settings.device_time.count());
  TableReader reader(table, path);
  reader.path("policy_directory", settings.policy_directory);
  reader.path_or_nothing("boot_manifest", settings.boot_manifest);
  reader.path("run_directory", settings.run_directory);
  reader.path_or_nothing("socket", settings.socket);
  reader.path("console_log_directory", settings.console_log_directory);
  reader.path("libexec_directory", settings.libexec_directory);
  reader.number("store_mib", store_mib, min_store_bytes >> 20, 1 << 20);
  reader.number("device_seconds", device_seconds, 1, 3600);
  reader.boolean("inspect_ahead", settings.inspect_ahead);
  const toml::table* vtpm = reader.table("vtpm");
  TRY(reader.end());
  if (vtpm)
    settings.vtpm = TRY(read_vtpm_images(*vtpm, path));
  settings.store_bytes = store_mib << 20;
  settings.device_time = std::chrono::seconds(device_seconds);
  return settings;
}

Result<Settings> read_settings(const std::string& path) {
  return parse_settings(TRY(read_file(path, max_settings_bytes)), path);
}

Status check_places(const Settings& settings) {
  struct statfs info{};
  const std::string run = "checking run_directory " + settings.run_directory;
  if (statfs(settings.run_directory.c_str(), &info) != 0)
    return errno_failure(run);
  if (info.f_type != TMPFS_MAGIC && info.f_type != RAMFS_MAGIC)
    return failure(ErrorCode::invalid, run,
                   "it is on no tmpfs: what is kept there must be gone when the machine restarts, "
                   "as the domains are");
  for (const char* name : {"/ashlar-inspector", "/ashlar-verifier", "/ashlar-constructor"})
    if (const std::string program = settings.libexec_directory + name;
        access(program.c_str(), X_OK) != 0)
      return errno_failure("looking for " + program,
                           "is Ashlar installed there? libexec_directory says where");
  return {};
}

Result<std::vector<BootDomain>> parse_boot_manifest(std::string_view text,
                                                    const std::string& path) {
  const toml::table table = TRY(parse(text, path));
  for (const auto& [key, node] : table)
    if (key.str() != "domain")
      return failure(
          ErrorCode::invalid,
          fmt::format("{}:{}:{}", path, key.source().begin.line, key.source().begin.column),
          fmt::format("\"{}\" is not known here: write [[domain]] tables", key.str()));
  std::vector<BootDomain> domains;
  const toml::node* node = table.get("domain");
  if (!node)
    return domains;
  const toml::array* array = node->as_array();
  if (!array || !array->is_array_of_tables())
    return failure(ErrorCode::invalid, path, "\"domain\" must be written as [[domain]] tables");
  if (array->size() > max_boot_domains)
    return failure(ErrorCode::limit, path,
                   fmt::format("{} domains, at most {}", array->size(), max_boot_domains));
  for (const toml::node& item : *array) {
    BootDomain domain = TRY(read_boot_domain(*item.as_table(), path));
    for (const BootDomain& other : domains) {
      const bool two_managers = other.tpm_manager && domain.tpm_manager;
      if (two_managers || (other.vtpm_state_store && domain.vtpm_state_store))
        return failure(ErrorCode::invalid, place(path, item),
                       fmt::format("\"{}\" has {} = true already: there can be one",
                                   other.configuration.name,
                                   two_managers ? "tpm_manager" : "vtpm_state_store"));
      if (other.configuration.name == domain.configuration.name)
        return failure(ErrorCode::invalid, place(path, item),
                       fmt::format("two domains have the name \"{}\"", other.configuration.name));
    }
    domains.push_back(std::move(domain));
  }
  return domains;
}

Result<std::vector<BootDomain>> read_boot_manifest(const std::string& path) {
  return parse_boot_manifest(TRY(read_file(path, max_settings_bytes)), path);
}

} // namespace ashlar::broker
