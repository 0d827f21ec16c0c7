#!/bin/sh
# SPDX-License-Identifier: MIT
# Every C file is as clang-format 14 leaves it (other versions differ).
#
#   sh tests/lint/format.sh ROOT [--write]
. "$(dirname "$0")/lib.sh"

format=$(command -v clang-format-14 || :)
[ -n "$format" ] || skip "clang-format-14 is not installed"
if [ "${2:-}" = --write ]; then
    c_files store sync agent tests | xargs "$format" -i
    exit
fi
changed=$(c_files store sync agent tests | xargs "$format" --dry-run 2>&1 |
    sed -n 's/^\([^: ]*\):\([0-9]*\):.*code should be clang-formatted.*/\1:\2/p')
[ -z "$changed" ] || bad "cmake --build build --target format would change:
$changed"
verdict
