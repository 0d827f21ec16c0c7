#!/bin/sh
# SPDX-License-Identifier: MIT
# manual_commands.sh ROOT PROGRAM PAGE: the manual describes exactly the commands
# and the options that the program has.
program=$2 page=$3
. "$(dirname "$0")/lib.sh"

# options NAME...: the command's own, or with "" those of every command
options() {
    "$program" help "$@" | awk -v own="$*" '
        /^Usage:/ { on = own != "" } /^For every command/ { on = own == "" }
        on && /^  -/ { for (i = 1; i <= 2; i++) if ($i ~ /^--/) print $i }' |
        grep -oE -- '--[a-z-]+'
}

"$program" help >/dev/null || bad "$program help fails"
commands=$("$program" help | awk '
    /^Commands/ { on = 1; next } /^$/ { on = 0 }
    on { print $2 ~ /^[a-z]+$/ && $1 ~ /^(trash|undone)$/ ? $1 " " $2 : $1 }')
[ -n "$commands" ] || bad "$program help lists no commands"
documented=$(awk '
    /^\.Sh / { on = $2 == "COMMANDS" }
    on && /^\.It Cm [a-z]/ && $3 != "exec" {
        print $4 ~ /^[a-z]+$/ ? $3 " " $4 : $3 }' "$page" | sort -u)
printf '%s\n' "$commands" >"${TMPDIR:-/tmp}/commands.$$"
while read -r c; do
    printf '%s\n' "$documented" | grep -qxF -- "$c" || bad "$page lacks the command $c"
    # shellcheck disable=SC2086  # two words
    for o in $(options $c); do
        grep -qE -- "Fl -${o#--}( |$)" "$page" || bad "$page lacks $o of $c"
    done
done <"${TMPDIR:-/tmp}/commands.$$"
rm "${TMPDIR:-/tmp}/commands.$$"
printf '%s\n' "$documented" | while read -r c; do
    printf '%s\n' "$commands" | grep -qxF -- "$c" || printf '%s\n' "$c"
done >"${TMPDIR:-/tmp}/more.$$"
more=$(cat "${TMPDIR:-/tmp}/more.$$")
rm "${TMPDIR:-/tmp}/more.$$"
[ -z "$more" ] || bad "$page has what the program has not: $more"
for o in $(options); do
    grep -qE -- "Fl -${o#--}( |$)" "$page" || bad "$page lacks $o"
done
verdict
