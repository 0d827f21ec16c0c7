#!/bin/sh
# SPDX-License-Identifier: MIT
# Rooms: a folder includes only the folders that rooms.txt lets it; the arrows
# that rooms.txt allows form no ring, and none is allowed that nobody uses.  No
# folder holds more than 16 sources.
. "$(dirname "$0")/lib.sh"

table=tests/lint/rooms.txt
allowed=$(sed 's/#.*//' $table | awk '{ for (i = 2; i <= NF; i++) print $1, $i }' | sort)
used=$(c_files store sync agent | xargs grep -HoE '^#include "(store|sync|agent)/[a-z_/]*/' |
    sed -E 's|/[^/:]*:#include "| |; s|/$||' | awk '$1 != $2' | sort -u)

# Each line of $1 that $2 lacks, with the words $3 in front.
missing() {
    printf '%s\n' "$1" | while read -r line; do
        printf '%s\n' "$2" | grep -qxF "$line" || printf '%s: %s\n' "$3" "$line"
    done
}

found=$(missing "$used" "$allowed" "not allowed by $table"
    missing "$allowed" "$used" "allowed by $table, but nobody needs it")
[ -z "$found" ] || bad "$found"
rings=$(printf '%s\n' "$allowed" | tsort 2>&1 >/dev/null || :)
[ -z "$rings" ] || bad "$table allows a ring: $rings"

for room in $(c_files store sync agent | xargs -n 1 dirname | sort -u); do
    sources=$(find "$room" -maxdepth 1 -name '*.c' | wc -l)
    [ "$sources" -le 16 ] || bad "$room: $sources sources; which of them are a room of their own?"
done
verdict
