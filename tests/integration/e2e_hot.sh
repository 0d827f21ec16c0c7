#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_hot.sh SCENARIO LINK: large values that change faster than a slow link can
# carry them, sparse ones, and files that are touched.  "figures:" lines say
# what was measured.
. "$(dirname "$0")/e2e_lib.sh"

figures() { printf 'figures: %s: %s\n' "$scenario" "$*"; }

# add_slow_replica NAME BYTES_PER_S: over a pipe that is no faster toward it.
add_slow_replica() {
    cat >"$W/slow-$1" <<END
#!/bin/sh
"$E2E_BIN/e2e_hot" slow $2 | exec "$DROVER_REPLICA" receive "$W/$1"
END
    chmod +x "$W/slow-$1"
    {
        echo "[replica $1]"
        echo "command = $W/slow-$1"
    } >>"$conf"
}

# start_hot KIND BYTES EVERY_MS: the key t/hot, until stop_hot.
start_hot() {
    "$E2E_BIN/e2e_hot" "$1" "$P/t.tbl" hot "$2" "$3" &
    hot_pid=$!
}
stop_hot() {
    kill -TERM "$hot_pid"
    wait "$hot_pid" || fail "the hot writer failed"
}
version_on() { "$E2E_BIN/e2e_hot" check "$W/$1/t.tbl/hot.kv"; }
has_version_after() { [ "$(version_on "$1")" -gt "$2" ]; }

# versions_come NAME COUNT: so many newer ones, each of them whole.
versions_come() {
    must_within "$WAIT" version_on "$1"
    seen=$(version_on "$1") || fail "a value on $1 that nobody wrote"
    n=0
    while [ $n -lt "$2" ]; do
        must_within "$WAIT" has_version_after "$1" "$seen"
        newer=$(version_on "$1") || fail "a value on $1 that nobody wrote"
        seen=$newer
        n=$((n + 1))
    done
}

has_all_small() { [ "$(find "$W/$1/t.tbl" -name 'k-*.kv' | wc -l)" = 500 ]; }

# A value that is never sent before the next is there: KIND BYTES EVERY_MS
# LINK_BYTES_PER_S.  Its versions arrive all the same, and a second replica gets
# everything meanwhile.
keeps_coming() {
    table t.tbl
    write fill "$P/t.tbl" 0 500 100
    begin_config
    add_slow_replica r1 "$4"
    start_agent
    must_within "$WAIT" test -e "$W/r1/t.tbl/k-000499.kv"
    start_hot "$1" "$2" "$3"
    began=$(date +%s)
    versions_come r1 3
    figures "$1: 3 newer versions of $2 bytes in $(($(date +%s) - began)) s over $4 bytes/s," \
        "$(status "$(of r1 sent_bytes)") bytes sent"
    add_replica r2
    expect 0 ctl reload
    must_within "$WAIT" has_all_small r2
    versions_come r2 2
    versions_come r1 1
    stop_hot
    converged r1 r2
    proven r1 r2
}
replaced() { keeps_coming replace 3000000 300 2000000; }
appended() { keeps_coming append 4000000 5 4000000; }
# By hand, with other figures: E2E_HOT="KIND BYTES EVERY_MS BYTES_PER_S".
# shellcheck disable=SC2086 # four words
by_hand() { keeps_coming $E2E_HOT; }

# Written in place all the time, and larger than what can be copied between two
# writes: it is named, with its tries, and holds up nothing else.
never_still() {
    table t.tbl
    write fill "$P/t.tbl" 0 500 100
    begin_config
    add_replica r1
    start_agent
    must_within "$WAIT" test -e "$W/r1/t.tbl/k-000499.kv"
    start_hot shift 150000000 0
    must_within "$WAIT" status_is "blocked[key=hot].side" primary
    must_within "$WAIT" more_tries_than 3
    ctl status >"$W/out" || :
    out_has 'changing  t/hot .* on primary: changes while it is read, [0-9]* tries'
    expect 1 ctl status
    add_replica r2
    expect 0 ctl reload
    must_within "$WAIT" has_all_small r2
    rm "$W/r1/t.tbl/k-000008.kv"
    expect 1 ctl resync r1
    out_has "DR-111.* table t key hot changes while it is read, [0-9]* tries"
    must_within "$WAIT" test -e "$W/r1/t.tbl/k-000008.kv"
    stop_hot
    converged r1 r2
    must_within "$WAIT" status_is blocked_count 0
    proven r1 r2
}
more_tries_than() { [ "$(status "blocked[key=hot].changed_tries")" -gt "$1" ]; }

# 12 KiB of data in 2 GiB of holes.
sparse() {
    table t.tbl
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    before=$(status "$(of r1 sent_bytes)")
    for at in 0 262145 524287; do
        printf 'data' | dd of="$P/t.tbl/temp" bs=4096 seek=$at conv=notrunc status=none
    done
    truncate -s 2147483648 "$P/t.tbl/temp"
    blocks=$(stat -c %b "$P/t.tbl/temp")
    [ "$blocks" -lt 1000 ] || skip "no sparse files in ${TMPDIR:-/tmp}"
    mv "$P/t.tbl/temp" "$P/t.tbl/sparse.kv"
    expect 0 ctl wait --timeout "${WAIT}s"
    sent=$(($(status "$(of r1 sent_bytes)") - before))
    there=$(stat -c %b "$W/r1/t.tbl/sparse.kv")
    figures "$sent bytes sent, $((there / 2)) KiB on the replica's disk"
    [ "$sent" -lt 1000000 ] || fail "$sent bytes were sent"
    [ "$there" -lt 2000 ] || fail "$there blocks on the replica"
    cmp "$P/t.tbl/sparse.kv" "$W/r1/t.tbl/sparse.kv" || fail "the values differ"
    expect 0 ctl verify --content
}

# Inodes and names: an install makes another file.
files_of() { find "$W/$1" -name 'k-*.kv' -printf '%i %p\n' | sort | cksum; }

# E2E_TOUCHED keys get a new ctime and keep their bytes: touch, and cp -a over
# them as a restore does.
touched() {
    count=${E2E_TOUCHED:-2000}
    table t.tbl
    write fill "$P/t.tbl" 0 "$count" 500
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
    cp -a "$P/t.tbl" "$W/saved"
    for how in touch restore; do
        before=$(status "$(of r1 sent_bytes)")
        files=$(files_of r1)
        if [ $how = touch ]; then
            find "$P/t.tbl" -name 'k-*.kv' -exec touch {} +
        else
            cp -a "$W/saved/." "$P/t.tbl/"
        fi
        converged r1
        sent=$(($(status "$(of r1 sent_bytes)") - before))
        figures "$how: $count keys, $sent bytes sent"
        [ $sent -lt $((count * 100)) ] || fail "$sent bytes were sent"
        is "$(files_of r1)" "$files" "the replica's files"
    done
    proven r1
}

"$scenario"
