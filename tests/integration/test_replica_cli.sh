#!/bin/sh
# SPDX-License-Identifier: MIT
#
# drover-replica from the outside: every command that is typed by hand, every
# wrong way to type it, replicas in odd states.
# Usage: test_replica_cli.sh PATH-OF-DROVER-REPLICA
set -u
replica=$1
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-cli-XXXXXX") || exit 1
trap 'chmod -R u+rwx "$tmp"; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
n=0
bad=0
id=0123456789abcdef0123456789abcdef

verdict() { # OK NAME
    n=$((n + 1))
    if [ "$1" = 0 ]; then
        echo "ok $n - $2"
    else
        bad=$((bad + 1))
        echo "not ok $n - $2"
        sed 's/^/#   /' "$tmp/out" "$tmp/err"
    fi
}
# is WANTED-STATUS TEXT ARGUMENT...: the status, and TEXT on stdout or stderr
is() {
    status=$1 text=$2
    shift 2
    "$replica" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    [ $got = "$status" ] && cat "$tmp/out" "$tmp/err" | grep -qF -e "$text"
    verdict $? "drover-replica $* is $status (got $got): $text"
}

# --- words
is 0 "Exit codes" --help
is 0 "Exit codes" -h
is 0 "Usage: drover-replica promote DIR" help promote
is 0 "Usage: drover-replica promote DIR" promote --help
is 0 "Usage: drover-replica trash restore DIR OUT" help trash restore
is 0 "protocol" version
is 0 "protocol" --version
is 0 "protocol" -V
is 64 "the command is missing"
is 64 "drover-replica help" nonsense
is 64 "did you mean status?" staus
is 64 "receive needs DIR" receive
is 64 "receive takes fewer arguments: $tmp/b" receive "$tmp/a" "$tmp/b"
is 64 "unknown option --colour" receive --colour red "$tmp/a"
is 64 "0640" receive --file-mode 999 "$tmp/a"
is 64 "octal" receive --dir-mode rwx "$tmp/a"
is 64 "nogroup-of-that-name" receive --group nogroup-of-that-name "$tmp/a"
is 64 "replace" receive --on-lock-timeout never "$tmp/a"
is 64 "often" receive --lock-timeout often "$tmp/a"
is 64 "fresh needs DIR" fresh
is 64 "10s" fresh "$tmp"
is 64 "soon" fresh --max-age soon "$tmp"
for command in fresh status adopt promote demote kept; do
    is 64 "$command needs DIR" $command
    is 64 "unknown option --colour" $command --colour "$tmp"
done
is 64 "      HINT: usage: drover-replica adopt DIR ID" adopt "$tmp"
is 64 "32 hexadecimal digits" adopt "$tmp" 0123
is 64 "above 0" promote --epoch 0 "$tmp"
is 64 "above 0" promote --epoch 1x "$tmp"
is 64 "not both" kept --remove --restore "$tmp/b" "$tmp"
is 64 "did you mean trash list?" trash "$tmp"
is 64 "trash restore needs OUT" trash restore "$tmp"
is 64 "write it as list shows it" trash list --id zz "$tmp"
is 64 '{"schema":1,"error":{"id":0,"text":"unknown option --colour",' status --colour --json "$tmp"
# What an agent keeps of a receiver is its last line.
"$replica" receive --grup x "$tmp/a" 2>"$tmp/err" >"$tmp/out"
[ "$(wc -l <"$tmp/err")" = 1 ] && grep -q 'did you mean --group' "$tmp/err"
verdict $? "receive says what is wrong in one line"
verdict "$([ ! -e "$tmp/a" ]; echo $?)" "nothing was made"

# --- nothing there
is 69 "is not a replica" status "$tmp/nowhere"
is 69 '"exit":69}}' status --json "$tmp/nowhere"
is 69 '"fresh":false,"age_ms":null,"state":null,"text":"never synced"}' fresh --json --max-age 1h "$tmp/nowhere"
is 69 "never synced" fresh --max-age 1h "$tmp/nowhere"
mkdir "$tmp/plain"
is 69 "is not a replica" status "$tmp/plain"
is 69 "never synced" fresh --max-age 1h "$tmp/plain"

# --- a copy that was taken by hand
copy=$tmp/co\"py
mkdir -p "$copy/t.tbl"
echo v >"$copy/t.tbl/k.kv"
is 0 "" adopt "$copy" $id
is 69 "never synced" status "$copy"
is 69 $id status "$copy"
is 69 "\"role\":\"replica\",\"database\":\"$id\",\"epoch\":0" status --json "$copy"
is 69 '{"schema":1,"version":1,"path":' status --json "$copy"
is 69 'co\"py' status --json "$copy"
is 69 '"equal_as_of":null' status --json "$copy"
is 0 'drover_copy_ever_complete{path="'"$tmp"'/co\"py"} 0' metrics "$copy"
is 69 "never synced" fresh --max-age 1h "$copy"
is 0 '"role":"replica","database":"'$id adopt --json "$copy" $id
is 78 "is a copy of database $id already" adopt "$copy" 1123456789abcdef0123456789abcdef
odd=$(printf '%s/odd\001\377' "$tmp")
mkdir "$odd"
is 0 "" adopt "$odd" $id
is 69 "\\u0001$(printf '\357\277\275')\",\"path_b64\":" status --json "$odd"
is 0 'odd\\x01\\xff' metrics "$odd"

# --- how fresh it is
word() {
    echo "db=$id epoch=7 seq=99 state=$1" >"$copy/.drover/freshness"
    touch -d "$2" "$copy/.drover/freshness"
}
word live now
is 0 "fresh" fresh --max-age 1h "$copy"
is 0 "sequence 99" status "$copy"
is 0 '"seq":99' status --json "$copy"
is 0 'drover_copy_age_seconds{path="'"$tmp"'/co\"py"} 0.' metrics "$copy"
is 0 'drover_copy_differs{path="'"$tmp"'/co\"py"} 0' metrics "$copy"
is 0 '"fresh":true,"age_ms":' fresh --json --max-age 1h "$copy"
word differs now
is 1 "differs from the primary: on its host, drover status" fresh --max-age 1h "$copy"
is 0 'drover_copy_differs{path="'"$tmp"'/co\"py"} 1' metrics "$copy"
word live '2 hours ago'
is 0 'drover_copy_age_seconds{path="'"$tmp"'/co\"py"} 7200.' metrics "$copy"
promtool=$(dirname "$0")/../../build/promtool/usr/bin/promtool
if [ -x "$promtool" ]; then
    "$1" metrics "$copy" >"$tmp/metrics"
    "$promtool" check metrics <"$tmp/metrics"
    verdict $? "promtool takes the metrics"
fi
is 1 "stale" fresh --max-age 1h "$copy"
is 0 "fresh" fresh --max-age 3h "$copy"
word live 'next week'
is 0 "clock is" fresh --max-age 1h "$copy"
# An hour behind the primary's clock, and no word any more: old all the same.
heard=$(date +%s%N)
until [ $(($(date +%s%N) - heard)) -gt 20000000 ]; do :; done
is 1 "stale" fresh --max-age 10ms "$copy"
word live '1970-01-01 00:00:00 UTC'
is 69 "never synced" fresh --max-age 1h "$copy"
echo "rubbish" >"$copy/.drover/freshness"
is 69 "makes no sense" fresh --max-age 1h "$copy"
is 69 "makes no sense" status "$copy"
: >"$copy/.drover/freshness" # as a power loss left it once
is 69 "of unknown age" fresh --max-age 1h "$copy"
is 69 "fresh      unknown" status "$copy"
rm "$copy/.drover/freshness"
echo "rubbish" >"$copy/.drover/replica"
is 69 "makes no sense" status "$copy"


# --- what is kept aside
is 0 "has no trash" trash list "$copy"
is 0 '"values":[],"count":0,"bytes":0}' trash list --json "$copy"
is 0 '"count":0,"bytes":0}' undone empty --json "$copy"
# is the directory the reason, it is 78
is 78 "$tmp/plain: " promote "$tmp/plain"
is 78 '"exit":78}}' demote --json "$tmp/plain"
mkdir -p "$tmp/was/.drover" && echo $id >"$tmp/was/.drover/id" && echo v >"$tmp/was/k.kv"
is 0 '"role":"replica","epoch":1,"kept":1}' demote --json "$tmp/was"
is 69 '"kept":[{"epoch":1,"differs":[],"values":1,"gone":0,"different":0,"added":0}],"complete":false,"removed":false}' kept --json "$tmp/was"
rm "$tmp/was/k.kv"
is 69 '"differs":[{"now":"gone","table":"","key":"k"}],"values":1,"gone":1,' kept --json "$tmp/was"
is 0 '"kept":[{"epoch":1}],"complete":false,"removed":true}' kept --remove --json "$tmp/was"
is 0 "no values are kept" kept "$tmp/was"
is 0 '"role":"primary","epoch":2,"was":1,"copy":null}' promote --force --json "$tmp/was"
is 0 '"role":"replica","epoch":2,"kept":null}' demote --discard --json "$tmp/was"

echo "1..$n"
[ $bad = 0 ]
