# SPDX-License-Identifier: MIT
#
# e2e_operate.sh: what an operator, and a program on the replica, can rely on.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# --- pause ----------------------------------------------------------------------------------

# An operator's pause is over when the operator says so: not by a restart, a crash
# or a reload of the agent.
paused() {
    table t.tbl
    write flockd-set "$P/t.tbl" k before
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    proven
    expect 0 ctl pause r1
    for how in TERM KILL reload; do
        if [ "$how" = reload ]; then
            sed -i '/^\[replica r1\]/a durability = relaxed' "$conf"
            expect 0 ctl reload
        else
            stop_agent "$how"
            start_agent
        fi
        must_be r1 paused
        write flockd-set "$P/t.tbl" k "after $how"
        must_within "$WAIT" has_value "$W/r2/t.tbl/k.kv" "after $how"
        has_value "$W/r1/t.tbl/k.kv" before || fail "a paused replica was sent to after $how"
    done
    expect 0 ctl resume r1
    must_be r1 streaming
    stop_agent
    start_agent
    must_be r1 streaming
    proven
}

# --- verify and resync --------------------------------------------------------------------

names() { out_json "replicas[name=r1].names[key=$1].kind"; }

# One value changed behind its time stamp, one removed, a key and a table added.
damage() {
    R=$W/r1/t.tbl
    cp -p "$R/k-000001.kv" "$W/kept"
    printf X | dd of="$R/k-000001.kv" conv=notrunc 2>/dev/null
    touch -r "$W/kept" "$R/k-000001.kv"
    rm "$R/k-000002.kv"
    echo "not from the primary" >"$R/extra.kv"
    mkdir "$W/r1/extra.tbl"
}
# Values that change with no event, by other names of their files: a verify that
# reads them says so, also when they are on the replicas before it has compared;
# a key that an event tells of meanwhile is none of them.
behind_its_back() {
    table t.tbl
    write fill "$P/t.tbl" 0 200 200
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    proven r1 r2
    mkdir "$W/links"
    for k in 1 2 3 4 5 6 7 8; do
        ln "$P/t.tbl/k-00000$k.kv" "$W/links/$k"
    done
    proven r1 r2
    for k in 1 2 3 4 5 6 7 8; do
        echo "changed $k" >"$W/links/$k"
    done
    "$E2E_BIN/e2e_writer" fill "$P/t.tbl" 100 100 210 # seen
    expect_json 1 ctl verify --content --json
    for r in r1 r2; do
        is "$(out_json "replicas[name=$r].different")" 8 "the number of differences on $r"
        is "$(out_json "replicas[name=$r].names[#]")" 8 "the number of names on $r"
        is "$(out_json "replicas[name=$r].names[key=k-000008].kind")" different "k-000008"
    done
    must_within "$WAIT" same r1
    must_within "$WAIT" same r2
    proven r1 r2
}

# A replica edited by hand: found, listed, and repaired, with nothing else
# touched.
edited() {
    table t.tbl
    write fill "$P/t.tbl" 0 300 200
    write fill "$P" 0 50 200
    begin_config
    add_unwatched r1
    add_unwatched r2
    start_agent
    must_be r1 streaming
    proven r1 r2
    expect 0 ctl verify
    damage
    expect_json 1 ctl verify r1 --content --json
    is "$(names k-000001)" different "k-000001"
    is "$(names k-000002)" missing "k-000002"
    is "$(names extra)" extra "extra"
    is "$(out_json "replicas[name=r1].names[#]")" 4 "the number of differences"
    is "$(out_json "replicas[name=r1].repaired")" 0 "what a verify repaired"
    expect 0 ctl verify --content r2
    # Known differences are repaired without being asked.
    must_within "$WAIT" same r1
    proven r1 r2

    # What a dry run would do, and what a resync does.
    damage
    expect_json 1 ctl resync r1 --dry-run --content --json
    is "$(out_json "replicas[name=r1].names[#]")" 4 "the number of differences"
    is "$(out_json "replicas[name=r1].repaired")" 0 "what a dry run repaired"
    expect 0 ctl resync r1 --content
    same r1 || fail "the resync did not repair: $(cat "$W/tree")"
    proven r1 r2
    # Without --content a change that shows in the file's stat is enough.
    echo "by hand" >"$R/k-000009.kv"
    expect 0 ctl resync r1
    same r1 || fail "the resync did not repair: $(cat "$W/tree")"
}

# --- the agent's life ------------------------------------------------------------------------

# SIGHUP applies only the differences.
reload() {
    table t.tbl
    write fill "$P/t.tbl" 0 50 100
    begin_config
    head -n 20 "$conf" >"$W/head"
    add_replica stays
    add_replica goes
    add_replica changes
    start_agent
    for r in stays goes changes; do must_be $r streaming; done
    receiver=$(receivers_of "$W/stays")
    gone=$(receivers_of "$W/goes")

    echo "colour = red" >>"$conf"
    kill -HUP "$agent_pid"
    must_within "$WAIT" grep -q "colour" "$W/agent.log"
    write fill "$P/t.tbl" 50 50 100
    converged stays goes changes
    expect 78 ctl reload
    out_has "agent.conf:[0-9]*:.*colour"

    cp "$W/head" "$conf"
    add_replica stays
    REPLICA_EXTRA='paused = yes' add_replica changes
    add_replica comes
    kill -HUP "$agent_pid"
    must_be comes streaming
    must_be changes paused
    must_within "$WAIT" status_is "$(of goes name)" null
    is "$(status 'replicas[#]')" 3 "the number of replicas"
    is "$(receivers_of "$W/stays")" "$receiver" "the receiver of the replica that stays"
    for pid in $gone; do must_within "$WAIT" test ! -d "/proc/$pid"; done
    write fill "$P/t.tbl" 100 50 100
    converged stays comes
    is "$(keys_of "$W/goes")" 100 "the keys of the replica that went"
    is "$(keys_of "$W/changes")" 100 "the keys of the paused replica"
    expect 64 ctl wait goes --timeout 1s
    out_has DR-504
    expect 0 ctl resume changes
    proven stays changes comes
    expect 0 ctl pause changes
    must_be changes paused
    write flockd-set "$P/t.tbl" k "during the pause"
    converged stays comes
    expect 0 ctl resume changes
    proven changes
    is "$(receivers_of "$W/stays")" "$receiver" "the receiver of the replica that stays"
}

# A replica is a file beside the agent's: added, changed and removed by reloads
# that the others do not notice.
dropins() {
    table t.tbl
    write fill "$P/t.tbl" 0 50 100
    begin_config
    add_replica main
    main_conf=$conf
    mkdir "$W/agent.d"
    chmod 755 "$W/agent.d"
    for r in stays goes; do
        conf=$W/agent.d/$r.conf add_replica $r
    done
    start_agent
    for r in main stays goes; do must_be $r streaming; done
    receivers=$(receivers_of "$W/main")/$(receivers_of "$W/stays")
    gone=$(receivers_of "$W/goes")

    mkfifo "$W/agent.d/fifo.conf"
    expect 78 "$DROVER" check-config "$main_conf"
    out_has "agent.d/fifo.conf: is a FIFO"
    expect 78 ctl reload
    out_has "agent.d/fifo.conf: is a FIFO"
    rm "$W/agent.d/fifo.conf"
    printf '\n[replica main]\nhost = x\n' >"$W/agent.d/twice.conf"
    expect 78 ctl reload
    out_has "agent.d/twice.conf:2:.*defined twice, first at .*agent.conf:[0-9]"
    rm "$W/agent.d/twice.conf"

    rm "$W/agent.d/goes.conf"
    conf=$W/agent.d/comes.conf add_replica comes
    printf '[database]\nlag-limit = 29s\n' >"$W/agent.d/limits.conf"
    expect 0 ctl reload
    out_has '[+]comes'
    out_has '[-]goes'
    out_has 'lag-limit'
    out_lacks 'stays'
    must_be comes streaming
    must_within "$WAIT" status_is "$(of goes name)" null
    is "$(status 'replicas[#]')" 3 "the number of replicas"
    is "$(receivers_of "$W/main")/$(receivers_of "$W/stays")" "$receivers" "the receivers of those that stay"
    for pid in $gone; do must_within "$WAIT" test ! -d "/proc/$pid"; done
    write fill "$P/t.tbl" 50 50 100
    converged main stays comes
    expect 0 "$DROVER" show-config "$main_conf"
    out_has "^# $W/agent.d/limits.conf:2$"
    out_has '^lag-limit = 29s$'
    cp "$W/out" "$W/whole.conf"
    expect 0 "$DROVER" check-config "$W/whole.conf"
}

# SIGTERM ends it within seconds, whatever goes on, and leaves nothing running.
terminated() {
    table t.tbl
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    "$E2E_BIN/e2e_writer" churn "$P" 1 0 500 >/dev/null 2>&1 &
    churn=$!
    write big "$P" large 50000000 1
    ctl wait --timeout 60s >/dev/null 2>&1 &
    waiter=$!
    for pid in $(receivers_of "$W/r2"); do kill -STOP "$pid"; done
    stopped=$(receivers_of "$W/r2")
    began=$(date +%s)
    stop_agent
    took=$(($(date +%s) - began))
    [ $took -le 8 ] || fail "it took $took s to stop"
    kill "$churn"
    wait "$churn" || :
    wait "$waiter" || :
    for pid in $stopped; do kill -CONT "$pid" 2>/dev/null || :; done
    must_within "$WAIT" no_receiver
    is "$(pids_of "$W/agent.conf")" "" "what still runs"
    [ ! -S "$W/agent.sock" ] || fail "the socket is left behind"
    start_agent
    proven r1 r2
}
no_receiver() { [ -z "$(receivers_of "$W/r1")$(receivers_of "$W/r2")" ]; }

# --- on the replica ----------------------------------------------------------------------------

freshness() {
    F=$W/r1/.drover/freshness
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    mkdir "$W/never"
    expect 69 "$DROVER_REPLICA" fresh "$W/never" --max-age 10s
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    must_within "$WAIT" "$DROVER_REPLICA" fresh "$W/r1" --max-age 5s
    # Idle, it goes on.
    before=$(stat -c %.Y "$F")
    must_within "$WAIT" newer_than "$before"
    before=$(stat -c %.Y "$F")
    must_within "$WAIT" newer_than "$before"
    grep -q "db=$(cat "$P/.drover/id") epoch=1 seq=[0-9]* state=streaming" "$F" || fail "it says: $(cat "$F")"
    expect 0 "$DROVER_REPLICA" status "$W/r1" --json
    is "$("$E2E_BIN/e2e_json" state <"$W/out")" streaming "the state there"
    # What is fresh as of a time has every change made before that time.
    for i in 1 2 3 4 5; do
        written=$(date +%s.%N)
        write flockd-set "$P/t.tbl" marker $i
        must_within "$WAIT" newer_than "$written"
        is "$(cat "$W/r1/t.tbl/marker.kv")" $i "a value that the freshness includes"
    done
    # A key that cannot be read holds it back, though others flow.
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/t.tbl/marker.kv" "$W/ready" "locked" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    held_at=$(date +%s.%N)
    write flockd-set "$P/t.tbl" other flows
    must_within "$WAIT" has_value "$W/r1/t.tbl/other.kv" flows
    ! until_ok 2 newer_than "$held_at" || fail "fresh, though a change is missing"
    expect 1 "$DROVER_REPLICA" fresh "$W/r1" --max-age 1s
    kill "$holder"
    wait "$holder"
    must_within "$WAIT" newer_than "$held_at"
    # Without an agent it grows stale.
    stop_agent
    before=$(stat -c %.Y "$F")
    must_within "$WAIT" is_stale
    is "$(stat -c %.Y "$F")" "$before" "the freshness without an agent"
}
newer_than() { awk -v a="$(stat -c %.Y "$W/r1/.drover/freshness")" -v b="$1" 'BEGIN { exit !(a > b) }'; }
is_stale() { "$DROVER_REPLICA" fresh "$W/r1" --max-age 1s >/dev/null || [ $? = 1 ] && ! "$DROVER_REPLICA" fresh "$W/r1" --max-age 1s; }

# Whoever owns the values on the primary: here the settings of the replica rule.
modes() {
    group=$(id -g)
    [ "$(id -u)" != 0 ] || group=65534
    table t.tbl
    table a/n.tbl
    write flockd-set "$P/t.tbl" before 1
    write flockd-set "$P/a/n.tbl" before 1
    mkdir "$W/r2"
    chmod 2755 "$W/r2"
    begin_config
    add_replica r1 --group $group --dir-mode 2750 --file-mode 0640
    add_replica r2
    # A umask must not narrow them.
    umask 077
    start_agent
    umask 022
    must_be r1 streaming
    must_be r2 streaming
    write in-place "$P/t.tbl" after 1
    table new.tbl
    chmod 600 "$P"/t.tbl/*.kv
    converged r1 r2
    for r in r1 r2; do
        bad=$(find "$W/$r" -name '*.kv' ! -perm 640 -o -name '*.tbl' ! -perm 2750 -o -name a ! -perm 2750)
        is "$bad" "" "what has another mode in $r"
    done
    bad=$(find "$W/r1" ! -gid $group)
    is "$bad" "" "what has another group"
    is "$(stat -c %a "$W/r1")" 2750 "the mode of a directory it made"
    is "$(stat -c %a "$W/r2")" 2755 "the mode of a directory that was there"
    is "$(stat -c %A "$W/r1/.drover" | cut -c5-6)" r- "what the group may do in .drover"
    must_within "$WAIT" test -e "$W/r1/.drover/freshness"
    is "$(stat -c "%a %g" "$W/r1/.drover/freshness")" "640 $group" "mode and group of the freshness"
}

# --- the control socket ---------------------------------------------------------------------------

# Another user sees that a key is blocked, but not which; and gives no orders.
another_user() {
    [ "$(id -u)" = 0 ] || skip "only root can become another user"
    command -v setpriv >/dev/null || skip "needs setpriv"
    table t.tbl
    write flockd-set "$P/t.tbl" secret-key 1
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    converged r1
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/t.tbl/secret-key.kv" "$W/ready" "the next" &
    holder=$!
    must_within "$WAIT" status_is blocked_count 1
    chmod 755 "$W"
    cp "$DROVER" "$W/drover"
    other() {
        setpriv --reuid 65534 --regid 65534 --clear-groups "$W/drover" --socket "$W/agent.sock" "$@"
    }
    expect 0 ctl status --json
    out_has secret-key
    expect 0 other status --json
    out_has '"blocked_count": *1'
    out_lacks secret-key
    expect 0 other status
    out_lacks secret-key
    for order in "pause r1" "resync" "approve r1" "verify" "reload" "resume"; do
        # shellcheck disable=SC2086 # two words
        expect 77 other $order
        out_has DR-503
    done
    kill "$holder"
    wait "$holder"
    expect 0 other wait --timeout 30s
    must_be r1 streaming
}

exit_codes() {
    expect 64 "$DROVER" statsu
    out_has "status"
    expect 64 "$DROVER" status --no-such-option
    expect 64 "$DROVER" approve
    expect 0 "$DROVER" help
    expect 0 "$DROVER" version
    agent=none
    for command in status wait resync verify pause resume reload; do
        expect 69 ctl $command
        out_has DR-502
    done
    begin_config
    cat >>"$conf" <<END
[replica r1]
comand = nothing
port = 70000
[database]
rescan = soon
END
    for how in check-config "agent --config"; do
        code=0
        # shellcheck disable=SC2086 # two words
        timeout 10 "$DROVER" $how "$conf" >"$W/out" 2>&1 || code=$?
        is $code 78 "the exit status of drover $how"
        out_has "agent.conf:[0-9]*:.*comand.*command"
        out_has "agent.conf:[0-9]*:.*port"
        out_has "agent.conf:[0-9]*:.*rescan"
    done
    code=0
    timeout 10 "$DROVER" agent --config "$W/nowhere.conf" >"$W/out" 2>&1 || code=$?
    is $code 78 "the exit status without a configuration"
    begin_config agent "$W/no-such-database"
    add_replica r1
    expect 0 "$DROVER" check-config "$conf"
    code=0
    timeout 10 "$DROVER" agent --config "$conf" >"$W/out" 2>&1 || code=$?
    is $code 78 "the exit status without a database"
    out_has no-such-database

    table t.tbl
    begin_config
    REPLICA_EXTRA='paused = yes' add_replica r1
    start_agent
    write flockd-set "$P/t.tbl" k 1
    expect 75 ctl wait --timeout 200ms
    expect 64 ctl wait nobody
    out_has r1
    expect 0 ctl resume r1
    proven r1
    expect 0 ctl status
}

# `drover agent DIR TARGET...`, with no configuration at all.
ad_hoc() {
    as_plain_user
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    PATH=$(dirname "$DROVER_REPLICA"):$PATH
    export PATH XDG_STATE_HOME="$W/xdg" XDG_RUNTIME_DIR="$W/run"
    mkdir -m 700 "$W/xdg" "$W/run"
    "$DROVER" agent "$P" "$W/r1" "exec:$DROVER_REPLICA receive '$W/r2'" 2>"$W/agent.log" &
    agent_pid=$!
    must_within "$WAIT" "$DROVER" status
    expect 0 "$DROVER" wait --timeout "${WAIT}s"
    same r1 || fail "r1 differs"
    same r2 || fail "r2 differs"
    write flockd-set "$P/t.tbl" k 1
    expect 0 "$DROVER" wait --timeout "${WAIT}s"
    expect 0 "$DROVER" verify --content
    is "$(cat "$W/r1/t.tbl/k.kv")" 1 "the value"
    stop_agent
}

"$scenario"
