#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh: check the models of this folder with spin.
#
#   run.sh rules [NAME...]    the rules as they are: no run may break a promise
#   run.sh broken [NAME...]   one rule broken on purpose: the promise named in
#                             the table must be reported
#   run.sh long [NAME...]     larger bounds: minutes and gigabytes, not in CI
#   run.sh names              the names that the models mirror are in the code
#   run.sh trail NAME         the shortest way to the error of a broken rule,
#                             step by step
#   run.sh list               the table
#
# Prints states, memory and seconds of each check.  Exits with 77 when spin or a
# compiler is missing.  Works in a folder below ${TMPDIR:-/tmp}, removed at the
# end.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
CC=${MODEL_CC:-gcc}

skip() {
    printf 'SKIP: %s\n' "$*"
    exit 77
}

# set | name | model | bounds and broken rules | what is expected
table() {
    cat "$here/table.txt" | sed 's/#.*//; /^[[:space:]]*$/d'
}

# Options of the model's line, as -D flags.
flags_of() {
    for f in $1; do printf ' -D%s' "$f"; done
}

work=
need_spin() {
    command -v spin >/dev/null || skip "spin is not installed"
    command -v "$CC" >/dev/null || skip "$CC is not installed"
    work=$(mktemp -d "${TMPDIR:-/tmp}/model.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
}

# Full search needs the optimizer, a short one does not pay for it.
build() { # SET MODEL FLAGS
    case $1 in
    rules) how="-Og -DCOLLAPSE -DMEMLIM=1500" ;;
    long) how="-O2 -DCOLLAPSE -DMEMLIM=12000" ;;
    broken) how="-O0 -DCOLLAPSE -DBFS -DMEMLIM=1500" ;;
    esac
    case " $3 " in
    *" -DLIVELOCK "*) how="-O0 -DCOLLAPSE -DMEMLIM=1500 -DNP" ;;
    *) how="$how -DSAFETY" ;;
    esac
    # shellcheck disable=SC2086  # flags are words
    (cd "$work" && rm -f pan* ./*.trail &&
        spin -a $3 "$here/$2.pml" >spin.out 2>&1 &&
        "$CC" -w $how -DVECTORSZ=1024 -o pan pan.c) || {
        cat "$work/spin.out"
        printf '%s: cannot be built\n' "$2"
        exit 1
    }
}

figure() { # the number in front of, or after, a word of pan's output
    sed -n "$1" "$work/out" | head -n 1
}

# The text of the failed assertion's line: promise and words.
finding() { # MODEL FLAGS
    grep -q '^pan:1: acceptance cycle\|^pan:1: non-progress cycle' "$work/out" && {
        echo "a cycle without end"
        return
    }
    # shellcheck disable=SC2086
    (cd "$work" && spin -k "$1.pml.trail" $2 "$here/$1.pml" 2>/dev/null) |
        sed -n 's/^spin: .*model\/\([a-z]*\.pml\):\([0-9]*\), Error: assertion.*/\1 \2/p' |
        while read -r file line; do
            sed -n "${line}s,.*/\* *\(.*[^ ]\) *\*/.*,\1,p" "$here/$file"
        done
}

check() { # SET NAME MODEL OPTIONS EXPECTED
    flags=$(flags_of "$4")
    build "$1" "$3" "$flags"
    case " $4 " in
    *" LIVELOCK "*) (cd "$work" && ./pan -l -E -m1000000 -w24 >out 2>&1) || : ;;
    *) (cd "$work" && ./pan -E -m1000000 -w22 >out 2>&1) || : ;;
    esac
    errors=$(figure 's/.*errors: \([0-9]*\).*/\1/p')
    states=$(figure 's/ *\([0-9.e+]*\) states, stored.*/\1/p')
    mb=$(figure 's/ *\([0-9.]*\)\t*total actual memory usage.*/\1/p')
    took=$(figure 's/.*elapsed time \([0-9.e+-]*\) seconds.*/\1/p')
    found=ok
    if [ "${errors:-0}" != 0 ]; then
        found=$(finding "$3" "$flags")
    elif [ -z "$errors" ] || grep -q 'max search depth too small\|reached -DMEMLIM' "$work/out"; then
        found="not searched to the end"
    fi
    printf '%-7s %-16s %9s states %6s MB %6s s  %s\n' "$1" "$2" "$states" "$mb" \
        "$took" "$found"
    case $found in
    "$5"*) return 0 ;;
    esac
    printf '        expected: %s (%s %s)\n' "$5" "$3" "$4"
    if [ "$found" != ok ] && [ -f "$work/$3.pml.trail" ]; then
        trail "$3" "$flags"
    fi
    return 1
}

# Who did what, without the final values.
trail() { # MODEL FLAGS
    # shellcheck disable=SC2086
    (cd "$work" && spin -k "$1.pml.trail" $2 "$here/$1.pml" 2>/dev/null) |
        sed -n '/^spin: trail ends/q; /^spin: warning/d; s/^ */    /p'
}

run_set() { # SET NAMES...
    want=$1
    shift
    failed=0
    table >"$work/table"
    while IFS='|' read -r set name model options expected; do
        set -- $set "$@"
        row=$1
        shift
        name=$(echo $name)
        model=$(echo $model)
        options=$(echo $options)
        expected=$(echo $expected)
        [ "$row" = "$want" ] || continue
        if [ $# -gt 0 ]; then
            case " $* " in
            *" $name "*) ;;
            *) continue ;;
            esac
        fi
        check "$row" "$name" "$model" "$options" "$expected" || failed=1
    done <"$work/table"
    return $failed
}

show_trail() { # NAME
    table | while IFS='|' read -r set name model options expected; do
        [ "$(echo $name)" = "$1" ] || continue
        flags=$(flags_of "$options")
        build broken "$(echo $model)" "$flags"
        (cd "$work" && ./pan -E -w22 >out 2>&1) || :
        trail "$(echo $model)" "$flags"
    done
}

# Each name after "mirrors: FILE" is a word of that file.
check_names() {
    bad=0
    cd "$root"
    sed -n 's/.*mirrors: \([^*]*\).*/\1/p' "$here"/*.pml | sort -u >"${1:?}"
    while read -r file names; do
        for name in $names; do
            if ! grep -qw -- "$name" "$file" 2>/dev/null; then
                printf 'tests/model mirrors %s, which is not in %s\n' "$name" "$file"
                bad=1
            fi
        done
    done <"$1"
    printf '%s names\n' "$(wc -w <"$1")"
    return $bad
}

case ${1:-} in
rules | broken | long)
    need_spin
    run_set "$@"
    ;;
trail)
    need_spin
    show_trail "${2:?which?  run.sh list}"
    ;;
names)
    list=$(mktemp)
    rc=0
    check_names "$list" || rc=1
    rm -f "$list"
    exit $rc
    ;;
list) table ;;
*)
    sed -n '4,20s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
