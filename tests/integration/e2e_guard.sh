# SPDX-License-Identifier: MIT
#
# e2e_guard.sh: whose database, whose replica, and no delete without evidence.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# Two agents want the same replica: the second is refused, the first goes on.
two_agents() {
    table t.tbl
    write fill "$P/t.tbl" 0 50 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    first=$agent_pid
    # The newcomer is told after five seconds: longer than its patience else.
    SILENCE=15s begin_config second
    add_replica r1
    start_agent second
    must_within "$WAIT" status_is "$(of r1 error.id)" 301
    expect 1 ctl status
    out_has DR-301
    out_has HINT
    agent=agent
    write fill "$P/t.tbl" 50 50 100
    proven r1
    is "$(status "$(of r1 attempts)")" 0 "new connections of the first agent"
    # With the first one gone the second takes over by itself.
    second=$agent_pid
    agent_pid=$first
    stop_agent
    agent_pid=$second
    agent=second
    must_be r1 streaming
    write fill "$P/t.tbl" 100 50 100
    proven r1
    # And two with one state directory cannot be.
    sed "s|^socket.*|socket = $W/third.sock|" "$W/second.conf" >"$W/third.conf"
    code=0
    timeout "$WAIT" "$DROVER" agent --config "$W/third.conf" >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] && [ $code != 124 ] || fail "a second agent started: $code"
    out_has "$W/state-second"
}

# A replica belongs to one database; what did not come from Drover is not
# overwritten.
other_database() {
    table t.tbl
    write fill "$P/t.tbl" 0 50 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    stop_agent
    mkdir -p "$W/other/x.tbl" "$W/r2"
    write fill "$W/other/x.tbl" 0 5 100
    write fill "$W/r2" 0 5 100
    begin_config other "$W/other"
    add_replica r1
    add_replica r2
    add_replica r3
    start_agent other
    must_within "$WAIT" status_is "$(of r1 error.id)" 302
    must_within "$WAIT" status_is "$(of r2 error.id)" 307
    must_be r3 streaming
    is "$(status "$(of r1 state)")" failed "the state"
    is "$(keys_of "$W/r1")" 50 "the keys of the refused replica"
    is "$(keys_of "$W/r2")" 5 "the keys of the foreign directory"
    # Nor is a primary taken for a replica.
    stop_agent
    begin_config third "$W/other"
    ln -s "$P" "$W/r4"
    add_replica r4
    start_agent third
    must_within "$WAIT" status_is "$(of r4 state)" failed
    is "$(keys_of "$P")" 50 "the keys of the other primary"
}

# --- the root is lost ------------------------------------------------------------------

lost() {
    must_within "$WAIT" status_is database.state lost
    is "$(status database.error.id)" 104 "the reason"
    [ -n "$(status database.error.hint)" ] || fail "no hint"
    expect 1 ctl status
    out_has DR-104
}
# Give deletes every chance to be sent; nothing may be.
nothing_deleted() {
    expect 75 ctl wait --timeout 1s
    is "$(keys_of "$W/r1")" 200 "the replica's keys while the root is $1"
}
found_again() {
    must_within "$WAIT" status_is database.state ok
    must_be r1 streaming
    write flockd-set "$P/t.tbl" after "$1"
    converged r1
    write flockd-delete "$P/t.tbl" after
    converged r1
    is "$(keys_of "$W/r1")" 200 "the replica's keys"
}
with_200_keys() {
    table t.tbl
    write fill "$P" 0 100 100
    write fill "$P/t.tbl" 0 100 100
}

root_lost() {
    with_200_keys
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1

    mv "$P" "$W/away"
    lost
    nothing_deleted "moved away"
    mv "$W/away" "$P"
    found_again moved

    mv "$P" "$W/away"
    mkdir "$P"
    lost
    nothing_deleted "an empty directory"
    write flockd-set "$P" intruder "not of our database"
    nothing_deleted "another directory"
    rm -r "$P"
    mv "$W/away" "$P"
    found_again replaced

    id=$(cat "$P/.drover/id")
    printf '%032d\n' 1 >"$P/.drover/id"
    lost
    nothing_deleted "of another database"
    echo "$id" >"$P/.drover/id"
    found_again renamed
    proven r1

    # The same at the start of an agent.
    stop_agent
    mv "$P" "$W/away"
    mkdir "$P"
    start_agent
    lost
    nothing_deleted "empty at the start"
    rmdir "$P"
    mv "$W/away" "$P"
    found_again "since the start"
    proven r1
}

# Unmounted under the agent, and mounted again.
root_unmounted() {
    [ "$(id -u)" = 0 ] || skip "only root may mount"
    mount -t tmpfs -o size=16m none "$P" 2>"$W/mount.err" || skip "cannot mount: $(cat "$W/mount.err")"
    umount "$P"
    dd if=/dev/zero of="$W/disk" bs=1M count=16 2>/dev/null
    mkdir "$W/real"
    mount --bind "$W/real" "$P"
    with_200_keys
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    umount -l "$P"
    lost
    nothing_deleted unmounted
    mount --bind "$W/real" "$P"
    found_again "mounted again"
    # Mounted over, which raises no event.
    mount -t tmpfs -o size=16m none "$P"
    lost
    nothing_deleted "mounted over"
    umount -l "$P"
    found_again "no longer mounted over"
    proven r1
    stop_agent
    umount -l "$P"
}

# A table that was never read is not on any replica, and nobody may say that all
# is well; when it can be read, which raises no event, it is found.
unreadable_at_start() {
    as_plain_user
    table t.tbl
    table u.tbl
    write fill "$P/t.tbl" 0 10 100
    write fill "$P/u.tbl" 0 10 100
    chmod 000 "$P/t.tbl"
    begin_config
    add_replica r1
    start_agent
    must_within "$WAIT" status_is "warnings[id=103].id" 103
    must_within "$WAIT" test -e "$W/r1/u.tbl/k-000009.kv"
    expect 75 ctl wait --timeout 2s
    out_has DR-103
    expect 1 ctl verify
    out_has DR-103
    status_is healthy false || fail "an agent that cannot read a table is healthy"
    chmod 755 "$P/t.tbl"
    must_within "$WAIT" test -e "$W/r1/t.tbl/k-000009.kv"
    write flockd-set "$P/t.tbl" live "flows"
    proven r1
    status_is healthy true || fail "the agent is not healthy again"
    grep -q 'scan_readable' "$W/agent.log" || fail "the log does not say that all is readable again"
    if grep 'scan_unreadable.*keys=0 tables=0' "$W/agent.log"; then
        fail "the log warns of nothing"
    fi
}

# What cannot be read is not gone.
unreadable() {
    as_plain_user
    with_200_keys
    table u.tbl
    write fill "$P/u.tbl" 0 100 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    chmod 000 "$P/t.tbl"
    chmod 000 "$P/u.tbl/k-000007.kv"
    code=0
    timeout 10 "$DROVER" --socket "$W/agent.sock" resync >"$W/out" 2>&1 || code=$?
    [ $code = 1 ] || fail "($code) a resync that could not read a table says that all is well"
    write flockd-set "$P/u.tbl" live "flows"
    must_within "$WAIT" has_value "$W/r1/u.tbl/live.kv" flows
    is "$(keys_of "$W/r1")" 301 "the replica's keys"
    stop_agent
    write flockd-delete "$P/u.tbl" k-000001
    start_agent
    must_within "$WAIT" status_is "warnings[id=103].id" 103
    code=0
    timeout 10 "$DROVER" --socket "$W/agent.sock" verify >"$W/out" 2>&1 || code=$?
    [ $code = 1 ] || fail "($code) a verify that could not read a table says that all is equal"
    is "$(find "$W/r1/t.tbl" -name '*.kv' | wc -l)" 100 "the keys of the unreadable table"
    [ -e "$W/r1/u.tbl/k-000007.kv" ] || fail "an unreadable key was deleted"
    must_within "$WAIT" test ! -e "$W/r1/u.tbl/k-000001.kv"
    chmod 755 "$P/t.tbl"
    chmod 644 "$P/u.tbl/k-000007.kv"
    must_within "$WAIT" ctl resync # the key is tried again within seconds
    must_be r1 streaming
    proven r1
    is "$(keys_of "$W/r1")" 300 "the replica's keys"
}

# What was removed while no agent ran goes, keys and whole tables, though
# something covers a table; what is covered stays, and both are said.
cover() { # NAME-OF-HOW: of t.tbl and of the directory a
    case $1 in
    link) mv "$P/t.tbl" "$P/a" "$W/aside" && ln -s "$W/aside/t.tbl" "$P/t.tbl" && ln -s "$W/aside/a" "$P/a" ;;
    file) mv "$P/t.tbl" "$W/aside" && echo none >"$P/t.tbl" ;;
    mount) mount --bind "$W/empty" "$P/t.tbl" && mount --bind "$W/empty" "$P/a" ;;
    esac
}
uncover() {
    case $1 in
    link) rm "$P/t.tbl" "$P/a" && mv "$W/aside/t.tbl" "$W/aside/a" "$P" ;;
    file) rm "$P/t.tbl" && mv "$W/aside/t.tbl" "$P" ;;
    mount) umount "$P/t.tbl" && umount "$P/a" ;;
    esac
}
holds() { [ "$(status "$(of r1 held.count)")" -ge "$1" ]; }
gone_beside_covered() {
    mkdir "$W/aside" "$W/empty"
    for t in t u a/b; do
        table "$t.tbl"
        write fill "$P/$t.tbl" 0 60 40
    done
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    ways="link file mount"
    [ "$(id -u)" = 0 ] && mount --bind "$W/empty" "$W/aside" 2>/dev/null && umount "$W/aside" || ways="link file"
    n=0
    for how in $ways; do
        table "gone-$how.tbl"
        write flockd-set "$P/gone-$how.tbl" k 1
        converged r1
        stop_agent
        cover "$how" || fail "cannot cover by a $how"
        write flockd-delete "$P/u.tbl" "k-00000$n"
        rm -r "$P/gone-$how.tbl"
        start_agent
        must_within "$WAIT" test ! -e "$W/r1/u.tbl/k-00000$n.kv"
        must_within "$WAIT" test ! -e "$W/r1/gone-$how.tbl"
        must_within "$WAIT" status_is "warnings[id=108].id" 108
        expect 1 ctl status
        expect 1 ctl verify
        out_has DR-108
        for t in t a/b; do
            is "$(find "$W/r1/$t.tbl" -name '*.kv' | wc -l)" 60 "the keys of $t behind a $how"
        done
        # More than the brake allows: held, and said.
        stop_agent
        mkdir "$W/kept"
        mv "$P"/u.tbl/k-00003?.kv "$P"/u.tbl/k-00004?.kv "$W/kept"
        sed -i '/^max-delete/d; s/^settle/max-delete-keys = 5\nmax-delete = 5%\nsettle/' "$conf"
        start_agent
        must_within "$WAIT" holds 20
        expect 1 ctl status
        out_has "deletes"
        is "$(find "$W/r1/u.tbl" -name '*.kv' | wc -l)" $((59 - n)) "the keys of u"
        mv "$W/kept"/* "$P/u.tbl"
        rmdir "$W/kept"
        uncover "$how"
        n=$((n + 1))
        expect 0 ctl resync
        must_be r1 streaming
        proven r1
    done
}

# --- the brake ----------------------------------------------------------------------------

token_of() { status "$(of "$1" held.token)"; }
brake() {
    table t.tbl
    write fill "$P/t.tbl" 0 500 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    stop_agent
    rm "$P"/t.tbl/k-000[0-2]*.kv
    write flockd-set "$P/t.tbl" new "set while no agent ran"
    start_agent
    must_be r1 held
    must_within "$WAIT" status_is "$(of r1 held.shown)" 300
    is "$(status "$(of r1 error.id)")" 401 "the reason"
    must_within "$WAIT" has_value "$W/r1/t.tbl/new.kv" "set while no agent ran"
    is "$(keys_of "$W/r1")" 501 "the replica's keys"
    write flockd-set "$P/t.tbl" new "sets flow"
    must_within "$WAIT" has_value "$W/r1/t.tbl/new.kv" "sets flow"
    # While it is on nothing is deleted, not even one key that was seen to go.
    token=$(token_of r1)
    write flockd-delete "$P/t.tbl" k-000400
    must_within "$WAIT" status_is "$(of r1 held.shown)" 301
    [ -e "$W/r1/t.tbl/k-000400.kv" ] || fail "a held key was deleted"
    expect 1 ctl resync --dry-run
    code=0
    ctl resync >"$W/out" 2>&1 || code=$?
    is "$code" 1 "the exit status of a resync with held deletes"
    is "$(keys_of "$W/r1")" 501 "the replica's keys"
    # What is shown: how many, where, which, since when, what to type.
    must_within "$WAIT" status_is "$(of r1 held.tables[table=t].count)" 301
    expect 1 ctl status
    out_has "301 in t"
    out_has "such as t/k-"
    out_has "drover approve --dry-run"
    expect 0 ctl approve --dry-run r1
    out_has "301 deletes are held since"
    is "$(grep -c "delete  t/k-" "$W/out")" 301 "the number of names shown"
    # A restart forgets nothing and lets nothing through: the same set has the
    # same token.
    last=$(token_of r1)
    [ "$last" != "$token" ] || fail "another set has the same token"
    stop_agent KILL
    start_agent
    must_be r1 held
    must_within "$WAIT" status_is "$(of r1 held.token)" "$last"
    # An approval for what was shown before the restart is for nothing else.
    expect 1 ctl approve r1 "$token"
    out_has DR-401
    expect 64 ctl approve r1 123
    is "$(keys_of "$W/r1")" 501 "the replica's keys"

    # Of what was shown one key is back, and another one went since.
    write flockd-set "$P/t.tbl" k-000000 "is back"
    write flockd-delete "$P/t.tbl" k-000401
    expect 0 ctl approve r1 "$last"
    must_within "$WAIT" status_is "$(of r1 held.shown)" 1
    must_within "$WAIT" has_value "$W/r1/t.tbl/k-000000.kv" "is back"
    [ -e "$W/r1/t.tbl/k-000401.kv" ] || fail "a delete that was not shown went"
    is "$(keys_of "$W/r1")" 201 "the replica's keys"
    is "$(status "$(of r1 state)")" held "the state, however little is held"
    stop_agent
    start_agent
    must_within "$WAIT" status_is "$(of r1 held.shown)" 1
    expect 0 ctl approve r1
    must_be r1 streaming
    proven r1

    # That was for those deletes, not for all that come.
    stop_agent
    rm "$P"/t.tbl/k-0003*.kv "$P"/t.tbl/k-00041*.kv
    start_agent
    must_be r1 held
    is "$(keys_of "$W/r1")" 200 "the replica's keys"
    # The keys come back: there is nothing to hold any more.
    write fill "$P/t.tbl" 300 120 100
    expect 0 ctl resync
    must_be r1 streaming
    proven r1
}

# A table removed while the agent looks on: the brake holds most of it, and its
# directory; the other tables flow.
has_token() { [ "$(status "$(of "$1" held.token)")" != null ]; }
brake_live() {
    table t.tbl
    table u.tbl
    write fill "$P/t.tbl" 0 900 100
    write fill "$P/u.tbl" 0 100 100
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    proven r1 r2
    rm -r "$P/t.tbl"
    must_be r1 held
    must_be r2 held
    write flockd-set "$P/u.tbl" live flows
    must_within "$WAIT" has_value "$W/r1/u.tbl/live.kv" flows
    must_within "$WAIT" has_token r1
    expect 1 ctl verify r1
    out_has 'The brake holds [0-9]* deletes. See which: drover approve --dry-run r1'
    out_has 'these wait for drover approve'
    kept=$(keys_of "$W/r1")
    [ "$kept" -ge 800 ] || fail "only $kept of 1001 keys are left"
    stop_agent
    start_agent
    must_be r1 held
    must_within "$WAIT" status_is "$(of r1 held.shown)" $((kept - 101 + 1))
    is "$(keys_of "$W/r1")" "$kept" "the replica's keys after a restart"
    expect 0 ctl approve r1
    must_be r1 streaming
    [ ! -e "$W/r1/t.tbl" ] || fail "the table is still there"
    [ -e "$W/r2/t.tbl" ] || fail "what was approved for r1 was deleted on r2"
    expect 0 ctl approve r2
    must_be r2 streaming
    proven r1 r2
    # A table moved away, which one event tells, is the same.
    write fill "$P/u.tbl" 100 300 100
    proven r1 r2
    mv "$P/u.tbl" "$W/away"
    must_be r1 held
    must_within "$WAIT" status_is "$(of r1 held.shown)" 402
    is "$(keys_of "$W/r1")" 401 "the replica's keys"
    mv "$W/away" "$P/u.tbl"
    must_be r1 streaming
    must_be r2 streaming
    proven r1 r2
}

# Below the brake's bounds deletes go through.
brake_off() {
    table t.tbl
    write fill "$P/t.tbl" 0 500 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    rm "$P"/t.tbl/k-0000*.kv
    converged r1
    is "$(keys_of "$W/r1")" 400 "the replica's keys"
    stop_agent
    rm "$P"/t.tbl/k-00040*.kv
    start_agent
    must_be r1 streaming
    proven r1
    is "$(keys_of "$W/r1")" 390 "the replica's keys"
    stop_agent
    # And without a brake all.
    DATABASE_EXTRA='max-delete = 100%' begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    rm -r "$P/t.tbl"
    proven r1
    is "$(keys_of "$W/r1")" 0 "the replica's keys"
}

# --- identity -------------------------------------------------------------------------------
# .drover alone is lost: nothing is deleted, the id is named, and with it the
# replica needs no new copy.
names_the_id() { ctl status >"$W/out" 2>&1; grep -q -- "drover init --id $id" "$W/out"; }
metadata_lost() {
    table t.tbl
    write fill "$P/t.tbl" 0 50 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    id=$(cat "$P/.drover/id")
    was=$(stat -c %i "$W/r1/t.tbl/k-000001.kv")
    rm -r "$P/.drover"
    lost
    must_within "$WAIT" names_the_id
    out_has "50 of 50 keys"
    is "$(keys_of "$W/r1")" 50 "the replica's keys"
    state=$W/state-agent
    expect 78 "$DROVER" init --state "$state" "$P"
    out_has "drover init --id $id"
    expect 0 "$DROVER" init --state "$state" --id "$id" "$P"
    out_has "Epoch 2"
    # Its sessions speak of the old term: it ends, to be started again.
    code=0
    wait "$agent_pid" || code=$?
    is $code 1 "the agent's exit status"
    start_agent
    must_be r1 streaming
    proven r1
    is "$(stat -c %i "$W/r1/t.tbl/k-000001.kv")" "$was" "the replica's value"
}

identity() {
    as_plain_user
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    begin_config
    add_replica r1
    chmod 555 "$P"
    code=0
    timeout "$WAIT" "$DROVER" agent --config "$W/agent.conf" >"$W/out" 2>&1 || code=$?
    [ $code = 77 ] || [ $code = 78 ] || fail "an agent without identity ends with $code"
    out_has DR-105
    out_has "drover init"
    chmod 755 "$P"
    expect 0 "$DROVER" init "$P"
    id=$(cat "$P/.drover/id")
    expect 0 "$DROVER" init "$P"
    is "$(cat "$P/.drover/id")" "$id" "the id after a second init"
    is "$(stat -c %a "$P/.drover")" 755 "the mode of .drover"
    # Now it needs to write nowhere in the database.
    chmod 555 "$P" "$P/.drover" "$P/t.tbl"
    start_agent
    must_be r1 streaming
    proven r1
    stop_agent
    # Another database in this place: not ours.
    chmod 755 "$P" "$P/.drover" "$P/t.tbl"
    rm "$P/.drover/id"
    expect 0 "$DROVER" init "$P"
    rm -f "$P/t.tbl"/*
    start_agent
    lost
    expect 75 ctl wait --timeout 1s
    is "$(keys_of "$W/r1")" 10 "the replica's keys"
}

"$scenario"
