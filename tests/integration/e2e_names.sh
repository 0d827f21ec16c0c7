#!/bin/sh
# SPDX-License-Identifier: MIT
#
# e2e_names.sh: keys and tables of every byte and of every length, from the
# primary through link and replica to what is shown.  See e2e_lib.sh.
# shellcheck disable=SC2034 # e2e_lib.sh uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

command -v python3 >/dev/null || skip "needs python3"
command -v bash >/dev/null || skip "needs bash"

# Byte B stands alone, first, last and in the middle of keys and of tables; keys
# have 0 to 252 bytes, tables' components 1 to 251.
make_names() {
    python3 - "$1" <<'END'
import os, sys
root = os.fsencode(sys.argv[1])
def put(table, key, value):
    d = root + b''.join(b'/' + c for c in table[:-1]) + (b'/' + table[-1] + b'.tbl' if table else b'')
    os.makedirs(d, exist_ok=True)
    with open(d + b'/' + key + b'.kv', 'wb') as f:
        f.write(value)
for b in range(1, 256):
    if b == ord('/'):
        continue
    c = bytes([b])
    for key in (c, c + b'k', b'k' + c, b'k' + c + b'k'):
        put([], key, b'root ' + key)
        put([b't'], key, b't ' + key)
    put([c + b'tab'], b'k', c)
    put([b'tab' + c], b'k', c)
    put([b'dir' + c + b'x', b'tab' + c], c, c)
for n in range(0, 253):
    put([b'len'], b'n' * n, b'%d' % n)
for n in range(1, 252):
    put([b'l' * n], b'k', b'%d' % n)
put([b'p' * 200, b'q' * 200, b'r' * 200, b's' * 200, b't' * 150], b'z' * 252, b'deep')
END
}

# What verify names are shell words: bash reads them back as what was planted.
planted_are_named() {
    sed -n 's/^  \(missing\|different\|extra\)  *//p' "$W/out" | grep -v '^table ' >"$W/words"
    bash -c 'while IFS= read -r word; do eval "printf %s\\\\0 $word"; done' <"$W/words" |
        LC_ALL=C sort -z >"$W/named"
    LC_ALL=C sort -z "$W/planted" | cmp -s - "$W/named" ||
        fail "verify names others than were planted: $(LC_ALL=C sort -z "$W/planted" | LC_ALL=C comm -z -3 - "$W/named" | tr '\0' '\n' | head -n 3 | od -c | head -n 5)"
}

# Values changed, added and taken away on the replica, by name.
plant() {
    python3 - "$W/one" "$W/planted" <<'END'
import os, sys
root = os.fsencode(sys.argv[1])
names = []
for i, b in enumerate(range(1, 256, 6)):
    c = bytes([b])
    if c == b'/':
        continue
    path = root + b'/t.tbl/k' + c + b'.kv'
    if i % 3 == 0:
        os.unlink(path)
        names.append(b't/k' + c)
    elif i % 3 == 1:
        os.unlink(path)
        with open(path, 'wb') as f:
            f.write(b'edited')
        names.append(b't/k' + c)
    else:
        with open(root + b'/t.tbl/extra' + c + b'.kv', 'wb') as f:
            f.write(b'x')
        names.append(b't/extra' + c)
with open(sys.argv[2], 'wb') as f:
    f.write(b''.join(n + b'\0' for n in names))
END
}

# No byte of what is shown acts on a terminal.
tame() {
    ! LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" "$1" || fail "$1 holds control bytes"
}

# drover-kv reads each key back by the name that it lists.
kv_agrees() {
    python3 - "$DROVER_KV" "$1" <<'END'
import base64, json, os, subprocess, sys
kv, db = sys.argv[1], sys.argv[2]
out = subprocess.run([kv, db, 'keys', '--json', '--table', 't'], capture_output=True)
assert out.returncode == 0, out.stderr
keys = set()
for line in out.stdout.splitlines():
    o = json.loads(line)
    keys.add(base64.b64decode(o['key_b64']) if 'key_b64' in o else o['key'].encode())
there = set(n[:-3] for n in os.listdir(os.fsencode(db) + b'/t.tbl') if n.endswith(b'.kv'))
assert keys == there, (keys ^ there)
for key in sorted(keys)[::7]:
    out = subprocess.run([os.fsencode(kv), os.fsencode(db), b'get', b'--table', b't', b'--', key], capture_output=True)
    assert out.returncode == 0 and out.stdout == b't ' + key, (key, out)
END
}

# What went while the first were shown is held in turn.
all_approved() {
    if same one; then return 0; fi
    ctl approve one >"$W/out" 2>&1 || :
    tame "$W/out"
    false
}

every_byte() {
    make_names "$P"
    SILENCE=30s # a thousand tables at once, on a slow disk
    begin_config
    add_replica one
    start_agent
    proven one
    # One more of each while it is live.
    make_names "$P"
    proven one
    plant
    expect 1 ctl verify --content one
    tame "$W/out"
    planted_are_named
    # What a verify has found is repaired by and by.
    must_within "$WAIT" same one
    proven one
    # The brake shows the same names, and lets go what was approved.
    rm -r "$P/t.tbl"
    for d in "$P"/*tab*.tbl "$P"/dir*; do rm -r "$d"; done
    must_be one held
    { ctl status || :; } >"$W/out" 2>&1
    tame "$W/out"
    until_ok "$WAIT" all_approved || fail "not equal after approval: $(head -n 5 "$W/tree")"
    stop_agent
    tame "$W/agent.log"
}

kv() {
    make_names "$P"
    kv_agrees "$P" || fail "drover-kv reads other names"
}

"$scenario"
