#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the demo's toolstack domain asks of the builder. demo.py reads the lines that start with "demo-":
#   demo-step TEXT                 what happens next
#   demo-json KEY STATUS JSON      what `ashlar … --json` printed, on one line
#   demo-text KEY BASE64           a console's text, or a file's

KERNEL=/images/web-vmlinuz
INITRD=/images/guest-initrd
# What kernels leave out on an emulated machine, as appliance/qemu.py says: this file has no line end.
read -r LEAN </images/parameters

step() {
    echo "demo-step $*"
}

ask() {
    key=$1
    shift
    ashlar "$@" --json >/tmp/answer 2>/tmp/error
    status=$?
    [ -s /tmp/error ] && sed 's/^/demo-note /' /tmp/error
    echo "demo-json $key $status $(tr -d '\n' </tmp/answer)"
    return "$status"
}

# await_line GUEST PATTERN [TYPED]: types a line at a guest's console and follows it, and so takes the (emulated) processor
# from nobody, until a line begins so (an extended regular expression). What it said is in /tmp/followed.
await_line() {
    echo "${3-}" | ashlar console "$1" >/tmp/followed 2>/tmp/error &
    follower=$!
    tries=0
    until grep -qE "^$2" /tmp/followed || [ "$tries" -ge 120 ]; do
        tries=$((tries + 1))
        sleep 1
        kill -0 "$follower" 2>/dev/null || break
    done
    kill "$follower" 2>/dev/null
}

wait_for_guest() {
    await_line "$1" "guest-ready $1"
    echo "demo-text console.$1 $(tail -c 8000 /tmp/followed | base64 | tr -d '\n')"
}

step "asking the builder who it takes this domain for"
ask version version
step "enrolling the machine: its keys, and what its firmware measured, on its own word (trust on first use)"
if ashlar host --export /tmp/enrolment >/dev/null 2>/tmp/error; then
    echo "demo-text enrolled.key $(base64 </tmp/enrolment/host-ak.pem | tr -d '\n')"
    echo "demo-text enrolled.pcrs $(base64 </tmp/enrolment/host.pcrs | tr -d '\n')"
else
    sed 's/^/demo-note /' /tmp/error
fi
step "building guest web: PV, Debian's 6.1 cloud kernel, with a TPM 1.2"
ask create.web create --name web --type pv --kernel "$KERNEL" --initrd "$INITRD" \
    --cmdline "console=hvc0 quiet $LEAN guest_name=web" --memory 256 --vcpus 1 --vtpm 1.2
step "building guest db: PVH, Debian's 6.12 cloud kernel, with a TPM 2.0"
ask create.db create --name db --type pvh --kernel /images/db-vmlinuz --initrd "$INITRD" \
    --cmdline "console=hvc0 quiet $LEAN guest_name=db" --memory 256 --vcpus 1 --vtpm 2.0
step "asking for a guest whose command line nobody approved"
ask refused.command-line create --name web --type pv --kernel "$KERNEL" --initrd "$INITRD" \
    --cmdline "console=hvc0 init=/bin/sh" --memory 256 --vcpus 1 --vtpm 1.2
step "asking for a guest whose kernel was changed by one byte"
cp "$KERNEL" /tmp/changed-vmlinuz
byte=$(dd if="$KERNEL" bs=1 skip=1000000 count=1 2>/dev/null | od -An -tu1)
# shellcheck disable=SC2059 # the format is the octal escape of one byte
printf "\\$(printf %o $((byte ^ 1)))" |
    dd of=/tmp/changed-vmlinuz bs=1 seek=1000000 conv=notrunc 2>/dev/null
ask refused.changed-kernel create --name web --type pv --kernel /tmp/changed-vmlinuz \
    --initrd "$INITRD" --cmdline "console=hvc0 quiet $LEAN guest_name=web" --memory 256 --vcpus 1 \
    --vtpm 1.2
step "waiting until both guests say that they are up"
wait_for_guest web
wait_for_guest db
step "asking guest db to prove what it was built from, with a nonce of this machine's host"
nonce=$(cat /images/nonce)
# The log's line comes after the whole of the evidence.
await_line db "(guest-log|guest-evidence-fails)" "attest $nonce"
grep "^guest-evidence" /tmp/followed >/tmp/evidence
echo "demo-text evidence.db $(base64 </tmp/evidence | tr -d '\n')"
step "reading what the builder recorded"
ask list list
for guest in web db; do
    ask "info.$guest" info "$guest"
    ask "measurement.$guest" measurement "$guest"
done
step "reading the PCR of the hardware TPM that covers every domain"
ask host host
step "destroying both guests"
ask destroy.web destroy web
ask destroy.db destroy db
ask list-after list
step "powering off"
