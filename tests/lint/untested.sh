#!/bin/sh
# SPDX-License-Identifier: MIT
# Every module has a test of its own: tests/unit/ROOM/test_NAME.c, or
# tests/integration/test_NAME.c or .sh; a module's further files NAME_PART.c are
# covered by it.  Others are in untested.txt with a reason, and only while they
# have none.
. "$(dirname "$0")/lib.sh"

has_test() {
    room=$(dirname "$1")
    part=$(basename "$1" .c)
    while :; do
        for t in tests/unit/"$room"/test_"$part".c tests/unit/"$room"/test_"$part"_*.c \
            tests/integration/test_"$part".c tests/integration/test_"$part".sh; do
            [ -f "$t" ] && return 0
        done
        case $part in
        *_*) part=${part%_*} ;;
        *) return 1 ;;
        esac
    done
}

listed=tests/lint/untested.txt
for f in $(c_files store sync agent | grep '\.c$'); do
    line=$(grep -E "^${f}[[:space:]]" $listed || :)
    if has_test "$f"; then
        [ -z "$line" ] || bad "$f has a test: take it out of $listed"
    elif [ -z "$line" ]; then
        bad "$f has no test: write tests/unit/${f%/*}/test_$(basename "$f" .c).c, or give $listed a reason"
    fi
done
while read -r f reason; do
    case $f in '' | '#'*) continue ;; esac
    [ -f "$f" ] || bad "$listed: there is no $f"
    [ -n "$reason" ] || bad "$listed: no reason for $f"
done <$listed
# A test is where the room is that it tests.
for t in $(c_files tests/unit | grep '/test_'); do
    room=${t#tests/unit/}
    [ -d "${room%/*}" ] || bad "$t: there is no room ${room%/*}"
done
verdict
