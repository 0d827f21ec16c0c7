# SPDX-License-Identifier: MIT
#
# e2e_config.sh: a configuration that an agent cannot do all of.
# shellcheck disable=SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# More replicas than an agent keeps: it starts with the others, the one that is
# left out is named, and nothing that was asked for all of them is answered.
too_many() {
    table t.tbl
    write flockd-set "$P/t.tbl" k 1
    begin_config
    add_replica r0
    i=1
    while [ $i -le 63 ]; do
        REPLICA_EXTRA='paused = yes' add_replica "r$i"
        i=$((i + 1))
    done
    expect 1 "$DROVER" check-config "$conf"
    out_has "agent.conf:[0-9]*: .replica r63.: .* at most 63 replicas and here are 64"
    start_agent
    must_be r0 streaming
    must_within "$WAIT" has_value "$W/r0/t.tbl/k.kv" 1
    expect 1 ctl status
    out_has 'r63 *failed'
    out_has 'r63.*DR-501.*63'
    expect 78 ctl verify
    out_has 'r63 is left out'
    expect 78 ctl wait r63
    expect 0 ctl wait r0
    # One less: a reload takes it in.
    sed "/replica r62/,/paused/d" "$conf" >"$W/less" && cp "$W/less" "$conf"
    expect 0 "$DROVER" check-config "$conf"
    expect 0 ctl reload
    out_has '+r63'
    must_be r63 paused
    expect 1 ctl status # of the paused ones nothing is proven
    out_lacks DR-501
    expect 1 ctl verify --timeout 1s
    out_lacks 'left out'
}

# A mistake at the start ends the agent with 78, which no unit restarts; at a
# reload the command that asked for it has the answer.
mistakes() {
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    cp "$conf" "$W/good"
    for line in 'control-group = no-such-group-here' 'path = "/srv/x"' 'rescan = 1 fortnight'; do
        sed "2,\$s|^\\(path\\|control-group\\|rescan\\) = .*||;s|^.database.|&\\n$line|" "$W/good" >"$conf"
        expect 78 "$DROVER" check-config "$conf"
        out_has "agent.conf:2: ${line%% =*}"
        expect 78 "$DROVER" agent --config "$conf"
        out_has "agent.conf:2: ${line%% =*}"
        expect 78 ctl reload
        expect 78 "$DROVER" --config "$conf" --socket "$W/agent.sock" reload
    done
    cp "$W/good" "$conf"
    expect 0 ctl reload
    expect 0 ctl status
}

# The remedy that is shown has the real names, and works: provoke, type, healthy.
hints() {
    table t.tbl
    write flockd-set "$P/t.tbl" k 1
    cp -a "$P" "$W/r1" # a copy of the primary that took its .drover along
    begin_config
    expect 0 "$DROVER" init "$P"
    rm -r "$W/r1" && cp -a "$P" "$W/r1"
    add_replica r1
    add_replica r2 --no-such-option
    start_agent
    must_within "$WAIT" status_is "$(of r1 error.id)" 323
    must_within "$WAIT" status_is "$(of r2 state)" failed
    expect 1 ctl status
    out_lacks demote
    out_has "HINT: .*drover-replica status $W/r1"
    out_has "exit status 64"
    out_has "HINT: .*drover-replica --help"
    rm -r "$W/r1/.drover"
    sed 's/ --no-such-option//' "$conf" >"$W/right" && cp "$W/right" "$conf"
    expect 0 ctl reload
    must_be r2 streaming
    must_within "$WAIT" status_is "$(of r1 error.id)" 307
    remedy=$(status "$(of r1 error.text)" | grep -o 'drover-replica adopt [^;]*')
    [ -n "$remedy" ] || fail "nothing to type"
    # shellcheck disable=SC2086 # words
    expect 0 "$DROVER_REPLICA" ${remedy#drover-replica }
    must_be r1 streaming
    must_within "$WAIT" same r1
}

"$scenario"
