#!/bin/sh
# SPDX-License-Identifier: MIT
# Every function of the public header has a comment above it; a group of
# functions without blank lines between them may share one.
. "$(dirname "$0")/lib.sh"

[ -f store/lib/drover.h ] || skip "there is no public header"
findings=$(awk '
    /^[[:space:]]*$/        { documented = 0 }
    /\*\/[[:space:]]*$/     { documented = 1 }
    /DROVER_API/ && !/#[[:space:]]*define/ {
        if (!documented) print FILENAME ":" FNR ": " $0
        count++
    }
    END { if (count == 0) print FILENAME ": declares nothing" }
' store/lib/drover.h)
[ -z "$findings" ] || bad "without a comment:
$findings"
verdict
