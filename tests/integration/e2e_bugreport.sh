# SPDX-License-Identifier: MIT
#
# e2e_bugreport.sh: `drover bugreport` makes an archive with what helpers ask
# for, without a name, a value or a key, whatever hangs or is missing.  See
# e2e_lib.sh.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

PATH=$PATH:$(dirname "$DROVER_REPLICA"):$(dirname "$DROVER_KV")
export PATH
report() { "$DROVER" --config "$conf" bugreport -o "$W/r.tar.gz" "$@"; }
# Of the archive, into $W/r.
unpack() {
    rm -rf "$W/r"
    mkdir "$W/r"
    tar -xzf "$W/r.tar.gz" --strip-components 1 -C "$W/r" || fail "no archive"
    is "$(stat -c %a "$W/r.tar.gz")" 600 "the archive's mode"
    zcat "$W/r.tar.gz" >"$W/r.tar"
    rm "$W/r.tar.gz"
}
lacks() { ! grep -qa -- "$1" "$W/r.tar" || fail "$1 is in: $(grep -rla -- "$1" "$W/r")"; }
holds() { grep -qs -- "$2" "$W/r/$1" || fail "$1 lacks $2: $(cat "$W/r/$1")"; }
missing() { holds MISSING "^$1: $2"; }
said() { "$DROVER" --config "$conf" events --json | grep -q MARKNAME; }

# Names, values and keys in every place that Drover tells of.
marked() {
    table MARKNAME.tbl
    table MARKNAMEu.tbl
    mkdir "$P/MARKNAMEforeign"
    echo MARKVALUE >"$P/MARKNAMEforeign/file"
    ln -s /nonexistent "$P/MARKNAME.tbl/MARKNAMElink.kv"
    write flockd-set "$P/MARKNAME.tbl" MARKNAMEa MARKVALUE
    write flockd-set "$P" "$(printf 'MARKNAME\377b')" MARKVALUE
    printf -- '-----BEGIN OPENSSH PRIVATE KEY-----\nMARKSECRET\n' >"$W/id"
    chmod 600 "$W/id"
    : >"$W/known"
    DATABASE_EXTRA='lag-limit = 1s' # which is logged, with the name
    begin_config
    add_replica r1 --lock-timeout 300ms
    cat >>"$conf" <<END
[replica r2]
host = 127.0.0.1
port = 1
user = nobody
path = /srv/copy
identity = $W/id
paused = yes
known-hosts = $W/known
END
    start_agent
    must_be r1 streaming
    must_within "$WAIT" test -e "$W/r1/MARKNAME.tbl/MARKNAMEa.kv"
    "$E2E_BIN/e2e_writer" hold-shared "$W/r1/MARKNAME.tbl/MARKNAMEa.kv" "$W/ready" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    write flockd-set "$P/MARKNAME.tbl" MARKNAMEa MARKVALUE2
    must_within "$WAIT" status_is blocked_count 1
    must_within "$WAIT" said
    case $(status 'blocked[side=replica].key') in MARKNAMEa) ;; *) fail "the key is not told of" ;; esac

    expect 0 report
    out_has "^$W/r.tar.gz$"
    out_has 'Look at it before you send it'
    unpack
    for mark in MARKNAME MARKVALUE MARKSECRET; do lacks "$mark"; done
    lacks "$(printf 'MARKNAME\377b' | base64)"
    holds status.json '"key_hash": "[0-9a-f]\{12\}"'
    holds status.json "\"path\": \"$P\""
    holds metrics.txt '^drover_'
    holds events.json '"event": '
    holds check.json '"what": '
    holds config.txt "identity = $W/id"
    holds config.json "\"$W/id\""
    holds check-config.txt .
    holds version.txt '^agent '
    holds version-drover-replica.txt '^drover-replica '
    holds version-drover-kv.txt '^drover-kv '
    holds system.txt '^Linux '
    holds system.txt max_user_watches
    holds process.txt 'Max open files'
    # The agent's descriptors are root's to see.
    [ "$(id -u)" != 0 ] || holds process.txt '^descriptors: [0-9]'
    [ "$(id -u)" = 0 ] || missing process.txt 'Permission denied'
    holds space.txt 'bytes free'
    holds state-dir.txt ' index'
    holds README 'no private key'

    # With names, but nothing else.
    expect_json 0 report --names --json
    is "$(out_json names)" true "names"
    is "$(out_json file)" "$W/r.tar.gz" "the file"
    unpack
    holds status.json MARKNAMEa
    for mark in MARKVALUE MARKSECRET; do lacks "$mark"; done
    kill "$holder"
    wait "$holder" || :

    expect 0 report --quiet
    is "$(cat "$W/out")" "$W/r.tar.gz" "what is printed with --quiet"
    unpack
    # What is there stays.
    echo mine >"$W/r.tar.gz"
    expect 73 report
    is "$(cat "$W/r.tar.gz")" mine "a file that was there"
    expect 73 "$DROVER" --config "$conf" bugreport -o "$W/none/r.tar.gz"
    # By itself, where the agent is found by its socket.
    (cd "$W/r" && expect 0 ctl bugreport)
    ls "$W"/r/drover-report-*.tar.gz >"$W/out"
}

# Nothing runs, or nothing is right.
without() {
    table t.tbl
    begin_config
    add_replica r1
    expect 0 report
    unpack
    missing status.json '.* ended with 69'
    missing metrics.txt 'the agent does not answer'
    missing process.txt 'no agent answers'
    holds config.txt "^path = $P"
    holds check.json '"findings"'
    holds space.txt "^$P: "
    echo 'no setting' >>"$conf"
    expect 0 report
    unpack
    missing config.json '.* ended with 78'
    holds check-config.txt 'DR-501 '
    expect 0 "$DROVER" --socket "$W/none.sock" bugreport -o "$W/r.tar.gz"
    unpack
    missing config.json 'no configuration file was found'
    missing mount-state-dir.txt 'the state directory is not known'
}

# An agent that stopped holds up nobody for long.
hung() {
    table t.tbl
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    kill -STOP "$agent_pid"
    expect 0 report
    kill -CONT "$agent_pid"
    unpack
    missing status.json 'given up after'
    missing metrics.txt 'the agent does not answer'
    holds config.txt "^path = $P"
    holds system.txt '^Linux '
}

plain() {
    as_plain_user
    marked
}

"$scenario"
