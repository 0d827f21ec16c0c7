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

# shellcheck disable=SC2086  # the words are pairs
set -- $pairs
while [ $# -gt 1 ]; do
    check "$1" "$2"
    shift 2
done
verdict
