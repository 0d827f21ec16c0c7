# SPDX-License-Identifier: MIT
#
# e2e_events.sh: what happened last night is one command: with and without an
# agent, over its restarts, for those who may know.  See e2e_lib.sh.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

begin() {
    table t.tbl
    write fill "$P/t.tbl" 0 20 100
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    must_be r1 streaming
    must_be r2 streaming
}
by_file() { "$DROVER" --config "$conf" "$@"; }
# told WORDS...: among the events.
told() {
    ctl events >"$W/out" 2>&1 && grep -q -- "$*" "$W/out"
}
# No function of the shell: signals are for the command itself.
follow() {
    "$DROVER" --socket "$W/agent.sock" events "$1" >"$W/followed" 2>&1 &
    follower=$!
    must_within "$WAIT" grep -q ready "$W/followed"
}
numbers() { sed -n 's/^.* #\([0-9]*\) .*/\1/p' "$W/out"; }

kept() {
    begin
    for pid in $(receivers_of "$W/r1"); do kill -KILL "$pid"; done
    must_within "$WAIT" told 'warning  link_down replica=r1 .*killed by signal 9'
    expect 0 ctl pause r2
    expect 0 ctl resume r2
    expect 0 ctl verify
    must_within "$WAIT" told 'state replica=r1 .*-> streaming'
    # Of one replica alone, and from a number on.
    expect 0 ctl events r1
    out_has 'replica=r1'
    out_lacks 'replica=r2'
    expect 0 ctl events --since 1h
    out_has ' #1 notice   agent_started '
    n=$(numbers | tail -n 1)
    expect 0 ctl events --since "$n"
    is "$(numbers | head -n 1)" "$n" "the first number"
    expect 0 ctl events --since '2026-01-31 22:00'
    out_has ' #1 '
    expect 78 "$DROVER" --config "$W/none.conf" events
    is "$(grep -c 'DR-501' "$W/out")" 1 "how often a missing file is told"
    expect 64 ctl events --since yesterday
    out_has '8h'
    expect_json 0 ctl events --json
    is "$(out_json 'events[n=1].event')" agent_started "the first event"

    # Not for everybody: texts may have names of keys.
    if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
        chmod 755 "$W"
        cp "$DROVER" "$W/drover"
        expect 77 setpriv --reuid 65534 --regid 65534 --clear-groups "$W/drover" \
            --socket "$W/agent.sock" events
    fi

    # Without an agent, from what it left; after a restart, and a kill.
    stop_agent
    expect 69 ctl events
    expect 69 by_file events --follow
    out_has 'DR-502'
    expect 0 by_file events -q
    is "$(cat "$W/out")" "" "the output of events -q"
    expect 0 by_file events
    out_has agent_stopped
    out_has 'link_down replica=r1'
    start_agent
    must_be r1 streaming
    expect 0 ctl events
    out_has 'link_down replica=r1'
    stop_agent KILL
    start_agent
    must_be r1 streaming
    expect 0 ctl events --since 1h
    out_lacks 'no record of'
    is "$(numbers | wc -l)" "$(numbers | tail -n 1)" "the numbers without a gap"
    expect 0 by_file events
    out_has 'link_down replica=r1'
}

followed() {
    begin
    follow --follow
    must_within "$WAIT" grep -q 'state replica=r1 start -> streaming' "$W/followed"
    expect 0 ctl pause r1
    must_within "$WAIT" grep -q 'state replica=r1 streaming -> paused' "$W/followed"
    is "$(grep -c ' #1 ' "$W/followed")" 1 "each event is shown once"
    kill -INT "$follower"
    code=0
    wait "$follower" || code=$?
    is $code 130 "the exit status"
    # The end of the agent is the end of it, and no silence.
    follow -f
    stop_agent
    code=0
    wait "$follower" || code=$?
    is $code 69 "the exit status without an agent"
}

# A record that cannot be written is told of, and one that cannot be read is no
# empty one.
broken() {
    begin
    stop_agent
    rm "$W/state-agent/events"
    mkfifo "$W/state-agent/events"
    expect 69 by_file events
    out_has 'events is no regular file'
    out_lacks 'no events'
    start_agent
    must_be r1 streaming
    must_within "$WAIT" grep -q 'events_not_written DR-106' "$W/agent.log"
    expect 1 ctl status
    out_has 'DR-106 the record of events in'
    out_has "mv $W/state-agent/events $W/state-agent/events.old"
    mv "$W/state-agent/events" "$W/state-agent/events.old"
    must_within "$WAIT" grep -q 'events_written' "$W/agent.log"
    expect 0 ctl status
    is "$(grep -c events_not_written "$W/agent.log")" 1 "it is said once"
    stop_agent
    # Escape sequences do not reach the terminal.
    printf '{"n":1,"time":"2026-01-31T12:00:00.000Z","level":"info","event":"e","replica":"\\u001b[2J","text":"\\u001b]0;x\\u0007"}\n' \
        >"$W/state-agent/events"
    expect 0 by_file events
    if grep -q "$(printf '\033')" "$W/out"; then fail "an escape sequence"; fi
    echo damaged >"$W/state-agent/events"
    expect 69 by_file events
    out_has 'no line of it is an event'
    start_agent
    must_be r1 streaming
    grep -q 'events_damaged DR-106' "$W/agent.log" || fail "nothing in the log"
    is "$(cat "$W/state-agent/events.bad")" damaged "what was there"
    expect 0 ctl events
    is "$(numbers | head -n 1)" 1001 "the first number"
}

# Whatever the level and the form of the log.
logged() {
    table t.tbl
    write fill "$P/t.tbl" 0 20 100
    begin_config
    add_replica r1
    AGENT_OPTIONS='--log-format json --log-level error'
    start_agent
    must_be r1 streaming
    must_within "$WAIT" told 'info     link_up replica=r1'
    : >"$W/agent.log"
    stop_agent
    AGENT_OPTIONS='--log-format json'
    start_agent
    must_be r1 streaming
    python3 - "$W/agent.log" <<'END' || fail "the log is not JSON"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert all(line["db"] == "agent" and line["time"] and line["level"] for line in lines), lines
assert any(line["event"] == "link_up" and line["replica"] == "r1" for line in lines), lines
END
}

"$scenario"
