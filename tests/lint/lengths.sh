#!/bin/sh
# SPDX-License-Identifier: MIT
# No function is longer than 60 lines; files over 500 lines, which may hold more
# than one idea, are reported.
. "$(dirname "$0")/lib.sh"

for f in $(c_files store sync agent); do
    lines=$(wc -l <"$f")
    [ "$lines" -le 500 ] || printf '%s: %s lines\n' "$f" "$lines"
    long=$(awk -v f="$f" '
        /^{/ { start = NR; name = last }
        /^}/ { if (start && NR - start > 60) printf "%s:%d: %d lines: %s\n", f, start, NR - start, name; start = 0 }
        /^[a-z].*\(/ { last = $0 }' "$f")
    [ -z "$long" ] || bad "$long"
done
verdict
