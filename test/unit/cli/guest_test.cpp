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
