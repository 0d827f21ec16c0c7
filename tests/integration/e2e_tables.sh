# SPDX-License-Identifier: MIT
#
# e2e_tables.sh: tables and names of every shape, and values of every size.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# Tables are made, nested, moved and dropped while the agent watches.
live() {
    DATABASE_EXTRA='max-delete = 100%' # most of it goes at the end
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming

    table empty.tbl
    converged r1
    [ -d "$W/r1/empty.tbl" ] || fail "an empty table did not arrive"

    table a/b.tbl
    table a.tbl/b.tbl
    table deep/er/and/deeper.tbl
    for t in a/b.tbl a.tbl a.tbl/b.tbl deep/er/and/deeper.tbl; do
        write fill "$P/$t" 0 20 100
    done
    converged r1
    is "$(keys_of "$W/r1")" 80 "the number of keys"

    # Within the database: a table, one with another in it, and a plain folder.
    mv "$P/a.tbl" "$P/moved.tbl"
    mv "$P/deep" "$P/shallow"
    converged r1
    [ ! -e "$W/r1/a.tbl" ] || fail "a moved table is still under its old name"
    write flockd-set "$P/moved.tbl/b.tbl" after-the-move "value"
    write flockd-set "$P/shallow/er/and/deeper.tbl" after-the-move "value"
    converged r1

    # Two tables swap their names; one is moved over an empty one.
    mv "$P/moved.tbl/b.tbl" "$P/swap"
    mv "$P/a/b.tbl" "$P/moved.tbl/b.tbl"
    mv "$P/swap" "$P/a/b.tbl"
    mv -T "$P/a/b.tbl" "$P/empty.tbl"
    converged r1

    # Out of the database, and in again under another name.
    mv "$P/moved.tbl" "$W/outside"
    converged r1
    [ ! -e "$W/r1/moved.tbl" ] || fail "a table that was moved out is still there"
    write flockd-set "$W/outside" while-outside "value"
    mv "$W/outside" "$P/again.tbl"
    converged r1
    write flockd-set "$P/again.tbl" live-again "value"

    # A table becomes no table, and a directory a table.
    mv "$P/empty.tbl" "$P/empty.old"
    mkdir "$P/new"
    write fill "$P/new" 0 10 50
    mv "$P/new" "$P/new.tbl"
    converged r1

    rm -r "$P/again.tbl" "$P/shallow" "$P/new.tbl"
    converged r1
    is "$(keys_of "$W/r1")" 0 "the number of keys"
    is "$("$E2E_BIN/e2e_tree" list "$W/r1" | wc -l)" 0 "the number of tables"
    expect 1 ctl verify # whose other files are none of flockd's
    out_has "DR-112.*empty.old.*not a table"
    rm -r "$P/empty.old"
    proven r1
    is "$(status database.overflows)" 0 overflows
}

# The same when all of it happened while no agent ran.
at_start() {
    table gone.tbl
    table kept/nested.tbl
    table moved.tbl/inner.tbl
    table empty.tbl
    write fill "$P/gone.tbl" 0 10 100
    write fill "$P/kept/nested.tbl" 0 10 100
    write fill "$P/moved.tbl/inner.tbl" 0 10 100
    write fill "$P" 0 10 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    stop_agent
    rm -r "$P/gone.tbl"
    mv "$P/moved.tbl" "$P/kept/moved.tbl"
    rmdir "$P/empty.tbl"
    table other.tbl
    write fill "$P" 5 10 120
    start_agent
    must_be r1 streaming
    proven r1
    [ ! -e "$W/r1/gone.tbl" ] || fail "a dropped table is still there"
    [ -d "$W/r1/other.tbl" ] || fail "a new empty table did not arrive"
}

# Tables are made and filled faster than watches can be put in place.
bursts() {
    DATABASE_EXTRA='max-delete = 100%' # most of it goes at the end
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    for i in 1 2 3 4 5 6 7 8 9 10; do
        mkdir -p "$P/n$i/x.tbl/y/z.tbl"
        write fill "$P/n$i/x.tbl/y/z.tbl" 0 100 60
        write fill "$P/n$i/x.tbl" 0 100 60
    done
    converged r1 r2
    is "$(keys_of "$W/r2")" 2000 "the number of keys"
    rm -r "$P"/n?
    converged r1 r2
    is "$(keys_of "$W/r1")" 200 "the number of keys"
    proven r1 r2
}

# Keys are bytes.
odd_keys() {
    T="$P/odd names.tbl"
    mkdir "$T"
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    long=$(printf '%0252d' 7)
    newline=$(printf 'two\nlines')
    utf8=$(printf 'gr\303\274n \342\202\254')
    bytes=$(printf '\377\376 not text \200')
    control=$(printf 'tab\tbell\007')
    set -- "with space" " lead and trail " "$newline" "$utf8" "$bytes" "$control" \
        .leading ..two . .. "" '*' '?[a]' "-n" '$(id)' 'quote"'"'" 'back\slash' "key.kv" \
        "x.tbl" ".kv" "$long" "~" "#" "%s%n" "k.kv123"
    n=0
    for key in "$@"; do
        n=$((n + 1))
        kind=flockd-set
        [ "$key" != "$long" ] || kind=rename # its temporary's name would be too long
        write $kind "$T" "$key" "value $n"
    done
    converged r1
    is "$(keys_of "$W/r1")" $# "the number of keys"
    n=0
    for key in "$@"; do
        n=$((n + 1))
        "$DROVER_KV" "$W/r1" get -t "odd names" -- "$key" >"$W/got" 2>"$W/kv.err" ||
            fail "key $n cannot be read"
        is "$(cat "$W/got")" "value $n" "key $n"
    done

    write flockd-update "$T" "$bytes" "other bytes"
    write flockd-delete "$T" "$newline"
    write exchange "$T" "" '*'
    converged r1

    # The table too, and what comparisons say about such names.
    t=$(printf '\377\n.tbl')
    mkdir "$P/$t"
    write flockd-set "$P/$t" "$bytes" "deep"
    proven r1
    rm "$W/r1/$t/$bytes.kv"
    expect_json 1 ctl verify --content --json
    is "$(out_json "replicas[name=r1].names[0].key_b64")" "$(printf '%s' "$bytes" | base64)" "the key's name"
    expect 0 ctl resync
    rm "$W/r1/$t/$bytes.kv"
    expect 1 ctl verify --content
    out_has '\\xff'
    expect 0 ctl resync
    proven r1
}

# Names that are a directory and a file in turn: x.kv as a plain directory with
# tables below it and as the key x, t.tbl as a table and as a file, a as a plain
# directory and as a file.  What is where in the first world:
directories() {
    rm -f "$P/x.kv" "$P/t.tbl" "$P/a" "$P/t2.tbl/y.kv"
    table x.kv/one.tbl/two.tbl
    table t.tbl/y.kv/in.tbl
    table a/b/c.tbl
    table t2.tbl/y.kv/deep/in.tbl
    for t in x.kv/one.tbl x.kv/one.tbl/two.tbl t.tbl t.tbl/y.kv/in.tbl a/b/c.tbl t2.tbl/y.kv/deep/in.tbl; do
        write fill "$P/$t" 0 5 50
    done
}
# ... and in the second:
files() {
    rm -r "$P/x.kv" "$P/t.tbl" "$P/a" "$P/t2.tbl/y.kv"
    write flockd-set "$P" x "a value"
    write flockd-set "$P/t2.tbl" y "another"
    echo "no table" >"$P/t.tbl"
    echo "no directory" >"$P/a"
}
settled_as() {
    expect 0 ctl resync
    proven r1
    is "$(keys_of "$W/r1")" "$1" "the number of keys"
    is "$(status database.unreadable)" 0 "unreadable keys"
}
in_turn() {
    DATABASE_EXTRA='max-delete = 100%' # most of it goes each time
    begin_config
    add_replica r1
    directories
    write fill "$P" 0 5 50
    start_agent
    must_be r1 streaming
    settled_as 35
    say "live"
    files
    converged r1
    settled_as 7
    directories
    converged r1
    settled_as 35
    say "while no agent runs"
    stop_agent
    files
    start_agent
    # Nobody saw the table go, and a file in its place proves nothing: it stays.
    must_within "$WAIT" status_is 'warnings[id=108].id' 108
    expect 1 ctl status
    out_has "t.tbl: something else is in the table's place"
    [ -e "$W/r1/t.tbl/k-000001.kv" ] || fail "a table behind a file was dropped"
    rm "$P/t.tbl" "$P/a"
    must_within "$WAIT" ctl resync
    settled_as 7
    stop_agent
    directories
    start_agent
    must_be r1 streaming
    settled_as 35

    # A link in the path proves nothing: what was behind it stays.
    stop_agent
    mv "$P/a" "$W/elsewhere"
    ln -s "$W/elsewhere" "$P/a"
    start_agent
    must_within "$WAIT" status_is 'warnings[id=108].id' 108
    must_be r1 catchup
    expect 1 ctl status
    out_has DR-108
    out_has "HINT: .*rm the link"
    [ -e "$W/r1/a/b/c.tbl" ] || fail "a table behind a link was dropped"
    rm "$P/a"
    mv "$W/elsewhere" "$P/a"
    settled_as 35
}

# A value of 1 GiB streams through bounded memory, and small keys pass it.
huge_value() {
    free=$(df -Pk "$W" | awk 'NR == 2 { print $4 }')
    [ "$free" -gt 5000000 ] || skip "needs 5 GB of disk in ${TMPDIR:-/tmp}"
    bytes=${E2E_HUGE_BYTES:-1073741824}
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    write big "$P" huge "$bytes" 7
    n=0
    passed=0
    while [ "$(stat -c %s "$W/r1/huge.kv" 2>/dev/null)" != "$bytes" ]; do
        n=$((n + 1))
        [ $n -lt 2000 ] || fail "it does not end"
        write flockd-set "$P" small "small $n"
        must_within "$WAIT" has_value "$W/r1/small.kv" "small $n"
        [ -e "$W/r1/huge.kv" ] || passed=$((passed + 1))
    done
    say "$passed small changes passed the large value"
    enough=5
    [ -z "${E2E_SANITIZED:-}" ] || enough=2 # slower, and the large one is smaller
    [ $passed -ge $enough ] || fail "small keys do not pass a large value: $passed"
    converged r1
    for pid in "$agent_pid" $(receivers_of "$W/r1"); do
        peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status")
        say "process $pid ($(cat "/proc/$pid/comm")): peak $peak KiB"
        [ "$peak" -lt $((${E2E_PEAK_MIB:-100} * 1024)) ] || fail "it took $peak KiB of memory"
    done
    expect 0 ctl verify --content
}

"$scenario"
