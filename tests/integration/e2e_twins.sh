#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_twins.sh: somebody stores values, and chooses keys and tables, of which a
# hash without a secret takes two for one (tests/support/xxh3_pair.h says how).
# Each of them is replicated as what it is.  See e2e_lib.sh.
# shellcheck disable=SC2034 # e2e_lib.sh uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# commit FILE FROM: a new value comes by a rename.
commit() {
    cp "$2" "${1%/*}/new"
    mv "${1%/*}/new" "$1"
}

prepare() {
    "$E2E_BIN/e2e_twins" value "$W/a" "$W/b"
    ! cmp -s "$W/a" "$W/b" || fail "the twins are equal"
    "$E2E_BIN/e2e_twins" key t >"$W/keys"
    "$E2E_BIN/e2e_twins" table >"$W/tables"
    one=$(sed -n 1p "$W/keys").kv two=$(sed -n 2p "$W/keys").kv
    left=$(sed -n 1p "$W/tables").tbl right=$(sed -n 2p "$W/tables").tbl
    table t.tbl
    begin_config
    add_replica r
    start_agent
}

values() {
    prepare
    commit "$P/t.tbl/k.kv" "$W/a"
    converged r
    commit "$P/t.tbl/k.kv" "$W/b"
    proven r
    # Behind the agent's back, too.
    stop_agent
    commit "$P/t.tbl/k.kv" "$W/a"
    start_agent
    proven r
    # Edited on the replica: a comparison of contents sees it.
    chmod u+w "$W/r/t.tbl/k.kv"
    cat "$W/b" >"$W/r/t.tbl/k.kv"
    expect 0 ctl resync --content r
    proven r
}

keys() {
    prepare
    commit "$P/t.tbl/$one" "$W/a"
    commit "$P/t.tbl/$two" "$W/b"
    proven r
    rm "$P/t.tbl/$one"
    proven r
    stop_agent
    commit "$P/t.tbl/$one" "$W/b"
    rm "$P/t.tbl/$two"
    start_agent
    proven r
}

tables() {
    prepare
    table "$left"
    table "$right"
    commit "$P/$left/k.kv" "$W/a"
    proven r
    rmdir "$P/$right"
    proven r
    stop_agent
    table "$right"
    rm "$P/$left/k.kv"
    rmdir "$P/$left"
    start_agent
    proven r
}

"$scenario"
