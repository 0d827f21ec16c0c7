# SPDX-License-Identifier: MIT
#
# e2e_check.sh: `drover check` says whether it works, changes nothing and
# disturbs nobody.  What is wrong with a link is in e2e_login.sh and
# e2e_remedies.sh, each number with and without an agent.  See e2e_lib.sh.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

check() { "$DROVER" --config "$conf" check "$@"; }
# finding WHAT [REPLICA] FIELD: of the object in $W/out.
about() { out_json "findings[what=$1].$2"; }
# Everything below a directory, but when it was read.
picture() { (cd "$1" && find . -printf '%p %y %m %u %g %s %T@ %i\n' | sort); }
unchanged() {
    picture "$1" >"$W/after"
    cmp -s "$2" "$W/after" || fail "$1 was changed: $(diff "$2" "$W/after")"
}

# Before the first start, and after a stop.
without() {
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    begin_config
    add_replica r1
    picture "$P" >"$W/before"
    expect 0 check
    out_has '^ok    path'
    out_has '^warn  agent          DR-502'
    out_has '^r1:'
    out_has '^ok    receiver'
    out_lacks '^fail'
    unchanged "$P" "$W/before"
    [ ! -e "$W/r1" ] || fail "a check has made the replica"
    [ ! -e "$W/state-agent" ] || fail "a check has made the state directory"
    expect 1 check --strict
    expect_json 0 check r1 --json
    is "$(out_json verdict)" warn verdict
    is "$(about agent id)" 502 "the agent's number"
    is "$(about receiver replica)" r1 "the receiver's replica"
    [ "$link" = exec ] || is "$(about login level)" ok "the login"
    expect 64 check nope
    out_has "DR-504 no replica is named nope; there are: r1"

    start_agent
    proven
    stop_agent
    picture "$W/r1" >"$W/before"
    expect 0 check
    out_lacks '^fail'
    unchanged "$W/r1" "$W/before"
}

# Beside a session, which it leaves alone.
running() {
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    begin_config
    add_replica r1
    start_agent
    proven
    sessions=$(status "$(of r1 sessions)")
    "$E2E_BIN/e2e_tree" list "$W/r1" >"$W/before"
    for n in 1 2 3; do
        expect_json 0 check --json
        is "$(about 'whole way' level)" ok "the whole way, $n"
        is "$(about session level)" ok "the session, $n"
        is "$(about receiver level)" ok "the receiver, $n"
        is "$(about writer level)" ok "the live one beside it, $n"
        is "$(about confinement level)" ok "its sandbox, $n"
        is "$(about copy level)" ok "whose copy it is, $n"
        is "$(out_json fail)" 0 failures
    done
    # The agent says which file it has.
    expect 0 ctl check r1
    out_has '^ok    config'
    out_has '^ok    whole way'
    expect 0 ctl check --quiet
    out_lacks '^ok'
    is "$(status "$(of r1 sessions)")" "$sessions" "sessions since"
    "$E2E_BIN/e2e_tree" list "$W/r1" >"$W/after"
    cmp -s "$W/before" "$W/after" || fail "the replica holds something else"
    same r1 || fail "r1 differs"

    # A receiver that does not go on is not the whole way.
    receiver=$(receivers_of "$W/r1" | head -n 1)
    kill -STOP "$receiver"
    expect 1 ctl check r1 --timeout 1s
    out_has '^fail'
    kill -CONT "$receiver"
    must_be r1 streaming
    must_within "$WAIT" ctl check r1

    expect 0 ctl pause r1
    expect 0 ctl check r1
    out_has '^warn  session .*paused'
    out_lacks '^ok    whole way'
    expect 0 ctl resume r1
    must_within "$WAIT" ctl check r1

    # What status calls unhealthy, a check does as well.
    rm -f "$P/t.tbl/link.kv"
    ln -s nowhere "$P/t.tbl/link.kv"
    must_within "$WAIT" unhealthy
    expect 1 ctl check
    out_has '^fail  agent says'
}
unhealthy() { ! ctl status >"$W/status" 2>&1; }

# What the receiver would tell an agent, it tells who asks, with no agent there.
other_side() {
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    begin_config
    add_replica r1
    start_agent
    proven
    stop_agent
    # Of another database, with a newer primary, promoted, with keys of nobody.
    sed -i 's/^epoch .*/epoch 9/' "$W/r1/.drover/replica"
    checked r1 303
    cp "$P/.drover/id" "$W/id"
    rm -r "$P/.drover" "$W/state-agent"
    "$DROVER" init "$P" >"$W/out" || fail "init"
    checked r1 302
    rm "$W/r1/.drover/replica"
    checked r1 307
    mv "$W/id" "$W/r1/.drover/id"
    checked r1 323
    rm -r "$W/r1"
    : >"$W/r1"
    checked r1 304
    rm "$W/r1"
    expect 0 check r1
    out_lacks '^fail'

    # A disk that is full, or read-only.
    [ "$(id -u)" = 0 ] || return 0
    mkdir "$W/r1"
    mount -t tmpfs -o size=64k tmpfs "$W/r1" 2>/dev/null || return 0
    dd if=/dev/zero of="$W/r1/filler" bs=4k 2>/dev/null || :
    checked r1 305
    rm "$W/r1/filler"
    expect 0 check r1
    mount -o remount,ro "$W/r1"
    checked r1 306
}

# What is wrong with the database itself.
database() {
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    begin_config
    add_replica r1
    mv "$P" "$W/away"
    expect_json 1 check --json
    is "$(about path id)" 104 "a database that is not there"
    case $(about path hint) in *"findmnt -T $P"*) ;; *) fail "no findmnt: $(about path hint)" ;; esac
    mv "$W/away" "$P"

    start_agent
    proven
    stop_agent
    rm "$P/.drover/id"
    expect_json 0 check --json
    is "$(about identity id)" 105 "a database without an id"
    "$DROVER" init "$P" >"$W/out" || fail "init"
    expect_json 1 check --json
    is "$(about identity id)" 104 "a database with another id"
    rm -r "$P/.drover"
    mkdir "$P/.drover"
    cp "$W/r1/.drover/replica" "$P/.drover/replica"
    expect_json 1 check --json
    is "$(about identity id)" 110 "a replica"

    echo '[databse]' >>"$conf"
    expect 78 check
    out_has DR-501
    out_has "HINT: .*drover check-config $conf"
    expect 64 "$DROVER" check --config "$conf" --db x
}

# The kernel's limits, lowered for a user namespace.
limits() {
    unshare -Ur true 2>/dev/null || skip "needs a user namespace"
    table a.tbl
    table b.tbl
    begin_config
    add_replica r1
    # with NAME=NUMBER...
    with() {
        unshare -Ur sh -c 'for l; do case $l in *=*) echo "${l#*=}" >"/proc/sys/user/${l%%=*}" || exit 7 ;; esac; done
            exec "$0" --config "$CONF" check --json' "$DROVER" "$@"
    }
    export CONF="$conf"
    expect_json 0 with max_inotify_watches=1000
    is "$(about watches level)" ok "enough watches"
    expect_json 1 with max_inotify_watches=2
    is "$(about watches id)" 101 "too few watches"
    case $(about watches hint) in *fs.inotify.max_user_watches*) ;; *) fail "$(about watches hint)" ;; esac
    expect_json 0 with max_inotify_watches=5
    is "$(about watches level)" warn "few watches"
    expect_json 1 with max_inotify_instances=0
    is "$(about instances id)" 102 "no instance"
}

# It is the agent's user that counts, when root asks.
as_user() {
    [ "$(id -u)" = 0 ] || skip "only root can look as another user"
    getent passwd nobody >/dev/null || skip "no account nobody"
    chmod 755 "$W"
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    begin_config
    add_replica r1
    mkdir "$W/state-agent" "$W/r1"
    chown nobody "$W/state-agent" "$P" "$W/r1"
    chmod 700 "$P/t.tbl"
    expect_json 1 check --json
    is "$(about 'read access' id)" 103 "a table that nobody may not read"
    case $(about config text) in *"as user nobody") ;; *) fail "as whom? $(about config text)" ;; esac
    chmod -R a+rX "$P"
    expect_json 0 check --json
    is "$(about 'read access' level)" ok "what all may read"
}

# The same without rights of its own.
plain() {
    as_plain_user
    table t.tbl
    write flockd-set "$P/t.tbl" k 1
    begin_config
    add_replica r1
    expect 0 check
    chmod 0 "$P/t.tbl/k.kv"
    expect_json 1 check --json
    is "$(about 'read access' id)" 103 "a key without rights"
    case $(about 'read access' text) in *k.kv*) ;; *) fail "which? $(about 'read access' text)" ;; esac
    chmod 600 "$P/t.tbl/k.kv"
    mkdir "$P/plain"
    chmod 0 "$P/plain"
    expect_json 1 check --json
    is "$(about 'read access' id)" 103 "a directory without rights"
    rmdir "$P/plain"
    start_agent
    must_be r1 streaming
    must_within "$WAIT" check
    expect 0 check
    out_has '^ok    whole way'
}

# A receiver of an earlier version knows no such question: it refuses the
# protocol, with its version.
older() {
    text='the agent speaks protocol 65535 to 65535, this receiver (version 0.0.9) 2 to 3'
    cat >"$W/older" <<END
#!/bin/sh
echo 'drover-replica: running without the Landlock sandbox: the kernel has none' >&2
printf '\\211DRV\\r\\n\\032\\n'
printf '\\$(printf %o $((${#text} + 7)))\\0\\0\\0\\020\\325\\0\\$(printf %o ${#text})\\0%s\\0\\0' '$text'
exec cat >/dev/null
END
    chmod +x "$W/older"
    table t.tbl
    begin_config
    printf '[replica old]\ncommand = %s\n' "$W/older" >>"$conf"
    expect_json 0 check --json
    is "$(about receiver level)" warn "an older receiver"
    case $(about receiver text) in *"version 0.0.9 answers"*) ;; *) fail "$(about receiver text)" ;; esac
    case $(about confinement text) in *"without the Landlock sandbox"*) ;; *) fail "its sandbox: $(about confinement text)" ;; esac
}

# One that is silent and does not heed SIGTERM is killed when its time is over.
stubborn() {
    cat >"$W/stubborn" <<END
#!/bin/sh
trap 'echo told >$W/told' TERM
while :; do tail -f /dev/null; done
END
    chmod +x "$W/stubborn"
    table t.tbl
    begin_config
    printf '[replica old]\ncommand = %s\n' "$W/stubborn" >>"$conf"
    expect_json 1 check --timeout 1s --json
    is "$(about receiver id)" 209 "a silent receiver"
    [ ! -e "$W/told" ] || fail "it was waited for"
    out_lacks "$W/told"
}

# Somebody else hears what the agent says, and no more.
stranger() {
    [ "$(id -u)" = 0 ] || skip "only root can become another user"
    command -v setpriv >/dev/null || skip "needs setpriv"
    table t.tbl
    write flockd-set "$P/t.tbl" secret-key 1
    begin_config
    add_replica r1
    start_agent
    proven
    chmod 755 "$W"
    chmod 600 "$conf"
    cp "$DROVER" "$W/drover"
    other() {
        setpriv --reuid 65534 --regid 65534 --clear-groups "$W/drover" --socket "$W/agent.sock" "$@"
    }
    expect 0 other check
    out_has '^warn  config .*agent.conf'
    out_has '^ok    session'
    out_has '^warn  whole way .*DR-503'
    out_lacks secret-key
    chmod 644 "$conf"
    expect 0 other check
    out_has '^warn  this host'
    out_has '^ok    session'
}

# An agent without a file says what it knows.
adhoc() {
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    XDG_RUNTIME_DIR=$W XDG_STATE_HOME=$W/home
    export XDG_RUNTIME_DIR XDG_STATE_HOME
    mkdir "$W/home"
    "$DROVER" agent "$P" "exec:$DROVER_REPLICA receive $W/r1" 2>"$W/adhoc.log" &
    agent_pid=$!
    must_within "$WAIT" "$DROVER" check
    expect 0 "$DROVER" check
    out_has 'command line'
    out_has '^ok    whole way'
    stop_agent
    expect 69 "$DROVER" check
    out_has DR-502
}

# The other side, by hand on its host.
replica() {
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    begin_config
    add_replica r1 --dir-mode 0755 --file-mode 0644
    expect 0 "$DROVER_REPLICA" check "$W/r1"
    out_has '^warn  directory .*is made when'
    [ ! -e "$W/r1" ] || fail "a check has made the replica"
    start_agent
    proven
    must_within "$WAIT" grep -q 'state=streaming' "$W/r1/.drover/freshness"
    expect 0 "$DROVER_REPLICA" check "$W/r1" --dir-mode 0755 --file-mode 0644
    out_has '^ok    writer .*live: pid'
    out_has '^ok    freshness'
    out_has '^ok    modes'
    out_has '^ok    writing'
    out_lacks '^fail'
    expect_json 0 "$DROVER_REPLICA" check "$W/r1" --dir-mode 0700 --json
    is "$(about modes id)" 314 "modes that are not the settings'"
    expect 1 "$DROVER_REPLICA" check "$W/r1" --dir-mode 0700 --strict
    expect_json 1 "$DROVER_REPLICA" check "$W/none/r1" --json
    is "$(about directory id)" 304 "no place for a directory"
    expect 64 "$DROVER_REPLICA" check
    expect 64 "$DROVER_REPLICA" check "$W/r1" --group no-such-group
    # It was seen by nobody.
    status_is "$(of r1 error)" null || fail "the check disturbed: $(status "$(of r1 error)")"
    proven
    kill -STOP "$agent_pid"
    "$DROVER_REPLICA" check "$W/r1" >"$W/out" || fail "a silent agent is no failure here"
    kill -CONT "$agent_pid"
    stop_agent

    # A full disk, and one that is read-only.
    [ "$(id -u)" = 0 ] || return 0
    mkdir "$W/small"
    mount -t tmpfs -o size=64k tmpfs "$W/small" 2>/dev/null || return 0
    expect_json 0 "$DROVER_REPLICA" check "$W/small" --json
    is "$(about writing level)" ok "writing to a small disk"
    dd if=/dev/zero of="$W/small/filler" bs=4k 2>/dev/null || :
    expect_json 1 "$DROVER_REPLICA" check "$W/small" --json
    is "$(about writing id)" 305 "writing to a full disk"
    is "$(about space id)" 305 "the space of a full disk"
    mount -o remount,ro "$W/small"
    expect_json 1 "$DROVER_REPLICA" check "$W/small" --json
    is "$(about writing id)" 306 "writing to a disk that is read-only"
}

# Root asks as the user that owns the copy; and so does the receiver.
receiver_user() {
    [ "$(id -u)" = 0 ] || skip "only root can look as another user"
    # A process that has become another user may not look at its own threads.
    export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
    getent passwd nobody >/dev/null || skip "no account nobody"
    chmod 755 "$W"
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    begin_config
    add_replica r1
    mkdir "$W/state-agent" "$W/above" "$W/r1" "$W/r1/a.tbl"
    mkdir "$W/above/r"
    chown nobody "$W/state-agent" "$P" "$W/r1" "$W/r1/a.tbl" "$W/above/r"
    chmod 700 "$W/above"
    expect_json 1 "$DROVER_REPLICA" check "$W/above/r" --json
    is "$(about directory id)" 304 "a way that its user may not go"
    chmod 755 "$W/above"
    expect_json 0 "$DROVER_REPLICA" check "$W/above/r" --json
    is "$(about owner level)" ok "whose rights count"
    (cd "$W/above" && chmod 750 . && chown 0:65534 . && "$DROVER_REPLICA" check r >"$W/out") ||
        fail "a relative path: $(cat "$W/out")"
    expect_json 1 "$DROVER_REPLICA" check "$W/above/r" --group root --json
    is "$(about group id)" 304 "a group that its user is not in"

    chown root "$W/r1/a.tbl"
    expect_json 1 "$DROVER_REPLICA" check "$W/r1" --json
    is "$(about rights id)" 313 "a table of root"
    expect_json 1 check --json
    is "$(about rights id)" 313 "a table of root, seen by the receiver"
    case $(about rights text) in *"table a: "*) ;; *) fail "which? $(about rights text)" ;; esac
    case $(about rights hint) in *"$W/r1/a.tbl"*) ;; *) fail "where? $(about rights hint)" ;; esac
}

"$scenario"
