#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The packages in a bare Debian 12: installed, used, upgraded, removed, purged
# (inside.sh, which runs in there).
# Usage: test_bare.sh SOURCE BUILD; the packages are in BUILD/packages.
set -eu
source=$1 out=$2/packages
here=$source/tests/packages
[ "$(id -u)" = 0 ] || { echo "SKIP: only root can make a Debian of its own"; exit 77; }
command -v mmdebstrap >/dev/null || { echo "SKIP: mmdebstrap is not installed"; exit 77; }
ls "$out"/drover_*.deb >/dev/null
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-bare-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

# The same packages with a lower version stand for the ones before.
mkdir -p "$tmp/packages/new" "$tmp/packages/old"
cp "$out"/*.deb "$tmp/packages/new"
version=$(dpkg-deb -f "$out"/drover_*.deb Version)
for deb in "$out"/*.deb; do
    rm -rf "$tmp/unpacked"
    dpkg-deb -R "$deb" "$tmp/unpacked"
    sed -i "s/^Version: .*/Version: 0.0.1/; s/(= $version)/(= 0.0.1)/" "$tmp/unpacked/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$tmp/unpacked" "$tmp/packages/old" >/dev/null
done
cp "$here/inside.sh" "$tmp/packages"

rc=0
mmdebstrap --variant=minbase --format=tar \
    --customize-hook="copy-in $tmp/packages /root" \
    --customize-hook='chroot "$1" sh /root/packages/inside.sh && touch "$1/root/good"' \
    --customize-hook="[ ! -e \"\$1/root/good\" ] || touch $tmp/good" \
    bookworm - >/dev/null 2>"$tmp/log" || rc=$?
grep -E '^(ok|FAILED|    )' "$tmp/log" || :
if [ -e "$tmp/good" ]; then
    exit 0
fi
if ! grep -qE '^(ok|FAILED) - ' "$tmp/log"; then
    tail -n 20 "$tmp/log"
    if grep -qiE 'could not resolve|unable to connect|connection (refused|timed out)|failed to fetch' "$tmp/log"; then
        echo "SKIP: no Debian to be had here: $(grep -m 1 '^E:' "$tmp/log")"
        exit 77
    fi
fi
echo "FAILED - mmdebstrap: exit code $rc"
tail -n 30 "$tmp/log"
exit 1
