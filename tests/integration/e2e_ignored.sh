# SPDX-License-Identifier: MIT
#
# e2e_ignored.sh: what lies in a database and is neither key nor table is said:
# counted, with an example; and a warning where programs on the primary read
# what no replica has.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

begin() {
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
}
status_says() { ctl status >"$W/out" 2>&1; grep -q -- "$1" "$W/out"; }
# Status warns of DR-112, and so does verify, which compares what there is.
warns() {
    must_within "$WAIT" status_says "DR-112.*$1"
    is "$(status healthy)" false "healthy beside $1"
    expect 1 ctl status
    out_has "ignored .*$1"
    expect 1 ctl verify
    out_has "DR-112.*$1"
}
well() {
    must_within "$WAIT" status_is healthy true
    expect 0 ctl status
    out_lacks DR-112
}

# Each of these is seen by flockd, and comes and goes under the running agent.
links() {
    table t.tbl
    write flockd-set "$P/t.tbl" k v
    mkdir "$W/elsewhere.tbl"
    write flockd-set "$W/elsewhere.tbl" far away
    echo "not a key" >"$P/t.tbl/notes.txt"
    mkfifo "$P/t.tbl/pipe.kv"
    mkdir "$P/t.tbl/dir.kv"
    begin
    well
    out_has "ignored  3, such as .*t.tbl/"
    is "$(status database.ignored)" 3 "the number of files that are ignored"
    ln -s "$W/elsewhere.tbl/far.kv" "$P/t.tbl/link.kv"
    warns t.tbl/link.kv
    ln -s "$W/elsewhere.tbl" "$P/link.tbl"
    rm "$P/t.tbl/link.kv"
    warns link.tbl
    rm "$P/link.tbl"
    well
    # A table's place.
    mv "$P/t.tbl" "$W/was.tbl"
    ln -s "$W/was.tbl" "$P/t.tbl"
    must_within "$WAIT" status_is 'warnings[id=108].id' 108
    expect 1 ctl status
    out_has "DR-108 something else is in a table's place"
    warns t.tbl
    rm "$P/t.tbl"
    mv "$W/was.tbl" "$P/t.tbl"
    well
    proven r1
}

# Other files than flockd's, and no key: not a copy of it.
foreign() {
    mkdir -p "$P/users"
    for i in 1 2 3 4 5 6; do
        echo "{}" >"$P/users/$i.json"
    done
    begin
    warns users/
    out_has "none of the 6 files"
    write flockd-set "$P" key 1
    well
    is "$(status database.ignored)" 6 "the number of files that are ignored"
}

"$scenario"
