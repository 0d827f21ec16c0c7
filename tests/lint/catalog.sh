#!/bin/sh
# SPDX-License-Identifier: MIT
# The journal's catalog is one that journalctl takes, with each number once.
# Usage: catalog.sh ROOT CATALOG
catalog=$2
. "$(dirname "$0")/lib.sh"

command -v journalctl >/dev/null || { echo "SKIP: journalctl is not installed"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/usr/lib/systemd/catalog"
cp "$catalog" "$tmp/usr/lib/systemd/catalog/drover.catalog"
journalctl --root="$tmp" --update-catalog >"$tmp/said" 2>&1 || bad "journalctl: $(cat "$tmp/said")"
[ ! -s "$tmp/said" ] || bad "journalctl: $(cat "$tmp/said")"
numbers=$(grep -c '^DR(' sync/errors/errors.def)
journalctl --root="$tmp" --list-catalog >"$tmp/list" 2>/dev/null
[ "$(grep -c '^[0-9a-f]* drover: DR-' "$tmp/list")" = "$numbers" ] ||
    bad "$numbers numbers in errors.def, in the catalog: $(wc -l <"$tmp/list")"
verdict
