#!/bin/sh
# SPDX-License-Identifier: MIT
# store knows nothing of sync, sync nothing of agent; each library's header is
# included only where it belongs.
. "$(dirname "$0")/lib.sh"

# may_not WHERE PATTERN-OF-INCLUDE FILES...
may_not() {
    where=$1 pattern=$2
    shift 2
    [ $# = 0 ] && return 0
    found=$(grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$pattern" "$@" /dev/null || :)
    [ -z "$found" ] || bad "$where may not include this:
$found"
}

# shellcheck disable=SC2046  # file names hold no blanks
may_not store '(sync|agent)/' $(c_files store)
# shellcheck disable=SC2046
may_not store '(uv|libssh2|jansson|ini|systemd/)' $(c_files store)
# shellcheck disable=SC2046
may_not sync 'agent/' $(c_files sync)
# shellcheck disable=SC2046
may_not 'only sync/link/link_ssh*.c' 'libssh2' $(c_files store sync agent | grep -vE '^sync/link/link_ssh[a-z_]*\.[ch]$')
# shellcheck disable=SC2046
may_not 'only sync/link/ and agent/' 'uv\.h' \
    $(c_files store sync | grep -vE '^sync/link/')
# shellcheck disable=SC2046
may_not 'only agent/' '(jansson|ini)\.h|systemd/' $(c_files store sync)
verdict
