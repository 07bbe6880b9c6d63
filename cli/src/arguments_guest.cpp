// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ashlar/cli/arguments_guest.hpp"

#include <cstdint>
#include <limits>
#include <optional>

#include "ashlar/base/bytes.hpp"
#include "ashlar/cli/arguments_fault.hpp"
#include "ashlar/cli/device_specification.hpp"

namespace ashlar::cli {

namespace {

void add_devices(CLI::App* app, Texts& texts) {
  app->add_option("--disk", texts.disks,
                  "a disk, as in an xl.cfg file: phy:/dev/vg0/web,xvda,w,backend=storage; may be "
                  "repeated")
      ->type_name("SPEC")
      ->allow_extra_args(false);
  app->add_option("--nic", texts.nics,
                  "a network interface, likewise: bridge=xenbr0,backend=net,mac=00:16:3e:01:02:03")
      ->type_name("SPEC")
      ->allow_extra_args(false);
}

// Of an option's text, as memory_from_text(); nothing where it was not given.
Result<std::optional<std::uint64_t>> memory_of(const char* option, const std::string& text) {
  if (text.empty())
    return std::nullopt;
  const Result<std::uint64_t> kib = memory_from_text(text);
  if (!kib)
    return failure(kib.error().code, std::string(option) + " \"" + printable(text) + "\"",
                   kib.error().why);
  return *kib;
}

} // namespace

void add_create_guest(CLI::App* app, Guest& guest, Texts& texts, const char* kernel) {
  app->add_option("--name", guest.name, "the guest's name")->type_name("NAME");
  app->add_option("--uuid", guest.uuid, "its UUID; without, the builder makes one")
      ->type_name("UUID");
  app->add_option("--type", guest.type, "pv or pvh (default pvh)")->check(one_of({"pv", "pvh"}));
  app->add_option("--kernel", guest.kernel, kernel)->type_name("FILE");
  app->add_option("--initrd", guest.initrds, "an initrd, likewise; may be repeated, in load order")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app->add_option("--cmdline", guest.command_line, "the kernel's command line");
  app->add_option("--vcpus", guest.vcpus, "number of vCPUs (default 1)")
      ->type_name("N")
      ->check(whole_number(1, std::numeric_limits<std::uint32_t>::max()));
  app->add_option("--memory", texts.memory, "MiB, or with a unit: 512M, 4G (default 256)")
      ->type_name("SIZE");
  app->add_option("--maxmem", texts.max_memory, "the balloon's ceiling (default: as --memory)")
      ->type_name("SIZE");
  const auto actions = one_of({"destroy", "restart", "preserve"});
  app->add_option("--on-poweroff", guest.on_poweroff, "when it powers off (default destroy)")
      ->check(actions);
  app->add_option("--on-reboot", guest.on_reboot, "when it reboots (default restart)")
      ->check(actions);
  app->add_option("--on-crash", guest.on_crash, "when it crashes (default destroy)")
      ->check(actions);
  app->add_option("--vtpm", guest.vtpm, "the TPM that it sees: none (default), 1.2 or 2.0")
      ->check(one_of({"none", "1.2", "2.0"}));
  app->add_option("--xsm-label", guest.xsm_label,
                  "its label, for a Xen with XSM: system_u:system_r:domU_t (default none)")
      ->type_name("LABEL");
  add_devices(app, texts);
}

void add_signatures(CLI::App* app, Guest& guest) {
  app->add_option("--kernel-signature", guest.kernel_signature,
                  "a detached CMS signature over the kernel (DER or PEM)")
      ->type_name("FILE");
  app->add_option("--initrd-signature", guest.initrd_signatures,
                  "likewise, one for each initrd in their order, or none in its place")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

Status read_texts(const Texts& texts, Guest& guest) {
  guest.memory_kib = TRY(memory_of("--memory", texts.memory));
  guest.max_memory_kib = TRY(memory_of("--maxmem", texts.max_memory));
  guest.disks = TRY(read_disks(texts.disks, "reading --disk"));
  guest.nics = TRY(read_nics(texts.nics, "reading --nic"));
  return {};
}

} // namespace ashlar::cli
