// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include <functional>

#include "ashlar/measure/domain_configuration.hpp"
#include "ashlar/measure/record.hpp"

using namespace ashlar;
using namespace ashlar::measure;

namespace {

Disk root() {
  return {.vdev = "xvda", .writable = true, .backend = "storage", .target = "/dev/vg0/web-1"};
}

Nic nic() {
  return {.backend = "net", .bridge = "xenbr0", .mac = "00:16:3e:01:02:03"};
}

DomainConfiguration guest() {
  return {.name = "web-1", .memory_kib = 262144, .max_memory_kib = 262144};
}

/// The refusal of the guest's devices after a change of its one disk or interface.
std::string refusal(const std::function<void(Disk&, Nic&)>& change) {
  DomainConfiguration configuration = guest();
  configuration.disks = {root()};
  configuration.nics = {nic()};
  REQUIRE(validate(configuration).has_value());
  change(configuration.disks[0], configuration.nics[0]);
  const Status checked = validate(configuration);
  return checked ? "" : checked.error().message();
}

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("devices: they are the last lines of the canonical configuration, in their order") {
  DomainConfiguration configuration = guest();
  const std::string without = canonical_text(configuration);
  configuration.disks = {root(), {"xvdb", false, "Domain-0", "/dev/loop0"}};
  configuration.nics = {nic(), {"net", "xenbr1", ""}};
  CHECK(canonical_text(configuration) ==
        without + "disk=xvda,access=rw,backend=storage,target=/dev/vg0/web-1\n"
                  "disk=xvdb,access=ro,backend=Domain-0,target=/dev/loop0\n"
                  "nic=backend=net,bridge=xenbr0,mac=00:16:3e:01:02:03\n"
                  "nic=backend=net,bridge=xenbr1,mac=auto\n");
}

TEST_CASE("devices: their texts are read back, and no other text is") {
  CHECK(disk_from_text(canonical_text(root())) == root());
  CHECK(nic_from_text(canonical_text(nic())) == nic());
  Nic automatic = nic();
  automatic.mac.clear();
  CHECK(nic_from_text(canonical_text(automatic)) == automatic);
  for (const char* text :
       {"", "xvda", "xvda,access=rw,backend=storage", "xvda,access=w,backend=storage,target=/dev/a",
        "xvda,access=rw,backend=storage,target=/dev/a,", "xvda,backend=s,access=rw,target=/dev/a",
        "xvda,access=rw,backend=storage,target=/dev/../a", "hda,access=rw,backend=s,target=/dev/a"})
    CHECK_FALSE(disk_from_text(text).has_value());
  for (const char* text :
       {"", "backend=net", "backend=net,bridge=xenbr0",
        "backend=net,bridge=xenbr0,mac=", "backend=net,bridge=xenbr0,mac=00:16:3E:01:02:03",
        "backend=net,bridge=xenbr0,mac=auto,script=x"})
    CHECK_FALSE(nic_from_text(text).has_value());
}

TEST_CASE("devices: a disk's number is Xen's") {
  CHECK(vbd_number("xvda") == 51712);
  CHECK(vbd_number("xvda1") == 51713);
  CHECK(vbd_number("xvdb15") == 51743);
  CHECK(vbd_number("xvdp") == 51952);
  CHECK(vbd_number("xvdq") == (1U << 28 | 16U << 8));
  for (const char* name :
       {"", "xvd", "xvda0", "xvda16", "xvda01", "xvdA", "xvdaa", "hda", "xvda1x"})
    CHECK_FALSE(vbd_number(name).has_value());
}

TEST_CASE("devices: a target is a plain absolute path") {
  for (const char* target : {"dev/sda", "/", "/dev/", "/dev//sda", "/dev/./sda", "/dev/../etc/x",
                             "/dev/sda\n", "/dev/a b", "/dev/a,b", "/dev/$(id)", "/dev/*"})
    CHECK(holds(refusal([target](Disk& disk, Nic&) { disk.target = target; }),
                "must be the absolute path of a block device or file"));
  CHECK(refusal([](Disk& disk, Nic&) { disk.target = "/dev/mapper/vg0-web_1..a"; }).empty());
  CHECK(holds(refusal([](Disk& disk, Nic&) { disk.target = "/" + std::string(127, 'a'); }),
              "its target has 128 bytes, above the limit of 127"));
  CHECK(holds(refusal([](Disk& disk, Nic&) { disk.target.clear(); }), "it has no target"));
}

TEST_CASE("devices: a network interface's address is of one interface, in lower case") {
  for (const char* mac : {"00:16:3e:01:02", "00:16:3e:01:02:0", "01:16:3e:01:02:03",
                          "00:16:3E:01:02:03", "00-16-3e-01-02-03", "00:00:00:00:00:00",
                          "ff:ff:ff:ff:ff:ff", "00:16:3e:01:02:0g", "00:16:3e:01:02:03:04"})
    CHECK(holds(refusal([mac](Disk&, Nic& nic) { nic.mac = mac; }), "must be like 00:16:3e"));
}

TEST_CASE("devices: backends and bridges are names") {
  CHECK(holds(refusal([](Disk& disk, Nic&) { disk.backend = "../0"; }), "the name of a domain"));
  CHECK(holds(refusal([](Disk&, Nic& nic) { nic.backend = ""; }), "it has no backend"));
  CHECK(holds(refusal([](Disk&, Nic& nic) { nic.bridge = "a/b"; }), "must be an interface's name"));
  CHECK(holds(refusal([](Disk&, Nic& nic) { nic.bridge = ".."; }), "must be an interface's name"));
  CHECK(holds(refusal([](Disk&, Nic& nic) { nic.bridge = std::string(16, 'b'); }),
              "its bridge has 16 bytes, above the limit of 15"));
}

TEST_CASE("devices: no two have one name or address, and there are only so many") {
  DomainConfiguration configuration = guest();
  configuration.disks = {root(), root()};
  CHECK(holds(validate(configuration).error().message(), "two disks xvda"));
  configuration.disks.clear();
  configuration.nics = {nic(), nic()};
  CHECK(
      holds(validate(configuration).error().message(), "two network interfaces with the address"));
  configuration.nics.assign(max_nics + 1, {"net", "xenbr0", ""});
  CHECK(holds(validate(configuration).error().message(),
              "9 network interfaces, above the limit of 8"));
}

TEST_CASE("devices: the largest configuration fits the event of a record") {
  DomainConfiguration largest = guest();
  largest.name = std::string(max_name_bytes, 'n');
  largest.xsm_label = std::string(max_xsm_label_bytes, 'l');
  for (std::size_t i = 0; i < max_disks; ++i)
    largest.disks.push_back({std::string("xvd") + static_cast<char>('a' + i) + "15", true,
                             std::string(max_backend_bytes, 'b'),
                             "/" + std::string(max_target_bytes - 1, 't')});
  largest.nics.assign(
      max_nics, {std::string(max_backend_bytes, 'b'), std::string(max_bridge_bytes, 'r'), ""});
  for (std::size_t i = 0; i < max_nics; ++i)
    largest.nics[i].mac = std::string("00:16:3e:00:00:0") + static_cast<char>('0' + i);
  REQUIRE(validate(largest).has_value());
  CHECK(canonical_text(largest).size() <= max_content_bytes);
}
