#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Completion in real shells, with the scripts that are installed: commands,
# options, values, files, and the names of a running agent's replicas.  Shells
# that are not installed are skipped, bash never.
# Usage: test_completion.sh DIRECTORY-OF-SCRIPTS PROGRAM...
set -u
scripts=$1
shift
command -v bash >/dev/null || { echo "SKIP: bash is not installed"; exit 77; }
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-comp-XXXXXX") || exit 1
agent=
trap '[ -z "$agent" ] || kill "$agent"; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
mkdir "$tmp/bin" "$tmp/db" "$tmp/home" "$tmp/etc" "$tmp/etc/sub"
for p in "$@"; do ln -s "$p" "$tmp/bin/"; done
PATH=$tmp/bin:$PATH
HOME=$tmp/home
export PATH HOME
: >"$tmp/etc/file"
n=0
bad=0

in_bash() { # WORD...
    # shellcheck disable=SC2016  # expanded by that shell
    bash --norc -c '. "$0/bash-completion/completions/$1"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _${1//-/_}
        [ ${#COMPREPLY[@]} = 0 ] || printf "%s\n" "${COMPREPLY[@]}"' "$scripts" "$@"
}
in_zsh() {
    # What the completion system would be handed over.
    # shellcheck disable=SC2016
    zsh -f -c 'compdef() { :; }; compset() { :; }
        _describe() { print -rl -- "${(@)${(@P)2}%%:*}"; }
        _files() { [[ "$*" == -/ ]] && print -r -- $words[CURRENT]*(/N) || print -rl -- $words[CURRENT]*(N); }
        . "$0/zsh/vendor-completions/_$1"
        words=("$@") CURRENT=$#
        _${1//-/_}' "$scripts" "$@"
}
in_fish() {
    program=$1
    line=$*
    # shellcheck disable=SC2016
    fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
        "$scripts/fish/vendor_completions.d/$program.fish" "$line" |
        sed 's/\t.*//; s,/$,,'
}

# completes WANT WORD...: in each shell; WANT is sorted, separated by blanks
completes() {
    want=$1
    shift
    for shell in $shells; do
        n=$((n + 1))
        got=$("in_$shell" "$@" 2>"$tmp/err" | sort -u | tr '\n' ' ')
        if [ "$got" = "$want${want:+ }" ] && [ ! -s "$tmp/err" ]; then
            echo "ok $n - $shell: $*"
        else
            bad=$((bad + 1))
            echo "not ok $n - $shell: $* is completed by \"$got\", not \"$want\""
            sed 's/^/#   /' "$tmp/err"
        fi
    done
}

shells=bash
for s in zsh fish; do
    if command -v $s >/dev/null; then shells="$shells $s"; else echo "# skipped $s: it is not installed"; fi
done

completes "status" drover sta
completes "--watch" drover status --wa
completes "always auto" drover --color a
completes "bash fish zsh" drover completion ''
completes "resync" drover help resy
completes "" drover status ''
completes "$tmp/etc/file" drover --config "$tmp/etc/f"
completes "$tmp/etc/sub" drover init "$tmp/etc/"
completes "empty list restore" drover-replica trash ''
completes "replace wait" drover-replica receive --on-lock-timeout ''
completes "$tmp/etc" drover-replica status "$tmp/et"
completes "$tmp/etc" drover-replica trash restore "$tmp/db" "$tmp/et"
completes "keys" drover-kv "$tmp/db" key
completes "--prefix" drover-kv "$tmp/db" keys --pre
drover-kv "$tmp/db" set --create --table users bob 1 || exit 1
drover-kv "$tmp/db" set --table users alice 1 || exit 1
completes "users" drover-kv "$tmp/db" get --table u
completes "alice bob" drover-kv "$tmp/db" get --table users ''

# With an agent; until it answers there is nothing to complete.
cat >"$tmp/etc/a.conf" <<END
[database]
path = $tmp/db
state-dir = $tmp/state
socket = $tmp/sock
[replica eu-1]
command = true
[replica us-1]
command = false
END
drover agent --config "$tmp/etc/a.conf" 2>"$tmp/log" &
agent=$!
until drover --socket "$tmp/sock" status >/dev/null 2>&1 || [ $? = 1 ]; do
    kill -0 $agent 2>/dev/null || { agent=; cat "$tmp/log"; exit 1; }
done
completes "eu-1 us-1" drover --socket "$tmp/sock" resync ''
completes "us-1" drover --config "$tmp/etc/a.conf" pause eu-1 u
completes "" drover --socket "$tmp/none" resync ''
# bash hands over "--color=a" in three words; a word with "=" is one elsewhere.
shells=bash
completes "always auto" drover --color = a
completes "eu-1 us-1" drover --socket = "$tmp/sock" resync ''

echo "1..$n"
[ $bad = 0 ]
