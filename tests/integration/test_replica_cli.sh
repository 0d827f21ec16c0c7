#!/bin/sh
# SPDX-License-Identifier: MIT
#
# drover-replica from the outside: every command that is typed by hand, every
# wrong way to type it, replicas in odd states.
# Usage: test_replica_cli.sh PATH-OF-DROVER-REPLICA
set -u
replica=$1
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-cli-XXXXXX") || exit 1
trap 'chmod -R u+rwx "$tmp"; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
n=0
bad=0
id=0123456789abcdef0123456789abcdef

verdict() { # OK NAME
    n=$((n + 1))
    if [ "$1" = 0 ]; then
        echo "ok $n - $2"
    else
        bad=$((bad + 1))
        echo "not ok $n - $2"
        sed 's/^/#   /' "$tmp/out" "$tmp/err"
    fi
}
# is WANTED-STATUS TEXT ARGUMENT...: the status, and TEXT on stdout or stderr
is() {
    status=$1 text=$2
    shift 2
    "$replica" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    [ $got = "$status" ] && cat "$tmp/out" "$tmp/err" | grep -qF -e "$text"
    verdict $? "drover-replica $* is $status (got $got): $text"
}

# --- words
is 0 "Exit codes:" --help
is 0 "Exit codes:" -h
is 0 "protocol" version
is 0 "protocol" --version
is 64 "Commands:"
is 64 "drover-replica --help" nonsense
is 64 "see drover-replica --help" receive
is 64 "see drover-replica --help" receive "$tmp/a" "$tmp/b"
is 64 "see drover-replica --help" receive --colour red "$tmp/a"
is 64 "0640" receive --file-mode 999 "$tmp/a"
is 64 "octal" receive --dir-mode rwx "$tmp/a"
is 64 "nogroup-of-that-name" receive --group nogroup-of-that-name "$tmp/a"
is 64 "replace" receive --on-lock-timeout never "$tmp/a"
is 64 "often" receive --lock-timeout often "$tmp/a"
is 64 "fresh" fresh
is 64 "10s" fresh "$tmp"
is 64 "soon" fresh --max-age soon "$tmp"
is 64 "fresh takes" fresh --colour red "$tmp"
is 64 "status needs" status
is 64 "status takes" status --colour "$tmp"
is 64 "adopt needs" adopt "$tmp"
is 64 "32 hexadecimal digits" adopt "$tmp" 0123
is 64 "promote" promote
is 64 "promote takes" promote --colour "$tmp"
is 64 "demote needs" demote
is 64 "demote takes" demote --colour "$tmp"
is 64 "kept" kept
is 64 "kept takes" kept --colour "$tmp"
verdict "$([ ! -e "$tmp/a" ]; echo $?)" "nothing was made"

# --- nothing there
is 69 "is not a replica" status "$tmp/nowhere"
is 69 "never synced" fresh --max-age 1h "$tmp/nowhere"
mkdir "$tmp/plain"
is 69 "is not a replica" status "$tmp/plain"
is 69 "never synced" fresh --max-age 1h "$tmp/plain"

# --- a copy that was taken by hand
copy=$tmp/co\"py
mkdir -p "$copy/t.tbl"
echo v >"$copy/t.tbl/k.kv"
is 0 "" adopt "$copy" $id
is 69 "never synced" status "$copy"
is 69 $id status "$copy"
is 69 "\"database\": \"$id\", \"epoch\": 0" status --json "$copy"
is 69 'co\"py' status --json "$copy"
is 69 '"fresh_ns": null' status --json "$copy"
is 69 "never synced" fresh --max-age 1h "$copy"
is 0 "" adopt "$copy" $id
is 78 "is a copy of database $id already" adopt "$copy" 1123456789abcdef0123456789abcdef
odd=$(printf '%s/odd\001\377' "$tmp")
mkdir "$odd"
is 0 "" adopt "$odd" $id
is 69 '\u0001\ufffd' status --json "$odd"

# --- how fresh it is
word() {
    echo "db=$id epoch=7 seq=99 state=$1" >"$copy/.drover/freshness"
    touch -d "$2" "$copy/.drover/freshness"
}
word live now
is 0 "fresh" fresh --max-age 1h "$copy"
is 0 "sequence 99" status "$copy"
is 0 '"seq": 99' status --json "$copy"
word live '2 hours ago'
is 1 "stale" fresh --max-age 1h "$copy"
is 0 "fresh" fresh --max-age 3h "$copy"
word live 'next week'
is 0 "clock is" fresh --max-age 1h "$copy"
# An hour behind the primary's clock, and no word any more: old all the same.
heard=$(date +%s%N)
until [ $(($(date +%s%N) - heard)) -gt 20000000 ]; do :; done
is 1 "stale" fresh --max-age 10ms "$copy"
word live '1970-01-01 00:00:00 UTC'
is 69 "never synced" fresh --max-age 1h "$copy"
echo "rubbish" >"$copy/.drover/freshness"
is 69 "makes no sense" fresh --max-age 1h "$copy"
is 69 "makes no sense" status "$copy"
: >"$copy/.drover/freshness" # as a power loss left it once
is 69 "of unknown age" fresh --max-age 1h "$copy"
is 69 "fresh      unknown" status "$copy"
rm "$copy/.drover/freshness"
echo "rubbish" >"$copy/.drover/replica"
is 69 "makes no sense" status "$copy"

echo "1..$n"
[ $bad = 0 ]
