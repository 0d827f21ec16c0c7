#!/bin/sh
# SPDX-License-Identifier: MIT
# Every source file says its licence and begins with its story; no one speaks
# of work that is left for later.
. "$(dirname "$0")/lib.sh"

for f in $(c_files store sync agent); do
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' || bad "$f: no SPDX line at its top"
    found=$(grep -nE 'TODO|FIXME|XXX|HACK' "$f" | grep -v XXXXXX || :)
    [ -z "$found" ] || bad "$f:
$found"
done
verdict
