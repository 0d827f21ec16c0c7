#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_evil.sh: hostile receivers against the real agent, an honest one beside
# them.  See e2e_lib.sh, and tests/support/evil_receiver.c for the ways there are.
#
# Whatever they do: the agent answers, stays small and writes a short log; it
# never says that one of them is equal; and the honest replica gets each change
# while they are at it.
. "$(dirname "$0")/e2e_lib.sh"

EVIL=$E2E_BIN/e2e_evil_receiver
SECONDS_OF_EVIL=${E2E_EVIL_SECONDS:-6}
# Of the agent, at its largest: a sanitized one is larger.
PEAK_MIB=${E2E_PEAK_MIB:-64}

evil() {
    for way in "$@"; do
        {
            echo "[replica $way]"
            [ "$link" = exec ] || { need_lab; ssh_lines; }
            echo "command = $EVIL $way $W/starts-$way"
        } >>"$conf"
    done
}

# One change, seen by the honest replica; the agent answers meanwhile.
round() {
    n=$((n + 1))
    echo "$n" >"$P/t.tbl/now.tmp"
    mv "$P/t.tbl/now.tmp" "$P/t.tbl/now.kv"
    must_within "$WAIT" has_value "$W/good/t.tbl/now.kv" "$n"
    until_ok 10 answers || fail "no answer in time"
}

peak_mib() { echo $(($(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$agent_pid/status") / 1024)); }

# Nothing is claimed of them, and they steer nobody's terminal.
no_lies() {
    ctl status --json >"$W/status" 2>/dev/null || :
    for way in "$@"; do
        is "$("$E2E_BIN/e2e_json" "$(of "$way" equal_as_of)" <"$W/status")" null "equal_as_of of $way"
    done
    ctl status >"$W/out" 2>&1 || :
    ! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" "$W/out" || fail "the status holds control bytes"
    ! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" "$W/agent.log" || fail "the log holds control bytes"
    ! grep -q '^<0>' "$W/agent.log" || fail "a line of the log is forged"
}

# attacked_by WAY...: for some seconds, then the judgement.
attacked_by() {
    table t.tbl
    for i in $(seq 100); do echo "$i" >"$P/t.tbl/k$i.kv"; done
    begin_config
    {
        echo "[replica good]"
        echo "command = $DROVER_REPLICA receive $W/good"
    } >>"$conf"
    evil "$@"
    start_agent
    n=0
    began=$(date +%s)
    until [ $(($(date +%s) - began)) -ge "$SECONDS_OF_EVIL" ]; do
        round
        no_lies "$@"
    done
    took=$(($(date +%s) - began))
    for way in "$@"; do
        must_within "$WAIT" test -s "$W/starts-$way"
        # First after 0.25 s, then with back-off up to 1 s and jitter.
        starts=$(wc -c <"$W/starts-$way")
        [ "$starts" -le $((took * 2 + 10)) ] || fail "$way was started $starts times in $took s"
    done
    [ "$(peak_mib)" -le "$PEAK_MIB" ] || fail "the agent needed $(peak_mib) MiB"
    # Some lines for each start, and a few in 10 s for whatever repeats.
    lines=$(wc -l <"$W/agent.log")
    [ "$lines" -le $((50 + $# * (20 + 6 * took))) ] || fail "$lines lines of log in $took s"
    say "$n rounds in $took s, $(peak_mib) MiB, $lines lines of log"
    proven good
    stop_agent
}

# Acknowledgements, frames and digests that are not true.
lies() {
    attacked_by wrong_digests ack_unsent ack_early ack_twice ack_backwards nak_all never_ack \
        huge_length zero_length wrong_way error_frame ugly_extra
}

# Ends in each state, and half ends.
ends() {
    attacked_by bye_at_once cut_frame exit_hello exit_change exit_question close_out close_in
}

# Nothing, next to nothing, and never a whole frame.
stalls() {
    SILENCE=1s # of begin_config
    export SILENCE
    attacked_by silence only_magic deaf trickle trickle_noise
}

# More of everything than anybody wants.
floods() {
    attacked_by flood_hellos flood_notices flood_small_notices flood_blocked flood_blocked_true \
        flood_noise flood_stderr flood_listings
}

# Comparisons that would fill memory or never end.
differences() {
    attacked_by list_extras flood_names wrong_digests
}

# A first copy over a slow link, and one that answers pings and takes nothing:
# both have more to get than there is room for.  What a fast replica that comes
# later needs, and what is asked for a third, does not wait for them.
beside_the_slow() {
    table t.tbl
    for i in $(seq 12500); do echo "$i" >"$P/t.tbl/k$i.kv"; done
    begin_config
    add_replica third
    start_agent
    proven third
    {
        echo "[replica slow]"
        echo "command = $E2E_BIN/e2e_throttle 5000 $DROVER_REPLICA receive $W/slow"
    } >>"$conf"
    evil never_ack
    expect 0 ctl reload
    must_within "$WAIT" test -s "$W/starts-never_ack"
    must_within "$WAIT" has_keys slow 200
    add_replica fast
    expect 0 ctl reload
    must_within 30 has_keys fast 12500
    echo edited >"$W/third/t.tbl/k7.kv"
    rm "$W/third/t.tbl/k8.kv"
    expect 1 timeout "$WAIT" "$DROVER" --socket "$W/agent.sock" verify --content third
    echo edited >"$W/third/t.tbl/k9.kv"
    expect 0 timeout "$WAIT" "$DROVER" --socket "$W/agent.sock" resync third
    ! has_keys slow 12500 || fail "the slow replica was not slow"
    proven third fast
    # After a restart of the agent beside them, too.
    stop_agent
    echo newer >"$P/t.tbl/k10.kv"
    start_agent
    converged third fast
    has_value "$W/third/t.tbl/k10.kv" newer || fail "an old value stayed"
    stop_agent
}
has_keys() { [ "$(find "$W/$1/t.tbl" -name "*.kv" 2>/dev/null | wc -l)" -ge "$2" ]; }

"$scenario"
