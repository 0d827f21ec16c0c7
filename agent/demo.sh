#!/bin/sh
# SPDX-License-Identifier: MIT
#
# demo.sh: Drover's main job on one machine, in about half a minute.
#
#   sh agent/demo.sh            a database made for the show, with a writer
#   sh agent/demo.sh DIR        your own database as the primary; it is only
#                               read, but for its identity in DIR/.drover
#   --seconds N                 how long to watch DIR's replicas (default 20)
#
# It installs the Debian packages it needs (asking first on a terminal), builds
# under build/, and shows a primary with two replicas: north over real SSH (a
# throwaway sshd of OpenSSH on 127.0.0.1, unpacked under build/, with its own
# keys and a forced command) and south in a local directory.  Everything it
# makes lies in build/; Ctrl-C ends it and leaves nothing running.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build/demo-build
demo=$top/build/demo
own='' seconds=20
TTY=
[ ! -t 1 ] || TTY=1

say() { printf '%s\n' "$*"; }
step() { printf '\n[%s] %s\n' "$1" "$2"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
    --seconds) [ $# -ge 2 ] || die "--seconds needs a number"; seconds=$2; shift ;;
    --yes) DEMO_YES=1 ;;
    -h | --help) sed -n '4,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown option $1 (try --help)" ;;
    *) [ -d "$1" ] || die "$1 is not a directory"; own=$(cd "$1" && pwd) ;;
    esac
    shift
done
case $seconds in '' | *[!0-9]*) die "--seconds needs a number" ;; esac

# --- what is started is stopped ----------------------------------------------
pids=
cleanup() {
    trap - EXIT
    trap '' HUP INT TERM PIPE
    for pid in $pids; do
        kill "$pid" 2>/dev/null || :
    done
    for pid in $pids; do
        wait "$pid" 2>/dev/null || :
    done
    [ ! -d "$demo/lab" ] || sh "$top/tests/integration/ssh_lab.sh" "$demo/lab" stop || :
}
trap cleanup EXIT
# Said where the demo was started from, wherever output goes at that moment.
exec 3>&1
trap 'printf "\nstopped\n" >&3; exit 130' INT TERM
# The terminal was closed, or nobody reads the output any more.
trap 'exit 129' HUP
trap 'exit 141' PIPE

# Wait until a command is true; the words after the seconds are the command.
until_true() {
    tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

# --- 1 and 2: packages and programs ------------------------------------------
packages() {
    missing=$(sh "$top/agent/packages.sh" missing demo)
    if [ -n "$missing" ]; then
        say "needed from Debian:" $missing
        if [ -t 0 ] && [ -z "${DEMO_YES:-}" ]; then
            printf 'Install them now? [Y/n] '
            read -r answer
            case $answer in [nN]*) die "nothing was installed" ;; esac
        fi
        say "installing (log: $top/build/packages.log)"
        sh "$top/agent/packages.sh" demo >"$top/build/packages.log" 2>&1 ||
            die "the installation failed: see $top/build/packages.log
$(tail -n 3 "$top/build/packages.log")"
    fi
    SSHD=$(sh "$top/agent/packages.sh" sshd "$top/build/sshd" 2>"$top/build/sshd.log") ||
        die "no sshd: $(tail -n 2 "$top/build/sshd.log")"
    export SSHD
}

programs() {
    { cmake -S "$top" -B "$build" -DDROVER_TESTS=OFF &&
        cmake --build "$build" -j "$(nproc)"; } >"$top/build/build.log" 2>&1 ||
        die "the build failed: see $top/build/build.log
$(grep -m 3 -i error "$top/build/build.log")"
    PATH=$build/agent:$build/sync/replica:$build/store:$PATH
    export PATH
}

# --- 3: a primary and two replicas -------------------------------------------
set_up() {
    [ ! -d "$demo/lab" ] || sh "$top/tests/integration/ssh_lab.sh" "$demo/lab" stop || :
    rm -rf "$demo"
    mkdir -p "$demo/state" "$demo/north" "$demo/south"
    primary=${own:-$demo/primary}
    mkdir -p "$primary"
    port=$(sh "$top/tests/integration/ssh_lab.sh" "$demo/lab" \
        --command "'$(command -v drover-replica)' receive '$demo/north'") ||
        die "the throwaway sshd did not start"
    cat >"$demo/demo.conf" <<END
[database]
name = demo
path = $primary
lock-timeout = 1s
state-dir = $demo/state
socket = $demo/control.sock

[replica north]
host = 127.0.0.1
port = $port
user = $(cat "$demo/lab/user")
identity = $demo/lab/id_ed25519
known-hosts = $demo/lab/known_hosts

[replica south]
command = "$(command -v drover-replica)" receive "$demo/south"
END
    drover check-config "$demo/demo.conf" >/dev/null
    drover agent --config "$demo/demo.conf" 2>"$demo/agent.log" &
    pids="$pids $!"
    until_true 20 test -S "$demo/control.sock" ||
        die "the agent does not answer: $(tail -n 3 "$demo/agent.log")"
}

ctl() { drover --socket "$demo/control.sock" "$@"; }

# --- 4: watching ---------------------------------------------------------------
lines=0 n=0
# Print the status table; on a terminal over the last one, so its lines must not
# be longer than the screen is wide.
show() {
    table=$(ctl status 2>&1) || :
    if [ -n "$TTY" ]; then
        width=$(stty size <&3 2>/dev/null) || width=
        width=${width#* }
        # Some terminals do not know: 0.
        [ "${width:-0}" -gt 0 ] || width=80
        table=$(printf '%s\n' "$table" | fold -s -w "$width")
    fi
    if [ -n "$TTY" ] && [ "$lines" -gt 0 ]; then
        printf '\033[%dA\033[J' "$lines"
    fi
    printf '%s\n' "$table"
    lines=$(printf '%s\n' "$table" | wc -l)
}

# Show the table for $1 seconds, or until the words after that are a true command.
watch_until() {
    n=0
    lines=0
    end=$(($1 * 2))
    shift
    while [ $n -lt $end ]; do
        if [ -n "$TTY" ] || [ $((n % 4)) = 0 ]; then
            show
        fi
        sleep 0.5
        n=$((n + 1))
        ! "$@" >/dev/null 2>&1 || return 0
    done
    return 1
}
watch_for() { watch_until "$1" false || :; }

all_streaming() { ctl status; }

the_show() {
    demo_load=$build/agent/demo/demo_load
    until_true 30 all_streaming || die "no first copy: $(ctl status 2>&1)"
    "$demo_load" write "$primary" --rate 300 --seconds 24 --keys 900 >"$demo/writer.out" &
    writer=$!
    pids="$pids $writer"
    for name in north south; do
        "$demo_load" read "$demo/$name" >"$demo/$name.out" &
        eval "reader_$name=$!"
        pids="$pids $!"
    done
    say "   a writer sets 300 keys a second; readers check every value on both replicas"
    watch_for 6
    # The readers' figures are of the quiet time, before links are cut.
    kill -TERM "$reader_north" "$reader_south"
    wait "$reader_north" || die "a reader saw a broken value: $(cat "$demo/north.out")"
    wait "$reader_south" || die "a reader saw a broken value: $(cat "$demo/south.out")"
    say "   > cutting the link to north ..."
    sh "$top/tests/integration/ssh_lab.sh" "$demo/lab" cut
    watch_for 5
    say "   > restoring it ..."
    sh "$top/tests/integration/ssh_lab.sh" "$demo/lab" restore
    watch_until 60 all_streaming || say "   (not back yet)"
    watch_for 2
    say "   > a reader on south takes the lock of a key and keeps it ..."
    held=$(find "$demo/south/users.tbl" -name 'key-*.kv' | head -n 1)
    key=$(basename "$held" .kv)
    flock --no-fork -s "$held" sleep 60 &
    holder=$!
    pids="$pids $holder"
    until_true 5 drover-kv "$primary" set --table users --timeout 2s "$key" "changed while a reader holds it" ||
        die "cannot write to the primary"
    watch_for 4
    say "   > the reader lets go"
    kill "$holder"
    wait "$writer" || die "the writer failed: $(cat "$demo/writer.out")"
}

# --- 5: the proof ----------------------------------------------------------------
proof() {
    ctl wait --timeout 60s
    ctl verify --content || die "the replicas differ"
    : >"$demo/diff.out"
    for name in north south; do
        diff -r -x .drover "$primary" "$demo/$name" >>"$demo/diff.out" 2>&1 || :
        [ ! -s "$demo/$name.out" ] || printf '   %-6s %s\n' "$name" "$(cat "$demo/$name.out")"
    done
    if [ ! -s "$demo/diff.out" ]; then
        say "   diff -r agrees: both replicas are the primary's tables, byte for byte"
    elif [ -z "$own" ]; then
        die "diff -r disagrees: $(head -n 3 "$demo/diff.out")"
    else
        say "   diff -r names files that are no keys, or that changed since: $demo/diff.out"
        head -n 3 "$demo/diff.out" | sed 's/^/      /'
    fi
}

mkdir -p "$top/build"
step 1/5 "packages"
packages
step 2/5 "building (the first time takes about half a minute)"
programs
step 3/5 "a primary, north over SSH, south in a directory"
set_up
say "   primary  ${own:-$primary}"
say "   config   $demo/demo.conf     log  $demo/agent.log"
step 4/5 "live"
if [ -n "$own" ]; then
    say "   the first copy, into $demo/north and $demo/south"
    watch_until 600 all_streaming || die "no first copy: $(ctl status 2>&1)"
    say "   change something in $own, and see"
    watch_for "$seconds"
else
    the_show
fi
step 5/5 "verify --content"
proof
say
say "Done. Look around: $demo    Set up a real replica: README.md"
