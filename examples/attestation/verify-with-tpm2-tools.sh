#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Checks a bundle of evidence with tpm2-tools, tar, sha256sum and nothing of Ashlar: every link of
# the chain but the signed reference, in whose place it prints the PCRs to compare.
#
# Usage: verify-with-tpm2-tools.sh BUNDLE NONCE HOST-AK.pem
#   NONCE        the 64 hexadecimal digits that you sent
#   HOST-AK.pem  the attestation key of the host, from its enrolment
# Exit status: 0 all holds, 1 something does not, 2 wrong usage. Needs: tpm2-tools, xxd, openssl (to
# compare the key with the enrolled one).
set -eu

[ $# -eq 3 ] || { sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
bundle=$1
nonce=$2
enrolled=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "NOT ok: $*"; exit 1; }
digest() { sha256sum "$1" | cut -d' ' -f1; }
bytes() { xxd -r -p; }
# extend VALUE DIGEST: what a PCR of the first value holds after the second was extended.
extend() { printf '%s%s' "$1" "$2" | bytes | sha256sum | cut -d' ' -f1; }
zeros=$(printf '%064d' 0)

files='manifest record host.log host.quote.msg host.quote.sig host.ak.pub host.pcrs host.ek.pub
guest.quote.msg guest.quote.sig guest.ak.pub guest.pcrs guest.log'
# By name, so that nothing else of the archive is written.
tar -xf "$bundle" -C "$work" $files 2>/dev/null || fail "the bundle lacks one of its files"
for file in $files; do
    { [ -f "$work/$file" ] && [ ! -L "$work/$file" ]; } || fail "$file is no regular file"
done
cd "$work"

echo "$nonce" | grep -Eqx '[0-9a-f]{64}' || fail "the nonce is not 64 lower-case digits"
grep -qx "nonce=$nonce" manifest || fail "the bundle answers another nonce"

# Both keys sign nothing that looks like a quote but what their TPM says, and cannot leave it.
for key in host.ak.pub guest.ak.pub; do
    tpm2_print -t TPM2B_PUBLIC "$key" > key.yaml || fail "$key is no TPM2B_PUBLIC"
    attributes=$(grep -A1 '^attributes:' key.yaml | sed -n 's/^ *value: //p')
    for attribute in fixedtpm fixedparent sensitivedataorigin restricted sign; do
        case "|$attributes|" in *"|$attribute|"*) ;; *) fail "$key is not $attribute" ;; esac
    done
done

# The host's key is the enrolled one; it signed the statement that binds record, key and log.
case $enrolled in /*) ;; *) enrolled=$OLDPWD/$enrolled ;; esac
tpm2_print -t TPM2B_PUBLIC -f pem host.ak.pub > host.ak.pem
[ "$(openssl pkey -pubin -in host.ak.pem -outform DER | sha256sum)" = \
  "$(openssl pkey -pubin -in "$enrolled" -outform DER | sha256sum)" ] ||
    fail "the host's key is not the enrolled one"
statement=$({ printf 'ashlar-guest-quote-2\0'; printf %s "$nonce" | bytes
    digest record | bytes; digest guest.ak.pub | bytes; digest host.log | bytes; } | sha256sum |
    cut -d' ' -f1)
tpm2_checkquote -u host.ak.pub -m host.quote.msg -s host.quote.sig -g sha256 -q "$statement" \
    > host.yaml || fail "the host's quote is not signed by that key, or vouches for something else"
echo "ok: the host's TPM vouches for this record, this vTPM and this nonce"

# check_pcrs WHO NUMBERS: the listed values are those that were quoted, of exactly these PCRs.
check_pcrs() {
    [ "$(sed 's/^sha256:\([0-9]*\) .*/\1/' "$1.pcrs" | tr '\n' ' ')" = "$2 " ] ||
        fail "$1.pcrs has other PCRs than $2"
    # A TPMS_ATTEST ends with the digest of the quoted values, 32 bytes; before it, their selection.
    quoted=$(tail -c 32 "$1.quote.msg" | xxd -p -c 32)
    listed=$(cut -d' ' -f2 "$1.pcrs" | bytes | sha256sum | cut -d' ' -f1)
    [ "$quoted" = "$listed" ] || fail "the values of $1.pcrs are not those that were quoted"
    selection=0
    for pcr in $2; do selection=$((selection | 1 << pcr)); done
    want=$(printf '00000001000b03%02x%02x%02x0020' $((selection & 255)) $((selection >> 8 & 255)) \
        $((selection >> 16)))
    [ "$(tail -c 44 "$1.quote.msg" | head -c 12 | xxd -p)" = "$want" ] ||
        fail "the quote of $1 is over other PCRs than $2"
}
check_pcrs host "0 1 2 3 4 5 6 7 13"
echo "ok: host.pcrs was quoted"

value=$zeros
for event in $(xxd -p -c 32 host.log); do value=$(extend "$value" "$event"); done
grep -qx "sha256:13 $value" host.pcrs || fail "host.log does not give PCR 13"
xxd -p -c 32 host.log | grep -qx "$(digest record)" || fail "the record is not in host.log"
echo "ok: host.log gives PCR 13, and the record is in it"

case $(sed -n 's/^profile=//p' manifest) in
    uapi) pcrs="9 11 12" ;;
    grub) pcrs="8 9" ;;
    *) fail "the profile is neither uapi nor grub" ;;
esac
tpm2_checkquote -u guest.ak.pub -m guest.quote.msg -s guest.quote.sig -g sha256 -q "$nonce" \
    > guest.yaml || fail "the vTPM did not sign its quote for this nonce"
check_pcrs guest "$pcrs"
grep -q "$zeros" guest.pcrs && fail "a PCR of the guest is empty"
echo "ok: the vTPM quoted guest.pcrs for this nonce"

tpm2_eventlog guest.log > log.yaml 2>&1 || fail "tpm2_eventlog cannot read guest.log"
for pcr in $pcrs; do
    replayed=$(sed -n '/^pcrs:/,$p' log.yaml | sed -n '/sha256:/,/sha384:/p' |
        sed -n "s/^ *$pcr *: 0x//p")
    grep -qx "sha256:$pcr $replayed" guest.pcrs || fail "guest.log does not give PCR $pcr"
done
echo "ok: guest.log gives the quoted PCRs; compare them with ashlar measure, or by sha256sum:"
cat guest.pcrs
