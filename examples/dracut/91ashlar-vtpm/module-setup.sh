#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# For /usr/lib/dracut/modules.d: puts ashlar-vtpm-agent and what it needs into the initramfs.
# Install the agent as /usr/libexec/ashlar/ashlar-vtpm-agent, then: dracut --force --add ashlar-vtpm

check() {
    require_binaries /usr/libexec/ashlar/ashlar-vtpm-agent || return 1
    return 255 # only where it is asked for
}

installkernel() {
    instmods xen-evtchn xen-gntalloc tpm_vtpm_proxy xen-tpmfront
}

install() {
    # shellcheck disable=SC2154 # moddir is dracut's
    inst_hook pre-trigger 10 "$moddir/ashlar-vtpm.sh"
    inst_simple /usr/libexec/ashlar/ashlar-vtpm-agent /usr/sbin/ashlar-vtpm-agent
    inst_multiple modprobe
}
