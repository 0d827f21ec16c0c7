#!/bin/sh
# SPDX-License-Identifier: MIT
# drover-errors(7) has exactly the numbers of sync/errors/errors.def, with their
# texts and remedies word for word.
. "$(dirname "$0")/lib.sh"

want=$(sed -n 's/^DR([A-Z_]*, \([0-9]*\),.*/\1/p' sync/errors/errors.def | sort -n)
have=$(sed -n 's/^\.It Sy DR-\([0-9]*\)$/\1/p' sync/errors/drover-errors.7)
[ -n "$want" ] || bad "sync/errors/errors.def has no numbers"
[ "$want" = "$have" ] || bad "sync/errors/errors.def: $(echo $want)
sync/errors/drover-errors.7: $(echo $have)"
command -v python3 >/dev/null || skip "python3 is not installed"
found=$(python3 tests/lint/manual_errors.py sync/errors/errors.def sync/errors/drover-errors.7 || :)
[ -z "$found" ] || bad "$found"
verdict
