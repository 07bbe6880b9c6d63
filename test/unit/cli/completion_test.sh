#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bash completion offers what each verb's help has. Usage: completion_test.sh PROGRAM COMPLETION
set -u
program=$(realpath "$1")
PATH=$(dirname "$program"):$PATH
# shellcheck source=/dev/null
source "$(realpath "$2")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
mkdir a-directory
touch a-file
failed=0

# What is offered at the end of a command line, one a line. Readline's own splitting: at blanks, ':' and '='.
offered() {
  COMP_LINE=$1
  COMP_POINT=${#1}
  mapfile -t COMP_WORDS < <(grep -oE '[:=]|[^[:space:]:=]+' <<<"$1")
  [[ $1 == *' ' ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  _ashlar
  ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
}

# expect LINE WORDS: exactly these are offered.
expect() {
  local got want
  got=$(offered "$1" | sort | xargs)
  want=$(tr ' ' '\n' <<<"$2" | sort | xargs)
  [[ $got == "$want" ]] && return
  failed=1
  printf '%s\n  offered: %s\n  wanted:  %s\n' "$1" "$got" "$want"
}

# Long options in the first column of a help text, by other means than the completion's.
flags_in_help() {
  "$program" "$@" --help | sed -nE 's/^  (-[A-Za-z],)?(--[a-z-]+).*/\2/p'
}

# Every verb and every flag, with those of the whole command.
verbs() {
  "$program" "$@" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}
# visit VERB...: what is offered for it, then likewise for its own verbs.
visit() {
  local sub
  expect "ashlar $*${*:+ }--" "$({ flags_in_help "$@"; flags_in_help; } | sort -u | xargs)"
  [[ -z $(verbs "$@") ]] || expect "ashlar $*${*:+ }" "$(verbs "$@" | xargs)"
  for sub in $(verbs "$@"); do visit "$@" "$sub"; done
}
visit

expect "ashlar up" "upload"
expect "ashlar measure --uu" "--uuid"
expect "ashlar policy sign --a" ""
expect "ashlar policy explain a-directory --on-c" "--on-crash"
expect "ashlar policy explain a-directory --as x --verb policy-" "policy-show policy-reload"
expect "ashlar --host unix:/run/x.sock cre" "create"
expect "ashlar -H unix:/run/x.sock create --vtpm " "none 1.2 2.0"
expect "ashlar create --type=p" "pv pvh"
expect "ashlar create --type=" "pv pvh"
expect "ashlar --json create --ty" "--type"
expect "ashlar -H vchan:" "0"
expect "ashlar -H unix:a-f" "a-file"
expect "ashlar policy check a-" "a-directory"
expect "ashlar upload a-file a-" "a-directory a-file"
expect "ashlar create --kernel a-" "a-directory a-file"
expect "ashlar create --name " ""
exit $failed
