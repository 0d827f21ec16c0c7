#!/bin/sh
# SPDX-License-Identifier: MIT
#
# drover-kv from the outside: every command, every exit status, odd names.
# Usage: test_kv.sh PATH-OF-DROVER-KV
set -u
kv=$1
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-kv-XXXXXX") || exit 1
trap 'chmod -R u+rwx "$tmp"; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
db=$tmp/db
n=0
bad=0

# is NAME WANT-STATUS WANT-STDOUT COMMAND...   (stdin is passed on)
is() {
    name=$1 status=$2 want=$3
    shift 3
    n=$((n + 1))
    "$@" >"$tmp/out" 2>"$tmp/err"
    got=$?
    printf '%s' "$want" >"$tmp/want"
    if [ $got -eq "$status" ] && cmp -s "$tmp/out" "$tmp/want"; then
        echo "ok $n - $name"
    else
        bad=$((bad + 1))
        echo "not ok $n - $name"
        echo "# status $got, wanted $status; stdout and stderr:"
        sed 's/^/#   /' "$tmp/out" "$tmp/err"
    fi
}

# says NAME TEXT: the last command's stderr contains it
says() {
    n=$((n + 1))
    if grep -qF -- "$2" "$tmp/err"; then
        echo "ok $n - $1"
    else
        bad=$((bad + 1))
        echo "not ok $n - $1"
        sed 's/^/#   /' "$tmp/err"
    fi
}

nl='
'
tab=$(printf '\t')
bin=$(printf 'k\377\nx')

# --- first steps
is "a missing database is 66" 66 "" "$kv" "$db" get k
is "and is not made by a write" 66 "" "$kv" "$db" set k v
says "the hint names --create" "--create"
is "--create makes it" 0 "" "$kv" "$db" set --create k v
is "get prints the value as it is" 0 "v" "$kv" "$db" get k
is "a missing key is 1" 1 "" "$kv" "$db" get nope
says "the message names the key" "nope"
is "a missing table is 1" 1 "" "$kv" "$db" get -t nope k
is "has: yes" 0 "" "$kv" "$db" has k
is "has: no" 1 "" "$kv" "$db" has nope

# --- values
printf 'from\0stdin\n' >"$tmp/value"
is "set from stdin" 0 "" "$kv" "$db" set bin <"$tmp/value"
n=$((n + 1))
if "$kv" "$db" get bin | cmp -s - "$tmp/value"; then
    echo "ok $n - bytes come back exactly"
else
    bad=$((bad + 1))
    echo "not ok $n - bytes come back exactly"
fi
is "an empty value by argument" 0 "" "$kv" "$db" set empty ""
is "an empty value by stdin" 0 "" "$kv" "$db" set empty2 </dev/null
is "is a value" 0 "" "$kv" "$db" get empty2
is "options may follow, -- ends them" 0 "" "$kv" "$db" set -t t -- -key -val
is "a key with a dash" 0 "-val" "$kv" "$db" get -t t -- -key
is "import a file" 0 "" "$kv" "$db" import imp "$tmp/value"
is "of the same bytes" 0 "" sh -c '"$1" "$2" get imp | cmp - "$3"' sh "$kv" "$db" "$tmp/value"
is "import of nothing is 66" 66 "" "$kv" "$db" import imp "$tmp/none"
is "import of a directory is 74" 74 "" "$kv" "$db" import imp "$tmp"
is "and the old value stays" 0 "" sh -c '"$1" "$2" get imp | cmp - "$3"' sh "$kv" "$db" "$tmp/value"

# --- create, update, delete
is "create" 0 "" "$kv" "$db" create c 1
is "create again is 1" 1 "" "$kv" "$db" create c 2
is "and changes nothing" 0 "1" "$kv" "$db" get c
is "update" 0 "" "$kv" "$db" update c 3
is "update of nothing is 1" 1 "" "$kv" "$db" update nope 3
is "delete" 0 "" "$kv" "$db" delete c nope
is "has deleted" 1 "" "$kv" "$db" has c

# --- lists
is "keys of all bytes" 0 "" "$kv" "$db" set -t odd "$bin" x
is "keys with spaces" 0 "" "$kv" "$db" set -t odd "a b" "y z"
is "keys with quotes" 0 "" "$kv" "$db" set -t odd "it's" z
is "keys are shell-quoted" 0 "'a b'${nl}'it'\\''s'${nl}\$'k\\xff\\nx'${nl}" "$kv" "$db" keys -t odd
is "keys by prefix" 0 "'a b'${nl}" "$kv" "$db" keys -t odd -p a
is "keys raw" 0 "a b|it's|${bin}|" sh -c '"$1" "$2" keys -t odd -0 | tr "\000" "|"' sh "$kv" "$db"
is "each" 0 "'a b'${tab}'y z'${nl}" "$kv" "$db" each -t odd -p "a b"
is "json" 0 "{\"schema\":1,\"table\":\"odd\",\"key\":\"a b\",\"size\":3,\"value\":\"y z\"}${nl}" "$kv" "$db" each -t odd -p "a b" --json
is "json of bytes" 0 "{\"schema\":1,\"table\":\"odd\",\"key\":\"k�\\nx\",\"key_b64\":\"a/8KeA==\"}${nl}" "$kv" "$db" keys -t odd -p k --json
is "json of get" 0 "{\"schema\":1,\"table\":\"\",\"key\":\"k\",\"size\":1,\"value\":\"v\"}${nl}" "$kv" "$db" get k --json
is "json of has" 1 "{\"schema\":1,\"table\":\"\",\"key\":\"x\",\"exists\":false}${nl}" "$kv" "$db" has x --json
is "json of delete" 0 "{\"schema\":1,\"table\":\"\",\"key\":\"x\",\"deleted\":false}${nl}" "$kv" "$db" delete x --json
is "json of a failure" 1 "{\"schema\":1,\"error\":{\"id\":0,\"text\":\"the key exists already\",\"hint\":\"\",\"exit\":1}}${nl}" "$kv" "$db" create k x --json
is "json of wrong usage" 64 "{\"schema\":1,\"error\":{\"id\":0,\"text\":\"the command is missing\",\"hint\":\"drover-kv help\",\"exit\":64}}${nl}" "$kv" "$db" --json
is "keys of no table is 1" 1 "" "$kv" "$db" keys -t none

# --- tables
is "mktable" 0 "" "$kv" "$db" mktable eu/users
is "mktable again" 0 "" "$kv" "$db" mktable eu/users
is "tables" 0 "''${nl}eu/users${nl}odd${nl}t${nl}" "$kv" "$db" tables
is "tables as json" 0 "{\"schema\":1,\"table\":\"\"}${nl}{\"schema\":1,\"table\":\"eu/users\"}${nl}{\"schema\":1,\"table\":\"odd\"}${nl}{\"schema\":1,\"table\":\"t\"}${nl}" "$kv" "$db" tables --json
is "a nested table" 0 "" "$kv" "$db" set -t t.tbl/in k v
is "drop refuses a nested one" 1 "" "$kv" "$db" drop t
is "and has deleted nothing" 0 "-val" "$kv" "$db" get -t t -- -key
is "drop" 0 "" "$kv" "$db" drop t.tbl/in
is "drop the outer" 0 "" "$kv" "$db" drop t
is "drop of nothing is fine" 0 "" "$kv" "$db" drop t
is "the root cannot be dropped" 64 "" "$kv" "$db" drop ""

# --- wrong usage
is "no arguments is 64" 64 "" "$kv"
is "no command is 64" 64 "" "$kv" "$db"
is "an unknown command is 64" 64 "" "$kv" "$db" frobnicate
says "the message names it" "unknown command frobnicate"
is "a mistyped command is 64" 64 "" "$kv" "$db" gett k
says "the hint is the right one" "      HINT: did you mean get?"
is "an unknown option is 64" 64 "" "$kv" "$db" keys --frobnicate
is "too few arguments is 64" 64 "" "$kv" "$db" get
says "the message names what is missing" "get needs KEY"
is "too many arguments is 64" 64 "" "$kv" "$db" get a b
says "the hint is the usage" "      HINT: usage: drover-kv DIR get KEY"
is "the database forgotten is 64" 64 "" "$kv" get k
says "the message says what comes first" "comes first"
is "a key with a slash is 64" 64 "" "$kv" "$db" get a/b
is "a table with dots is 64" 64 "" "$kv" "$db" get -t ../x k
is "drover's own directory is 64" 64 "" "$kv" "$db" set -t .drover/x k v
is "a bare number as timeout is 64" 64 "" "$kv" "$db" get -T 5 k
says "the message shows units" "250ms"
is "an unlocked key needs no time" 0 "v" "$kv" "$db" get -T 0 k
is "forever is a timeout" 0 "v" "$kv" "$db" get -T forever k

# --- locks
exec 8<"$db/k.kv"
flock -x 8
is "an exclusive lock times out with 75" 75 "" "$kv" "$db" get -T 20ms k
says "the message names the key" "k.kv"
exec 8<&-
exec 8<"$db/k.kv"
flock -s 8
is "a share lock lets readers in" 0 "v" "$kv" "$db" get -T 0 k
is "and no writers" 75 "" "$kv" "$db" set -T 20ms k w
is "nor deletes" 75 "" "$kv" "$db" delete -T 20ms k
exec 8<&-
is "nothing was changed" 0 "v" "$kv" "$db" get k

# --- replicas, permissions, what is no key
mkdir "$db/.drover" && : >"$db/.drover/replica"
is "a replica is not written" 77 "" "$kv" "$db" set k w
says "the message says replica" "replica"
says "the hint names --force" "--force"
is "it is read" 0 "v" "$kv" "$db" get k
is "--force writes" 0 "" "$kv" "$db" set --force k w
rm -r "$db/.drover"
mkdir "$db/dir.kv"
is "a directory with a key's name is 65" 65 "" "$kv" "$db" get dir
: >"$tmp/file"
is "a file as database is 65" 65 "" "$kv" "$tmp/file" get k
if [ "$(id -u)" -ne 0 ]; then
    chmod 000 "$db/k.kv"
    is "an unreadable value is 77" 77 "" "$kv" "$db" get k
    chmod 600 "$db/k.kv"
    chmod 500 "$db"
    is "an unwritable table is 77" 77 "" "$kv" "$db" set k w
    chmod 700 "$db"
else
    echo "# skipped two tests of permissions: root may do everything"
fi
if [ -w /dev/full ]; then
    is "a full disk behind stdout is 74" 74 "" sh -c '"$1" "$2" get k >/dev/full' sh "$kv" "$db"
fi

# --- nothing is left over, and help is there
is "no temporaries are left" 0 "" find "$db" -name '.drover-tmp.*'
n=$((n + 1))
if "$kv" --help | grep -q '^Examples:' && "$kv" --version | grep -q '^drover-kv [0-9]' &&
    [ "$("$kv" -V)" = "$("$kv" version)" ] && "$kv" help set | grep -q 'Usage: drover-kv DIR set KEY'; then
    echo "ok $n - help begins with examples, version is told"
else
    bad=$((bad + 1))
    echo "not ok $n - help begins with examples, version is told"
fi

# --- many at once: one winner
: >"$tmp/winners"
i=0
while [ $i -lt 12 ]; do
    { "$kv" "$db" create race "$i" 2>/dev/null && echo "$i" >>"$tmp/winners"; } &
    i=$((i + 1))
done
wait
winner=$(cat "$tmp/winners")
is "of twelve creators one wins, and it is the one" 0 "$winner" "$kv" "$db" get race
is "there is one winner" 0 "1" sh -c 'wc -l <"$1" | tr -d " \n"' sh "$tmp/winners"

# --- a value that is not held in memory, straight through
truncate -s 65M "$tmp/large"
echo end >>"$tmp/large"
is "a value above 64 MiB by stdin" 0 "" sh -c '"$0" "$1" set large <"$2"' "$kv" "$db" "$tmp/large"
is "comes back the same" 0 "" sh -c '"$0" "$1" get large | cmp - "$2"' "$kv" "$db" "$tmp/large"
is "no room for it is no success" 1 "" sh -c '"$0" "$1" get large >/dev/full; [ $? -ne 0 ] && exit 1' "$kv" "$db"
is "and goes" 0 "" "$kv" "$db" delete large
is "each --null separates by NUL" 0 "k" sh -c \
    '"$0" "$1" mktable pairs && "$0" "$1" set -t pairs k v && "$0" "$1" each -t pairs --null | tr "\0" "\n" | head -n 1 | tr -d "\n"' "$kv" "$db"
is "the words in the wrong order" 64 "" "$kv" get "$db" k
says "are told the order" "comes first"

echo "1..$n"
[ $bad -eq 0 ]
