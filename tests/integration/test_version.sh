#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The version of a build: git's of a checkout, the project's from a tarball, and
# the header stays as it is while the version does.
# Usage: test_version.sh CMAKE VERSION.CMAKE
set -u
cmake=$1 script=$2
command -v git >/dev/null || { echo "SKIP: git is not installed"; exit 77; }
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-version-XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
GIT_CONFIG_GLOBAL=/dev/null
GIT_CONFIG_SYSTEM=/dev/null
export GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM
n=0
bad=0

# is PATTERN WHAT: the version that SOURCE gets
is() {
    n=$((n + 1))
    "$cmake" -DSOURCE="$tmp/src" -DVERSION=0.1.0 -DOUT="$tmp/v.h" -P "$script" || exit 1
    if grep -qE "^#define DROVER_VERSION_BUILD \"$1\"\$" "$tmp/v.h"; then
        echo "ok $n - $2"
    else
        bad=$((bad + 1))
        echo "not ok $n - $2: $(cat "$tmp/v.h")"
    fi
}
commit() {
    git -C "$tmp/$1" -c user.name=t -c user.email=t@example.org commit -q --allow-empty -m x
}

mkdir "$tmp/src"
is '0\.1\.0' "a tarball has the project's version"
git init -q "$tmp"
commit .
is '0\.1\.0' "also inside of another checkout"
git init -q "$tmp/src"
is '0\.1\.0' "and without a commit"
commit src
is '0\.1\.0-1-g[0-9a-f]+' "before the first tag all commits count"
before=$(stat -c %i%y "$tmp/v.h")
is '0\.1\.0-1-g[0-9a-f]+' "the same again"
n=$((n + 1))
[ "$(stat -c %i%y "$tmp/v.h")" = "$before" ] && echo "ok $n - is not written again" ||
    { bad=$((bad + 1)); echo "not ok $n - is not written again"; }
git -C "$tmp/src" tag v0.2.0
is '0\.2\.0' "a tag is the version"
git -C "$tmp/src" tag other
commit src
is '0\.2\.0-1-g[0-9a-f]+' "and what the commits after it are counted from"

echo "1..$n"
[ $bad = 0 ]
