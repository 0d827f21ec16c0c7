#!/bin/sh
# SPDX-License-Identifier: MIT
# drover-errors(7) has exactly the numbers of sync/errors/state.h.
. "$(dirname "$0")/lib.sh"

want=$(code_of sync/errors/state.h | grep -oE 'DR_[A-Z_]+ *= *[1-9][0-9]*' | grep -oE '[0-9]+$' | sort -n)
have=$(sed -n 's/^\.It Sy DR-\([0-9]*\)$/\1/p' sync/errors/drover-errors.7)
[ -n "$want" ] || bad "sync/errors/state.h has no numbers"
[ "$want" = "$have" ] || bad "sync/errors/state.h: $(echo $want)
sync/errors/drover-errors.7: $(echo $have)"
verdict
