#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ssh_lab.sh: a throwaway sshd on 127.0.0.1 for tests and demonstrations.
#
#   ssh_lab.sh DIR [--command CMD] [--rekey SIZE] [--hostkeys "ed25519 ecdsa"]
#                  [--option 'sshd_config line']...
#       makes DIR with all it needs, starts OpenSSH's sshd, prints the port
#   ssh_lab.sh DIR cut       kill the sessions and stop listening
#   ssh_lab.sh DIR restore   listen again, on the same port
#   ssh_lab.sh DIR stop      stop it; DIR stays (remove it yourself)
#
# In DIR afterwards:
#   port, user           what to connect to
#   known_hosts          the host's keys
#   id_ed25519 id_ecdsa id_rsa   authorized keys; id_pass has the passphrase
#                        "secret"; id_wrong is not authorized
#   hk_ed25519 hk_ecdsa  the host's own keys; hk_other: nobody's
#   sshd.log             what sshd says
# --command is what each login runs, whatever it asks for (a forced command).
#
# The sshd is $SSHD, or build/sshd/usr/sbin/sshd (agent/packages.sh sshd
# build/sshd), or /usr/sbin/sshd.  Exit status 77: there is none, or it cannot
# run here; the reason is on stderr.  Logins are to the account that runs this.
set -eu

say() { printf 'ssh_lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
skip() { say "$*"; exit 77; }

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

[ -n "${1:-}" ] || { sed -n '4,26s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift

find_sshd() {
    for sshd in "${SSHD:-}" "$top/build/sshd/usr/sbin/sshd" /usr/sbin/sshd; do
        [ -n "$sshd" ] && [ -x "$sshd" ] && break
        sshd=
    done
    [ -n "$sshd" ] ||
        skip "no sshd here: run  sh agent/packages.sh sshd build/sshd  or set SSHD"
    command -v ssh-keygen >/dev/null ||
        skip "no ssh-keygen here: run  sh agent/packages.sh demo"
    # Libraries that were unpacked beside it.
    root=${sshd%/usr/sbin/sshd}
    [ -z "$root" ] || for libs in "$root"/usr/lib/*-linux-gnu*; do
        [ ! -d "$libs" ] || export LD_LIBRARY_PATH="$libs"
    done
}

# sshd runs everything through the account's shell.
check_shell() {
    case $(getent passwd "$(id -un)" | cut -d: -f7) in
    */nologin | */false) skip "the account $(id -un) has no login shell" ;;
    esac
}

# A root sshd wants a directory and an account that its package would make.
prepare_root() {
    preload=
    [ "$(id -u)" = 0 ] || return 0
    [ -d /run/sshd ] || mkdir -m 755 /run/sshd 2>/dev/null || skip "cannot make /run/sshd"
    getent passwd sshd >/dev/null && return
    preload=$dir/lab_account.so
    case $dir in *[[:space:]:]*)
        skip "$dir: without an account \"sshd\", root needs a path here that has no blank and no colon" ;;
    esac
    [ -f "$preload" ] || cc -shared -fPIC -D_GNU_SOURCE -o "$preload" \
        "$here/../support/lab_account.c" -ldl ||
        skip "no account \"sshd\" here, and no compiler to get around that"
}

make_key() {
    [ -f "$dir/$1" ] || ssh-keygen -q -t "$2" -N "$3" -C "$1 of a throwaway lab" -f "$dir/$1"
}

make_keys() {
    make_key hk_ed25519 ed25519 ''
    make_key hk_ecdsa ecdsa ''
    make_key hk_other ed25519 ''
    make_key id_ed25519 ed25519 ''
    make_key id_ecdsa ecdsa ''
    make_key id_rsa rsa ''
    make_key id_pass ed25519 secret
    make_key id_wrong ed25519 ''
    options=restrict
    [ -z "$command" ] ||
        options="restrict,command=\"$(printf '%s' "$command" | sed 's/"/\\"/g')\""
    for id in id_ed25519 id_ecdsa id_rsa id_pass; do
        printf '%s %s\n' "$options" "$(cat "$dir/$id.pub")"
    done >"$dir/authorized_keys"
}

write_config() {
    {
        echo "Port $port"
        cat <<END
ListenAddress 127.0.0.1
PidFile "$dir/sshd.pid"
AuthorizedKeysFile "$dir/authorized_keys"
# The lab may lie below /tmp, which is writable for others.
StrictModes no
PermitRootLogin yes
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
UseDNS no
MaxStartups 200
LogLevel VERBOSE
END
        for t in $hostkeys; do
            echo "HostKey \"$dir/hk_$t\""
        done
        [ -z "$rekey" ] || echo "RekeyLimit $rekey"
        printf '%s' "$extra"
        # Where bash is the login shell it takes itself for an inner one then, and
        # runs nobody's ~/.bashrc.  (Of several such lines the first counts.)
        echo "SetEnv SHLVL=2"
    } >"$dir/sshd_config"
}

write_known_hosts() {
    for t in $hostkeys; do
        printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$dir/hk_$t.pub")"
    done >"$dir/known_hosts"
}

listener() {
    [ -s "$dir/sshd.pid" ] || return 1
    pid=$(cat "$dir/sshd.pid")
    # Only ever a process that runs this lab's configuration.
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$dir/sshd_config"
}

# 0: it listens. 1: the port was taken. Anything else ends the script.
launch() {
    rm -f "$dir/sshd.pid"
    : >>"$dir/sshd.log"
    before=$(wc -c <"$dir/sshd.log")
    LD_PRELOAD=$preload "$sshd" -f "$dir/sshd_config" -E "$dir/sshd.log" ||
        die "sshd refused to start: $(tail -n 3 "$dir/sshd.log")"
    # The pid file is written when it listens.
    tries=0
    until listener; do
        tail -c +"$((before + 1))" "$dir/sshd.log" >"$dir/log.new"
        grep -q 'Address already in use' "$dir/log.new" && return 1
        ! grep -q 'fatal:' "$dir/log.new" || die "sshd: $(grep fatal: "$dir/log.new")"
        tries=$((tries + 1))
        [ $tries -lt 400 ] || die "sshd does not come up: $(tail -n 3 "$dir/sshd.log")"
        sleep 0.05
    done
}

random_port() { # below the ports that the kernel hands out by itself
    echo $((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
}

start() {
    find_sshd
    check_shell
    prepare_root
    make_keys
    round=0
    while :; do
        port=$(random_port)
        write_config
        launch && break
        round=$((round + 1))
        [ $round -lt 20 ] || die "no free port found"
    done
    write_known_hosts
    echo "$port" >"$dir/port"
    id -un >"$dir/user"
    echo "$port"
}

# The children of process $1.
children() {
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) (.*) . /\1 /' |
        while read -r child parent rest; do
            [ "$parent" != "$1" ] || echo "$child"
        done
}

# All sshd processes of the sessions (the privileged ones and their halves).
sessions() {
    for child in $(children "$1"); do
        case $(cat "/proc/$child/comm" 2>/dev/null) in
        sshd*)
            echo "$child"
            sessions "$child"
            ;;
        esac
    done
}

cut_all() {
    listener || return 0
    kill -STOP "$pid" # no new session between looking and killing
    main=$pid
    for session in $(sessions "$main"); do
        kill -KILL "$session" 2>/dev/null || :
    done
    kill -KILL "$main"
    while [ -d "/proc/$main" ] && ! grep -q ') Z' "/proc/$main/stat" 2>/dev/null; do
        sleep 0.01
    done
    rm -f "$dir/sshd.pid"
}

restore() {
    listener && return
    [ -s "$dir/sshd_config" ] || die "$dir is not a lab"
    find_sshd
    prepare_root
    round=0
    until launch; do # old connections may still hold the port for a moment
        round=$((round + 1))
        [ $round -lt 20 ] || die "the port is taken"
        sleep 0.2
    done
}

command='' rekey='' extra='' hostkeys='ed25519 ecdsa'
case ${1:-} in
stop | cut) cut_all; exit ;;
restore) restore; exit ;;
esac
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "no value for $1"
    case $1 in
    --command) command=$2 ;;
    --rekey) rekey=$2 ;;
    --hostkeys) hostkeys=$2 ;;
    --option) extra="$extra$2
" ;;
    *) die "unknown option $1" ;;
    esac
    shift 2
done
start
