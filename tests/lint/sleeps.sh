#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests do not sleep to wait for something: they wait for the thing itself.
# sleeps.txt lists the files that pause within a bounded poll, or test sleeping.
. "$(dirname "$0")/lib.sh"

listed=tests/lint/sleeps.txt
for f in $(find tests -name '*.c' -o -name '*.h' -o -name '*.sh' | grep -v '^tests/lint/' | sort); do
    case $f in
    *.sh) found=$(grep -nE '(^|[;&|(]|do|then)[[:space:]]*sleep[[:space:]]' "$f" || :) ;;
    *) found=$(code_of "$f" | grep -nE '(^|[^A-Za-z0-9_])(sleep|usleep|nanosleep|clock_nanosleep|clock_sleep_ns|uv_sleep)[[:space:]]*\(' || :) ;;
    esac
    line=$(grep -E "^${f}[[:space:]]" $listed || :)
    if [ -n "$found" ] && [ -z "$line" ]; then
        bad "$f sleeps:
$found"
    elif [ -z "$found" ] && [ -n "$line" ]; then
        bad "$listed: $f does not sleep"
    fi
done
verdict
