#!/bin/sh
# SPDX-License-Identifier: MIT
# Every file and folder that the pages for readers of the code name is there.
. "$(dirname "$0")/lib.sh"

for page in README.md .github/ARCHITECTURE.md .github/CONTRIBUTING.md tests/README.md \
    tests/RELIABILITY.md store/FORMAT.md sync/PROTOCOL.md; do
    # `store/layout/lock.c`, also with a pattern; links to pages.
    for path in $(grep -oE '`(store|sync|agent|tests|systemd)/[A-Za-z0-9_./*-]+' "$page" | tr -d '`' | sort -u); do
        # shellcheck disable=SC2086  # a pattern
        ls -d $path >/dev/null 2>&1 || bad "$page: there is no $path"
    done
    for path in $(grep -oE '\]\([^)#:]+\)' "$page" | tr -d '])(' | sort -u); do
        [ -e "$(dirname "$page")/$path" ] || bad "$page: the link to $path leads nowhere"
    done
done
verdict
