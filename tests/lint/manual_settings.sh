#!/bin/sh
# SPDX-License-Identifier: MIT
# manual_settings.sh ROOT PROGRAM: drover.conf(5) has exactly the settings of
# the program, in its order, with its defaults.
drover=$2
. "$(dirname "$0")/lib.sh"

page=agent/config/drover.conf.5
want=$("$drover" check-config --list-settings | awk -F '\t' '{print $1, $2, $3}')
have=$(awk '
    function flush() { if (name != "") print section, name, preset; name = "" }
    /^\.Sh /                     { flush(); section = tolower($2) }
    /^\.It Cm / && (section == "database" || section == "replica") {
        flush(); name = $3; preset = "-" }
    /^Default: / && name != ""   { preset = $2; sub(/\.$/, "", preset) }
    END { flush() }
' $page)
[ -n "$want" ] || bad "the program lists no settings"
if [ "$want" != "$have" ]; then
    bad "$page differs from drover check-config --list-settings:"
    tmp=$(mktemp -d)
    printf '%s\n' "$want" >"$tmp/program"
    printf '%s\n' "$have" >"$tmp/manual"
    diff "$tmp/program" "$tmp/manual" || :
    rm -rf "$tmp"
fi
# What needs a restart is said so, and nothing else.
want=$("$drover" check-config --list-settings | awk -F '\t' '$5 == "restart" { print $2 }' | sort)
have=$(awk '
    /^\.Sh /              { on = $2 == "RELOADING" }
    on && /^A change of/  { list = 1 }
    on && /^needs a rest/ { list = 0 }
    on && list && /^\.Cm / { for (i = 2; i <= NF; i++) if ($i != ",") print $i }
' $page | sort)
[ "$want" = "$have" ] ||
    bad "$page, RELOADING: a restart is needed for $(echo $want), not for $(echo $have)"
verdict
