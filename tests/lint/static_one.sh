#!/bin/sh
# SPDX-License-Identifier: MIT
# One source for static.sh: what clang-tidy and gcc -fanalyzer say about it.
#
#   sh static_one.sh BUILD FILE COMMAND      in the project's root
#
# Their answer is kept in BUILD/static until the source, what it includes, or
# the checks change.
set -eu
build=$1 file=$2
command=$(printf '%s\n' "$3" | sed 's/ -Werror / /; s/ -o [^ ]*//')

# They look at one source at a time; this tells them of err_set().
model="-include$PWD/tests/lint/analyzers.h"
[ "$file" != store/base/err.c ] || model=

key=$({ eval "$command $model -E"; cat .clang-tidy "$0"; } 2>&1 | sha256sum | cut -c1-32)
kept=$build/static/$key
if [ ! -f "$kept" ]; then
    mkdir -p "$build/static"
    {
        clang-tidy-14 -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option \
            ${model:+"--extra-arg=$model"} "$file" 2>&1 || echo "$file:0: error: clang-tidy failed [failed]"
        echo "== gcc"
        # Without the reports of leaks: gcc 12 takes what a struct holds, or is
        # handed over by TAKE_PTR, as lost.  ASan and valgrind look for leaks.
        eval "$command $model -o /dev/null -fanalyzer -Wno-analyzer-malloc-leak \
            -Wno-unused-value -fdiagnostics-plain-output" 2>&1 || echo "$file:0: error: does not compile [failed]"
    } >"$kept.$$"
    mv "$kept.$$" "$kept"
fi
# A finding names its tool: TOOL/FILE:LINE: ...
awk '/^== gcc$/ { tool = "gcc"; next } / (warning|error): / { print (tool == "" ? "tidy" : tool) " " $0 }' "$kept"
