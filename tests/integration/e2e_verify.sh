#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_verify.sh SCENARIO LINK: verify and resync always answer, and never
# "equal" about something that is not on the replica.
# shellcheck disable=SC2034 # e2e_lib.sh uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

reason() { out_json "replicas[name=r1].not_compared[key=$1].reason"; }
side() { out_json "replicas[name=r1].not_compared[key=$1].side"; }

# One key that no replica can take (a directory is in its place), one that a
# reader on the replica holds a lock on, one that is locked on the primary and
# one that changes faster than it can be read: every question is answered, and
# the answer names them.
pending() {
    table t.tbl
    for k in locked refused here good; do write flockd-set "$P/t.tbl" $k "the first value"; done
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    rm "$W/r1/t.tbl/refused.kv"
    mkdir "$W/r1/t.tbl/refused.kv"
    "$E2E_BIN/e2e_writer" hold-shared "$W/r1/t.tbl/locked.kv" "$W/ready" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    for k in locked refused here; do write flockd-set "$P/t.tbl" $k "the second value"; done
    must_within "$WAIT" has_value "$W/r1/t.tbl/here.kv" "the second value"
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/t.tbl/here.kv" "$W/ready2" "the third value, held" &
    writer=$!
    must_within "$WAIT" test -e "$W/ready2"
    "$E2E_BIN/e2e_hot" shift "$P/t.tbl" hot 150000000 0 &
    hot=$!
    must_within "$WAIT" status_is "blocked[key=hot].side" primary
    for question in "verify --recorded" "verify --content" "resync --dry-run" "resync" "resync --content"; do
        # shellcheck disable=SC2086 # words
        expect_json 1 timeout "$WAIT" "$DROVER" --socket "$W/agent.sock" $question r1 --json
        is "$(reason locked) $(side locked)" "locked replica" "$question, the key that a reader holds,"
        is "$(reason refused) $(side refused)" "refused replica" "$question, the key that cannot be installed,"
        is "$(reason here) $(side here)" "locked primary" "$question, the key that is locked here,"
        is "$(reason hot) $(side hot)" "changing primary" "$question, the key that never holds still,"
        is "$(reason good)" null "$question, a key that is equal,"
    done
    expect 1 ctl verify r1
    out_has 'not compared  table t key refused: '
    out_has "not compared  table t key locked is locked on the replica .* (pid $holder)"
    kill "$holder" "$writer" "$hot"
    wait "$holder" "$writer" "$hot" || :
    rmdir "$W/r1/t.tbl/refused.kv"
    converged r1
    proven r1
}

# What somebody puts into a replica and a reader there would take for a key or a
# table: it has no digest, so nothing compares it, and nobody says "equal".
planted() { # WHAT NAME WORDS UNDO
    say "planted: $2"
    for question in "verify" "verify --content" "resync --dry-run" "resync"; do
        # shellcheck disable=SC2086 # words
        expect 1 ctl $question r1
        out_has "not compared  $1 cannot be read on the replica: $3"
        is "$(grep -c '^  [a-z]' "$W/out")" "$(grep -c '^  not compared' "$W/out")" "what differs, $question,"
    done
    expect 1 ctl status
    out_has "DR-306 replica r1: 1 key or table cannot be read on the replica, such as: "
    out_has "$2"
    out_has "HINT: what is there?"
    must_within "$WAIT" not_fresh
    shift 3
    "$@" || fail "$*"
    expect 0 ctl verify r1
    must_within "$WAIT" ctl status
    must_within "$WAIT" "$DROVER_REPLICA" fresh "$R" --max-age 1h
}
not_fresh() {
    code=0
    "$DROVER_REPLICA" fresh "$R" --max-age 1h >"$W/fresh" || code=$?
    [ $code = 1 ] && grep -q ', differs from the primary' "$W/fresh"
}
foreign() {
    table t.tbl
    table a/b.tbl
    write fill "$P/t.tbl" 0 5 40
    write fill "$P/a/b.tbl" 0 5 40
    begin_config
    add_unwatched r1
    start_agent
    must_be r1 streaming
    proven r1
    R=$W/r1
    # Before the first heartbeat that proves it, it was never whole.
    must_within "$WAIT" "$DROVER_REPLICA" fresh "$R" --max-age 1h
    mkdir -p "$W/out-there" "$R/plain.kv" "$R/plain"
    echo x >"$R/plain/k.kv" # no reader looks there
    echo x >"$R/notes.txt"
    expect 0 ctl verify --content r1
    echo x >"$W/out-there/k.kv"
    ln -s "$W/out-there/k.kv" "$R/t.tbl/link.kv"
    planted "table t key link" t.tbl/link.kv "a symbolic link is there" rm "$R/t.tbl/link.kv"
    ln -s nowhere "$R/dangling.kv"
    planted "table (root) key dangling" dangling.kv "a symbolic link is there" rm "$R/dangling.kv"
    ln -s "$W/out-there" "$R/l.tbl"
    planted "table l" l.tbl "a symbolic link is there" rm "$R/l.tbl"
    ln -s "$W/out-there" "$R/a/way"
    planted "table a/way" a/way "a symbolic link is there" rm "$R/a/way"
    mkfifo "$R/t.tbl/pipe.kv"
    planted "table t key pipe" t.tbl/pipe.kv "no regular file is there" rm "$R/t.tbl/pipe.kv"
    echo x >"$R/file.tbl"
    planted "table file" file.tbl "a file is there" rm "$R/file.tbl"
    [ "$(id -u)" = 0 ] && mount --bind "$W/out-there" "$R/plain" 2>/dev/null || return 0
    umount "$R/plain"
    for at in t.tbl a/b.tbl a plain; do
        mount --bind "$W/out-there" "$R/$at"
        planted "table ${at%.tbl}" "$at" "something is mounted there" umount "$R/$at"
    done
}

# A name is listed once: what cannot be read here is no difference.
once() {
    table t.tbl
    table a/b.tbl
    write fill "$P/t.tbl" 0 5 40
    write fill "$P/a/b.tbl" 0 5 40
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    stop_agent
    mv "$P/a" "$W/aside"
    ln -s "$W/aside" "$P/a"
    start_agent
    for question in resync "resync --dry-run" verify; do
        # shellcheck disable=SC2086 # words
        expect 1 ctl $question r1
        out_has "not compared  table a/b key k-00000"
        is "$(sed -n 's,^  not compared  table a/b key \(k-[0-9]*\).*,\1,p; s,^  extra  *a/b/\(k-[0-9]*\),\1,p' "$W/out" |
            sort | uniq -d | wc -l)" 0 "the keys that $question lists twice"
    done
}

# What is only slow is waited for, but not for ever.
expired() {
    table t.tbl
    write fill "$P/t.tbl" 0 20 100
    SILENCE=60s
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    receiver=$(receivers_of "$W/r1")
    kill -STOP "$receiver"
    write flockd-set "$P/t.tbl" late "on its way"
    for question in "verify" "resync --dry-run" "resync"; do
        # shellcheck disable=SC2086 # words
        expect_json 1 timeout "$WAIT" "$DROVER" --socket "$W/agent.sock" $question r1 --timeout 300ms --json
        is "$(reason late)" pending "$question, the key that is on its way,"
        is "$(out_json "replicas[name=r1].error.id")" 505 "$question, the number,"
    done
    kill -CONT "$receiver"
    proven r1
}

# What somebody does to the replica's files, with no change of the primary.
edit() {
    R=$W/r1/t.tbl
    echo "by hand" >"$R/k-000001.kv"
    : >"$R/k-000002.kv"
    rm "$R/k-000003.kv"
    echo "by hand" >"$R/added.kv"
}
kind() { out_json "replicas[name=r1].names[key=$1].kind"; }
names_all() {
    is "$(kind k-000001)" different "$1, a value that was overwritten,"
    is "$(kind k-000002)" different "$1, a value that was emptied,"
    is "$(kind k-000003)" missing "$1, a key that was removed,"
    is "$(kind added)" extra "$1, a key that was added,"
    is "$(out_json "replicas[name=r1].names[#]")" 4 "$1, the number of differences,"
}
files_of() { find "$W/$1" -name .drover -prune -o -type f -printf '%p %i %s %C@\n' | sort | cksum; }

# A plain verify looks at the disks; --recorded does not.  Who asks leaves the
# replica as it is; what a verify found is repaired afterwards, and what a dry
# run found is not.
edited() {
    table t.tbl
    write fill "$P/t.tbl" 0 20 100
    begin_config
    add_unwatched r1
    start_agent
    must_be r1 streaming
    proven r1
    edit
    expect 0 ctl verify r1 --recorded
    before=$(files_of r1)
    expect_json 1 ctl resync r1 --dry-run --json
    names_all "resync --dry-run"
    known_to_differ "a dry run"
    expect_json 1 ctl resync r1 --dry-run --content --json
    names_all "resync --dry-run --content"
    pings=$(status "$(of r1 received_bytes)")
    must_within "$WAIT" beats 1000
    expect 0 ctl verify r1 --recorded
    is "$(files_of r1)" "$before" "the replica after two dry runs"
    expect_json 1 ctl verify r1 --json
    names_all verify
    is "$(out_json "replicas[name=r1].repaired")" 0 "what the verify repaired"
    known_to_differ "a verify"
    must_within "$WAIT" ctl status
    same r1 || fail "status says that all is well, and the replica differs"
    expect 0 ctl verify r1
}
# What the replica's own scan cannot read is not known to be equal, whatever the
# digests of before say.
blind() {
    table t.tbl
    table u.tbl
    write fill "$P/t.tbl" 0 5 100
    write fill "$P/u.tbl" 0 5 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    stop_agent
    mv "$W/r1/t.tbl" "$W/aside"
    ln -s ../aside "$W/r1/t.tbl"
    start_agent
    must_within "$WAIT" status_is "warnings[id=306].id" 306
    expect 1 ctl status
    out_has "cannot be read on the replica"
    out_has "drover verify r1"
    is "$(status "$(of r1 equal_as_of)")" null "the time it was equal"
    expect 1 ctl verify r1
    expect 1 ctl status
    rm "$W/r1/t.tbl"
    mv "$W/aside" "$W/r1/t.tbl"
    expect 0 ctl verify r1
    must_within "$WAIT" ctl status
    proven r1
}

# What was found is a state: known until it is repaired.
known_to_differ() {
    expect_json 1 ctl status --json
    is "$(out_json "$(of r1 state)")" streaming "the replica's state after $1"
    is "$(out_json healthy)" false "the health after $1"
    is "$(out_json "warnings[id=402].id")" 402 "the warning after $1"
}
# Some heartbeats later: an answer to each is about 70 bytes.
beats() { [ $(($(status "$(of r1 received_bytes)") - pings)) -gt "$1" ]; }

mode_of() { stat -c %a "$W/r1/t.tbl/$1.kv"; }

# The root of an ext4 file system has a lost+found that root alone may read: nobody
# else's receiver or agent can, and nothing is wrong with that.  With any other name,
# place or owner a directory that cannot be read is a reason.
lost_found() {
    [ "$(id -u)" = 0 ] || skip "only root makes a directory that is root's"
    command -v setpriv >/dev/null || skip "needs setpriv to run as a plain user"
    as="setpriv --reuid 65534 --regid 65534 --clear-groups"
    $as test -x "$DROVER" || skip "a plain user cannot run these programs"
    table t.tbl
    write fill "$P/t.tbl" 0 5 100
    mkdir -m 700 "$P/lost+found" "$W/r1" "$W/r1/lost+found"
    chown 65534:65534 "$W" "$P" "$W/r1"
    chown -R 65534:65534 "$P/t.tbl"
    begin_config
    add_replica r1
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$as" "$DROVER" >"$W/drover"
    chmod 755 "$W/drover" "$P"
    plain=$DROVER
    DROVER=$W/drover
    start_agent
    must_be r1 streaming
    all_is_well
    # The same when it is made while all runs, and after another start.
    rmdir "$P/lost+found" "$W/r1/lost+found"
    expect 0 ctl verify r1
    mkdir -m 700 "$P/lost+found" "$W/r1/lost+found"
    all_is_well
    stop_agent
    start_agent
    must_be r1 streaming
    all_is_well
    for other in "$W/r1/found" "$W/r1/t.tbl/lost+found" "$P/found" "$P/t.tbl/lost+found"; do
        say "unreadable: $other"
        mkdir -m 700 "$other"
        expect 1 ctl verify r1
        expect 1 ctl status
        rmdir "$other"
        expect 0 ctl verify r1
    done
    chown 65533 "$W/r1/lost+found"
    expect 1 ctl verify r1
    chown 0 "$W/r1/lost+found"
    all_is_well
    # root's receiver reads it, and leaves it as it is.
    stop_agent
    chown -R 0:0 "$W"
    as=''
    DROVER=$plain
    start_agent
    must_be r1 streaming
    all_is_well
    is "$(stat -c %u:%a "$W/r1/lost+found")" 0:700 "owner and mode of lost+found"
}
all_is_well() {
    for question in "verify" "verify --content" "resync"; do
        # shellcheck disable=SC2086 # words
        expect 0 ctl $question r1
    done
    must_within "$WAIT" ctl status
    expect 0 ctl status
    out_lacks 'lost+found'
    expect 0 $as "$DROVER_REPLICA" fresh --max-age 1h "$W/r1"
}

# Equal digests are no help to a reader that is told EACCES: modes are set by
# whoever looks, and what the receiver may not set is not called equal.
modes() {
    [ "$(id -u)" = 0 ] || skip "only root can give a file to somebody else"
    command -v setpriv >/dev/null || skip "needs setpriv to run a receiver as a plain user"
    as="setpriv --reuid 65534 --regid 65534 --clear-groups"
    $as test -x "$DROVER_REPLICA" || skip "a plain user cannot run these programs"
    chmod 711 "$W"
    table t.tbl
    write fill "$P/t.tbl" 0 20 100
    mkdir "$W/r1"
    chown 65534:65534 "$W/r1"
    begin_config
    printf '[replica r1]\ncommand = %s %s receive %s\n' "$as" "$unwatched $DROVER_REPLICA" "$W/r1" >>"$conf"
    start_agent
    must_be r1 streaming
    proven r1
    # A dry run leaves even that as it is.
    chmod 600 "$W/r1/t.tbl/k-000003.kv"
    expect_json 1 ctl resync r1 --dry-run --json
    is "$(reason k-000003)" refused "a mode, in a dry run,"
    is "$(mode_of k-000003)" 600 "the mode after a dry run"
    expect_json 1 ctl status --json
    is "$(out_json "warnings[id=314].id")" 314 "the warning after a dry run"
    expect 0 ctl verify r1
    out_has "owner, group or mode set of 1 file"
    is "$(mode_of k-000003)" 640 "the mode after a verify"
    must_within "$WAIT" ctl status
    # Not its own: equal, and not readable as the settings say.
    chown 0:0 "$W/r1/t.tbl/k-000001.kv"
    chmod 644 "$W/r1/t.tbl/k-000001.kv"
    chmod 600 "$W/r1/t.tbl/k-000002.kv"
    for question in "verify" "verify --content" "verify --recorded" "resync" "resync --content"; do
        # shellcheck disable=SC2086 # words
        expect_json 1 ctl $question r1 --json
        is "$(reason k-000001)" refused "$question, the key that is not the receiver's,"
        is "$(out_json "replicas[name=r1].error.id")" 314 "$question, the number,"
        is "$(mode_of k-000002)" 640 "$question, the mode of one that is,"
    done
    expect_json 1 ctl status --json
    is "$(out_json "$(of r1 state)")" streaming "the state"
    is "$(out_json "warnings[id=314].id")" 314 "the warning"
    chown 65534:65534 "$W/r1/t.tbl/k-000001.kv"
    expect 0 ctl verify r1
    is "$(mode_of k-000001)" 640 "the mode of the key that was given back"
    must_within "$WAIT" ctl status
    proven r1
}

"$scenario"
