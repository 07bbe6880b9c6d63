# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion for ashlar(1).

# Names and numbers of the domains, when the builder answers soon. Names are [A-Za-z0-9._+-] only.
_ashlar_domains() {
  ashlar --timeout 2 list 2>/dev/null </dev/null | awk 'NR > 1 { print $1; print $2 }'
}

# Words after `ashlar policy`: the verb, then a directory or the flags of explain.
_ashlar_policy() {
  local word=$1 flags=$2
  if [[ ${COMP_WORDS[COMP_CWORD - 1]} == policy ]]; then
    mapfile -t COMPREPLY < <(compgen -W "show reload check explain test hash sign $flags" -- "$word")
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags --strict --as --request --verb --owner --image --size --name --type
      --kernel --initrd --kernel-signature --initrd-signature --cmdline --vcpus --memory --maxmem --disk --nic --key --certificate --detached --toml" -- "$word")
  elif [[ " ${COMP_WORDS[*]} " == *" policy sign "* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -d -- "$word")
  fi
}

_ashlar() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local verbs="create list info measure measurement verify explain destroy pause unpause shutdown reboot console domid image images
    host policy version"
  local flags="--host --json --timeout --help --version" verb="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    -H | --host | --timeout) ((i++)) ;;
    -*) ;;
    *) verb=${COMP_WORDS[i]}; break ;;
    esac
  done

  case $previous in
  --kernel | --initrd | --kernel-signature | --initrd-signature | --signature | --request | --image | --key | --certificate) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
  -o | --output | --cel | --config | --manifest | --known) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
  --policy | --reference | --export) mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
  --profile) mapfile -t COMPREPLY < <(compgen -W "uapi grub pv-grub" -- "$word"); return ;;
  --vtpm) mapfile -t COMPREPLY < <(compgen -W "none 1.2 2.0" -- "$word"); return ;;
  --type) mapfile -t COMPREPLY < <(compgen -W "pv pvh" -- "$word"); return ;;
  --on-poweroff | --on-reboot | --on-crash)
    mapfile -t COMPREPLY < <(compgen -W "destroy restart preserve" -- "$word"); return ;;
  -H | --host) mapfile -t COMPREPLY < <(compgen -W "unix:/run/ashlar/ashlar.sock vchan:0" -- "$word"); return ;;
  --timeout | --builder | --as | --owner | --verb | --size | --name | --uuid | --cmdline | --vcpus | --memory | \
    --xsm-label | --disk | --nic | --maxmem | --tail | --nonce | --guest | --record | --host-pcr) return ;;
  esac

  case $verb in
  "") mapfile -t COMPREPLY < <(compgen -W "$verbs $flags" -- "$word") ;;
  create)
    if [[ $word == -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W "$flags --name --uuid --type --kernel --initrd --kernel-signature --initrd-signature
        --cmdline --vcpus --memory --maxmem --on-poweroff --on-reboot --on-crash --vtpm --xsm-label --disk --nic --paused --dry-run" -- "$word")
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi ;;
  measure)
    if [[ $word == -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W "$flags --config --name --type --kernel --initrd --cmdline --vcpus --memory
        --maxmem --on-poweroff --on-reboot --on-crash --vtpm --xsm-label --disk --nic --profile --output --cel --manifest --builder --policy" -- "$word")
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi ;;
  verify)
    if [[ $word == -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W "$flags --reference --nonce --guest --record --host-pcr" -- "$word")
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi ;;
  explain)
    if [[ $word == -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W "$flags --known --profile" -- "$word")
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi ;;
  list) mapfile -t COMPREPLY < <(compgen -W "--long $flags" -- "$word") ;;
  policy) _ashlar_policy "$word" "$flags" ;;
  image)
    case $previous in
    image) mapfile -t COMPREPLY < <(compgen -W "inspect" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -W "--signature $flags" -- "$word") ;;
    esac ;;
  host) mapfile -t COMPREPLY < <(compgen -W "--export $flags" -- "$word") ;;
  images | version) mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word") ;;
  *)
    [[ $verb == console ]] && flags+=" --tail"
    [[ $verb == measurement ]] && flags+=" --profile --output --cel"
    if [[ $word == -* ]]; then
      mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
    else
      mapfile -t COMPREPLY < <(compgen -W "$(_ashlar_domains)" -- "$word")
    fi ;;
  esac
}
complete -o filenames -F _ashlar ashlar
