#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh: look for inputs that break a fuzz target.
#
#   sh tests/fuzz/run.sh BUILD [SECONDS [TARGET...]]   each target for so long
#   sh tests/fuzz/run.sh BUILD --merge [TARGET...]     corpora from what was found
#
# BUILD was configured with clang and -DDROVER_FUZZ=ON.  What is new is kept in
# BUILD/found/TARGET, an input that broke the target as BUILD/found/TARGET-*,
# and a log beside it.  --merge writes the smallest set of inputs that covers
# as much to tests/fuzz/corpus/TARGET.  Memory, the largest allocation and the
# time of one input are bounded: to need more is a finding, too.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${1:?"usage: run.sh BUILD [SECONDS | --merge] [TARGET...]"}
what=${2:-10}
[ $# -le 2 ] || { shift 2; targets=$*; }
: "${targets:=wire receiver primary config ssh disk text control}"
found=$build/found
failed=0
# The targets' files: in memory, where that is possible.
TMPDIR=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

# The largest honest run of a target stays far below these.
LIMITS="-rss_limit_mb=512 -malloc_limit_mb=64 -timeout=10"
export ASAN_OPTIONS="${ASAN_OPTIONS:-quarantine_size_mb=16:malloc_context_size=8:detect_leaks=1}"

fuzz() {
    dict=
    [ ! -e "$here/dict/$1.dict" ] || dict=-dict=$here/dict/$1.dict
    mkdir -p "$found/$1"
    # shellcheck disable=SC2086 # LIMITS are words
    "$build/tests/fuzz_$1" $LIMITS $dict -max_total_time="$what" \
        -print_final_stats=1 -artifact_prefix="$found/$1-" \
        "$found/$1" "$here/corpus/$1" >"$found/$1.log" 2>&1
}

# Only small inputs: the corpora are part of the tree.
merge() {
    new=$(mktemp -d)
    mkdir -p "$found/$1" "$here/corpus/$1"
    "$build/tests/fuzz_$1" -merge=1 -max_len=2048 -rss_limit_mb=1024 "$new" \
        "$here/corpus/$1" "$found/$1" >"$found/$1.merge.log" 2>&1
    rm -rf "${here:?}/corpus/$1"
    mkdir "$here/corpus/$1"
    cp "$new"/* "$here/corpus/$1/"
    rm -rf "$new"
    printf '%s: %s inputs, %s\n' "$1" "$(find "$here/corpus/$1" -type f | wc -l)" \
        "$(du -sh --apparent-size "$here/corpus/$1" | cut -f1)"
}

for target in $targets; do
    if [ "$what" = --merge ]; then
        merge "$target"
        continue
    fi
    if fuzz "$target"; then
        executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$target.log")
        cover=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$found/$target.log" | tail -n 1)
        printf 'fuzz_%s: %s executions, %s\n' "$target" "$executions" "$cover"
    else
        failed=1
        printf 'fuzz_%s: FAILED, see %s\n' "$target" "$found/$target.log"
        tail -n 30 "$found/$target.log"
    fi
done
exit $failed
