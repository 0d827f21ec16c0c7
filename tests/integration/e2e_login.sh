# SPDX-License-Identifier: MIT
#
# e2e_login.sh: whatever is wrong with a link, status says which, and what to do;
# and one bad link disturbs no other.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# broken NAME DR-NUMBER LINE...: a replica with other lines, and what must be
# said about it.
broken() {
    name=$1
    echo "$name $2" >>"$W/expected"
    shift 2
    {
        echo "[replica $name]"
        for line in "$@"; do echo "$line"; done
    } >>"$conf"
}
broken_ssh() { # the lines of a good one, but for those given
    name=$1 number=$2
    shift 2
    ssh_lines >"$W/lines"
    echo "command = $DROVER_REPLICA receive $W/$name" >>"$W/lines"
    for line in "$@"; do
        sed -i "/^${line%% = *} = /d" "$W/lines"
        echo "$line" >>"$W/lines"
    done
    broken "$name" "$number"
    cat "$W/lines" >>"$conf"
}

# Without an agent `check` finds the same.
check_before() {
    while read -r name number; do
        checked "$name" "$number"
    done <"$W/expected"
}

check_all() {
    while read -r name number; do
        must_within "$WAIT" status_is "$(of "$name" error.id)" "$number"
        case $(status "$(of "$name" state)") in
        failed | retrying | connecting) ;;
        *) fail "$name is $(status "$(of "$name" state)")" ;;
        esac
        [ -n "$(status "$(of "$name" error.text)")" ] || fail "$name: no text"
        checked "$name" "$number"
        # The text names the command, or the hint does.
        case $(status "$(of "$name" error.text)") in
        *ssh-keyscan* | *ssh-keygen* | *REVOKED*) ;;
        *) [ -n "$(status "$(of "$name" error.hint)")" ] || fail "$name: no hint" ;;
        esac
    done <"$W/expected"
    expect 1 ctl status
    while read -r name number; do
        out_has "^$name: DR-$number "
    done <"$W/expected"
    # Meanwhile the good one works.
    must_be good streaming
    write flockd-set "$P/t.tbl" live "flows"
    converged good
    code=0
    ctl wait --timeout 1s >"$W/out" 2>&1 || code=$?
    is $code 75 "the exit status of a wait for all of them"
}

ssh_errors() {
    link=ssh
    need_lab
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    begin_config
    add_replica good
    : >"$W/no_hosts"
    port=$(cat "$W/lab/port")
    echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$W/lab/hk_other.pub")" >"$W/other_hosts"
    sed 's/^/@revoked /' "$W/lab/known_hosts" >"$W/revoked_hosts"
    broken_ssh unknown 202 "known-hosts = $W/no_hosts"
    broken_ssh changed 203 "known-hosts = $W/other_hosts"
    broken_ssh revoked 204 "known-hosts = $W/revoked_hosts"
    broken_ssh nofile 204 "known-hosts = $W/nowhere"
    broken_ssh stranger 205 "identity = $W/lab/id_wrong"
    broken_ssh rsa 206 "identity = $W/lab/id_rsa"
    broken_ssh phrase 207 "identity = $W/lab/id_pass"
    broken_ssh nokey 207 "identity = $W/lab/nowhere"
    broken_ssh refused 201 "port = 1"
    broken_ssh noname 201 "host = no-such-host.invalid"
    broken_ssh missing 211 "command = /nonexistent/drover-replica receive $W/missing"
    broken_ssh nologin 210 "command = echo This account is currently not available."
    broken_ssh nodir 304 "command = $DROVER_REPLICA receive $W/no/such/dir"
    check_before
    start_agent
    check_all
    expect 1 ctl status
    # The fingerprint to compare, the file and the port are in the words.
    status "$(of changed error.text)" | grep -q 'SHA256:' || fail "no fingerprint"
    status "$(of unknown error.text)" | grep -q "$port" || fail "not which host"
    status "$(of nologin error.text)" | grep -q 'not available' || fail "not what it says"
    # What was put right works by itself.
    cp "$W/lab/known_hosts" "$W/no_hosts"
    must_be unknown streaming
    proven unknown
}

# The same by OpenSSH's client: the same numbers, and what it can do more.
openssh_errors() {
    link=ssh
    command -v ssh >/dev/null || skip "needs ssh"
    need_lab
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    begin_config
    t='transport = openssh'
    REPLICA_EXTRA=$t add_replica good
    : >"$W/no_hosts"
    port=$(cat "$W/lab/port")
    echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$W/lab/hk_other.pub")" >"$W/other_hosts"
    sed 's/^/@revoked /' "$W/lab/known_hosts" >"$W/revoked_hosts"
    broken_ssh unknown 202 "$t" "known-hosts = $W/no_hosts"
    broken_ssh changed 203 "$t" "known-hosts = $W/other_hosts"
    broken_ssh revoked 204 "$t" "known-hosts = $W/revoked_hosts"
    broken_ssh stranger 205 "$t" "identity = $W/lab/id_wrong"
    broken_ssh rsa 206 "identity = $W/lab/id_rsa"
    broken_ssh phrase 207 "$t" "identity = $W/lab/id_pass"
    broken_ssh noagent 207 "$t" "identity = agent"
    broken_ssh nokey 207 "$t" "identity = $W/lab/nowhere"
    broken_ssh refused 201 "$t" "port = 1"
    broken_ssh noname 201 "$t" "host = no-such-host.invalid"
    broken_ssh missing 211 "$t" "command = /nonexistent/drover-replica receive $W/missing"
    broken_ssh nologin 210 "$t" "command = echo This account is currently not available."
    broken_ssh nodir 304 "$t" "command = $DROVER_REPLICA receive $W/no/such/dir"
    start_agent
    check_all
    is "$(status "$(of good target)")" "openssh $(cat "$W/lab/user")@127.0.0.1:$port" "the target"
    # What was put right works by itself.
    cp "$W/lab/known_hosts" "$W/no_hosts"
    must_be unknown streaming
    # An RSA key, which libssh2 cannot log in with.
    sed -i "s/^\[replica rsa\]\$/&\n$t/" "$conf"
    expect 0 ctl reload
    must_be rsa streaming
    proven unknown rsa
}

exec_errors() {
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    mkdir "$W/file"
    : >"$W/file/is-a-file"
    begin_config
    add_replica good
    broken noprogram 212 "command = /nonexistent/drover-replica receive $W/x"
    broken missing 211 "command = sh -c 'exec /nonexistent/drover-replica'"
    broken noise 210 "command = sh -c 'echo welcome; exec sleep 100'"
    broken nodir 304 "command = $DROVER_REPLICA receive $W/no/such/dir"
    broken afile 304 "command = $DROVER_REPLICA receive $W/file/is-a-file"
    check_before
    start_agent
    check_all
}

# Refused once, the key is not shown again for minutes: a host that bans who
# fails to log in would ban this one.  A reload does not wait.
refused_key() {
    link=ssh
    need_lab
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    cp "$W/lab/authorized_keys" "$W/authorized"
    : >"$W/lab/authorized_keys"
    begin_config
    add_replica r1
    start_agent
    must_within "$WAIT" status_is "$(of r1 error.id)" 205
    next=$(status "$(of r1 next_try_s)")
    [ "${next%.*}" -ge 240 ] || fail "the next try is in $next s"
    refusals=$(grep -c 'Connection closed by authenticating' "$W/lab/sshd.log") || :
    [ "$refusals" -le 1 ] || fail "$refusals logins"
    cp "$W/authorized" "$W/lab/authorized_keys"
    expect 0 ctl reload
    must_be r1 streaming
    proven r1
}

# Only what is typed can be what tries again: by itself it would be in an hour.
rarely() { sed -i 's/^backoff-max = .*/backoff-max = 1h/' "$conf"; }
tries_in_minutes() {
    next=$(status "$(of "$1" next_try_s)")
    [ "${next%.*}" -ge 240 ]
}

# The other host is put right, and the operator says so.
retried() {
    link=ssh
    need_lab
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    cp "$W/lab/authorized_keys" "$W/authorized"
    : >"$W/lab/authorized_keys"
    begin_config
    rarely
    add_replica r1
    start_agent
    must_within "$WAIT" status_is "$(of r1 error.id)" 205
    must_within "$WAIT" tries_in_minutes r1
    # Anyone may wait, in a loop: the key is not shown again for that.
    expect 75 ctl wait r1 --timeout 1ms
    tries_in_minutes r1 || fail "a wait shows a refused key again"
    cp "$W/authorized" "$W/lab/authorized_keys"
    expect 0 ctl retry r1
    is "$(cat "$W/out")" "r1: trying now"
    must_be r1 streaming
    expect 0 ctl retry
    is "$(cat "$W/out")" "r1: connected"
    expect 0 ctl resume r1
    is "$(cat "$W/out")" "r1: was not paused; connected"
    expect 0 ctl pause r1
    expect 0 ctl retry r1
    is "$(cat "$W/out")" "r1: paused; to go on: drover resume r1"
    must_be r1 paused
    expect 0 ctl resume r1
    is "$(cat "$W/out")" "r1: resumed"
    must_be r1 streaming
    expect_json 0 ctl retry r1 --json
    is "$(out_json 'done[name=r1].did')" connected
    expect 64 ctl retry r2
    proven r1
}

# The pauses may be an hour by now.
has_no_receiver() {
    ctl retry r1
    status_is "$(of r1 error.id)" 211
}

# What is put right on this host is noticed.
noticed() {
    link=ssh
    need_lab
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    begin_config
    rarely
    : >"$W/no_hosts"
    cp "$W/lab/id_wrong" "$W/id_refused"
    cp "$W/lab/id_wrong.pub" "$W/id_refused.pub"
    broken_ssh unknown 202 "known-hosts = $W/no_hosts"
    broken_ssh nofile 204 "known-hosts = $W/nowhere"
    broken_ssh refused 205 "identity = $W/id_refused"
    broken_ssh nokey 207 "identity = $W/id_absent"
    broken noprogram 212 "command = $W/program receive $W/noprogram"
    start_agent
    while read -r name number; do
        must_within "$WAIT" status_is "$(of "$name" error.id)" "$number"
        must_within "$WAIT" tries_in_minutes "$name"
    done <"$W/expected"
    cp "$W/lab/known_hosts" "$W/no_hosts"
    cp "$W/lab/known_hosts" "$W/nowhere"
    cp "$W/lab/id_ed25519.pub" "$W/id_refused.pub"
    cp "$W/lab/id_ed25519" "$W/id_refused"
    cp "$W/lab/id_ed25519.pub" "$W/id_absent.pub"
    cp "$W/lab/id_ed25519" "$W/id_absent"
    ln -s "$DROVER_REPLICA" "$W/program"
    while read -r name number; do must_be "$name" streaming; done <"$W/expected"
    proven
}

# Whoever asks for a replica has it tried: nothing here is noticed by itself.
asked_for() {
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    begin_config
    rarely
    broken r1 211 "command = sh -c 'exec \"$W/receiver\" receive \"$W/r1\"'"
    ln -s "$DROVER_REPLICA" "$W/receiver"
    start_agent
    for order in "retry r1" "resume r1" "wait r1" "verify r1" "resync r1"; do
        must_be r1 streaming
        rm "$W/receiver"
        # shellcheck disable=SC2046 # processes
        kill -KILL $(receivers_of "$W/r1")
        must_within "$WAIT" has_no_receiver
        must_within "$WAIT" tries_in_minutes r1
        ln -s "$DROVER_REPLICA" "$W/receiver"
        # shellcheck disable=SC2086 # words
        expect 0 ctl $order
    done
    must_be r1 streaming
    proven r1
}

# The way of the manual: a forced command in authorized_keys decides.
forced_command() {
    link=ssh
    need_lab --command "'$DROVER_REPLICA' receive '$W/forced'"
    table t.tbl
    write fill "$P/t.tbl" 0 10 100
    begin_config
    add_replica r1 # asks for another directory
    start_agent
    must_be r1 streaming
    expect 0 ctl wait --timeout "${WAIT}s"
    same forced || fail "the forced directory differs"
    [ ! -e "$W/r1" ] || fail "the client chose the directory"
}

"$scenario"
