# SPDX-License-Identifier: MIT
#
# e2e_remedies.sh: each number is provoked; its hint has real names and no
# placeholder; what it says to type is typed, as it stands, and status is healthy
# then.  See e2e_lib.sh.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# --- what is told --------------------------------------------------------------------

error_is() { status_is "$(of "$1" error.id)" "$2"; }
hint_of() { status "$(of "$1" error.hint)"; }
WORDS='HOST|USER|PORT|REPLICA|DIR|PRIMARY|FILE|NAME|KNOWN|SSH|RECEIVE|TABLE|KEY|PID|ID|TOKEN'
# no_placeholder WHAT TEXT
no_placeholder() {
    ! printf '%s' "$2" | grep -qE "(^|[^A-Za-z_])($WORDS)([^A-Za-z_]|\$)" ||
        fail "$1: a name is missing in the hint: $2"
}
# provoked NAME NUMBER: the replica has it, status exits with 1; the hint to $hint.
provoked() {
    must_within "$WAIT" error_is "$1" "$2"
    exits_with 1 || fail "$1 is healthy with DR-$2"
    hint=$(hint_of "$1")
    [ -n "$hint" ] || fail "$1: DR-$2 has no hint"
    no_placeholder "DR-$2" "$hint"
}
hint_has() {
    case $hint in *"$1"*) ;; *) fail "\"$1\" is not in the hint: $hint" ;; esac
}
exits_with() {
    code=0
    ctl status >"$W/out" 2>&1 || code=$?
    [ $code = "$1" ]
}
must_be_well() { must_within "$WAIT" exits_with 0; }

# --- servers of the world -------------------------------------------------------------

# server NAME OPTIONS OF SSH_LAB: another sshd, and a replica behind it.
server() {
    server=$1
    shift
    need_lab
    mkdir "$W/lab-$server"
    cp "$W"/lab/hk_* "$W"/lab/id_* "$W/lab-$server/"
    sh "$here/ssh_lab.sh" "$W/lab-$server" "$@" >"$W/lab.out" 2>"$W/lab.err" ||
        fail "no sshd: $(cat "$W/lab.err")"
    {
        echo "[replica $server]"
        echo "host = 127.0.0.1"
        echo "port = $(cat "$W/lab-$server/port")"
        echo "user = $(cat "$W/lab/user")"
        echo "identity = $W/lab/id_ed25519"
        echo "known-hosts = $W/lab-$server/known_hosts"
        echo "command = $DROVER_REPLICA receive $W/$server"
    } >>"$conf"
}
# A server whose configuration is corrected: other_server NAME SED-EXPRESSION
other_server() {
    sh "$here/ssh_lab.sh" "$W/lab-$1" cut
    sed -i "$2" "$W/lab-$1/sshd_config"
    sh "$here/ssh_lab.sh" "$W/lab-$1" restore || fail "no sshd"
}
# The lines of a replica become this one.
set_lines() { # NAME LINE
    awk -v head="[replica $1]" -v line="$2" '
        /^\[/ { mine = $0 == head }
        !mine { print }
        $0 == head { print; print line }' "$conf" >"$W/new.conf"
    mv "$W/new.conf" "$conf"
}

# What neither the algorithms of libssh2 nor the number of connections lets in.
hardened() {
    need_lab
    command -v ssh >/dev/null || skip "needs ssh"
    table t.tbl
    write fill "$P/t.tbl" 0 3 10
    begin_config
    server etm --option 'MACs hmac-sha2-256-etm@openssh.com'
    server aead --option 'Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com'
    server sntrup --option 'KexAlgorithms sntrup761x25519-sha512@openssh.com'
    start_agent
    for r in etm aead sntrup; do
        provoked $r 208
        hint_has "$(cat "$W/lab/user")@127.0.0.1"
        hint_has "$W/lab/id_ed25519"
        hint_has "$W/lab-$r/known_hosts"
        hint_has "[replica $r]"
        set_lines $r "command = ${hint##*command = }"
    done
    expect 0 ctl reload
    must_be_well
    proven
    # The same client, and a key that is not let in any more: its own words.
    : >"$W/lab-etm/authorized_keys"
    for pid in $(receivers_of "$W/etm"); do kill "$pid"; done
    provoked etm 205
    hint_has "$(cat "$W/lab/user")/.ssh/authorized_keys"
    hint_has "on 127.0.0.1:"
    cp "$W/lab/authorized_keys" "$W/lab-etm/authorized_keys"
    hint_has "drover reload"
    expect 0 ctl reload
    must_be_well
}

# Too many at once, no session for anybody.
refusing() {
    need_lab
    command -v bash >/dev/null || skip "needs bash to hold a connection"
    table t.tbl
    write fill "$P/t.tbl" 0 3 10
    begin_config
    server startups --option 'MaxStartups 1:100:1'
    server sessions --option 'MaxSessions 0'
    bash -c 'exec 3<>/dev/tcp/127.0.0.1/$1; read -r line <&3; : >"$2"; exec sleep 300 # $2' \
        sh "$(cat "$W/lab-startups/port")" "$W/held" &
    holder=$!
    must_within "$WAIT" test -e "$W/held"
    start_agent
    provoked startups 208
    hint_has MaxStartups
    hint_has "on 127.0.0.1: journalctl"
    kill $holder
    wait $holder || :
    must_be startups streaming # by itself

    provoked sessions 208
    hint_has 'maxsessions'
    hint_has 'on 127.0.0.1'
    # MaxSessions of the file is the first that counts.
    other_server sessions '/^MaxSessions/d'
    expect 0 ctl reload
    must_be_well
}

# The account does not run the receiver.
forced() {
    need_lab
    table t.tbl
    write fill "$P/t.tbl" 0 3 10
    begin_config
    server one --command 'exit 1'
    server usage --command 'echo no such option >&2; exit 64'
    server config --command 'exit 78'
    server missing --command '/nonexistent/drover-replica receive /x'
    server nologin --command "echo 'This account is currently not available.'; exit 1"
    start_agent
    provoked one 209
    hint_has "drover-replica receive $W/one"
    hint_has "on 127.0.0.1"
    provoked usage 211
    hint_has "drover-replica --help"
    status "$(of usage error.text)" | grep -q "no such option" || fail "its words are lost"
    provoked config 211
    hint_has "on 127.0.0.1"
    provoked missing 211
    hint_has "on 127.0.0.1: command -v drover-replica"
    provoked nologin 210
    hint_has "on 127.0.0.1: usermod -s /bin/sh $(cat "$W/lab/user")"
    # What authorized_keys has is put right.
    for r in one usage config missing nologin; do
        sed "s|^restrict,command=\"[^\"]*\"|restrict,command=\"$DROVER_REPLICA receive $W/$r\"|" \
            "$W/lab-$r/authorized_keys" >"$W/keys"
        cp "$W/keys" "$W/lab-$r/authorized_keys"
    done
    expect 0 ctl reload
    must_be_well
    proven
}

"$scenario"
