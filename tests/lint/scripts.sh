#!/bin/sh
# SPDX-License-Identifier: MIT
# Shell scripts are understood by dash and clean for shellcheck (but for words
# that are split on purpose, variables set through eval, and mkdir -p -m).
. "$(dirname "$0")/lib.sh"

scripts=$(find agent store sync tests systemd .ci .githooks -name '*.sh' -o -path ".ci/run" -o -path ".githooks/pre-commit" | sort)
for s in $scripts; do
    sh -n "$s" || bad "$s: syntax"
done
command -v shellcheck >/dev/null || { [ "$FINDINGS" = 0 ] && skip "shellcheck is not installed"; verdict; }
for s in $scripts; do
    found=$(shellcheck -S warning -e SC1090,SC1091,SC2046,SC2154,SC2174 -s sh "$s" || :)
    [ -z "$found" ] || bad "$found"
done
verdict
