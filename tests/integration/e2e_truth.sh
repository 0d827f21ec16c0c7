# SPDX-License-Identifier: MIT
#
# e2e_truth.sh: whatever is not on a replica makes `drover status` exit with 1
# within a bounded time, and is named; and when it is there, status exits with 0.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

exits_with() {
    code=0
    ctl status >"$W/out" 2>&1 || code=$?
    [ $code = "$1" ]
}
# told_of TEXT: status exits with 1 and has the text.
told_of() { exits_with 1 && grep -q -- "$1" "$W/out"; }
must_tell() { must_within "$WAIT" told_of "$1"; }
# wait_tells TEXT REPLICA...: a wait for them ends in vain, and has the text.
wait_tells() {
    text=$1
    shift
    code=0
    ctl wait "$@" --timeout 300ms >"$W/out" 2>&1 || code=$?
    [ $code = 75 ] || fail "drover wait exits with $code"
    out_has "$text"
}
must_be_well() { must_within "$WAIT" exits_with 0; }

small_disk() { # NAME OPTIONS
    mkdir "$W/$1"
    mount -t tmpfs -o "$2" none "$W/$1" 2>/dev/null
}

# Disks without room, without inodes, read-only; a file that is immutable.
refused() {
    [ "$(id -u)" = 0 ] || skip "needs root to mount small disks"
    small_disk full size=1m || skip "no tmpfs can be mounted"
    small_disk inodes nr_inodes=60,size=16m
    small_disk readonly size=16m
    table t.tbl
    write fill "$P/t.tbl" 0 5 100
    begin_config
    for r in full inodes readonly still; do add_replica $r; done
    start_agent
    for r in full inodes readonly still; do must_be $r streaming; done
    proven
    must_be_well

    chattr +i "$W/still/t.tbl/k-000003.kv" 2>/dev/null && immutable=yes || immutable=no
    expect 0 ctl pause readonly
    must_within "$WAIT" nobody_in readonly
    mount -o remount,ro "$W/readonly" || fail "cannot be mounted read-only"
    write big "$P" large 3000000 1
    write fill "$P/t.tbl" 100 60 10
    write flockd-set "$P/t.tbl" k-000003 "a new value"
    expect 0 ctl resume readonly

    must_tell 'DR-305 replica full: 1 change is refused for .*, such as: table (root) key large: .*No space left'
    must_tell '^refused  *large  .* on full: .*No space left'
    must_tell "HINT: free space on this host: df -h $W/full;"
    is "$(status "$(of full state)")" streaming "its state"
    is "$(status "$(of full refused.errno)")" 28 "the system's error"
    is "$(status "$(of full refused.key)")" large "the key"
    must_tell 'DR-305 replica inodes: .* refused for .* table t key k-.*No space left'
    [ "$(status "$(of inodes refused.count)")" -gt 1 ] || fail "one key is refused without inodes"
    must_tell 'readonly: DR-30[46]'
    wait_tells 'DR-305 table (root) key large: .*No space left' full
    out_has '  not there  table (root) key large: '
    [ $immutable = no ] || must_tell 'DR-313 replica still: 1 change .* table t key k-000003: .*not permitted'
    # Somebody without rights sees numbers, and no name.
    is "$(status "$(of still pending_keys)")" "$([ $immutable = no ] && echo 0 || echo 1)" "what pends for it"

    mount -o remount,size=16m "$W/full"
    mount -o remount,nr_inodes=10000 "$W/inodes"
    mount -o remount,rw "$W/readonly"
    [ $immutable = no ] || chattr -i "$W/still/t.tbl/k-000003.kv"
    must_within "$WAIT" status_is "$(of full refused)" null
    proven
    expect 0 ctl reload # the link to the read-only one broke, too
    must_be_well
}
nobody_in() { [ -z "$(receivers_of "$W/$1")" ]; }

# A directory that the receiver's user may not write any more.
denied() {
    as_plain_user
    table t.tbl
    table u.tbl
    write flockd-set "$P/t.tbl" k 1
    write flockd-set "$P/u.tbl" k 1
    begin_config
    add_unwatched r1 # else the mode is set again at once
    start_agent
    must_be r1 streaming
    proven r1
    must_be_well
    chmod 0555 "$W/r1/t.tbl"
    write flockd-set "$P/t.tbl" new 1
    write flockd-set "$P/u.tbl" k 2
    must_within "$WAIT" has_value "$W/r1/u.tbl/k.kv" 2
    must_tell 'DR-313 replica r1: 1 change is refused for .* table t key new: .*Permission denied'
    is "$(status "$(of r1 state)")" streaming "its state"
    # The key goes: nothing is refused any more, whatever the directory is like.
    write flockd-delete "$P/t.tbl" new
    must_within "$WAIT" status_is "$(of r1 refused)" null
    must_be_well
    write flockd-delete "$P/t.tbl" k
    must_tell 'DR-313 replica r1: 1 change .* table t key k: .*Permission denied'
    chmod 0755 "$W/r1/t.tbl"
    must_be_well
    proven r1
}

# Locks on both sides, a value that never holds still, a receiver that sleeps: for
# longer than lag-limit.
behind() {
    DATABASE_EXTRA='lag-limit = 1s'
    SILENCE=60s
    table t.tbl
    write flockd-set "$P/t.tbl" held 1
    begin_config
    add_replica r1 --lock-timeout 300ms
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    proven
    must_be_well

    "$E2E_BIN/e2e_writer" hold-exclusive "$W/r1/t.tbl/held.kv" "$W/ready" "" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    write flockd-set "$P/t.tbl" held 2
    must_tell "DR-312 replica r1: .* behind, 1 change pending, such as: table t key held is locked on the replica .*(pid $holder)"
    out_lacks 'replica r2'
    wait_tells "DR-312 table t key held is locked on the replica .*(pid $holder)" r1
    out_has "HINT: .*ps -fp $holder"
    is "$(ctl wait r1 --timeout 300ms --json | "$E2E_BIN/e2e_json" 'replicas[name=r1].not_there[0].key')" held "what wait names"
    # What the operator has paused is behind, too.
    expect 0 ctl pause r2
    write flockd-set "$P/t.tbl" other 1
    must_tell 'DR-404 replica r2, which is paused: .* table t key other is not acknowledged\|DR-404 replica r2, which is paused: .* table t key other was not sent'
    wait_tells 'r2: not yet, paused, 1 key pending' r2
    out_has 'paused by the operator'
    out_has 'table t key other '
    expect 0 ctl resume r2
    kill "$holder"
    wait "$holder" || :
    must_be_well

    rm "$W/ready"
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/t.tbl/held.kv" "$W/ready" 3 &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    must_tell "DR-107 replica r1: .* table t key held is locked on the primary .*(pid $holder)"
    must_tell "DR-107 replica r2: "
    wait_tells "DR-107 table t key held is locked on the primary .*(pid $holder)"
    kill "$holder"
    wait "$holder" || :
    must_be_well

    stopped=$(receivers_of "$W/r2")
    for pid in $stopped; do kill -STOP "$pid"; done
    write flockd-set "$P/t.tbl" other 2
    must_tell 'DR-404 replica r2: .* behind, 1 change pending, such as: table t key other is not acknowledged'
    out_lacks 'replica r1:'
    wait_tells 'r2: not yet, .*, 1 key pending' r2
    out_has 'DR-[0-9]* table t key other is '
    for pid in $stopped; do kill -CONT "$pid"; done
    must_be_well

    "$E2E_BIN/e2e_hot" shift "$P/t.tbl" hot 150000000 0 &
    hot=$!
    must_tell '^changing  *t/hot '
    wait_tells 'DR-111 table t key hot changes while it is read' r1
    kill -TERM "$hot"
    wait "$hot" || fail "the hot writer failed"
    must_be_well
    proven
}

# The database is away: nothing can be said of any replica.
away() {
    table t.tbl
    write flockd-set "$P/t.tbl" k 1
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven
    mv "$P" "$W/elsewhere"
    must_tell 'DR-104'
    wait_tells 'DR-104 '
    # What looks like a disk that is not mounted is not to become a new database.
    mkdir "$P"
    must_tell 'DR-104 .* is its disk mounted'
    out_lacks 'remove'
    out_lacks 'drover init'
    expect 78 "$DROVER" init --state "$W/state-agent" "$P"
    out_has 'findmnt -T'
    out_lacks 'init --id'
    rmdir "$P"
    mv "$W/elsewhere" "$P"
    must_be_well
    expect 0 ctl wait
}

# A link that dies again and again, each time after it has worked.
flapping() {
    table t.tbl
    write flockd-set "$P/t.tbl" k 1
    begin_config
    # Killed as soon as it is seen to work: the replica is fresh as of a time since
    # its start.
    cat >"$W/dies" <<END
#!/bin/sh
exec 3<&0
: >"$W/began"
"$DROVER_REPLICA" receive "$W/r1" <&3 &
until [ "$W/r1/.drover/freshness" -nt "$W/began" ]; do
    kill -0 \$! || exit 1
    sleep 0.05
done
kill -KILL \$!
END
    chmod +x "$W/dies"
    printf '[replica r1]\ncommand = %s\n' "$W/dies" >>"$conf"
    start_agent
    must_tell 'DR-214 replica r1: the link broke [0-9]* times in 10 m.*, the last time .* ago: DR-'
    # Whatever its state is at that moment.
    must_be r1 streaming
    exits_with 1 || fail "a link that flaps is healthy"
    is "$(status "$(of r1 breaks.flapping)")" true "whether it flaps"
    [ "$(status "$(of r1 error.id)")" -gt 200 ] || fail "no reason is shown"
    # Mended: also in the operator's eyes.
    printf '#!/bin/sh\nexec "%s" receive "%s"\n' "$DROVER_REPLICA" "$W/r1" >"$W/good"
    mv "$W/good" "$W/dies"
    chmod +x "$W/dies"
    must_within "$WAIT" retried
    must_be r1 streaming
    exits_with 1 || fail "a link that flapped a moment ago is healthy"
    expect 0 ctl reload
    proven r1
    must_be_well
}
retried() {
    for pid in $(receivers_of "$W/r1"); do
        ! grep -qz dies "/proc/$(cut -d' ' -f4 "/proc/$pid/stat")/cmdline" || return 1
    done
    [ -n "$(receivers_of "$W/r1")" ]
}

"$scenario"
