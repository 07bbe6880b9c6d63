// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string>

#include "ashlar/base/bytes.hpp"
#include "bench.hpp"

namespace ashlar::bench {

Result<broker::Domain> example_domain() {
  const measure::Digests kernel = TRY(measure::digest(as_bytes("kernel")));
  const measure::Digests initrd = TRY(measure::digest(as_bytes("initrd")));
  broker::Domain domain;
  domain.configuration.name = "web-1";
  domain.configuration.memory_kib = domain.configuration.max_memory_kib = 1 << 20;
  domain.command_line = "console=hvc0 root=/dev/xvda1 ro quiet";
  domain.kernel = {"vmlinuz-6.1-cloud-amd64", 6, kernel, nullptr};
  domain.initrds = {{"initrd.img-6.1-cloud-amd64", 6, initrd, nullptr}};
  domain.peer = policy::DomainPeer{"toolstack", "6a0e5a44-2f4e-4b0e-9d57-0c5f6f7a1b11"};
  domain.rule = "known guests";
  domain.policy_digest = std::string(64, 'a');
  domain.record.serial = 1;
  domain.record.domid = 7;
  domain.record.uuid = TRY(measure::uuid_from_text("1d3b4a52-9c1f-4b0e-8d57-0c5f6f7a1b12"));
  domain.record.requester = "toolstack";
  domain.record.events = TRY(measure::make_events(
      {.builder_identity = "ashlar-builder 0.1.0",
       .policy_digest = domain.policy_digest,
       .configuration = domain.configuration,
       .kernel = {domain.kernel.label, domain.kernel.size, kernel},
       .command_line = domain.command_line,
       .initrds = {{domain.initrds[0].label, domain.initrds[0].size, initrd}}}));
  return domain;
}

} // namespace ashlar::bench
