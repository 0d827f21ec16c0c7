#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_confine.sh SCENARIO LINK: the real receiver is confined, also where the
# kernel can do less; and what is secret stays out of everything that is shown.
. "$(dirname "$0")/e2e_lib.sh"

# A field of the receiver's /proc/PID/status.
field() { awk -v f="$2:" '$1 == f { print $2 }' "/proc/$1/status"; }
the_receiver() {
    set -- "$(receivers_of "$W/$1")"
    [ -n "$1" ] || fail "no receiver is live"
    echo "$1"
}
some_changes() {
    table a.tbl
    write rename "$P/a.tbl" one 1
    write rename "$P/a.tbl" two 2
}

# Before the first byte is read.
before_hello() {
    mkfifo "$W/in"
    sandboxed() { [ "$(field $pid Seccomp)" = 2 ]; }
    # Where there is no replica nothing is made, and what Landlock would be told
    # of is not there: rights, limits and the first filter alone.
    "$DROVER_REPLICA" receive "$W/none" <"$W/in" >"$W/r.out" 2>"$W/r.err" &
    pid=$!
    exec 9>"$W/in"
    must_within "$WAIT" sandboxed
    is "$(field $pid NoNewPrivs)" 1 "no_new_privs, before there is a directory"
    is "$(awk '/^Max core file size/ { print $5 $6 }' /proc/$pid/limits)" 00 "the core limit"
    exec 9>&-
    wait $pid || :
    [ ! -e "$W/none" ] || fail "a directory was made for nobody"

    table a.tbl
    begin_config
    add_replica r
    start_agent
    must_be r streaming
    stop_agent
    "$DROVER_REPLICA" receive "$W/r" <"$W/in" >"$W/r.out" 2>"$W/r.err" &
    pid=$!
    exec 9>"$W/in"
    must_within "$WAIT" sandboxed
    is "$(field $pid NoNewPrivs)" 1 "no_new_privs"
    is "$(awk '/^Max core file size/ { print $5 $6 }' /proc/$pid/limits)" 00 "the core limit"
    exec 9>&-
    wait $pid || :
    ! grep -q 'without' "$W/r.err" || [ -n "${E2E_NO_LANDLOCK:-}" ] || fail "$(cat "$W/r.err")"
}

# The receiver works and says what it lacks.
lacking() {
    begin_config
    {
        echo "[replica r]"
        echo "command = $E2E_BIN/e2e_deny $1 $DROVER_REPLICA receive $W/r"
    } >>"$conf"
    some_changes
    start_agent
    must_be r streaming
    proven r
    write delete "$P/a.tbl" one
    table b.tbl
    write rename "$P/b.tbl" three 3
    proven r
    [ -z "$2" ] || grep -q "receiver_says.*$2" "$W/agent.log" ||
        fail "the agent's log says nothing of it"
    stop_agent
}
no_landlock() {
    lacking landlock "running without the Landlock sandbox: the kernel has no Landlock"
    ! grep -q "without the system call filter" "$W/agent.log" || fail "the filter is missing, too"
}
no_seccomp() {
    lacking seccomp "running without the system call filter: seccomp: Invalid argument"
    ! grep -q "without the Landlock" "$W/agent.log" || fail "Landlock is missing, too"
}
# The way round for such a filesystem is allowed as well.
no_noreplace() {
    lacking noreplace ""
    ! grep -q receiver_says "$W/agent.log" || fail "$(grep receiver_says "$W/agent.log")"
    # Nor does an identity need it, made by hand or by an agent's first start.
    mkdir "$W/new"
    "$E2E_BIN/e2e_deny" noreplace "$DROVER" init "$W/new" >"$W/out" 2>&1 || fail "init: $(cat "$W/out")"
    is "$(wc -c <"$W/new/.drover/id")" 33 "the length of the id"
    "$E2E_BIN/e2e_deny" noreplace "$DROVER" init "$W/new" >"$W/out" 2>&1 || :
    is "$(ls "$W/new/.drover" | tr '\n' ' ')" "agent id " "what init leaves"
    rm -r "$P/.drover" "$W/r" "$W/state-agent"
    printf '#!/bin/sh\nexec "%s" noreplace "%s" "$@"\n' "$E2E_BIN/e2e_deny" "$DROVER" >"$W/drover.deny"
    chmod +x "$W/drover.deny"
    DROVER=$W/drover.deny
    start_agent
    must_within "$WAIT" test -s "$P/.drover/id"
}

# --- who may do what on the control socket ---------------------------------------

# as GROUPS COMMAND...: as nobody, with these further groups.
as() {
    groups=$1
    shift
    setpriv --reuid 65534 --regid 65534 $groups "$W/drover" --socket "$W/agent.sock" "$@"
}
control_users() {
    [ "$(id -u)" = 0 ] || skip "only root can become another user"
    command -v setpriv >/dev/null || skip "needs setpriv"
    group=$(getent group games | cut -d: -f1,3)
    [ -n "$group" ] || skip "there is no group games here"
    DATABASE_EXTRA="control-group = ${group%:*}" begin_config
    add_replica r
    some_changes
    start_agent
    must_be r streaming
    chmod 755 "$W"
    cp "$DROVER" "$W/drover"
    # Anyone: reads, and waits; is told how to get further.
    expect 0 as --clear-groups status
    expect 0 as --clear-groups wait --timeout 30s
    for order in "pause r" "resume r" resync "verify" "approve r" reload; do
        # shellcheck disable=SC2086 # two words
        expect 77 as --clear-groups $order
        out_has 'usermod -aG games "$USER"'
    done
    # A member: changes.
    for order in "pause r" "resume r" resync verify reload; do
        # shellcheck disable=SC2086
        expect 0 as "--groups ${group#*:}" $order
    done
    # Neither: who may not pass the directory cannot even ask.
    mkdir -m 700 "$W/closed"
    stop_agent
    sed -i "s,^socket = .*,socket = $W/closed/agent.sock," "$conf"
    "$DROVER" agent --config "$conf" 2>>"$W/agent.log" &
    agent_pid=$!
    must_within "$WAIT" test -S "$W/closed/agent.sock"
    must_within "$WAIT" "$DROVER" --socket "$W/closed/agent.sock" version
    expect 77 setpriv --reuid 65534 --regid 65534 --clear-groups \
        "$W/drover" --socket "$W/closed/agent.sock" status
    out_has DR-503
    stop_agent
    # Everyone could replace a socket there.
    chmod 777 "$W/closed"
    expect 78 "$DROVER" agent --config "$conf"
    out_has "chmod o-w $W/closed"
}

# --- secrets ------------------------------------------------------------------------

# Nothing of them in any log, answer, command line or status.
no_trace_of() {
    for word in "$@"; do
        for f in "$W"/*.log "$W"/*.err "$W"/shown.*; do
            [ ! -f "$f" ] || ! grep -qaF -- "$word" "$f" || fail "${f#"$W"/} shows $word"
        done
        for pid in $(pids_of "$W"); do
            ! grep -qsaF -- "$word" "/proc/$pid/cmdline" || fail "the command line of $pid shows $word"
        done
    done
}
secrets() {
    need_lab
    key=$W/lab/id_ed25519
    # The middle of the key's text, a value, a variable, a passphrase.
    in_key=$(sed -n 3p "$key" | cut -c 5-40)
    [ ${#in_key} = 36 ] || fail "no part of the key: $in_key"
    begin_config
    add_replica r
    {
        echo "[replica locked]"
        ssh_lines | sed "s,^identity = .*,identity = $W/locked_key,"
        echo "command = $DROVER_REPLICA receive $W/locked"
    } >>"$conf"
    ssh-keygen -q -t ed25519 -N SECRET-PASSPHRASE -f "$W/locked_key"
    in_locked=$(sed -n 3p "$W/locked_key" | cut -c 5-40)
    table a.tbl
    write rename "$P/a.tbl" one SECRET-VALUE-1
    DROVER_TOKEN=SECRET-VARIABLE "$DROVER" agent --config "$conf" --log-level debug 2>>"$W/agent.log" &
    agent_pid=$!
    must_within "$WAIT" answers
    must_be r streaming
    converged r
    write in-place "$P/a.tbl" one SECRET-VALUE-2
    converged r
    # Failures say more than successes: a lock, a cut, a broken key.
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/a.tbl/one.kv" "$W/held" SECRET-VALUE-3 &
    holder=$!
    must_within "$WAIT" status_is blocked_count 1
    ctl status >"$W/shown.status" 2>&1 || :
    ctl status --json >"$W/shown.json" 2>&1 || :
    kill "$holder"
    wait "$holder" || :
    must_be locked failed
    lab cut
    must_be r retrying
    lab restore
    must_be r streaming
    proven r
    ctl status --json >>"$W/shown.json" 2>&1 || :
    no_trace_of "$in_key" "$in_locked" SECRET-VALUE SECRET-PASSPHRASE SECRET-VARIABLE
    # The agent's memory is nobody's but root's.
    is "$(awk '/^Max core file size/ { print $5 $6 }' "/proc/$agent_pid/limits")" 00 "the core limit"
    is "$(stat -c %u "/proc/$agent_pid/environ")" 0 "the owner of the agent's /proc/PID/environ"
    if [ "$(id -u)" != 0 ]; then
        ! cat "/proc/$agent_pid/environ" >"$W/environ" 2>&1 || fail "its environment can be read"
    fi
    stop_agent
    no_trace_of "$in_key" "$in_locked" SECRET-VALUE SECRET-PASSPHRASE SECRET-VARIABLE
}

case $scenario in
before_hello | no_landlock | no_seccomp | no_noreplace | control_users | secrets) $scenario ;;
*) fail "no scenario $scenario" ;;
esac
