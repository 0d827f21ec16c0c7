#!/bin/sh
# SPDX-License-Identifier: MIT
# A report, not a rule: files and functions that may hold more than one idea.
. "$(dirname "$0")/lib.sh"

for f in $(c_files store sync agent); do
    lines=$(wc -l <"$f")
    [ "$lines" -le 500 ] || printf '%s: %s lines\n' "$f" "$lines"
    awk -v f="$f" '
        /^{/ { start = NR; name = last }
        /^}/ { if (start && NR - start > 70) printf "%s:%d: %d lines: %s\n", f, start, NR - start, name; start = 0 }
        /^[a-z].*\(/ { last = $0 }' "$f"
done
exit 0
