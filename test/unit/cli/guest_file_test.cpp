// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "ashlar/cli/guest_file.hpp"
#include "ashlar/cli/statements.hpp"

using namespace ashlar;
using namespace ashlar::cli;

TEST_CASE("guest file: an xl.cfg file is read with all that Ashlar knows") {
  const auto guest = read_guest_file(FIXTURES "/good.cfg");
  REQUIRE(guest);
  CHECK(guest->name == "web");
  CHECK(guest->type == "pvh");
  CHECK(guest->uuid == "6A0E1b2c-0000-4000-8000-000000000001");
  CHECK(guest->kernel == "/boot/vmlinuz");
  CHECK(guest->initrds == std::vector<std::string>{"/boot/initrd.img"});
  CHECK(guest->command_line == "root=/dev/xvda1 ro console=hvc0 # not a comment");
  CHECK(guest->memory_kib == 512U * 1024);
  CHECK(guest->max_memory_kib == 1024U * 1024);
  CHECK(guest->vcpus == 2U);
  CHECK(guest->on_crash == "preserve");
  CHECK_FALSE(guest->on_reboot);
  CHECK(guest->kernel_signature == "/boot/vmlinuz.p7s");
  CHECK(guest->initrd_signatures == std::vector<std::string>{"/boot/initrd.img.p7s"});
}

TEST_CASE("guest file: what Ashlar cannot honour is named with its file, line and key") {
  struct Bad {
    const char* file;
    const char* place;
  };
  for (const Bad& bad :
       {Bad{"disk", ":4: disk"}, Bad{"misspelt", ":3: memroy"}, Bad{"hvm", ":3: builder"},
        Bad{"hotplug", ":4: maxvcpus"}, Bad{"memory", ":3: memory"},
        Bad{"two_command_lines", ":3: cmdline"}, Bad{"list", ":2: kernel"}, Bad{"vtpm", ":3: vtpm"},
        Bad{"syntax", ":1: config parsing error"}}) {
    const std::string path = std::string(FIXTURES "/") + bad.file + ".cfg";
    const auto guest = read_guest_file(path);
    REQUIRE_FALSE(guest);
    CAPTURE(guest.error().message());
    CHECK(guest.error().message().find(path + bad.place) != std::string::npos);
  }
}

TEST_CASE("guest file: hardware and devices are refused by the key that asks for them") {
  const std::string path = std::filesystem::temp_directory_path() / "ashlar-devices.cfg";
  const auto message_of = [&](const std::string& setting) {
    std::ofstream(path) << "name = \"web\"\nkernel = \"/k\"\n" << setting << "\n";
    const auto guest = read_guest_file(path);
    return guest ? std::string() : guest.error().message();
  };
  for (const std::string key : {"pci", "usbdev", "dtdev", "ioports", "iomem", "irqs"}) {
    const std::string message = message_of(key + " = [ '1' ]");
    CHECK(message.find(path + ":3: " + key + ": no request can ask") != std::string::npos);
    CHECK(message_of(key + " = []") == "");
  }
  for (const std::string key : {"vfb", "p9", "channel"}) {
    const std::string message = message_of(key + " = [ 'a' ]");
    CHECK(message.find(path + ":3: " + key + ": a guest gets a console") != std::string::npos);
  }
  CHECK(message_of("init_seclabel = \"a\"").find("cannot honour") != std::string::npos);
  std::filesystem::remove(path);
}

TEST_CASE("guest file: disk and vif are lists of the guest's devices, in their order") {
  const auto guest = read_guest_file(FIXTURES "/devices.cfg");
  REQUIRE_MESSAGE(guest, guest.error().message());
  CHECK(guest->disks == std::vector<measure::Disk>{{"xvda", true, "storage", "/dev/vg0/web"},
                                                   {"xvdb", false, "Domain-0", "/dev/vg0/data"}});
  CHECK(guest->nics == std::vector<measure::Nic>{{"net", "xenbr1", "00:16:3e:01:02:03"},
                                                 {"Domain-0", "xenbr0", ""}});
}

TEST_CASE("guest file: disk and vif that are no lists of strings, or have a bad entry, are named") {
  const std::string path = std::filesystem::temp_directory_path() / "ashlar-lists.cfg";
  const auto message_of = [&](const std::string& setting) {
    std::ofstream(path) << "name = \"web\"\nkernel = \"/k\"\n" << setting << "\n";
    const auto guest = read_guest_file(path);
    return guest ? std::string() : guest.error().message();
  };
  for (const std::string key : {"disk", "vif"}) {
    CHECK(message_of(key + " = []") == "");
    CHECK(message_of(key + " = ''") == "");
    CHECK(message_of(key + " = 'a=b'") ==
          path + ":3: " + key + ": it must be a list, also of one: " + key + " = [ '…' ]");
    CHECK(message_of(key + " = [ [ 'a=b' ] ]") ==
          path + ":3: " + key + ": each of its entries must be one string");
  }
  CHECK(message_of("disk = [ 'phy:/d/a,xvda,w',\n'file:/d/b,xvdb,w' ]")
            .starts_with(path + ":3: disk \"file:/d/b,xvdb,w\": file: asks for another backend"));
  CHECK(message_of("\nvif = [ 'script=/tmp/x' ]")
            .starts_with(path + ":4: vif \"script=/tmp/x\": script=/tmp/x: a script runs as root"));
  std::filesystem::remove(path);
}

TEST_CASE("guest file: every example of a guest is read") {
  std::size_t with_devices = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SOURCE_ROOT "/examples/guests")) {
    const auto guest = read_guest_file(entry.path());
    REQUIRE_MESSAGE(guest, guest.error().message());
    CHECK(create_request(*guest));
    with_devices += guest->disks.empty() || guest->nics.empty() ? 0 : 1;
  }
  CHECK(with_devices >= 1);
}

TEST_CASE("guest file: seclabel is the guest's XSM label, and a flag goes over it") {
  const std::string path = std::filesystem::temp_directory_path() / "ashlar-seclabel.cfg";
  std::ofstream(path)
      << "name = \"web\"\nkernel = \"/k\"\nseclabel = \"system_u:system_r:domU_t\"\n";
  const auto guest = read_guest_file(path);
  std::filesystem::remove(path);
  REQUIRE(guest);
  const auto request = create_request(*guest);
  REQUIRE(request);
  CHECK(std::string(request->xsm_label) == "system_u:system_r:domU_t");
  Guest flags;
  flags.xsm_label = "other";
  CHECK(overlay(*guest, flags).xsm_label == "other");
  flags.xsm_label = std::string(128, 'x');
  CHECK(create_request(overlay(*guest, flags)).error().code == ErrorCode::limit);
}

TEST_CASE("guest file: the guest's TPM is named by its version") {
  const auto guest = read_guest_file(FIXTURES "/ashlar_vtpm.cfg");
  REQUIRE(guest);
  CHECK(guest->vtpm == "2.0");
}

TEST_CASE("guest file: one that is not there is not_found") {
  CHECK(read_guest_file(FIXTURES "/none.cfg").error().code == ErrorCode::not_found);
}

TEST_CASE("statements: names are found outside quotes, brackets and comments, with their lines") {
  const auto found =
      statements_of("a = 'x; y = 1' # z = 2\n\nb=[ 'c = 3',\n 'd' ]; e += \"#\"\nf=1");
  REQUIRE(found.size() == 4);
  CHECK(found[0].key == "a");
  CHECK(found[1].key == "b");
  CHECK(found[2].key == "e");
  CHECK(found[2].line == 4);
  CHECK(found[3].key == "f");
  CHECK(found[3].line == 5);
}
