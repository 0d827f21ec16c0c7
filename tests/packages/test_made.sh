#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The packages are built twice, in two places: the bytes are equal, lintian finds
# no error and no warning, and each has what it should and needs nothing more.
# Usage: test_made.sh SOURCE BUILD CMAKE; leaves the packages in BUILD/packages.
# One of the two is BUILD itself where that is a build for packages.
set -eu
source=$1 build=$2 cmake=$3 out=$2/packages
for tool in lintian dpkg-shlibdeps; do
    command -v $tool >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done
mkdir -p "$out" 2>/dev/null && [ -w "$out" ] || { echo "SKIP: may not write to $out"; exit 77; }
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-made-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
failed=0
check() { # what, command...
    what=$1
    shift
    if "$@" >"$tmp/said" 2>&1; then
        echo "ok - $what"
    else
        echo "FAILED - $what"
        sed 's/^/    /' "$tmp/said"
        failed=1
    fi
}

# quietly COMMAND...: its output only when it fails.
quietly() { "$@" >"$tmp/log" 2>&1 || { tail -n 40 "$tmp/log"; exit 1; }; }

# packages SOURCE BUILD: the packages of a new build, in BUILD.
packages() {
    quietly "$cmake" -S "$1" -B "$2" -DCMAKE_INSTALL_PREFIX=/usr -DDROVER_TESTS=OFF
    quietly "$cmake" --build "$2" -j 2
    quietly "$cmake" --build "$2" --target package
}
pack() { quietly "${cmake%cmake}cpack" --config "$1/CPackConfig.cmake" -B "$2"; }

if grep -q '^CMAKE_INSTALL_PREFIX:PATH=/usr$' "$build/CMakeCache.txt"; then
    pack "$build" "$tmp/first"
else
    packages "$source" "$tmp/first"
fi
# A second checkout, elsewhere, with a longer path.
copy=$tmp/a/longer/path/to/the/same/sources
mkdir -p "$copy"
(cd "$source" && tar -cf - --exclude=./build .) | tar -xf - -C "$copy"
packages "$copy" "$copy/build"
rm -f "$out"/*.deb
cp "$tmp"/first/*.deb "$out"
# Whoever builds may be careful with the modes of new files.
(umask 077 && pack "$copy/build" "$tmp/careful")

cd "$tmp/first"
for deb in *.deb; do
    check "$deb: two builds have equal bytes" cmp "$deb" "$copy/build/$deb"
    dpkg-deb -c "$deb" >"$tmp/modes"
    dpkg-deb -c "$tmp/careful/$deb" >"$tmp/careful/modes"
    check "$deb: so have two builders' modes" cmp "$tmp/modes" "$tmp/careful/modes"
    check "$deb: lintian finds nothing" lintian --allow-root --fail-on error,warning "$deb"
done
check "there are five packages" test "$(ls ./*.deb | wc -l)" = 5

field() { dpkg-deb -f "$1"_[0-9]*.deb "$2"; }
without() { ! field "$1" Depends | grep -E "$2"; }
has() {
    dpkg-deb -c "$1"_[0-9]*.deb | awk '{ print $6 }' >"$tmp/list"
    grep -qx "\\.$2" "$tmp/list"
}
check "the receiver needs neither libuv nor libssh2" without drover-replica 'libuv|libssh2'
check "drover-kv needs the C library only" test "$(field drover-kv Depends | tr -d ' ' | grep -c ,)" = 0
for file in /usr/bin/drover /usr/lib/systemd/system/drover@.service \
    /usr/share/doc/drover/README.md /usr/share/doc/drover/PROTOCOL.md \
    /usr/share/doc/drover/FORMAT.md /usr/share/doc/drover/copyright \
    /usr/share/doc/drover/examples/orders.conf \
    /usr/share/doc/drover/examples/prometheus/drover-rules.yml \
    /usr/share/drover/drover.schema.json \
    /usr/lib/systemd/catalog/drover.catalog /usr/share/man/man8/drover.8.gz; do
    check "drover has $file" has drover "$file"
done
check "drover-replica has the manual of errors" has drover-replica /usr/share/man/man7/drover-errors.7.gz
exit $failed
