#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by dracut before udev's events: a TPM before anything asks for one.
if [ -e /sys/bus/xen/devices/vtpm-0 ]; then
    for module in xen-evtchn xen-gntalloc tpm_vtpm_proxy; do
        modprobe -q "$module"
    done
    mkdir -p /proc/xen 2>/dev/null
    /usr/sbin/ashlar-vtpm-agent >/dev/null
    # 3: a TPM 1.2, for which Linux has a driver of its own.
    [ $? = 3 ] && modprobe -q xen-tpmfront
fi
