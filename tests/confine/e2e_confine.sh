#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_confine.sh SCENARIO LINK: the real receiver is confined, also where the
# kernel can do less; and what is secret stays out of everything that is shown.
. "$(dirname "$0")/../integration/e2e_lib.sh"

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
    "$DROVER_REPLICA" receive "$W/r" <"$W/in" >"$W/r.out" 2>"$W/r.err" &
    pid=$!
    exec 9>"$W/in"
    sandboxed() { [ "$(field $pid Seccomp)" = 2 ]; }
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
    grep -q "receiver_says.*$2" "$W/agent.log" || fail "the agent's log says nothing of it"
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

case $scenario in
before_hello | no_landlock | no_seccomp) $scenario ;;
*) fail "no scenario $scenario" ;;
esac
