# SPDX-License-Identifier: MIT
#
# e2e_key.sh: `drover key` says where one key is, and claims nothing that is not
# known.  See e2e_lib.sh.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

key_says() { # CODE PATH VALUE TABLE KEY
    code=0
    ctl key "$4" "$5" --json >"$W/out" 2>"$W/json.err" || code=$?
    [ "$code" = "$1" ] && [ "$(out_json "$2")" = "$3" ]
}
must_say() {
    until_ok "$WAIT" key_says "$@" ||
        fail "exit status $code, not $1, or $2 is not $3: $(cat "$W/out" "$W/json.err")"
}

# A key on its way through everything that may become of it.
places() {
    table t.tbl
    table 'a/b.tbl'
    write flockd-set "$P/t.tbl" bob "the first value"
    write flockd-set "$P" "at the root" "one"
    write flockd-set "$P/a/b.tbl" deep "one"
    begin_config
    add_replica r1 --lock-timeout 300ms
    add_replica r2
    start_agent
    proven r1 r2
    must_say 0 "$(of r1 state)" has t bob
    is "$(out_json state)" present "the key here"
    is "$(out_json size)" 15 "its size"
    is "$(out_json digest)" "$(printf 'the first value' | sha256sum | cut -c1-32)" "its digest"
    is "$(out_json file.size)" 15 "its size on disk"
    is "$(out_json "$(of r2 state)")" has "r2"
    expect 0 ctl key t bob
    out_has '^t/bob: 15 B, changed 20.*, digest '
    out_has '^r1 *has it'
    expect 0 ctl key '' 'at the root'
    out_has "^'at the root': "
    expect 0 ctl key '(root)' 'at the root'
    expect 0 ctl key a/b deep
    expect 0 ctl key t bob --quiet
    is "$(cat "$W/out")" '' "what is printed with --quiet"

    # A reader there.
    "$E2E_BIN/e2e_writer" hold-shared "$W/r1/t.tbl/bob.kv" "$W/ready" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    write flockd-set "$P/t.tbl" bob "the second value"
    must_say 1 "$(of r1 state)" locked t bob
    must_say 1 "$(of r1 pid)" "$holder" t bob
    is "$(out_json "$(of r1 side)")" replica "the side of the lock"
    must_say 1 "$(of r2 state)" has t bob
    expect 1 ctl key t bob
    out_has '^r1 *locked .*DR-312 '
    kill "$holder"
    wait "$holder" || :
    must_say 0 "$(of r1 state)" has t bob

    # A writer here.
    rm "$W/ready"
    "$E2E_BIN/e2e_writer" hold-shared "$P/t.tbl/bob.kv" "$W/ready" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    must_say 0 file.pid "$holder" t bob
    expect 0 ctl key t bob
    out_has "locked here now by .* (pid $holder)"
    kill "$holder"
    wait "$holder" || :

    # No session: what was, and what waits.
    expect 0 ctl pause r1
    must_say 1 "$(of r1 state)" had t bob
    is "$(out_json "$(of r1 error.text)")" "paused by the operator" "why it only had it"
    write flockd-set "$P/t.tbl" bob "the third value"
    must_say 1 "$(of r1 state)" pending t bob
    must_say 1 "$(of r2 state)" has t bob
    write flockd-delete "$P/t.tbl" bob
    must_say 66 "$(of r1 state)" pending t bob
    must_say 66 "$(of r2 state)" gone t bob
    is "$(out_json state)" absent "the key here"
    expect 66 ctl key t bob
    out_has '^t/bob: no such key here'
    out_has '^r2 *has none'
    expect 0 ctl resume r1
    must_say 66 "$(of r1 state)" gone t bob

    # What cannot be known is not claimed.
    stop_agent
    expect 69 ctl key t bob
}

# Names of every kind, as they are typed.
names() {
    table 'x y.tbl'
    odd=$(printf 'b\377\n\033[1m')
    write flockd-set "$P/x y.tbl" "$odd" "one"
    begin_config
    add_replica r1
    start_agent
    proven r1
    must_say 0 "$(of r1 state)" has 'x y' "$odd"
    case $(cat "$W/out") in *key_b64*) ;; *) fail "no key_b64: $(cat "$W/out")" ;; esac
    expect 0 ctl key 'x y' "$odd"
    out_has "^\\$'x y/b\\\\xff"
    expect 66 ctl key 'x y.tbl' a.kv
    out_has "no such table here"
    out_has "HINT: .*drover key 'x y' a$"
    expect 66 ctl key 'x y' a
    out_lacks HINT
    expect 64 ctl key ../x a
    expect 64 ctl key x a/b
    expect 64 ctl key x
    expect 64 ctl key x "$(printf '%0300d' 0)"
}

# Held deletes, and a value that is refused there.
stopped() {
    table t.tbl
    write fill "$P/t.tbl" 0 40 10
    DATABASE_EXTRA='max-delete-keys = 5'
    begin_config
    add_replica r1
    start_agent
    proven r1
    first=$(ls "$P/t.tbl" | head -n 1)
    last=$(ls "$P/t.tbl" | tail -n 1)
    stop_agent
    for file in $(ls "$P/t.tbl" | head -n 30); do rm "$P/t.tbl/$file"; done
    start_agent
    must_be r1 held
    must_say 66 "$(of r1 state)" held t "${first%.kv}"
    is "$(out_json "$(of r1 error.id)")" 401 "why it is held"
    expect 66 ctl key t "${first%.kv}"
    out_has '^r1 *delete is held'
    must_say 0 "$(of r1 state)" has t "${last%.kv}"
}

# Who may not see names is not told of one.
denied() {
    [ "$(id -u)" = 0 ] || skip "needs root to be somebody else"
    command -v setpriv >/dev/null || skip "needs setpriv"
    chmod 755 "$W"
    cp "$DROVER" "$W/drover"
    table t.tbl
    write flockd-set "$P/t.tbl" bob "one"
    begin_config
    add_replica r1
    start_agent
    chmod 666 "$W/agent.sock"
    expect 77 setpriv --reuid 65534 --regid 65534 --clear-groups \
        "$W/drover" --socket "$W/agent.sock" key t bob
    out_has DR-503
    out_lacks 'has it'
}

plain() {
    as_plain_user
    places
}

"$scenario"
