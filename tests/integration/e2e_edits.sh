# SPDX-License-Identifier: MIT
#
# e2e_edits.sh: what somebody does by hand to a live replica is noticed by its
# receiver, shown by `drover status` (exit 1, DR-402, by name), and repaired
# some seconds later; nobody asked for a scan.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

exits_with() {
    code=0
    ctl status >"$W/out" 2>&1 || code=$?
    [ $code = "$1" ]
}
told_of() { exits_with 1 && grep -q -- "$1" "$W/out"; }
well_and_same() { exits_with 0 && same r1; }
writes() { "$E2E_BIN/e2e_writer" "$@"; }

# edit TEXT COMMAND...: the command is noticed, named so, and undone.
edit() {
    text=$1
    shift
    say "edit: $*"
    "$@" || fail "$*"
    must_within "$WAIT" told_of "DR-402 replica r1: changed on the replica, not by the primary: .*$text"
    must_within "$WAIT" well_and_same
}

begin() {
    table t.tbl
    table a
    table a/b.tbl
    table empty.tbl
    write fill "$P/t.tbl" 0 40 100
    write fill "$P/a/b.tbl" 0 5 100
    write fill "$P" 0 3 100
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
    must_within "$WAIT" exits_with 0
    T=$W/r1/t.tbl
    f=$T/k-000001.kv
}

put() { printf '%s' "$2" >"$1"; }
# Everything that a stat shows but for the ctime is as it was.
with_old_mtime() {
    cp -p "$1" "$W/before"
    printf '%s' "$(tr 'a-zA-Z0-9' 'b-zaB-ZA1-90' <"$W/before")" |
        dd of="$1" conv=notrunc status=none
    touch -r "$W/before" "$1"
    is "$(stat -c '%s %Y' "$1")" "$(stat -c '%s %Y' "$W/before")" "size and mtime"
}
renamed_over() { put "$1.new" "$2" && mv "$1.new" "$1"; }
hard_link() { ln "$1" "$W/link" && mv "$W/link" "$2"; }
to_directory() { rm "$1" && mkdir "$1" && touch "$1/in" && rm "$1/in" && rmdir "$1"; }

values() {
    begin
    edit 'table t key k-000001 was changed there' put "$f" overwritten
    edit 'table t key k-000001 was changed there' truncate -s 0 "$f"
    edit 'table t key k-000002 was changed there' writes truncate "$T" k-000002 7
    edit 'table t key k-000003 was changed there' writes mmap "$T" k-000003 "through a mapping"
    edit 'table t key k-000004 was changed there' with_old_mtime "$T/k-000004.kv"
    edit 'table t key k-000005 was changed there' renamed_over "$T/k-000005.kv" other
    edit 'table t key k-000006 was removed there' rm "$T/k-000006.kv"
    edit 'table t key foreign was added there' put "$T/foreign.kv" 1
    edit 'table t key huge was added there' truncate -s 1T "$T/huge.kv" # it is not read
    edit 'table t key twin was added there' hard_link "$T/k-000007.kv" "$T/twin.kv"
    edit 'table t key k-000008 was removed there' mv "$T/k-000008.kv" "$W/away"
    edit 'table (root) key k-000000 was changed there' put "$W/r1/k-000000.kv" 1
    edit 'table a/b key k-000001 was changed there' put "$W/r1/a/b.tbl/k-000001.kv" 1
    edit 'table t key k-000009 was removed there' to_directory "$T/k-000009.kv"
    grep -q 'changed on the replica, not by the primary: table t key k-000001' "$W/agent.log" ||
        fail "the log does not say so"
    proven r1
}

rmdir_full() { rm -r "$1"; }
new_table() { mkdir "$1" && put "$1/k.kv" 1; }
copied_table() { cp -r "$1" "$2"; }

tables() {
    begin
    edit 'table empty was removed there' rmdir "$W/r1/empty.tbl"
    edit 'table \(t\|t key .*\) was removed there' rmdir_full "$W/r1/t.tbl"
    edit 'table \(new\|new key k\) was added there' new_table "$W/r1/new.tbl"
    edit 'table \(c\|c key .*\) was added there' copied_table "$T" "$W/r1/c.tbl"
    edit 'table \(t\|u\|u key .*\) was \(removed\|added\) there' mv "$T" "$W/r1/u.tbl"
    edit 'table a/b was removed there' mv "$W/r1/a/b.tbl" "$W/away"
    # A table that came after the receiver's start is watched, too.
    table late.tbl
    write flockd-set "$P/late.tbl" k 1
    must_within "$WAIT" well_and_same
    edit 'table late key k was changed there' put "$W/r1/late.tbl/k.kv" 2
    # And one that went and came again.
    edit 'table empty was removed there' rmdir "$W/r1/empty.tbl"
    edit 'table empty key k was added there' put "$W/r1/empty.tbl/k.kv" 2
    proven r1
}

# What is no file in a key's place, nobody removes but the operator.
others() {
    begin
    rm "$f"
    ln -s /etc/passwd "$f"
    mkdir "$W/dir" && mv "$T/k-000002.kv" "$W/away" && mv "$W/dir" "$T/k-000002.kv"
    must_within "$WAIT" told_of 'DR-402 replica r1: .* was removed there'
    must_within "$WAIT" told_of 'table t key k-00000[12]: .*not a regular file'
    rm "$f"
    rmdir "$T/k-000002.kv"
    must_within "$WAIT" well_and_same
    # Modes are set again by the receiver itself, and nobody is told.
    chmod 0600 "$T/k-000003.kv"
    must_within "$WAIT" mode_is "$T/k-000003.kv" 640
    chmod 0700 "$T"
    must_within "$WAIT" mode_is "$T" 2750
    # While the link is down: the next session's scan sees it.
    expect 0 ctl pause r1
    must_within "$WAIT" gone r1
    put "$T/k-000004.kv" edited
    expect 0 ctl resume r1
    must_within "$WAIT" well_and_same
    # The primary's change of the same key wins.
    put "$T/k-000005.kv" edited
    write flockd-set "$P/t.tbl" k-000005 "the primary's"
    must_within "$WAIT" well_and_same
    has_value "$T/k-000005.kv" "the primary's" || fail "the edit won"
    proven r1
}
mode_is() { [ "$(stat -c %a "$1")" = "$2" ]; }
gone() { [ -z "$(receivers_of "$W/$1")" ]; }

fresh() { "$DROVER_REPLICA" fresh "$W/r1" --max-age 1h >"$W/fresh"; }
not_fresh() {
    code=0
    fresh || code=$?
    [ $code = 1 ] && grep -q ', differs from the primary' "$W/fresh"
}
well_and_fresh() { exits_with 0 && fresh; }

# odd WORDS UNDO COMMAND...: what stands there then is no value, which is told by
# name, with nobody asking for a scan, until UNDO has taken it away.
odd() {
    words=$1
    undo=$2
    shift 2
    say "planted: $*"
    "$@" || fail "$*"
    must_within "$WAIT" told_of "DR-306 replica r1: .*cannot be read on the replica, such as: .*$words"
    must_within "$WAIT" not_fresh
    $undo || fail "$undo"
    must_within "$WAIT" well_and_fresh
}
moved_in() { ln -s "$W/out-there" "$1.tmp" && mv -T "$1.tmp" "$2"; }
moved_in_table() { mkdir "$W/new" && ln -s nowhere "$W/new/l.kv" && mv "$W/new" "$1"; }

# Beside the primary's keys and tables, and in their place.
planted() {
    begin
    must_within "$WAIT" fresh
    R=$W/r1
    mkdir "$W/out-there"
    echo x >"$W/out-there/k.kv"
    for at in t.tbl/x.kv x.tbl; do
        odd "$at.*: a symbolic link" "rm $R/$at" ln -s "$W/out-there/k.kv" "$R/$at"
        odd "$at.*: a symbolic link to a directory" "rm $R/$at" ln -s "$W/out-there" "$R/$at"
        odd "$at.*: no regular file" "rm $R/$at" mkfifo "$R/$at"
    done
    for at in x.kv a/b.tbl/x.kv t.tbl/x.tbl a/x.tbl; do
        odd "$at.*: a symbolic link" "rm $R/$at" ln -s nowhere "$R/$at"
    done
    odd 'way.*: a symbolic link to a directory' "rm $R/a/way" ln -s "$W/out-there" "$R/a/way"
    odd 'x.tbl.*: a symbolic link' "rm $R/x.tbl" moved_in "$R/in" "$R/x.tbl"
    # A table that is one too many: named for itself, or once it is to be deleted
    # for what is in the way.
    moved_in_table "$R/new.tbl" || fail "new.tbl"
    must_within "$WAIT" told_of 'DR-30[68] .*l.kv.*: \(a symbolic link\|not a regular file\)'
    must_within "$WAIT" not_fresh
    rm -r "$R/new.tbl"
    must_within "$WAIT" well_and_fresh
    odd 'x.tbl.*: its name is not a key' "rm $R/x.tbl" put "$R/x.tbl" x
    [ "$(id -u)" != 0 ] || odd 'dev.kv.*: no regular file' "rm $R/t.tbl/dev.kv" mknod "$R/t.tbl/dev.kv" c 1 3
    # Two at once: the state stays until both have gone.
    ln -s nowhere "$R/t.tbl/y.kv"
    mkfifo "$R/x.tbl"
    must_within "$WAIT" told_of 'DR-306 replica r1: 2 keys or tables'
    rm "$R/t.tbl/y.kv"
    odd 'x.tbl.*: no regular file' "rm $R/x.tbl" true
    # In a key's place: beside what is to be repaired.
    rm "$f"
    ln -s nowhere "$f"
    must_within "$WAIT" told_of 'k-000001'
    rm "$f"
    must_within "$WAIT" well_and_same
    # What was there when the session began, and goes while nobody looks.
    expect 0 ctl pause r1
    must_within "$WAIT" gone r1
    ln -s nowhere "$R/t.tbl/y.kv"
    mkdir "$R/p.kv"
    expect 0 ctl resume r1
    odd 'y.kv.*: a symbolic link' "rm $R/t.tbl/y.kv" true
    proven r1
}

planted_plain() {
    as_plain_user
    planted
}

mounted() {
    [ "$(id -u)" = 0 ] || skip "only root may mount"
    begin
    must_within "$WAIT" fresh
    R=$W/r1
    mkdir "$W/out-there"
    mount --bind "$W/out-there" "$R/a" 2>/dev/null || skip "nothing can be mounted here"
    umount "$R/a"
    must_within "$WAIT" well_and_fresh
    for at in t.tbl a/b.tbl a empty.tbl; do
        odd "$(basename $at): something is mounted there" "umount $R/$at" mount --bind "$W/out-there" "$R/$at"
        odd "$(basename $at): something is mounted there" "umount $R/$at" mount -t tmpfs none "$R/$at"
    done
    # Over a key: that is another value, which the primary cannot replace.
    mount --bind "$W/out-there/../r1/t.tbl/k-000002.kv" "$f"
    must_within "$WAIT" told_of 'table t key k-000001'
    umount "$f"
    must_within "$WAIT" well_and_same
    proven r1
}

# Readers change nothing, and raise nothing; nor does the receiver's own work.
quiet() {
    begin
    i=0
    while [ $i -lt 20 ]; do
        cat "$T"/*.kv >/dev/null
        flock -s "$f" true
        flock -x "$f" true
        write fill "$P/t.tbl" 0 40 100
        write fill "$P/t.tbl" 40 40 $((100 + i))
        i=$((i + 1))
    done
    table x.tbl
    write fill "$P/x.tbl" 0 2000 100
    rm -r "$P/x.tbl"
    must_within "$WAIT" well_and_same
    proven r1
    ! grep -q 'changed on the replica' "$W/agent.log" || fail "something was taken for an edit"
    expect_json 0 ctl status --json
}

# What somebody does to a value without changing it is no edit, also not beside
# the receiver's own installs and deletes of the same keys.
touched() {
    write fill "$P" 1000 1500 100
    begin
    round=0
    while [ $round -lt 12 ]; do
        # A name that is gone by now is none to touch.
        find "$W/r1" -name '*.kv' -exec touch -c {} + 2>"$W/touch.err" || :
        writes churn "$P" $((round + ${E2E_SEED:-7})) 300 500
        round=$((round + 1))
    done
    must_within "$WAIT" well_and_same
    ! grep 'changed on the replica' "$W/agent.log" || fail "it was taken for an edit"
}

# storm COMMAND...: over and over, until stop_storms.
storm() {
    (
        i=0
        until [ -e "$W/enough" ]; do
            "$@" $i
            i=$((i + 1))
        done
    ) &
    storms="${storms:-} $!"
}
stop_storms() {
    : >"$W/enough"
    for pid in $storms; do wait "$pid" || fail "a storm ended badly"; done
}
another_over() { put "$1.new" "edited $2" && mv "$1.new" "$1"; }
other_key() { write flockd-set "$P/t.tbl" other "$1"; }
again_and_again() {
    cp "$1" "$W/copy"
    mv "$W/copy" "$1"
    touch "$1"
}

# Who never rests is noticed, also while the primary never rests.
restless() {
    begin
    storm other_key
    storm another_over "$f"
    must_within "$WAIT" told_of 'DR-402 replica r1: .*table t key k-000001 was changed there'
    stop_storms
    must_within "$WAIT" well_and_same
}

# The same without another value is no edit.
idle() {
    begin
    storm other_key
    storm again_and_again "$f"
    i=0
    while [ $i -lt 300 ]; do
        write flockd-set "$P/t.tbl" k $i
        expect 0 ctl wait r1 --timeout "${WAIT}s"
        i=$((i + 1))
    done
    stop_storms
    must_within "$WAIT" well_and_same
    ! grep 'changed on the replica' "$W/agent.log" || fail "it was taken for an edit"
}

# What cannot be read, because its editor has it locked, is told all the same,
# and repaired when the lock is gone.
locked() {
    begin
    (
        exec 9<>"$f"
        flock -x 9
        printf edited >&9
        : >"$W/locked"
        until [ -e "$W/unlock" ]; do :; done
    ) &
    editor=$!
    until_ok "$WAIT" test -e "$W/locked"
    must_within "$WAIT" told_of 'DR-402 replica r1: .*table t key k-000001'
    : >"$W/unlock"
    wait "$editor"
    must_within "$WAIT" well_and_same
}

# Told by JSON, paused in time, and kept then.
paused() {
    begin
    put "$f" edited
    must_within "$WAIT" told_of 'DR-402 replica r1: .*table t key k-000001'
    expect 0 ctl pause r1
    has_value "$f" edited || fail "it was repaired at once"
    is "$(status "warnings[id=402].id")" 402 "the warning"
    expect 0 ctl resume r1
    must_within "$WAIT" well_and_same
}

# Without inotify it is said, and nothing is noticed before a read: the other
# scenarios are no proof of anything else.
unwatched() {
    table t.tbl
    write fill "$P/t.tbl" 0 40 100
    begin_config
    add_unwatched r1
    start_agent
    must_be r1 streaming
    proven r1
    grep -q 'edits made here by hand are noticed by scans alone.*max_user_instances' "$W/agent.log" ||
        fail "it does not say that it cannot watch"
    put "$W/r1/t.tbl/k-000001.kv" edited
    # Many heartbeats later, which come with a change each, all seems well.
    i=0
    while [ $i -lt 10 ]; do
        write flockd-set "$P/t.tbl" k $i
        expect 0 ctl wait r1 --timeout "${WAIT}s"
        i=$((i + 1))
    done
    exits_with 0 || fail "it is noticed without a watch"
    expect 1 ctl verify r1
    must_within "$WAIT" well_and_same
}

"$scenario"
