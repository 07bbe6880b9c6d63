// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/cli/guest.hpp"

using namespace ashlar;
using namespace ashlar::cli;

TEST_CASE("memory: is MiB unless a unit says otherwise") {
  CHECK(memory_from_text("512").value() == 512U * 1024);
  CHECK(memory_from_text("512M").value() == 512U * 1024);
  CHECK(memory_from_text("4g").value() == 4U * 1024 * 1024);
  CHECK(memory_from_text("64K").value() == 64U);
  for (const char* bad :
       {"", "M", "-1", "1.5G", "4GB", "4X", " 4", "99999999999999999999", "2000000G"})
    CHECK_FALSE(memory_from_text(bad));
}

TEST_CASE("guest: flags take precedence over a file, and initrds are replaced as a whole") {
  Guest file;
  file.name = "web";
  file.vcpus = 2;
  file.initrds = {"a", "b"};
  Guest flags;
  flags.vcpus = 4;
  flags.initrds = {"c"};
  const Guest both = overlay(file, flags);
  CHECK(both.name == "web");
  CHECK(both.vcpus == 4U);
  CHECK(both.initrds == std::vector<std::string>{"c"});
  CHECK(overlay(file, {}).initrds.size() == 2);
}

TEST_CASE("guest: a request has the defaults, and none without name or kernel") {
  Guest guest;
  CHECK_FALSE(create_request(guest));
  guest.name = "web";
  CHECK_FALSE(create_request(guest));
  guest.kernel = "vmlinuz";
  const auto request = create_request(guest);
  REQUIRE(request);
  CHECK(request->type == ashlar_v1_GuestType_GUEST_TYPE_PVH);
  CHECK(request->vcpus == 1);
  CHECK(request->memory_kib == 256U * 1024);
  CHECK(request->vtpm == ashlar_v1_VtpmVersion_VTPM_VERSION_UNSPECIFIED); // none
  guest.vtpm = "1.2";
  CHECK(create_request(guest)->vtpm == ashlar_v1_VtpmVersion_VTPM_VERSION_1_2);
  guest.vtpm = "2.0";
  CHECK(create_request(guest)->vtpm == ashlar_v1_VtpmVersion_VTPM_VERSION_2_0);
  guest.vtpm = "2";
  CHECK(create_request(guest).error().code == ErrorCode::invalid);
  guest.vtpm.reset();
  guest.command_line = std::string(2048, 'x');
  CHECK(create_request(guest).error().code == ErrorCode::limit);
  guest.command_line = "a\nb";
  CHECK(create_request(guest).error().code == ErrorCode::invalid);
  guest.command_line.reset();
  guest.on_crash = "coredump-restart";
  CHECK(create_request(guest).error().code == ErrorCode::unsupported);
}

TEST_CASE("guest: flags replace a file's disks as a whole, and its interfaces as a whole") {
  Guest file;
  file.disks = {{"xvda", true, "storage", "/dev/a"}, {"xvdb", true, "storage", "/dev/b"}};
  file.nics = {{"net", "br0", ""}};
  CHECK(overlay(file, {}).disks == file.disks);
  CHECK(overlay(file, {}).nics == file.nics);
  Guest flags;
  flags.disks = {{"xvdc", false, "other", "/dev/c"}};
  CHECK(overlay(file, flags).disks == flags.disks);
  CHECK(overlay(file, flags).nics == file.nics);
  flags.nics = {{"Domain-0", "br1", ""}, {"Domain-0", "br2", ""}};
  CHECK(overlay(file, flags).nics == flags.nics);
}

TEST_CASE("guest: a request has the disks and interfaces in their order, or names what is wrong") {
  Guest guest;
  guest.name = "web";
  guest.kernel = "vmlinuz";
  CHECK(create_request(guest)->disks_count == 0);
  CHECK(create_request(guest)->nics_count == 0);
  guest.disks = {{"xvda", false, "storage", "/dev/a"},
                 {"xvdb15", true, std::string(63, 's'), "/" + std::string(126, 't')}};
  guest.nics = {{"net", std::string(15, 'b'), "00:16:3e:01:02:03"}, {"Domain-0", "br0", ""}};
  const auto request = create_request(guest);
  REQUIRE_MESSAGE(request, request.error().message());
  REQUIRE(request->disks_count == 2);
  CHECK(std::string(request->disks[0].vdev) == "xvda");
  CHECK_FALSE(request->disks[0].writable);
  CHECK(std::string(request->disks[0].backend) == "storage");
  CHECK(std::string(request->disks[0].target) == "/dev/a");
  CHECK(std::string(request->disks[1].vdev) == "xvdb15");
  CHECK(request->disks[1].writable);
  CHECK(request->disks[1].backend == guest.disks[1].backend);
  CHECK(request->disks[1].target == guest.disks[1].target);
  REQUIRE(request->nics_count == 2);
  CHECK(request->nics[0].bridge == guest.nics[0].bridge);
  CHECK(std::string(request->nics[0].mac) == "00:16:3e:01:02:03");
  CHECK(std::string(request->nics[1].backend) == "Domain-0");
  CHECK(std::string(request->nics[1].mac).empty());
  guest.disks.push_back(guest.disks[0]);
  CHECK(create_request(guest).error().message() ==
        "checking the guest's devices: it has two disks xvda: give each its own vdev");
  guest.disks.clear();
  guest.nics.resize(9, {"net", "br0", ""});
  CHECK(create_request(guest).error().code == ErrorCode::limit);
  CHECK(create_request(guest).error().message() ==
        "checking the guest's devices: it has 9 network interfaces, above the limit of 8");
}

TEST_CASE("domain: a number is a domid, a UUID a UUID, anything else a name") {
  CHECK(domain_from_text("7")->which_by == ashlar_v1_DomainRef_domid_tag);
  CHECK(domain_from_text("7")->by.domid == 7);
  CHECK(domain_from_text("6a0e1b2c-0000-4000-8000-000000000001")->which_by ==
        ashlar_v1_DomainRef_uuid_tag);
  CHECK(domain_from_text("web7")->which_by == ashlar_v1_DomainRef_name_tag);
  CHECK_FALSE(domain_from_text(""));
  CHECK_FALSE(domain_from_text("99999999999"));
  CHECK_FALSE(domain_from_text(std::string(64, 'x')));
}

TEST_CASE("guest: an image that a flag replaces loses the signature that the file gave the other") {
  Guest file;
  file.kernel = "k";
  file.kernel_signature = "k.p7s";
  file.initrds = {"i"};
  file.initrd_signatures = {"i.p7s"};
  CHECK(overlay(file, {}).kernel_signature == "k.p7s");
  CHECK(overlay(file, {}).initrd_signatures == file.initrd_signatures);
  Guest flags;
  flags.kernel = "other";
  flags.initrds = {"another"};
  CHECK_FALSE(overlay(file, flags).kernel_signature);
  CHECK(overlay(file, flags).initrd_signatures.empty());
  flags.kernel_signature = "other.p7s";
  flags.initrd_signatures = {"none"};
  CHECK(overlay(file, flags).kernel_signature == "other.p7s");
  CHECK(overlay(file, flags).initrd_signatures == flags.initrd_signatures);
}
