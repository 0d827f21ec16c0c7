# SPDX-License-Identifier: MIT
#
# e2e_lib.sh: what the end-to-end tests share.  Sourced, with the scenario and
# the kind of link (exec or ssh) as $1 and $2, under e2e_run, which kills
# whatever a test leaves behind.
#
# The environment names the programs: DROVER, DROVER_REPLICA, DROVER_KV, and
# E2E_BIN, the folder of e2e_writer and the others.  E2E_KEEP=1 keeps the work
# folder.  A scenario is a function; it waits for conditions with deadlines
# (E2E_WAIT seconds, 60), never for time to pass.
set -eu

: "${DROVER:?}" "${DROVER_REPLICA:?}" "${DROVER_KV:?}" "${E2E_BIN:?}"
here=$(cd "$(dirname "$0")" && pwd)
scenario=${1:?scenario}
link=${2:-exec}
WAIT=${E2E_WAIT:-60}
umask 022

W=$(mktemp -d "${TMPDIR:-/tmp}/drover-e2e.XXXXXX")
P=$W/primary
mkdir "$P"
agent_pid=''

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "FAILED: $*"
    exit 1
}
skip() {
    say "skipped: $*"
    exit 77
}

# --- the end, whatever the reason -------------------------------------------------

show_logs() {
    say "--- $scenario over $link; $W"
    [ ! -f "$W/out" ] || { say "--- the last command's output"; tail -n 30 "$W/out" >&2; }
    for socket in "$W"/*.sock; do
        [ ! -S "$socket" ] || timeout 5 "$DROVER" --socket "$socket" status >&2 || :
    done
    for log in "$W"/*.log "$W"/*.err "$W/lab/sshd.log"; do
        [ ! -s "$log" ] || { say "--- ${log#"$W"/}"; tail -n 60 "$log" >&2; }
    done
}

# A program that a sanitizer ended, or that reported at its end, may have been
# started anew without any harm to the scenario.
sanitizer_spoke() {
    grep -sE '(ERROR|WARNING): [A-Z][a-z]+Sanitizer|runtime error: ' "$W"/*.log "$W"/*.err "$W/out"
}

# Programs that end by themselves are looked at for leaks, and counted.
end_gently() {
    if [ -z "$agent_pid" ] || ! kill -0 "$agent_pid" 2>/dev/null; then return 0; fi
    kill -TERM "$agent_pid"
    kill -CONT "$agent_pid"
    wait "$agent_pid"
    ended=$?
    [ $ended = 0 ] || {
        say "FAILED: the agent's exit status at the end is $ended"
        return 1
    }
    until_ok 3 nothing_runs || : # a scenario may have left a receiver stopped
}
nothing_runs() { [ -z "$(pids_of "$W")" ]; }

at_end() {
    code=$?
    trap - EXIT TERM INT HUP
    trap '' PIPE # whoever reads the logs may have left
    set +e
    [ $code != 0 ] || end_gently || code=1
    if [ $code = 0 ] && sanitizer_spoke >&2; then
        say "FAILED: a sanitizer reports"
        code=1
    fi
    [ $code = 0 ] || [ $code = 77 ] || show_logs
    if [ -d "$W/lab" ]; then sh "$here/ssh_lab.sh" "$W/lab" stop; fi
    for pid in $(pids_of "$W"); do kill -KILL "$pid"; done 2>/dev/null
    ! mountpoint -q "$P" 2>/dev/null || umount -l "$P"
    for dir in "$P"/*/ "$W"/*/ "$W"/*/*/ "$W"/*/*/*/; do ! mountpoint -q "$dir" 2>/dev/null || umount -l "$dir"; done
    chattr -R -i "$W" 2>/dev/null
    if [ -n "${E2E_KEEP:-}" ]; then
        say "kept: $W"
    else
        # A process that is being killed may still make a file.
        chmod -R u+rwX "$W" 2>/dev/null
        rm -rf "$W" 2>/dev/null || { sleep 1; rm -rf "$W"; }
    fi
    exit $code
}
trap at_end EXIT
trap 'exit 143' TERM INT HUP

# The living processes with a text in their command line (this shell has it not).
pids_of() {
    for pid in $(grep -lsF -- "$1" /proc/[0-9]*/cmdline | cut -d/ -f3); do
        # The grep has ended; a zombie has no command line.
        ! grep -qsF -- "$1" "/proc/$pid/cmdline" || echo "$pid"
    done
}
# The live receivers of a replica's directory.
receivers_of() {
    for pid in $(pids_of "$1"); do
        case $(readlink "/proc/$pid/exe") in
        */drover-replica) ! grep -qszxF -- "$1" "/proc/$pid/cmdline" || echo "$pid" ;;
        esac
    done
}
# --- waiting and expecting -----------------------------------------------------------

# until_ok SECONDS COMMAND...: try until it is true.
until_ok() {
    seconds=$1
    shift
    end=$(($(date +%s) + seconds))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.05
    done
}
must_within() {
    until_ok "$@" || { shift; fail "did not come true: $*"; }
}
# expect CODE COMMAND...: the exit status must be that; output to $W/out.
expect() {
    want=$1
    shift
    code=0
    "$@" >"$W/out" 2>&1 || code=$?
    [ "$code" = "$want" ] || fail "exit status $code, not $want: $*"
}
# The same, but only what it prints on stdout, for e2e_json.
expect_json() {
    want=$1
    shift
    code=0
    "$@" >"$W/out" 2>"$W/json.err" || code=$?
    [ "$code" = "$want" ] || fail "exit status $code, not $want: $*: $(cat "$W/json.err")"
    follows_schema "$@"
}
# follows_schema COMMAND...: what it printed, in $W/out, is what the schemas say.
# Debian's python3 has jsonschema; another one may.
follows_schema() {
    [ "$1" != ctl ] || set -- drover "$@"
    for python in /usr/bin/python3 python3; do
        code=0
        "$python" "$here/check_schema.py" "$here/../.." "$@" \
            <"$W/out" >"$W/schema" 2>&1 || code=$?
        [ $code = 77 ] || [ $code = 127 ] || break
    done
    case $code in
    0) ;;
    77 | 127) [ -z "${SCHEMA_NEEDED:-}" ] || skip "needs python3-jsonschema" ;;
    *) fail "JSON of $*: $(head -n 5 "$W/schema")" ;;
    esac
}
out_json() { "$E2E_BIN/e2e_json" "$1" <"$W/out"; }
out_has() { grep -q -- "$1" "$W/out" || fail "the output lacks: $1"; }
out_lacks() { ! grep -q -- "$1" "$W/out" || fail "the output has: $1"; }
is() { [ "$1" = "$2" ] || fail "${3:-it} is '$1', not '$2'"; }

# --- agents and replicas ----------------------------------------------------------------

# begin_config [NAME] [PRIMARY]: a configuration with short times.
begin_config() {
    conf=$W/${1:-agent}.conf
    cat >"$conf" <<END
[database]
name = ${1:-agent}
path = ${2:-$P}
state-dir = $W/state-${1:-agent}
socket = $W/${1:-agent}.sock
heartbeat = 200ms
silence = ${SILENCE:-5s}
backoff-max = 1s
lock-timeout = 300ms
settle = 500ms
rescan = ${RESCAN:-0}
${DATABASE_EXTRA:-}
END
}
# A throwaway sshd for all replicas of this test; options as of ssh_lab.sh.
# shellcheck disable=SC2120
need_lab() {
    [ ! -d "$W/lab" ] || return 0
    code=0
    sh "$here/ssh_lab.sh" "$W/lab" "$@" >"$W/lab.out" 2>"$W/lab.err" || code=$?
    [ $code != 77 ] || skip "$(cat "$W/lab.err")"
    [ $code = 0 ] || fail "no sshd: $(cat "$W/lab.err")"
}
lab() { sh "$here/ssh_lab.sh" "$W/lab" "$1"; }
ssh_lines() {
    cat <<END
host = 127.0.0.1
port = $(cat "$W/lab/port")
user = $(cat "$W/lab/user")
identity = $W/lab/id_ed25519
known-hosts = $W/lab/known_hosts
END
}
# add_replica NAME [OPTIONS OF RECEIVE]: over the kind of link of this test;
# its directory is $W/NAME.  REPLICA_EXTRA: more lines of configuration.
add_replica() {
    name=$1
    shift
    command="$DROVER_REPLICA receive $* $W/$name"
    {
        echo "[replica $name]"
        [ "$link" = exec ] || { need_lab; ssh_lines; }
        echo "command = $command"
        [ -z "${REPLICA_EXTRA:-}" ] || echo "$REPLICA_EXTRA"
    } >>"$conf"
}
# The same, with a receiver that has no inotify: what is done to the replica by
# hand is not noticed before somebody looks.
unwatched="env LD_PRELOAD=$E2E_BIN/no_inotify.so ASAN_OPTIONS=verify_asan_link_order=0"
add_unwatched() {
    receive=$DROVER_REPLICA
    DROVER_REPLICA="$unwatched $receive"
    add_replica "$@"
    DROVER_REPLICA=$receive
}

# start_agent [NAME]: its pid to $agent_pid.
start_agent() {
    agent=${1:-agent}
    # shellcheck disable=SC2086 # words
    "$DROVER" agent --config "$W/$agent.conf" ${AGENT_OPTIONS:-} 2>>"$W/$agent.log" &
    agent_pid=$!
    # 0 or 1 (not well yet) is an answer; 69 is none.
    until_ok "$WAIT" answers || fail "the agent does not answer"
}
answers() {
    kill -0 "$agent_pid" || fail "the agent ended"
    code=0
    ctl status || code=$?
    [ $code -le 1 ]
}
# Ends it and takes its exit status: stop_agent [SIGNAL].
stop_agent() {
    kill -"${1:-TERM}" "$agent_pid"
    code=0
    wait "$agent_pid" 2>/dev/null || code=$?
    [ "${1:-TERM}" != TERM ] || is "$code" 0 "the agent's exit status"
    agent_pid=''
}
ctl() { "$DROVER" --socket "$W/${agent:-agent}.sock" "$@"; }
# status PATH: one thing out of the status.
status() { { ctl status --json || :; } 2>/dev/null | "$E2E_BIN/e2e_json" "$1"; }
status_is() { [ "$(status "$1")" = "$2" ]; }
of() { echo "replicas[name=$1].$2"; }
state_is() { status_is "$(of "$1" state)" "$2"; }
must_be() { must_within "$WAIT" state_is "$1" "$2"; }

# checked NAME NUMBER: `check` fails for that replica with that number, whether
# an agent runs or not.
check_says() {
    "$DROVER" --config "$conf" check "$1" --timeout 5s --json >"$W/check" 2>"$W/check.err"
    [ $? = 1 ] && grep -q "\"replica\":\"$1\",\"level\":\"fail\",[^{]*\"id\":$2," "$W/check"
}
checked() {
    until_ok "$WAIT" check_says "$@" ||
        fail "check does not say DR-$2 of $1: $(cat "$W/check" "$W/check.err")"
}

# --- databases ----------------------------------------------------------------------------

write() { "$E2E_BIN/e2e_writer" "$@" || fail "e2e_writer $*"; }
table() { mkdir -p "$P/$1"; }
same() { "$E2E_BIN/e2e_tree" diff "$P" "$W/$1" >"$W/tree" 2>&1; }
has_value() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
keys_of() { "$E2E_BIN/e2e_tree" list "$1" | grep -c '^k' || :; }

# Everything written so far is on these replicas, byte for byte.
converged() {
    expect 0 ctl wait "$@" --timeout "${WAIT}s"
    for r in "$@"; do
        same "$r" || fail "$r differs after wait: $(head -n 5 "$W/tree")"
    done
}
# The same, by the agent's own and by our comparison.
proven() {
    converged "$@"
    expect 0 ctl verify --content "$@"
}

# Run again as a user without rights, when root runs this.
as_plain_user() {
    [ "$(id -u)" = 0 ] || return 0
    command -v setpriv >/dev/null || skip "needs setpriv to run as a plain user"
    setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$here/e2e_lib.sh" ||
        skip "a plain user cannot read these tests"
    code=0
    E2E_KEEP='' HOME=/nonexistent TMPDIR=/tmp setpriv --reuid 65534 --regid 65534 --clear-groups \
        sh "$0" "$scenario" "$link" || code=$?
    exit $code
}
