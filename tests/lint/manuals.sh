#!/bin/sh
# SPDX-License-Identifier: MIT
# Manual pages are clean for mandoc.
. "$(dirname "$0")/lib.sh"

command -v mandoc >/dev/null || skip "mandoc is not installed"
pages=$(find store sync agent -name '*.[1-8]' | sort)
[ -n "$pages" ] || bad "there are no manual pages"
for page in $pages; do
    found=$(mandoc -T lint -W warning "$page" || :)
    [ -z "$found" ] || bad "$found"
done
verdict
