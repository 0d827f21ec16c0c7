#!/bin/sh
# SPDX-License-Identifier: MIT
# drover-errors(7) has exactly the numbers of sync/state.h.
. "$(dirname "$0")/lib.sh"

want=$(code_of sync/state.h | grep -oE 'DR_[A-Z_]+ *= *[1-9][0-9]*' | grep -oE '[0-9]+$' | sort -n)
have=$(sed -n 's/^\.It Sy DR-\([0-9]*\)$/\1/p' agent/drover-errors.7)
[ -n "$want" ] || bad "sync/state.h has no numbers"
[ "$want" = "$have" ] || bad "sync/state.h: $(echo $want)
agent/drover-errors.7: $(echo $have)"
verdict
