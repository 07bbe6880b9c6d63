// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <filesystem>

#include <fmt/format.h>

#include "ashlar/broker/settings.hpp"
#include "scene.hpp"

using namespace ashlar;
using namespace ashlar::broker;
using namespace ashlar::broker::test;

namespace {

std::string settings_error(const std::string& text) {
  const auto settings = parse_settings(text, "builder.toml");
  return settings ? "none" : settings.error().message();
}

std::string manifest_error(const std::string& text) {
  const auto domains = parse_boot_manifest(text, "boot.toml");
  return domains ? "none" : domains.error().message();
}

constexpr char good_domain[] = "[[domain]]\nname = \"toolstack\"\ntype = \"pv\"\nvcpus = 2\n"
                               "memory_mib = 256\nmax_memory_mib = 512\nkernel = \"/boot/k\"\n"
                               "initrds = [\"/boot/a\", \"/boot/b\"]\ncommand_line = \"quiet\"\n"
                               "on_crash = \"restart\"\nrequester = true\nessential = true\n";

} // namespace

TEST_CASE("settings: an empty file gives the defaults") {
  const auto settings = parse_settings("", "builder.toml");
  REQUIRE(settings);
  CHECK(settings->run_directory == "/run/ashlar");
  CHECK(settings->store_bytes <= default_store_bytes);
  CHECK(default_store_bytes_in(1ull << 30) == 512ull << 20);
  CHECK(default_store_bytes_in(64ull << 30) == default_store_bytes);
  CHECK(default_store_bytes_in(0) == min_store_bytes);
  CHECK(settings->inspect_ahead);
  CHECK(settings->device_time == default_device_time);
}

TEST_CASE("settings: every key is read") {
  const auto settings = parse_settings(
      "policy_directory = \"/p\"\nboot_manifest = \"/b\"\nrun_directory = \"/r\"\nsocket = \"\"\n"
      "console_log_directory = \"/c\"\nlibexec_directory = \"/l\"\nstore_mib = 16\n"
      "inspect_ahead = false\ndevice_seconds = 45\n",
      "builder.toml");
  REQUIRE(settings);
  CHECK(settings->policy_directory == "/p");
  CHECK(settings->boot_manifest == "/b");
  CHECK(settings->run_directory == "/r");
  CHECK(settings->socket.empty());
  CHECK(settings->console_log_directory == "/c");
  CHECK(settings->libexec_directory == "/l");
  CHECK(settings->store_bytes == 16u << 20);
  CHECK_FALSE(settings->inspect_ahead);
  CHECK(settings->device_time == std::chrono::seconds(45));
}

TEST_CASE("settings: mistakes are named with file, line and column") {
  CHECK(settings_error("\nsokcet = \"/x\"\n").starts_with("builder.toml:2:"));
  CHECK(settings_error("sokcet = \"/x\"").contains("\"sokcet\" is not a key"));
  CHECK(settings_error("store_mib = \"much\"").contains("whole number"));
  CHECK(settings_error("store_mib = 15").contains("from 16 to"));
  CHECK(settings_error("device_seconds = 0").contains("from 1 to 3600"));
  CHECK(settings_error("store_mib = -1").contains("from 16 to"));
  CHECK(settings_error("socket = 3").contains("must be a string"));
  CHECK(settings_error("socket = \"unfinished").starts_with("builder.toml:1:"));
}

TEST_CASE("settings: a path is absolute, and no path at all is said where it may be") {
  for (const char* key : {"policy_directory", "run_directory", "console_log_directory",
                          "libexec_directory", "socket", "boot_manifest"})
    for (const char* value : {"run", "./x", "x\\u0000"})
      CHECK(settings_error(fmt::format("\n{} = \"{}\"", key, value))
                .starts_with(fmt::format("builder.toml:2:{}: \"{}\" must be an absolute path",
                                         std::string_view(key).size() + 4, key)));
  for (const char* key :
       {"policy_directory", "run_directory", "console_log_directory", "libexec_directory"})
    CHECK(settings_error(fmt::format("{} = \"\"", key)).contains("must be an absolute path"));
  CHECK(settings_error("[vtpm]\nkernel = \"k\"\ninitrd = \"/i\"").contains("absolute path"));
  CHECK(settings_error("boot_manifest = \"\"\nsocket = \"\"") == "none");
}

TEST_CASE("settings: a run directory that outlives the machine's restart is refused") {
  const TemporaryDirectory programs;
  Settings settings;
  settings.run_directory = "/dev/shm";
  settings.libexec_directory = programs.path();
  const Status none = check_places(settings);
  REQUIRE_FALSE(none);
  CHECK(none.error().message().contains(programs.path() + "/ashlar-inspector"));
  for (const char* name : {"/ashlar-inspector", "/ashlar-verifier", "/ashlar-constructor"}) {
    write_file(programs.path() + name, "");
    std::filesystem::permissions(programs.path() + name, std::filesystem::perms::owner_all);
  }
  CHECK(check_places(settings));
  for (const char* elsewhere : {"/proc", "/nonexistent"}) {
    settings.run_directory = elsewhere;
    const Status refused = check_places(settings);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message().contains(elsewhere));
  }
}

TEST_CASE("settings: a file that is not there is not_found") {
  const auto settings = read_settings("/nonexistent/builder.toml");
  REQUIRE_FALSE(settings);
  CHECK(settings.error().code == ErrorCode::not_found);
}

TEST_CASE("boot manifest: a domain is read whole, with the defaults of what is left out") {
  const auto domains = parse_boot_manifest(
      std::string(good_domain) + "[[domain]]\nname = \"db\"\nmemory_mib = 64\nkernel = \"/k\"\n",
      "boot.toml");
  REQUIRE(domains);
  REQUIRE(domains->size() == 2);
  const BootDomain& first = (*domains)[0];
  CHECK(measure::canonical_text(first.configuration).contains("toolstack"));
  CHECK(first.configuration.type == measure::GuestType::pv);
  CHECK(first.configuration.vcpus == 2);
  CHECK(first.configuration.memory_kib == 256 << 10);
  CHECK(first.configuration.max_memory_kib == 512 << 10);
  CHECK(first.configuration.on_crash == measure::StopAction::restart);
  CHECK(first.initrds == std::vector<std::string>{"/boot/a", "/boot/b"});
  CHECK(first.command_line == "quiet");
  CHECK(first.requester);
  CHECK(first.essential);
  const BootDomain& second = (*domains)[1];
  CHECK(second.configuration.max_memory_kib == 64 << 10);
  CHECK_FALSE(second.requester);
  CHECK_FALSE(second.essential);
}

TEST_CASE("boot manifest: mistakes are named with file, line and column") {
  const std::string good = good_domain;
  CHECK(manifest_error("[[domian]]\nname = \"x\"\n").starts_with("boot.toml:1:"));
  CHECK(manifest_error(good + "color = \"red\"\n").starts_with("boot.toml:13:9"));
  CHECK(manifest_error("[[domain]]\nname = \"x\"\nmemory_mib = 64\n").contains("\"kernel\""));
  CHECK(manifest_error(good + "on_reboot = \"explode\"\n").starts_with("boot.toml:13:"));
  CHECK(manifest_error(good + "on_poweroff = 1\n").contains("must be a string"));
  CHECK(manifest_error("domain = 3\n").contains("[[domain]]"));
  CHECK(manifest_error(good + good).starts_with("boot.toml:13:"));
  CHECK(manifest_error(good + good).contains("two domains have the name \"toolstack\""));
  CHECK(manifest_error("\n[[domain]]\nname = \"a b\"\nmemory_mib = 64\nkernel = \"/k\"\n")
            .starts_with("boot.toml:2:"));
}

TEST_CASE("boot manifest: sizes and counts out of range are refused") {
  const std::string start = "[[domain]]\nname = \"x\"\nkernel = \"/k\"\n";
  CHECK(manifest_error(start + "memory_mib = 8\n").contains("from 16 to"));
  CHECK(manifest_error(start + "memory_mib = 64\nmax_memory_mib = 32\n").contains("below"));
  CHECK(manifest_error(start + "memory_mib = 64\nmax_memory_mib = 0\n").contains("from 16 to"));
  CHECK(manifest_error(start + "memory_mib = 64\ninitrds = [\"a\"]\n").contains("absolute"));
  CHECK(manifest_error("[[domain]]\nname = \"x\"\nkernel = \"k\"\nmemory_mib = 64\n")
            .contains("absolute"));
  CHECK(manifest_error(start + "memory_mib = 64\nvcpus = 0\n").contains("from 1 to"));
  CHECK(manifest_error(start + "memory_mib = 64\nvcpus = 129\n").contains("from 1 to"));
  CHECK(manifest_error(start + "memory_mib = 64\ninitrds = \"/a\"\n").contains("list of strings"));
  CHECK(manifest_error(start + "memory_mib = 64\ninitrds = [1]\n").contains("list of strings"));
  std::string many;
  for (std::size_t i = 0; i <= max_boot_domains; ++i)
    many += "[[domain]]\nname = \"d" + std::to_string(i) + "\"\nkernel = \"/k\"\nmemory_mib = 64\n";
  CHECK(manifest_error(many).contains("at most"));
}

TEST_CASE("boot manifest: the domains of the TPM are read, and there is one of each sort") {
  const auto domain = [](const std::string& name, const std::string& more) {
    return "[[domain]]\nname = \"" + name + "\"\nkernel = \"/k\"\nmemory_mib = 64\n" + more;
  };
  const std::string manager = "tpm_manager = true\niomem = [{ first_page = 0xfed40, pages = 5 }]\n";
  const auto domains = parse_boot_manifest(
      domain("manager", manager) + domain("store", "vtpm_state_store = true\n"), "boot.toml");
  REQUIRE(domains);
  CHECK((*domains)[0].tpm_manager);
  CHECK_FALSE((*domains)[0].vtpm_state_store);
  REQUIRE((*domains)[0].io_pages.size() == 1);
  CHECK((*domains)[0].io_pages[0].first_page == 0xfed40);
  CHECK((*domains)[0].io_pages[0].count == 5);
  CHECK((*domains)[1].vtpm_state_store);
  CHECK((*domains)[1].io_pages.empty());
  for (const char* key : {"tpm_manager", "vtpm_state_store"}) {
    const std::string line = std::string(key) + " = true\n";
    const std::string error = manifest_error(domain("a", line) + domain("b", line));
    CHECK(error.starts_with("boot.toml:6:1"));
    CHECK(error.contains("\"a\" has " + std::string(key)));
  }
  CHECK(manifest_error(domain("a", "iomem = [{ first_page = 1 }]\n")).contains("\"pages\""));
  CHECK(
      manifest_error(domain("a", "iomem = [{ first_page = 0, pages = 1 }]\n")).contains("from 1"));
  CHECK(manifest_error(domain("a", "iomem = [1]\n")).contains("iomem"));
}

TEST_CASE("settings: images of vTPMs need both paths") {
  const auto settings = parse_settings(
      "[vtpm]\nkernel = \"/k\"\ninitrd = \"/i\"\ncommand_line = \"quiet\"\nmemory_mib = 128\n",
      "builder.toml");
  REQUIRE(settings);
  REQUIRE(settings->vtpm);
  CHECK(settings->vtpm->kernel == "/k");
  CHECK(settings->vtpm->initrd == "/i");
  CHECK(settings->vtpm->command_line == "quiet");
  CHECK(settings->vtpm->memory_kib == 128u << 10);
  CHECK(settings->vtpm->type == measure::GuestType::pvh);
  const auto paravirtualized =
      parse_settings("[vtpm]\nkernel = \"/k\"\ninitrd = \"/i\"\ntype = \"pv\"\n", "builder.toml");
  REQUIRE(paravirtualized);
  CHECK(paravirtualized->vtpm->type == measure::GuestType::pv);
  for (const char* text :
       {"[vtpm]\nkernel = \"/k\"\n", "[vtpm]\ninitrd = \"/i\"\n",
        "[vtpm]\nkernel = \"/k\"\ninitrd = \"/i\"\nmemory_mib = 1\n",
        "[vtpm]\nkernel = \"/k\"\ninitrd = \"/i\"\ntype = \"hvm\"\n", "vtpm = true\n"})
    CHECK_FALSE(parse_settings(text, "builder.toml"));
}
