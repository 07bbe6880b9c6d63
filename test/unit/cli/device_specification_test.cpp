// SPDX-License-Identifier: LGPL-2.1-or-later
#include <doctest/doctest.h>

#include "ashlar/cli/device_specification.hpp"

using namespace ashlar;
using namespace ashlar::cli;
using measure::Disk;
using measure::Nic;

namespace {

Result<std::vector<Disk>> disks(const std::vector<std::string>& texts) {
  return read_disks(texts, "web.cfg:4: disk");
}

Result<std::vector<Nic>> nics(const std::vector<std::string>& texts) {
  return read_nics(texts, "web.cfg:5: vif");
}

struct Refused {
  const char* text;
  ErrorCode code;
  const char* why;
};

constexpr const char* drive =
    "cdrom: what is in a drive could be changed while the guest runs, and its measurement would "
    "not show it: give a disk with access=ro";
#define NEEDS_QEMU                                                                                 \
  "it would need QEMU in the backend's domain: give a block device or file with the plain bytes"
#define A_SCRIPT                                                                                   \
  "a script runs as root in the backend's domain, so a request cannot name one: let that domain "  \
  "make the block device, and give its path"
#define OTHER_BACKEND                                                                              \
  " asks for another backend: remove it; the path alone is that of a block device, or of a file "  \
  "that has the plain bytes"
constexpr const char* no_discard = "discard: Ashlar cannot honour it, nor no-discard: remove it";
constexpr const char* no_colo =
    "colo: Ashlar's guests have no second machine: remove all of its settings";

} // namespace

TEST_CASE("disk: each form of xl's that says the same is the same disk") {
  const Disk web{.vdev = "xvda", .writable = true, .backend = "Domain-0", .target = "/dev/vg0/web"};
  for (const char* text :
       {"phy:/dev/vg0/web,xvda,w", "phy:/dev/vg0/web,xvda,rw", "phy:/dev/vg0/web,xvda",
        "/dev/vg0/web,raw,xvda,rw", "/dev/vg0/web,,xvda", "/dev/vg0/web, raw, xvda, w",
        "raw:/dev/vg0/web,xvda,w", "phy:/dev/vg0/web,xvda:disk,w", "vdev=xvda,target=/dev/vg0/web",
        ("vdev=xvda, access=w, format=raw, backendtype=phy, specification=xen, devtype=disk, "
         "backend=0, target=/dev/vg0/web"),
        "format=,vdev=xvda,backend=Domain-0,target=/dev/vg0/web"}) {
    CAPTURE(text);
    const auto read = disks({text});
    REQUIRE_MESSAGE(read, read.error().message());
    CHECK(*read == std::vector<Disk>{web});
  }
}

TEST_CASE("disk: access, backend and place are those that the text gives") {
  const auto read = disks({"phy:/dev/vg0/web,xvda,r,backend=storage",
                           "access=ro,vdev=xvdb3,backend=storage-2,target=/dev/disk/by-id/a:b@c",
                           "vdev=xvdc,backend=storage,target=/srv/disks/web.img"});
  REQUIRE_MESSAGE(read, read.error().message());
  CHECK(*read == std::vector<Disk>{{"xvda", false, "storage", "/dev/vg0/web"},
                                   {"xvdb3", false, "storage-2", "/dev/disk/by-id/a:b@c"},
                                   {"xvdc", true, "storage", "/srv/disks/web.img"}});
  CHECK(disks({})->empty());
}

TEST_CASE("disk: a target is taken as it stands, even if it looks like a prefix") {
  const auto read = disks({"vdev=xvda,target=/dev/tap:file"});
  REQUIRE_MESSAGE(read, read.error().message());
  CHECK(read->front().target == "/dev/tap:file");
}

TEST_CASE("disk: whatever else a text asks for is refused by its name, with why") {
  using enum ErrorCode;
  for (const Refused& bad : {
           Refused{"vdev=xvda,format=qcow2,target=/d/a", unsupported, "format qcow2: " NEEDS_QEMU},
           Refused{"/d/a,vhd,xvda,w", unsupported, "format vhd: " NEEDS_QEMU},
           Refused{"qcow:/d/a,xvda,w", unsupported, "format qcow: " NEEDS_QEMU},
           Refused{"vdev=xvda,format=qed,target=/d/a", unsupported, "format qed: " NEEDS_QEMU},
           Refused{"vdev=xvda,format=empty,target=/d/a", unsupported, "format empty: " NEEDS_QEMU},
           Refused{"vdev=xvda,backendtype=qdisk,target=/d/a", unsupported,
                   "backendtype=qdisk: " NEEDS_QEMU},
           Refused{"vdev=xvda,backendtype=tap,target=/d/a", unsupported,
                   "backendtype=tap: " NEEDS_QEMU},
           Refused{"vdev=xvda,backendtype=standalone,target=/d/a", unsupported,
                   "backendtype=standalone: " NEEDS_QEMU},
           Refused{"vdev=xvda,specification=virtio,target=/d/a", unsupported,
                   "specification=virtio: Ashlar's disks are those of Xen's own protocol: remove "
                   "it"},
           Refused{"vdev=xvda,cdrom,target=/d/a", unsupported, drive},
           Refused{"vdev=xvda,devtype=cdrom,target=/d/a", unsupported, drive},
           Refused{"phy:/d/a,xvda:cdrom,r", unsupported, drive},
           Refused{",xvda:cdrom", unsupported, drive},
           Refused{"vdev=xvda,script=block-iscsi,target=/d/a", unsupported,
                   "script block-iscsi: " A_SCRIPT},
           Refused{"drbd:/d/a,xvda,w", unsupported, "script block-drbd: " A_SCRIPT},
           Refused{"vdev=xvda,direct-io-safe,target=/d/a", unsupported,
                   "direct-io-safe: Ashlar cannot honour it: remove it"},
           Refused{"vdev=xvda,discard,target=/d/a", unsupported, no_discard},
           Refused{"vdev=xvda,no-discard,target=/d/a", unsupported, no_discard},
           Refused{"vdev=xvda,colo,target=/d/a", unsupported, no_colo},
           Refused{"vdev=xvda,no-colo,target=/d/a", unsupported, no_colo},
           Refused{"vdev=xvda,colo-host=h,target=/d/a", unsupported, no_colo},
           Refused{"vdev=xvda,colo-port=7,target=/d/a", unsupported, no_colo},
           Refused{"vdev=xvda,colo-export=e,target=/d/a", unsupported, no_colo},
           Refused{"vdev=xvda,active-disk=a,target=/d/a", unsupported, no_colo},
           Refused{"vdev=xvda,hidden-disk=a,target=/d/a", unsupported, no_colo},
           Refused{"file:/d/a,xvda,w", unsupported, "file:" OTHER_BACKEND},
           Refused{"phy:file:/d/a,xvda,w", unsupported, "file:" OTHER_BACKEND},
           Refused{"access=w, aio:/d/a,xvda", unsupported, "aio:" OTHER_BACKEND},
           Refused{"tap:aio:/d/a,xvda,w", unsupported, "tap:" OTHER_BACKEND},
           Refused{"tap2:/d/a,xvda,w", unsupported, "tap2:" OTHER_BACKEND},
           Refused{"tapdisk:/d/a,xvda,w", unsupported, "tapdisk:" OTHER_BACKEND},
           Refused{"ioemu:/d/a,xvda,w", unsupported, "ioemu:" OTHER_BACKEND},
           Refused{"phy:/d/a,xvda,w,backend=7", invalid,
                   "backend=7: give the domain's name; its number is another after it has been "
                   "restarted"},
       }) {
    CAPTURE(bad.text);
    const auto read = disks({bad.text});
    REQUIRE_FALSE(read);
    CHECK(read.error().code == bad.code);
    CHECK(read.error().message() ==
          std::string("web.cfg:4: disk \"") + bad.text + "\": " + bad.why);
  }
}

TEST_CASE("disk: a guest that is to trust its backend is refused") {
  // Xen 4.17's parser does not know the word; later ones do.
  CHECK_FALSE(disks({"vdev=xvda,trusted,target=/d/a"}));
  CHECK_FALSE(disks({"trusted,vdev=xvda"}));
  CHECK_FALSE(disks({"phy:/d/a,xvda,w,trusted"}));
}

TEST_CASE("disk: what libxlutil cannot read is said in its words") {
  for (const auto& [text, why] : {
           std::pair{"phy:/d/a,xvda,x", "unknown value for access: near `x'"},
           std::pair{"vdev=xvda", "no target specified (and device not removable)"},
           std::pair{"phy:/d/a", "no vdev specified"},
           std::pair{"", "no vdev specified"},
           std::pair{"phy:/d/a,xvda,w,x", "too many positional parameters: near `x'"},
           std::pair{"vdev=xvda,vdev=xvdb,target=/d/a", "vdev respecified: near `xvdb'"},
           std::pair{"vdev=xvda,nonsense=long,target=/d/a", "unknown parameter: near `nonsense=l'"},
           std::pair{"vdev=xvda,format=iso,target=/d/a", "unknown value for format: near `iso'"},
       }) {
    CAPTURE(text);
    const auto read = disks({text});
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::invalid);
    CHECK(read.error().message() == std::string("web.cfg:4: disk \"") + text + "\": " + why +
                                        "; see xl-disk-configuration(5)");
  }
}

TEST_CASE("disk: the text whose disk is not valid, or not beside the others, is named") {
  CHECK(disks({"phy:/d/a,hda,w"}).error().message() ==
        "web.cfg:4: disk \"phy:/d/a,hda,w\": its vdev must be xvda to xvdz, or such a name and a "
        "partition's number from 1 to 15");
  CHECK(disks({"phy:vg0/web,xvda,w"})
            .error()
            .message()
            .starts_with("web.cfg:4: disk \"phy:vg0/web,xvda,w\": its target \"vg0/web\" must be "
                         "the absolute path"));
  CHECK(disks({"phy:/d/a,xvda,w,backend="}).error().message() ==
        "web.cfg:4: disk \"phy:/d/a,xvda,w,backend=\": it has no backend: give one");
  CHECK(disks({"phy:/d/a,xvda,w", "phy:/d/b,xvda,w"}).error().message() ==
        "web.cfg:4: disk \"phy:/d/b,xvda,w\": it has two disks xvda: give each its own vdev");
  std::vector<std::string> many;
  for (char letter = 'a'; letter <= 'i'; ++letter)
    many.push_back(std::string("phy:/d/a,xvd") + letter + ",r");
  CHECK(disks(many).error().code == ErrorCode::limit);
  CHECK(disks(many).error().message() ==
        "web.cfg:4: disk \"phy:/d/a,xvdi,r\": it has 9 disks, above the limit of 8");
  many.pop_back();
  CHECK(disks(many)->size() == 8);
}

TEST_CASE("nic: its address, bridge and backend have the defaults of xl") {
  const auto read = nics({"", "mac=00:16:3E:0a:0B:0c,bridge=br1,backend=net",
                          "type=vif, script=vif-bridge", "backend=0"});
  REQUIRE_MESSAGE(read, read.error().message());
  CHECK(*read == std::vector<Nic>{{"Domain-0", "xenbr0", ""},
                                  {"net", "br1", "00:16:3e:0a:0b:0c"},
                                  {"Domain-0", "xenbr0", ""},
                                  {"Domain-0", "xenbr0", ""}});
  CHECK(nics({})->empty());
}

TEST_CASE("nic: whatever else a text asks for is refused by its key, with why") {
  using enum ErrorCode;
  for (const Refused& bad : {
           Refused{"type=ioemu", unsupported,
                   "type=ioemu: it would need QEMU; the only type is vif"},
           Refused{"script=vif-route", unsupported,
                   "script=vif-route: a script runs as root in the backend's domain, so a request "
                   "cannot name one; the only one is vif-bridge"},
           Refused{"model=e1000", unsupported,
                   "model: an emulated card would need QEMU: remove it, the guest's driver is "
                   "Xen's own"},
           Refused{"bridge=br0,ip=10.0.0.1", unsupported,
                   "ip: Ashlar binds no interface to an address: give it to the guest on its "
                   "command line"},
           Refused{"rate=10Mb/s", unsupported,
                   "rate: Ashlar limits no interface's rate: remove it"},
           Refused{"vifname=web", unsupported,
                   "vifname: the backend's domain names it vifDOMID.NUMBER: remove it"},
           Refused{"mtu=9000", unsupported, "mtu: Ashlar sets none: remove it"},
           Refused{"gatewaydev=eth0", unsupported,
                   "gatewaydev: it is for scripts other than vif-bridge: remove it"},
           Refused{"netdev=eth0", unsupported,
                   "netdev: it is for scripts other than vif-bridge: remove it"},
           Refused{"devid=1", unsupported,
                   "devid: an interface's number is its place in the list: remove it"},
           Refused{"trusted=1", unsupported,
                   "trusted: a guest is always told not to trust its backend: remove it"},
           Refused{"colour=red", unsupported,
                   "colour: Ashlar cannot honour it; write mac, bridge and backend alone"},
           Refused{"Bridge=br0", unsupported,
                   "Bridge: Ashlar cannot honour it; write mac, bridge and backend alone"},
           Refused{"bridge=br0,bridge=br0", invalid, "it has bridge twice: keep one"},
           Refused{"bridge", invalid,
                   "\"bridge\" is not of the form KEY=VALUE; see xl-network-configuration(5)"},
           Refused{"=br0", invalid,
                   "\"=br0\" is not of the form KEY=VALUE; see xl-network-configuration(5)"},
           Refused{"bridge=br0,,backend=net", invalid,
                   "\"\" is not of the form KEY=VALUE; see xl-network-configuration(5)"},
           Refused{" ", invalid,
                   "\"\" is not of the form KEY=VALUE; see xl-network-configuration(5)"},
           Refused{"bridge=br0,", invalid, "it ends with a comma: remove it"},
           Refused{"mac=", invalid, "mac is empty: remove it, and one is made"},
           Refused{"bridge=", invalid, "it has no bridge: give one"},
           Refused{"backend=", invalid, "it has no backend: give one"},
           Refused{"backend=12", invalid,
                   "backend=12: give the domain's name; its number is another after it has been "
                   "restarted"},
           Refused{"mac=01:16:3e:00:00:01", invalid,
                   "its mac \"01:16:3e:00:00:01\" must be like 00:16:3e:01:02:03, lower case, with "
                   "an even first byte"},
           Refused{"bridge=a-name-of-16-byt", limit,
                   "its bridge has 16 bytes, above the limit of 15"},
       }) {
    CAPTURE(bad.text);
    const auto read = nics({bad.text});
    REQUIRE_FALSE(read);
    CHECK(read.error().code == bad.code);
    CHECK(read.error().message() == std::string("web.cfg:5: vif \"") + bad.text + "\": " + bad.why);
  }
}

TEST_CASE("nic: the text whose interface is not valid beside the others is named") {
  CHECK(nics({"mac=00:16:3e:00:00:01", "mac=00:16:3E:00:00:01"}).error().message() ==
        "web.cfg:5: vif \"mac=00:16:3E:00:00:01\": it has two network interfaces with the address "
        "00:16:3e:00:00:01");
  CHECK(nics(std::vector<std::string>(9)).error().message() ==
        "web.cfg:5: vif \"\": it has 9 network interfaces, above the limit of 8");
  CHECK(nics(std::vector<std::string>(8))->size() == 8);
  CHECK(nics({"bridge=a-name-of-15-by"}));
}
