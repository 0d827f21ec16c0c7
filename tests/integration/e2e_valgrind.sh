# SPDX-License-Identifier: MIT
#
# e2e_valgrind.sh: agent, receivers, commands and drover-kv under valgrind's
# memcheck, from start to stop: no invalid access, no use of what was never
# set, no byte lost, no descriptor left open.
#
# Landlock and seccomp are unknown to valgrind 3.19 and refused, which the
# receiver takes for an old kernel.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

command -v valgrind >/dev/null || skip "valgrind is not installed"

# under_valgrind NAME PROGRAM: $W/NAME runs it so.
under_valgrind() {
    cat >"$W/$1" <<END
#!/bin/sh
exec valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=all \\
    --errors-for-leak-kinds=all --track-fds=yes --child-silent-after-fork=yes \\
    --log-file="$W/vg-$1.%p" \\
    "$2" "\$@"
END
    chmod 755 "$W/$1"
}
# What valgrind said, but for its own gaps ("--1-- WARNING: unhandled ...") and
# descriptors that were open before.
complaints() {
    for log in "$W"/vg-*; do
        awk -v log_name="${log##*/}" '
            /^==[0-9]+== (FILE DESCRIPTORS:|$)/ { next }
            /^==[0-9]+== Open (file descriptor|AF_[A-Z]+ socket)/ { held = $0; next }
            /^==[0-9]+==    <inherited from parent>/ { held = ""; next }
            held != "" { print log_name ": " held; held = "" }
            /^==/ { print log_name ": " $0 }
            END { if (held != "") print log_name ": " held }' "$log"
    done
}

everything() {
    WAIT=$((WAIT * 2))
    plain=$DROVER
    under_valgrind drover "$DROVER"
    under_valgrind drover-replica "$DROVER_REPLICA"
    under_valgrind drover-kv "$DROVER_KV"
    DROVER=$W/drover
    DROVER_REPLICA=$W/drover-replica
    SILENCE=60s
    table t.tbl
    write fill "$P/t.tbl" 0 60 200
    begin_config
    add_replica r1
    add_replica r2
    start_agent
    DROVER=$plain
    must_be r1 streaming
    must_be r2 streaming

    # Values of every size, a table that comes and goes, an edit, a repair.
    write big "$P" large 3000000 1
    write flockd-set "$P" empty ""
    mkdir -p "$P/nested/more.tbl"
    write fill "$P/nested/more.tbl" 0 10 2000
    write flockd-delete "$P/t.tbl" k-000001
    proven r1 r2
    rm -r "$P/nested"
    echo "by hand" >"$W/r1/t.tbl/k-000002.kv"
    DROVER=$W/drover
    expect 0 ctl resync r1 --content
    expect_json 0 ctl status --json
    expect 0 ctl pause r2
    DROVER=$plain
    write flockd-set "$P/t.tbl" while-paused "yes"
    expect 0 ctl resume r2
    # A receiver that is gone is started anew.
    for pid in $(pids_of "$W/r2"); do
        case $(tr '\0' ' ' <"/proc/$pid/cmdline") in
        *receive*"$W/r2"*) kill "$pid" || : ;;
        esac
    done
    kill -HUP "$agent_pid"
    proven r1 r2
    "$W/drover-kv" "$W/r1" get -t t while-paused >"$W/out" || fail "drover-kv get"
    "$W/drover-kv" "$P" set -t t by-hand "a value" || fail "drover-kv set"
    must_within "$WAIT" same r1
    kill -TERM "$agent_pid"
    ended=0
    wait "$agent_pid" || ended=$?
    agent_pid=''
    must_within "$WAIT" no_replica_programs

    complaints >"$W/complaints"
    [ ! -s "$W/complaints" ] || fail "valgrind: $(cat "$W/complaints")"
    is "$ended" 0 "the agent's exit status"
    # At least: an agent, two commands, two programs, three receivers.
    logs=$(find "$W" -maxdepth 1 -name 'vg-*' | wc -l)
    [ "$logs" -ge 8 ] || fail "only $logs processes ran under valgrind"
    say "$logs processes under valgrind"
}
no_replica_programs() { [ -z "$(pids_of "drover-replica receive")" ] || [ -z "$(pids_of "$W/r1")$(pids_of "$W/r2")" ]; }

"$scenario"
