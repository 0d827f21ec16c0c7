# SPDX-License-Identifier: MIT
#
# e2e_schema.sh: what commands print with --json follows the three *.schema.json: every
# command of the three programs, in good days and bad ones, and every error.
# (expect_json holds all other tests to it, too.)  See e2e_lib.sh.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"
SCHEMA_NEEDED=yes

# Whatever it exits with, but a signal.
any() {
    code=0
    "$@" >"$W/out" 2>"$W/json.err" </dev/null || code=$?
    [ $code -lt 128 ] || fail "exit status $code: $*"
    [ -s "$W/out" ] || fail "it prints nothing: $*"
    follows_schema "$@"
    tried="$tried
$*"
}
tried=''
# Each command of the program is among what was tried, but those that print no
# object: all_tried PROGRAM EXCEPTION...
all_tried() {
    program=$1
    shift
    "$program" help | sed -n '/^Commands/,/^For every/s/^  \([a-z].*\)/\1/p' |
        sed 's/ [ A-Z\[].*//; s/  .*//; s/ bash|.*//' >"$W/commands"
    [ -s "$W/commands" ] || fail "no commands"
    while read -r name; do
        case " $* " in *" $name "*) continue ;; esac
        printf '%s' "$tried" | grep -q -- "[^a-z]$name\\b" || fail "$program $name was not tried"
    done <"$W/commands"
}

agents() {
    table users.tbl
    table 'deep'
    table 'deep/er.tbl'
    write fill "$P/users.tbl" 0 30 100
    write flockd-set "$P/deep/er.tbl" k 1
    begin_config
    sed -i "s/^\[database\]\$/&\nmax-delete-keys = 3/" "$conf"
    add_replica r1
    add_replica r2
    echo "[replica bad]
command = $DROVER_REPLICA receive $W/no/such/dir" >>"$conf"
    any ctl status --json
    start_agent
    must_be r1 streaming
    must_be r2 streaming
    proven r1
    for order in status health metrics events version reload resync verify 'wait r1' \
        'resync --dry-run' 'verify --content' 'verify --recorded' 'pause r2' 'resume r2' \
        'retry' 'wait --timeout 1ms' 'verify nope' 'approve r1' 'approve r1 --dry-run' \
        'key users k-000001' 'key users none' 'key none k' 'key deep/er k' \
        'events --since 1h r1' check 'check r1' nonsense 'status --nonsense' 'resync --anew'; do
        # shellcheck disable=SC2086 # words
        any ctl $order --json
    done
    for order in check-config show-config 'show-config --all' 'replica list' 'check-config --list-settings' \
        'replica add r1 r1.example.net:/x --dry-run' 'replica remove nope' 'replica remove r2 --dry-run'; do
        # shellcheck disable=SC2086 # words
        any "$DROVER" --config "$conf" $order --json
    done
    any "$DROVER" init --json "$P"
    any "$DROVER" init --json "$W/no/such"
    any "$DROVER" --config "$W/none.conf" show-config --json
    echo 'colour = red' >>"$conf"
    any "$DROVER" --config "$conf" check-config --json
    any ctl reload --json

    # Bad days: held deletes, what differs, a locked key, one that is refused.
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/users.tbl/k-000029.kv" "$W/ready" next &
    holder=$!
    must_within "$WAIT" status_is blocked_count 1
    printf other >"$W/r1/users.tbl/k-000001.kv"
    mkdir "$W/r2/users.tbl/odd.kv"
    printf value >"$P/users.tbl/odd.kv"
    # A name that is no UTF-8.
    printf value >"$P/users.tbl/$(printf '\377').kv"
    for i in 2 3 4 5 6 7 8 9; do rm "$P/users.tbl/k-00000$i.kv"; done
    must_be r1 held
    must_within "$WAIT" status_is "$(of r2 refused.count)" 1
    for order in status metrics health 'approve r1 --dry-run' 'verify --timeout 3s' \
        'resync --dry-run --timeout 3s' 'wait --timeout 1ms' check events \
        'key users k-000029' 'key users k-000002' 'key users odd' 'key users k-000001'; do
        # shellcheck disable=SC2086 # words
        any ctl $order --json
    done
    token=$(status "$(of r1 held.token)")
    any ctl approve r1 "$token" --json
    kill "$holder"
    wait "$holder" || :
    any ctl resync --anew r1 --json
    stop_agent
    any ctl status --json
    any "$DROVER" --config "$conf" events --json
    any ctl bugreport -o "$W/report.tar.gz" --json
    any ctl bugreport -o "$W/report.tar.gz" --json
    all_tried "$DROVER" agent completion help
}

replicas() {
    table t.tbl
    write fill "$P/t.tbl" 0 5 10
    begin_config
    add_replica r1 --trash-keep 1h
    start_agent
    must_be r1 streaming
    proven r1
    rm "$P/t.tbl/k-000001.kv"
    must_within "$WAIT" same r1
    dr() { any "$DROVER_REPLICA" "$@" --json; }
    dr status "$W/r1"
    dr status "$W/nowhere"
    dr status "$P"
    dr fresh "$W/r1" --max-age 1h
    dr fresh "$W/nowhere" --max-age 1h
    dr check "$W/r1"
    dr check "$W/nowhere"
    dr trash list "$W/r1"
    dr undone list "$W/r1"
    dr promote "$W/r1"
    stop_agent
    must_within "$WAIT" no_receiver
    dr trash restore "$W/r1" "$W/restored"
    dr undone restore "$W/r1" "$W/undone"
    dr undone empty "$W/r1"
    dr trash empty "$W/r1"
    dr promote "$W/r1"
    dr demote "$W/r1"
    dr kept "$W/r1"
    dr kept "$W/r1" --remove
    cp -a "$P" "$W/copy"
    dr adopt "$W/copy" "$(cat "$P/.drover/id")"
    dr adopt "$W/copy" nonsense
    dr version
    dr nonsense
    all_tried "$DROVER_REPLICA" receive metrics completion help
}
no_receiver() { [ -z "$(receivers_of "$W/r1")" ]; }

kv() {
    k() { any "$DROVER_KV" "$P" "$@" --json; }
    k set a 1
    k create b 2
    k create b 2
    k update b 3
    k get a
    k get none
    k has a
    k has none
    k mktable t
    k set --table t "$(printf '\377')" x
    k each --table t
    printf file >"$W/file"
    k import f "$W/file"
    k import f "$W/none"
    k keys
    k tables
    k delete a none
    k drop t
    k drop t
    : >"$P/.b.kv.12345"
    mkdir "$P/s.tbl"
    printf x >"$P/s.tbl/key.kv"
    printf x >"$P/s.tbl/key.kv1234567.kv"
    code=0
    "$DROVER_KV" "$P" sweep --json >"$W/out" || code=$?
    follows_schema "$DROVER_KV" sweep
    tried="$tried sweep"
    any "$DROVER_KV" version --json
    any "$DROVER_KV" "$P" nonsense --json
    all_tried "$DROVER_KV" completion help
}

"$scenario"
