#!/bin/sh
# SPDX-License-Identifier: MIT
# What a newcomer sees first stays small.
. "$(dirname "$0")/lib.sh"

if command -v git >/dev/null && git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
    seen=$(git -c safe.directory='*' ls-files | cut -d/ -f1 | sort -u)
else
    seen=$(ls)
fi
for entry in $seen; do
    case $entry in
    agent | store | sync | tests | systemd | CMakeLists.txt | README.md | LICENSE) ;;
    build | .*) ;;
    *) bad "$entry does not belong at the top" ;;
    esac
done
for entry in agent store sync tests systemd CMakeLists.txt README.md LICENSE; do
    [ -e "$entry" ] || bad "$entry is missing"
done
verdict
