# SPDX-License-Identifier: MIT
#
# e2e_examples.sh: the shell examples for programs, taken from the documents
# themselves and run with sh against a real primary and its replica, where others
# hold locks.  (C and Go: test_examples.sh.)
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

source=$(cd "$here/../.." && pwd)

# The indented lines that follow the line that begins with $2 in page $1.
page() {
    awk -v head="$2" '
        index($0, head) == 1 { found = 1; next }
        found && /^    / { print substr($0, 5); begun = 1; next }
        found && begun { exit }' "$source/$1"
}
# The literal block number $2 below EXAMPLES in manual $1.
block() {
    awk -v want="$2" '
        /^\.Sh/ { examples = $2 == "EXAMPLES" }
        examples && /^\.Bd -literal/ { n++; inside = 1; next }
        /^\.Ed/ { inside = 0 }
        inside && n == want' "$source/$1"
}
# The one-line example in manual $1 that begins with $2.
line() { sed -n "s/^\.Dl \($2.*\)/\1/p" "$source/$1"; }

# run WHERE: the example on stdin, with $W/WHERE for /srv/orders (or DB); output to
# $W/out.
run() {
    sed "s|/srv/orders|$W/$1|g; s|DB/|$W/$1/|g" >"$W/example.sh"
    [ -s "$W/example.sh" ] || fail "the example is not in the documents any more"
    expect "${STATUS:-0}" env PATH="$W/bin:$PATH" sh -eu "$W/example.sh"
}
begin() {
    mkdir "$W/bin"
    for program in "$DROVER_KV" "$DROVER_REPLICA"; do
        ln -s "$program" "$W/bin/"
    done
    table users.tbl
    write flockd-set "$P/users.tbl" alice "a value"
    write flockd-set "$P/users.tbl" bob "bob's"
    write flockd-set "$P" bob "root bob's"
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
    # The first word on freshness comes with a heartbeat.
    must_within "$WAIT" test -e "$W/r1/.drover/freshness"
}
# Somebody holds the lock $1 (-s or -x) of the replica's file $2 until released.
hold() {
    mkfifo "$W/release"
    flock "$1" "$2" sh -c 'echo held >"$0.held"; read -r _ <"$0" || :' "$W/release" &
    holder=$!
    must_within "$WAIT" test -s "$W/release.held"
}
release() {
    : >"$W/release"
    wait "$holder"
    rm "$W/release" "$W/release.held"
}

# A drover-kv has the file open: it waits for the lock.
waits_for() {
    for pid in $(pids_of "$W/r1"); do
        case $(readlink "/proc/$pid/exe") in
        */drover-kv) ! readlink "/proc/$pid"/fd/* | grep -qxF "$1" || return 0 ;;
        esac
    done
    return 1
}
# The example on stdin reads $1, whose exclusive lock another has until it waits.
behind_a_lock() {
    cat >"$W/behind"
    hold -x "$1"
    { must_within "$WAIT" waits_for "$1" && : >"$W/release"; } &
    releaser=$!
    run r1 <"$W/behind"
    wait "$releaser" || fail "it did not wait for the lock"
    wait "$holder"
    rm "$W/release" "$W/release.held"
}

# What reads a replica.  A value is printed byte for byte, without a newline.
readers() {
    begin
    # shellcheck disable=SC2016 # for the example's shell
    { page README.md '**Shell**' && echo 'echo "age $age"'; } >"$W/readme"
    run r1 <"$W/readme"
    grep -q '^a value' "$W/out" || fail "README.md's example prints: $(cat "$W/out")"
    out_lacks stale
    age=$(sed -n 's/.*age //p' "$W/out")
    [ "$age" -ge 0 ] && [ "$age" -le 60 ] || fail "README.md's example says that the age is '$age'"
    hold -s "$W/r1/users.tbl/alice.kv"
    run r1 <"$W/readme"
    release
    grep -q '^a value' "$W/out" || fail "beside another reader it prints: $(cat "$W/out")"
    behind_a_lock "$W/r1/users.tbl/alice.kv" <"$W/readme"
    grep -q '^a value' "$W/out" || fail "behind a lock it prints: $(cat "$W/out")"

    page store/FORMAT.md 'as exact as the two hosts' >"$W/format"
    run r1 <"$W/format"
    [ "$(cat "$W/out")" -ge 0 ] && [ "$(cat "$W/out")" -le 60 ] || fail "FORMAT.md's example says '$(cat "$W/out")'"

    line sync/replica/drover-replica.1 drover-kv | run r1
    is "$(cat "$W/out")" "bob's" "what drover-replica.1's reader prints"
    line sync/replica/drover-replica.1 drover-kv | behind_a_lock "$W/r1/users.tbl/bob.kv"
    is "$(cat "$W/out")" "bob's" "what it prints behind a lock"
    line sync/replica/drover-replica.1 'drover-replica fresh' | run r1

    # Old data, and a directory that never was a replica, are told.
    stop_agent
    touch -d '1 minute ago' "$W/r1/.drover/freshness"
    run r1 <"$W/readme"
    out_has stale
    line sync/replica/drover-replica.1 'drover-replica fresh' | STATUS=1 run r1
    block store/kv/drover-kv.1 2 | run r1
    is "$(cat "$W/out")" "root bob's" "what goes through all keys prints"
    [ -z "$(find "$W/r1" -name '*.kv' -empty)" ] || fail "an example made a key"
}

# What writes to a primary; every change is on the replica afterwards.
writers() {
    begin
    printf '#!/bin/sh\necho a dump\n' >"$W/bin/pg_dump"
    printf '#!/bin/sh\necho the job ran\n' >"$W/bin/run-job"
    chmod +x "$W/bin/pg_dump" "$W/bin/run-job"
    [ -n "$(command -v jq)" ] || ln -s "$(command -v cat)" "$W/bin/jq"

    block store/kv/drover-kv.1 1 | run primary
    is "$(cat "$W/out")" 42 "what drover-kv.1's first example prints"
    block store/kv/drover-kv.1 3 | run primary
    is "$(cat "$W/out")" "the job ran" "what the first of several jobs prints"
    block store/kv/drover-kv.1 3 | STATUS=1 run primary
    out_lacks "the job ran"

    "$DROVER_KV" --help | sed -n '/^Examples:/,/^$/s/^  \$ //p' >"$W/help"
    is "$(grep -c '^drover-kv\|^pg_dump' "$W/help")" 6 "the number of drover-kv --help's examples"
    run primary <"$W/help"
    out_has '^mine$'
    proven r1
    is "$(cat "$W/r1/backup.kv")" "a dump" "the replica's backup"
    is "$(cat "$W/r1/users.tbl/bob.kv")" 42 "the replica's bob"
    [ -s "$W/r1/job-lock.kv" ] || fail "the replica's job-lock is empty"
}

"$scenario"
