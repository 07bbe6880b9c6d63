# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion for ashlar(1). What there is to complete is read from --help, so that it is what the program takes.

# The lines of one part of a help text (Positionals, Options, Subcommands), without their indent.
_ashlar_part() {
  awk -v part="$1:" '/^[A-Z]/ { inside = ($0 == part) } inside && /^  [^ ]/ { print substr($0, 3) }' <<<"$2"
}

# The first word of each such line: all names of each option, each verb.
_ashlar_names() {
  _ashlar_part "$1" "$2" | awk '{ gsub(",", "\n", $1); print $1 }'
}

# The kind of value that such lines give to an option or to the argument at a place: FILE, TEXT:{pv,pvh};
# nothing for a flag.
_ashlar_kind() {
  awk -v name="$1" 'NR == name || ("," $1 ",") ~ ("," name ",") { kind = $2 }
    kind ~ /^([A-Z]+|[A-Z]+:[{].*[}])$/ { print kind; exit }'
}

# Names and numbers of the domains, when the builder (-H ADDRESS) answers soon. Names are [A-Za-z0-9._+-] only.
_ashlar_domains() {
  ashlar "$@" --timeout 2 list 2>/dev/null </dev/null | awk 'NR > 1 { print $1; print $2 }'
}

# Values of a kind that begin with a word; what follows says where the builder is.
_ashlar_values() {
  local kind=$1 word=$2
  shift 2
  case $kind in
  *\{*) compgen -W "$(tr '{,}' ' ' <<<"${kind#*:}")" -- "$word" ;;
  FILE | LOG) compgen -f -- "$word" ;;
  DIR) compgen -d -- "$word" ;;
  DOMAIN) compgen -W "$(_ashlar_domains "$@")" -- "$word" ;;
  ADDRESS)
    if [[ $word == unix:* ]]; then compgen -P unix: -f -- "${word#unix:}"
    else compgen -W "unix:/run/ashlar/ashlar.sock vchan:0" -- "$word"; fi ;;
  esac
}

# Sets `words` to those up to the cursor. Completion has split them at ':' and '=', too.
_ashlar_words() {
  local rest=$COMP_LINE word
  words=()
  for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
    if [[ ${#words[@]} -eq 0 || -z $word || $rest == [[:space:]]* ]]; then words+=("$word")
    else words[-1]+=$word; fi
    rest=${rest#"${rest%%[![:space:]]*}"}
    rest=${rest#"$word"}
  done
}

_ashlar() {
  local words word help globals options kind="" arguments=0 i
  local -a verbs=() builder=()
  _ashlar_words
  word=${words[-1]}
  globals=$(_ashlar_part Options "$(ashlar --help)")
  help=$(ashlar --help) options=$globals
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    kind=""
    case ${words[i]} in
    -*=*) ;;
    -*)
      kind=$(_ashlar_kind "${words[i]}" <<<"$options")
      [[ $kind == ADDRESS && $((i + 1)) -lt $((${#words[@]} - 1)) ]] && builder=(-H "${words[i + 1]}")
      [[ -n $kind ]] && ((i++)) ;;
    *)
      if _ashlar_names Subcommands "$help" | grep -qxF -- "${words[i]}"; then
        verbs+=("${words[i]}")
        help=$(ashlar "${verbs[@]}" --help)
        options=$(_ashlar_part Options "$help")$'\n'$globals
      else
        ((arguments++))
      fi ;;
    esac
  done

  # A value is wanted where the loop went past the last word but one.
  [[ $i -lt ${#words[@]} ]] && kind=""
  if [[ -n $kind ]]; then
    mapfile -t COMPREPLY < <(_ashlar_values "$kind" "$word" "${builder[@]}")
  elif [[ $word == -*=* ]]; then
    kind=$(_ashlar_kind "${word%%=*}" <<<"$options")
    mapfile -t COMPREPLY < <(_ashlar_values "$kind" "${word#*=}" "${builder[@]}")
    COMPREPLY=("${COMPREPLY[@]/#/${word%%=*}=}")
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(awk '{ gsub(",", "\n", $1); print $1 }' <<<"$options" | sort -u)" -- "$word")
  elif [[ -n $(_ashlar_part Subcommands "$help") ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_ashlar_names Subcommands "$help")" -- "$word")
  else
    local positionals last
    positionals=$(_ashlar_part Positionals "$help")
    last=$(grep -c . <<<"$positionals")
    ((arguments < last)) && last=$((arguments + 1)) # the last may stand several times
    kind=$(_ashlar_kind "$last" <<<"$positionals")
    mapfile -t COMPREPLY < <(_ashlar_values "$kind" "$word" "${builder[@]}")
  fi

  # Folders get a slash, and blanks a backslash; a verb is none, whatever is called like it here.
  [[ $kind == @(FILE|LOG|DIR) || $word == unix:* ]] && compopt -o filenames 2>/dev/null

  # The shell puts the answer in the place of what it takes for a word.
  local part=${COMP_WORDS[COMP_CWORD]}
  [[ $part == [:=] ]] && part=""
  COMPREPLY=("${COMPREPLY[@]#"${word%"$part"}"}")
}
complete -F _ashlar ashlar
