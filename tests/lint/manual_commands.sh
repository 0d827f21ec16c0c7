#!/bin/sh
# SPDX-License-Identifier: MIT
# manual_commands.sh ROOT [PROGRAM PAGE]...: each manual describes exactly the
# commands and the options that its program has.
root=$1
shift
pairs=$*
set -- "$root"
. "$(dirname "$0")/lib.sh"

# commands PROGRAM: those of its help, one per line, some of two words
commands() {
    "$1" help | awk '
        /^Commands/ { on = 1; next } /^$/ { on = 0 }
        on && /^  [a-z]/ { print $1 ~ /^(trash|undone|replica)$/ ? $1 " " $2 : $1 }'
}
# documented PAGE: the same of its manual
documented() {
    awk '/^\.Sh / { on = $2 == "COMMANDS" }
        on && /^\.Ss / { sub(/^\.Ss /, ""); gsub(/, /, "\n"); print }
        on && /^\.It Cm [a-z]/ && $3 != "exec" {
            print $4 ~ /^[a-z]+$/ ? $3 " " $4 : $3 }' "$1" | sort -u
}
# options PROGRAM [COMMAND]: its own, or those of every command
options() {
    "$@" | awk -v own="$(($# - 2))" '
        /^Usage:/ { on = own } /^For every command/ { on = !own }
        on && /^  -/ { print $1 ~ /^--/ ? $1 : $2 }' | grep -oE -- '--[a-z-]+'
}

check() {
    program=$1 page=$2
    have=$(commands "$program" | tr ' ' _)
    page_has=$(documented "$page" | tr ' ' _)
    [ -n "$have" ] || bad "$program help lists no commands"
    for c in $have; do
        printf '%s\n' "$page_has" | grep -qxF -- "$c" || bad "$page lacks the command $c"
        # shellcheck disable=SC2046  # two words
        for o in $(options "$program" help $(echo "$c" | tr _ ' ')); do
            grep -qE -- "Fl -${o#--}( |$)" "$page" || bad "$page lacks $o of $c"
        done
    done
    for c in $page_has; do
        printf '%s\n' "$have" | grep -qxF -- "$c" || bad "$page has $c, the program not"
    done
    for o in $(options "$program" help); do
        grep -qE -- "Fl -${o#--}( |$)" "$page" || bad "$page lacks $o"
    done
}

# The program of that name, among those that were given.
program_of() { printf '%s\n' $pairs | grep -E "/$1\$" | head -n 1; }
# typed WORD...: a line that a reader is told to type is one that can be.
typed() {
    line=$*
    program=$(program_of "$1")
    [ -n "$program" ] || { bad "quickstart: no program $1"; return; }
    shift
    name=
    for word in "$@"; do
        known=$(commands "$program" | grep -E "^$word( |\$)" || :)
        [ -z "$known" ] || { name=$word; break; }
    done
    [ -n "$name" ] || { bad "quickstart: no command in: $line"; return; }
    case $line in *"$name add "* | *"$name remove "* | *"$name list"*)
        name=$(printf '%s\n' "$known" | while read -r c; do
            case $line in *"$c"*) echo "$c" ;; esac
        done) ;;
    esac
    # shellcheck disable=SC2086  # two words
    have=$(options "$program" help $name || :; options "$program" help || :)
    for word in "$@"; do
        case $word in
        --*) printf '%s\n' "$have" | grep -qxF -- "$word" || bad "quickstart: $name has no $word" ;;
        esac
    done
}
quickstart=agent/cli/drover.7
sed -nE "s/^\.(It Ql|Dl) (drover.*)/\2/p; /^drover/p; s/^\.Ql (drover.*[^ ]) *[.,]?\$/\1/p" "$quickstart" |
    sed "s/ *[|][|].*//" | sort -u >"${TMPDIR:-/tmp}/quickstart.$$"
[ "$(wc -l <"${TMPDIR:-/tmp}/quickstart.$$")" -ge 12 ] || bad "$quickstart has few commands"
# shellcheck disable=SC2086  # words
while read -r line <&3; do typed $line; done 3<"${TMPDIR:-/tmp}/quickstart.$$"
rm -f "${TMPDIR:-/tmp}/quickstart.$$"

# shellcheck disable=SC2086  # the words are pairs
set -- $pairs
while [ $# -gt 1 ]; do
    check "$1" "$2"
    shift 2
done
verdict
