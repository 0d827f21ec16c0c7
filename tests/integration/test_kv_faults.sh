#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What drover-kv and the library leave behind when system calls fail, or when
# they are killed in the middle: the old value or the new one, and after a
# failure that they could see no temporary.  Every call of a set is made to fail
# in turn.  Then the ways for older kernels: without openat2 and RENAME_NOREPLACE
# the unit tests pass as well.
# Usage: test_kv_faults.sh PATH-OF-DROVER-KV UNIT-TEST...
# Exit status 77: cannot run here (no strace, or ptrace is forbidden).
set -u
kv=$1
shift
if ! strace -o /dev/null true 2>/dev/null; then
    echo "skipped: strace cannot trace here"
    exit 77
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-faults-XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
db=$tmp/db
bad=0
n=0

check() { # NAME CONDITION...
    name=$1
    shift
    n=$((n + 1))
    if "$@"; then
        return
    fi
    bad=$((bad + 1))
    echo "not ok - $name: $*"
}

no_temps() {
    [ -z "$(find "$db" -name '.drover-tmp.*')" ]
}

value_is() {
    value=$("$kv" "$db" get k 2>/dev/null)
    for want; do
        [ "$value" = "$want" ] && return
    done
    echo "# value '$value'"
    return 1
}

fresh() {
    rm -rf "$db"
    "$kv" "$db" set -C k old
}

# fail CALL ERROR: make the first, second, ... such call of a set fail.  Where
# the set notices, the old value stays; the exception is the second fsync, that
# of the directory: the value is in place then, and the message says so.
fail() {
    i=1
    while :; do
        fresh
        strace -f -o "$tmp/trace" -e "trace=$1" -e "inject=$1:error=$2:when=$i" \
            "$kv" "$db" set k new >/dev/null 2>"$tmp/err"
        rc=$?
        grep -q INJECTED "$tmp/trace" || break
        if [ $rc -eq 0 ] || { [ "$1" = fsync ] && [ $i -eq 2 ]; }; then
            check "$1 $2 $i" value_is new
            [ $rc -eq 0 ] || check "$1 $2 $i" grep -q "power cut" "$tmp/err"
        else
            check "$1 $2 $i" value_is old
        fi
        check "$1 $2 $i temporary" no_temps
        i=$((i + 1))
    done
    echo "ok - $1 fails with $2: $((i - 1)) places"
    check "$1 was reached" [ $i -gt 1 ]
}

fail fsync EIO
fail write ENOSPC
fail renameat EIO
fail openat EMFILE
fail openat2 EMFILE
fail flock ENOLCK
fail newfstatat EIO
fail getrandom EINVAL

# Interrupted calls are repeated.
for call in write fsync flock openat openat2; do
    fresh
    strace -f -o /dev/null -e "inject=$call:error=EINTR:when=1..2" \
        "$kv" "$db" set k new 2>/dev/null && check "$call EINTR" value_is new
    check "$call EINTR temporary" no_temps
done
echo "ok - interrupted calls"

# Killed at each call: old or new, whole.
for call in write fsync flock renameat openat unlinkat close; do
    i=1
    while :; do
        fresh
        strace -f -o "$tmp/trace" -e "trace=$call" \
            -e "inject=$call:signal=KILL:when=$i" "$kv" "$db" set k new \
            >/dev/null 2>&1
        rc=$?
        [ $rc -eq 0 ] && break
        check "$call killed $i" value_is old new
        i=$((i + 1))
        [ $i -gt 60 ] && break
    done
done
echo "ok - killed anywhere, the value is whole"
# What the killed left behind does not outlive a drop.
"$kv" "$db" set -t t k v
strace -o /dev/null -e inject=fsync:signal=KILL:when=1 "$kv" "$db" set -t t k w >/dev/null 2>&1
check "a temporary is left" [ -n "$(find "$db/t.tbl" -name '.drover-tmp.*')" ]
check "drop takes it" "$kv" "$db" drop t
check "the table is gone" [ ! -e "$db/t.tbl" ]

# Older kernels and file systems.
for inject in openat2:error=ENOSYS openat2:error=EPERM renameat2:error=EINVAL renameat2:error=ENOSYS; do
    for test; do
        if ! strace -f -o /dev/null -e "inject=$inject" "$test" >"$tmp/out" 2>&1; then
            check "$inject $test" false
            grep -E 'FAILED|ERROR' "$tmp/out"
        fi
    done
    echo "ok - the unit tests with $inject"
done

echo "$n checks, $bad failed"
[ $bad -eq 0 ]
