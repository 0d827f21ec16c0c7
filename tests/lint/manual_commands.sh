#!/bin/sh
# SPDX-License-Identifier: MIT
# manual_commands.sh ROOT PROGRAM: the manual describes exactly the commands
# and the options that the program has.
drover=$2
. "$(dirname "$0")/lib.sh"

page=agent/cli/drover.8
"$drover" help >/dev/null || bad "drover help fails"
commands=$("$drover" help | awk '/^Commands:/{on=1;next} /^$/{on=0} on{print $1}')
[ -n "$commands" ] || bad "drover help lists no commands"
documented=$(awk '/^\.Sh /{on=($2=="COMMANDS")} on && /^\.It Cm [a-z]/ && $3!="exec"{print $3}' $page | sort -u)
for c in $commands; do
    printf '%s\n' "$documented" | grep -qxF -- "$c" || bad "$page lacks the command $c"
    for o in $("$drover" help "$c" | awk '/^Usage:/{on=1} /^For every/{on=0} on' |
        grep -oE -- '--[a-z-]+' | sort -u); do
        grep -qE -- "Fl -${o#--}( |$)" $page || bad "$page lacks $o of $c"
    done
done
for c in $documented; do
    printf '%s\n' "$commands" | grep -qxF -- "$c" || bad "$page has $c, the program not"
done
for o in $("$drover" help | awk '/^For every/{on=1} on' | grep -oE -- '--[a-z-]+' | sort -u); do
    grep -qE -- "Fl -${o#--}( |$)" $page || bad "$page lacks $o"
done
verdict
