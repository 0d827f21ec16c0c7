# SPDX-License-Identifier: MIT
#
# e2e_delete.sh: every way to make a table or the root look empty.  Each must
# delete nothing on the replica, and status must say what is wrong and what to
# type.  (The root moved, replaced or unmounted: e2e_guard.sh.)
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# Below the brake's bounds, so that nothing but evidence holds a delete back.
small_database() {
    table t.tbl
    table u.tbl
    write fill "$P/t.tbl" 0 40 100
    write fill "$P/u.tbl" 0 40 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
}
needs_mount() {
    [ "$(id -u)" = 0 ] || skip "only root may mount"
    mkdir "$W/empty"
    mount --bind "$W/empty" "$P" 2>"$W/mount.err" || skip "cannot mount: $(cat "$W/mount.err")"
    umount "$P"
}
# Give deletes every chance: a scan, a comparison, and a start from nothing.
tempt() {
    code=0
    timeout 10 "$DROVER" --socket "$W/agent.sock" resync >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "a resync says that all is well while $1"
    stop_agent
    [ "${2:-}" != "fresh" ] || rm -f "$W/state-agent/index"
    start_agent
    code=0
    timeout 10 "$DROVER" --socket "$W/agent.sock" resync >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "after a restart a resync says that all is well while $1"
}
keeps_80() { is "$(keys_of "$W/r1")" 80 "the replica's keys while $1"; }
warns() {
    must_within "$WAIT" status_is "warnings[id=$1].id" "$1"
    expect 1 ctl status
    out_has "DR-$1"
    out_has HINT
}
# All is well again, and what changes flows.
well_again() {
    expect 0 ctl resync
    must_be r1 streaming
    write flockd-set "$P/t.tbl" after "$1"
    proven r1
    write flockd-delete "$P/t.tbl" after
    proven r1
    keeps_80 "$1"
}

# On overlayfs, as on NFS or FUSE, not every change is told of: said, also by who
# claims that all is there, but nothing is wrong.
poor_filesystem() {
    needs_mount
    mkdir "$W/low" "$W/up" "$W/work"
    mount -t overlay overlay -o "lowerdir=$W/low,upperdir=$W/up,workdir=$W/work" "$P" 2>"$W/mount.err" ||
        skip "cannot mount an overlayfs: $(cat "$W/mount.err")"
    begin_config
    add_replica r1
    write flockd-set "$P" k value
    start_agent
    must_be r1 streaming
    expect 0 ctl resync
    out_has DR-109
    must_be r1 streaming
    for command in status wait verify; do
        expect 0 ctl $command
        out_has "DR-109"
        out_has "overlayfs"
    done
    expect_json 0 ctl wait --json
    is "$(out_json "warnings[id=109].id")" 109 "the warning of wait"
    stop_agent
    umount "$P"
}

# A mount of the same filesystem hides a table: no event tells, and the device
# is the same.
bind_over_table() {
    needs_mount
    small_database
    mkdir "$W/other"
    write fill "$W/other" 100 3 100
    mount --bind "$W/other" "$P/t.tbl"
    tempt "a table is mounted over"
    warns 108
    out_has 't'
    keeps_80 "a table is mounted over"
    [ ! -e "$W/r1/t.tbl/k-000100.kv" ] || fail "a key of another directory was copied"
    tempt "a table is mounted over" fresh
    keeps_80 "a table is mounted over and nothing is remembered"
    # Other tables flow.
    write flockd-set "$P/u.tbl" live flows
    must_within "$WAIT" has_value "$W/r1/u.tbl/live.kv" flows
    write flockd-delete "$P/u.tbl" live
    umount "$P/t.tbl"
    must_within "$WAIT" status_is healthy true
    well_again "unmounted again"
    # The same with another filesystem.
    mount -t tmpfs -o size=1m none "$P/t.tbl"
    tempt "a table is mounted over by tmpfs" fresh
    warns 108
    keeps_80 "a table is mounted over by tmpfs"
    umount "$P/t.tbl"
    must_within "$WAIT" status_is healthy true
    well_again "tmpfs unmounted"
}

# What comes to lie over a table, a directory above one, or a key, and what goes,
# is seen while the agent runs, without being asked.
mounted_live() {
    needs_mount
    small_database
    table p/q.tbl
    write flockd-set "$P/p/q.tbl" k 1
    proven r1
    mkdir "$W/other"
    write flockd-set "$W/other" k-000001 "over a table"
    mount --bind "$W/other" "$P/t.tbl"
    warns 108
    umount "$P/t.tbl"
    must_within "$WAIT" status_is healthy true
    mount -t tmpfs -o size=1m none "$P/p"
    warns 108
    # What is written below it meanwhile raises no event.
    umount "$P/p"
    must_within "$WAIT" status_is healthy true
    mount --bind "$W/other/k-000001.kv" "$P/t.tbl/k-000001.kv"
    must_within "$WAIT" has_value "$W/r1/t.tbl/k-000001.kv" "over a table"
    umount "$P/t.tbl/k-000001.kv"
    proven r1
    is "$(keys_of "$W/r1")" 81 "the replica's keys"
    must_within "$WAIT" status_is healthy true
}

# The same for the root: a directory of the same filesystem, empty.
bind_over_root() {
    needs_mount
    small_database
    mount --bind "$W/empty" "$P"
    must_within "$WAIT" status_is database.state lost
    is "$(status database.error.id)" 104 "the reason"
    expect 75 ctl wait --timeout 1s
    keeps_80 "the root is mounted over"
    stop_agent
    start_agent
    must_within "$WAIT" status_is database.state lost
    expect 1 ctl status
    out_has findmnt
    expect 75 ctl wait --timeout 1s
    keeps_80 "the root is mounted over at the start"
    umount "$P"
    must_within "$WAIT" status_is database.state ok
    well_again "unmounted again"
}

# A link in a table's place, put there before the agent could look.  (A
# table that was seen to be gone, if only for a moment, is gone.)
symlink_for_table() {
    small_database
    mkdir "$W/target"
    kill -STOP "$agent_pid"
    mv "$P/t.tbl" "$W/away"
    ln -s "$W/target" "$P/t.tbl"
    kill -CONT "$agent_pid"
    tempt "a link is in a table's place"
    warns 108
    keeps_80 "a link is in a table's place"
    tempt "a link is in a table's place" fresh
    keeps_80 "a link is in a table's place and nothing is remembered"
    # So may whoever knows why a file is there.
    echo a file >"$W/file"
    mv -T "$W/file" "$P/t.tbl"
    tempt "a file is in a table's place"
    warns 108
    keeps_80 "a file is in a table's place"
    kill -STOP "$agent_pid"
    rm "$P/t.tbl"
    mv "$W/away" "$P/t.tbl"
    kill -CONT "$agent_pid"
    must_within "$WAIT" status_is healthy true
    well_again "the table is back"
}

# A file for a table, live and in one step; for a plain directory above it; a
# directory for a key.  What flockd itself does with such names goes on.
exchanged() {
    small_database
    table p/q.tbl
    write flockd-set "$P/p/q.tbl" k 1
    mkdir "$P/plain"
    write flockd-set "$P/u.tbl" k-dir 1
    proven r1
    echo a file >"$P/notes.txt"
    write exchange-dirs "$P" t.tbl notes.txt
    warns 108
    out_has 'DR-108 something else is in a table.s place: .* table t: a file has the name'
    out_has 'HINT: .*rm the link or file'
    write exchange-dirs "$P" plain u.tbl/k-dir.kv
    must_within "$WAIT" status_is 'warnings[id=112].id' 112
    expect 1 ctl status
    out_has 'DR-112'
    mv "$P/p" "$W/p"
    echo a file >"$P/p"
    tempt "files and directories were exchanged"
    tempt "files and directories were exchanged" fresh
    is "$(keys_of "$W/r1")" 82 "the replica's keys while they are"
    # Something else than what a table ever was is nobody's loss.
    echo a file >"$P/never.tbl"
    mkdir "$P/u.tbl/never.kv"
    rm "$P/p"
    mv "$W/p" "$P/p"
    write exchange-dirs "$P" plain u.tbl/k-dir.kv
    write exchange-dirs "$P" t.tbl notes.txt
    must_within "$WAIT" status_is healthy true
    proven r1
    is "$(keys_of "$W/r1")" 82 "the replica's keys after it"
    # A key goes, and tables come below a directory of its name.
    write flockd-delete "$P/u.tbl" k-dir
    mkdir "$P/u.tbl/k-dir.kv"
    mkdir "$P/u.tbl/k-dir.kv/s.tbl"
    write flockd-set "$P/u.tbl/k-dir.kv/s.tbl" k 1
    proven r1
    rm -r "$P/u.tbl/k-dir.kv"
    write flockd-set "$P/u.tbl" k-dir again
    proven r1
    must_within "$WAIT" status_is healthy true
}

# The directory ends in the middle, with an error.
readdir_error() {
    command -v strace >/dev/null || skip "needs strace"
    strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"
    [ -z "${E2E_SANITIZED:-}" ] || skip "the leak checker cannot run under strace"
    small_database
    stop_agent
    # The first piece of the listing comes, the second fails: and the root's
    # listing is whole.
    cat >"$W/bin-drover" <<END
#!/bin/sh
exec strace -f -qq -o "$W/strace.log" -P "$P/t.tbl" -e trace=getdents64 \
    -e inject=getdents64:error=EIO:when=2+2 "$DROVER" "\$@"
END
    chmod +x "$W/bin-drover"
    real=$DROVER
    DROVER=$W/bin-drover
    rm -f "$W/state-agent/index"
    start_agent
    DROVER=$real
    warns 103
    out_has 'Input/output error'
    code=0
    timeout 10 "$DROVER" --socket "$W/agent.sock" resync >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "a resync says that all is well while a table cannot be listed"
    write flockd-set "$P/u.tbl" live flows
    must_within "$WAIT" has_value "$W/r1/u.tbl/live.kv" flows
    is "$(keys_of "$W/r1")" 81 "the replica's keys while a table cannot be listed"
    grep -q INJECTED "$W/strace.log" || fail "no error was injected"
    write flockd-delete "$P/u.tbl" live
    # strace ends with the agent.
    kill -TERM "$(cat "/proc/$agent_pid/task/$agent_pid/children")" || fail "no agent to end"
    wait "$agent_pid" || :
    agent_pid=''
    start_agent
    must_be r1 streaming
    well_again "the disk is well again"
}

# The identity is gone, is damaged, or is another's.
identity_damaged() {
    small_database
    id=$(cat "$P/.drover/id")
    for kind in missing corrupt empty foreign link; do
        mv "$P/.drover/id" "$W/id"
        case $kind in
        corrupt) echo 'no id' >"$P/.drover/id" ;;
        empty) : >"$P/.drover/id" ;;
        foreign) printf '%032d\n' 7 >"$P/.drover/id" ;;
        link) ln -s /etc/hostname "$P/.drover/id" ;;
        esac
        rm "$P/t.tbl/k-000001.kv" # evidence of a delete that must not count
        must_within "$WAIT" status_is database.state lost
        expect 1 ctl status
        out_has DR-104
        out_has HINT
        keeps_80 "the id is $kind"
        stop_agent
        start_agent
        must_within "$WAIT" status_is database.state lost
        expect 75 ctl wait --timeout 1s
        keeps_80 "the id is $kind at the start"
        rm -f "$P/.drover/id"
        mv "$W/id" "$P/.drover/id"
        must_within "$WAIT" status_is database.state ok
        write fill "$P/t.tbl" 1 1 100
        well_again "the id is back"
    done
    # The same id in a new file may be a copy's or a backup's: the replica asks.
    rm "$P/.drover/id"
    must_within "$WAIT" status_is database.state lost
    echo "$id" >"$P/.drover/id"
    wait "$agent_pid" || : # systemd would start it again
    start_agent
    must_within "$WAIT" status_is "$(of r1 error.id)" 309
    expect 1 ctl status
    out_has "drover-replica promote --epoch 2"
    keeps_80 "the id is a new file"
    stop_agent
    expect 0 "$DROVER_REPLICA" promote --epoch 2 "$P"
    start_agent
    well_again "the right primary has a new epoch"
}

# A directory moved away and another moved to its name, before the agent looked:
# the keys of the first are gone, and nothing but the move told so.
moved_and_replaced() {
    small_database
    mkdir "$P/v.tbl"
    write fill "$P/v.tbl" 500 7 100
    proven r1
    stopped_moves() {
        kill -STOP "$agent_pid"
        "$@"
        kill -CONT "$agent_pid"
    }
    from_outside() {
        mkdir "$W/fresh"
        write fill "$W/fresh" 900 5 100
        mv "$P/t.tbl" "$W/away"
        mv "$W/fresh" "$P/t.tbl"
    }
    stopped_moves from_outside
    proven r1
    is "$(keys_of "$W/r1")" 52 "the replica's keys (40 + 7 + 5)"
    from_inside() {
        mv "$P/u.tbl" "$P/w.tbl"
        mv "$P/v.tbl" "$P/u.tbl"
    }
    stopped_moves from_inside
    proven r1
    # Out of sight, but not out of the database's directory: no table any more.
    mv "$P/w.tbl" "$P/w.old"
    proven r1
    is "$(keys_of "$W/r1")" 12 "the replica's keys (7 + 5)"
    # And back to life.
    mv "$P/w.old" "$P/w.tbl"
    proven r1
    is "$(keys_of "$W/r1")" 52 "the replica's keys"
}

# A backup in the root's place: the same id, older data.
old_backup() {
    table t.tbl
    write fill "$P/t.tbl" 0 500 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    cp -a "$P" "$W/backup"
    write fill "$P/t.tbl" 500 300 100
    write flockd-set "$P/t.tbl" newer "since the backup"
    proven r1
    is "$(keys_of "$W/r1")" 801 "the replica's keys"
    mv "$P" "$W/away"
    mv "$W/backup" "$P"
    # It is another directory: the agent ends, to be started anew.
    code=0
    wait "$agent_pid" || code=$?
    is "$code" 1 "the agent's exit status"
    start_agent
    must_within "$WAIT" not_well
    expect 75 ctl wait --timeout 2s
    expect 1 ctl status
    out_has HINT
    cp "$W/out" "$W/said.log"
    is "$(keys_of "$W/r1")" 801 "the replica's keys with a backup in the root's place"
    has_value "$W/r1/t.tbl/newer.kv" "since the backup" || fail "an older value came"
    # The right one is put back.
    stop_agent
    rm -r "$P"
    mv "$W/away" "$P"
    start_agent
    must_be r1 streaming
    proven r1
    is "$(keys_of "$W/r1")" 801 "the replica's keys"
}
not_well() {
    [ "$(status "$(of r1 state)")" = held ] || [ "$(status "$(of r1 state)")" = failed ] ||
        [ "$(status database.state)" = lost ]
}

# --- the trash -------------------------------------------------------------------------

bin_of() { "$DROVER_REPLICA" trash "$@"; }

# Deleted values can be brought back, with their exact names.
trash() {
    # shellcheck disable=SC2016 # the name is meant to look like that
    odd='al ice'"'"'s $HOME'
    table t.tbl
    table a.tbl/b.tbl
    write fill "$P/t.tbl" 0 10 100
    write flockd-set "$P/a.tbl/b.tbl" "$odd" "precious"
    write flockd-set "$P/t.tbl" twice "first"
    write big "$P/t.tbl" large 3000000 7
    begin_config
    add_replica r1 --trash-keep 1h
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    proven r1 r2
    expect 0 bin_of list "$W/r1"
    is "$(wc -l <"$W/out")" 0 "the values in the trash"
    write flockd-delete "$P/t.tbl" k-000003
    write flockd-delete "$P/t.tbl" large
    write flockd-delete "$P/t.tbl" twice
    converged r1
    write flockd-set "$P/t.tbl" twice "second"
    converged r1
    write flockd-delete "$P/t.tbl" twice
    rm -r "$P/a.tbl"
    proven r1 r2
    is "$(keys_of "$W/r1")" 9 "the replica's keys"
    expect 0 bin_of list "$W/r1"
    is "$(wc -l <"$W/out")" 5 "the values in the trash"
    out_has " t/k-000003$"
    out_has " 'a.tbl/b/al ice'\\\\''s \$HOME'$"
    expect_json 0 bin_of list --json --key twice "$W/r1"
    out_has '"size":5,"table":"t","key":"twice"}.*"count":2,"bytes":'
    [ ! -e "$W/r2/.drover/trash" ] || fail "a trash that nobody asked for"
    expect 0 bin_of list "$W/r2"
    out_has "no trash"
    # The database's readers see nothing of it.
    is "$(stat -c %a "$W/r1/.drover/trash")" 2750 "the mode of the trash"
    is "$(stat -c %a "$W/r1/.drover/trash/0000000000000001")" 600 "the mode of a value in it"
    [ -z "$(find "$W/r1/.drover" -name '*.kv')" ] || fail "a value in the trash looks like a key"
    expect 0 "$DROVER_KV" "$W/r1" keys --table t
    out_lacks k-000003
    expect 0 "$DROVER_KV" "$W/r1" tables
    is "$(tr '\n' ' ' <"$W/out")" "'' t " "the tables"
    # Another session knows them, too.
    stop_agent
    start_agent
    must_be r1 streaming
    expect 1 bin_of list --table t --key none "$W/r1"
    expect 0 bin_of list --table t --key twice "$W/r1"
    is "$(wc -l <"$W/out")" 2 "the values of one key"
    id=$(head -n 1 "$W/out" | cut -d' ' -f1)
    expect 0 bin_of restore "$W/r1" "$W/all"
    has_value "$W/all/a.tbl/b.tbl/$odd.kv" precious || fail "the value is not back"
    has_value "$W/all/t.tbl/twice.kv" second || fail "not the newest value"
    is "$(stat -c %s "$W/all/t.tbl/large.kv")" 3000000 "the size of the large value"
    expect 0 bin_of restore "$W/r1" "$W/one" --id "$id"
    has_value "$W/one/t.tbl/twice.kv" first || fail "not the value asked for"
    is "$(find "$W/one" -type f | wc -l)" 1 "the values restored"
    code=0
    bin_of restore "$W/r1" "$W/all" >"$W/out" 2>&1 || code=$?
    [ "$code" != 0 ] || fail "restored over what was there"
    out_has "an empty one of yours"
    # Back to the primary, and so to the replicas.
    expect 0 "$DROVER_KV" "$P" mktable a.tbl/b
    "$DROVER_KV" "$W/all" get --table a.tbl/b "$odd" |
        "$DROVER_KV" "$P" set --table a.tbl/b "$odd" || fail "the value is not taken"
    proven r1 r2
    has_value "$W/r1/a.tbl/b.tbl/$odd.kv" precious || fail "the key is not back"
    expect 0 bin_of empty "$W/r1"
    out_has "5 values"
    expect 0 bin_of list "$W/r1"
    is "$(wc -l <"$W/out")" 0 "the values in the trash"
    expect 64 bin_of list
    expect 64 bin_of dump "$W/r1"
}

# A dropped table is in it, no more than is allowed, and a kill loses nothing
# that was acknowledged.
trash_bounds() {
    table t.tbl
    write fill "$P/t.tbl" 0 300 1000
    DATABASE_EXTRA='max-delete = 100%' begin_config
    add_replica r1 --trash-keep 1h --trash-max 600K
    add_replica r2 --trash-keep 1s
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    rm -r "$P/t.tbl"
    converged r1 r2
    must_within "$WAIT" grep -q "the trash is full" "$W/agent.log"
    for pid in $(receivers_of "$W/r1"); do kill -KILL "$pid"; done
    expect 0 bin_of list "$W/r1"
    kept=$(wc -l <"$W/out")
    [ "$kept" -ge 100 ] && [ "$kept" -le 125 ] || fail "$kept values are kept in 600K"
    ! grep -q "name not known" "$W/out" || fail "a name is lost"
    must_be r1 streaming
    used=$(du -sk --apparent-size "$W/r1/.drover/trash" | cut -f1)
    [ "$used" -le 700 ] || fail "the trash takes $used KiB"
    must_within "$WAIT" aged_out
    proven r1 r2
}
aged_out() {
    bin_of list "$W/r2" >"$W/aged" && [ ! -s "$W/aged" ]
}

"$scenario"
