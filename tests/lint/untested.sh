#!/bin/sh
# SPDX-License-Identifier: MIT
# Every module has a test of its own, tests/*/test_NAME.c or .sh; a module's
# further files NAME_PART.c are covered by it.  Others stand in untested.txt with a
# reason, and only while they have none.
. "$(dirname "$0")/lib.sh"

has_test() {
    # sync/replica/meta/meta.c is tested as replica_meta.
    name=$(basename "$1" .c)
    case $1 in
    sync/replica/*) folder=replica ;;
    *) folder=$(basename "$(dirname "$1")") ;;
    esac
    for full in "$name" "${folder}_$name"; do
        part=$full
        while :; do
            for t in tests/unit/test_"$part".c tests/integration/test_"$part".c \
                tests/unit/test_"$part"_*.c tests/sim/test_"$part".c \
                tests/integration/test_"$part".sh; do
                [ -f "$t" ] && return 0
            done
            case $part in
            *_*) part=${part%_*} ;;
            *) break ;;
            esac
            # test_replica.c says nothing of sync/replica/output.c.
            [ "$part" = "$folder" ] && [ "$full" != "$name" ] && break
        done
    done
    return 1
}

listed=tests/lint/untested.txt
for f in $(c_files store sync agent | grep '\.c$'); do
    line=$(grep -E "^${f}[[:space:]]" $listed || :)
    if has_test "$f"; then
        [ -z "$line" ] || bad "$f has a test: take it out of $listed"
    elif [ -z "$line" ]; then
        bad "$f has no test: write tests/unit/test_$(basename "$f" .c).c, or give $listed a reason"
    fi
done
while read -r f reason; do
    case $f in '' | '#'*) continue ;; esac
    [ -f "$f" ] || bad "$listed: there is no $f"
    [ -n "$reason" ] || bad "$listed: no reason for $f"
done <$listed
verdict
