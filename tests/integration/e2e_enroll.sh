# SPDX-License-Identifier: MIT
#
# e2e_enroll.sh: a replica is set up by one command, over an administrator's ssh
# login, and taken away again; what fails in between leaves nothing behind.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# An agent without replicas, a host to log in to as "admin" with the client's own
# configuration, and the words of a good command.
prepare() {
    command -v ssh >/dev/null && command -v ssh-keyscan >/dev/null || skip "no ssh client here"
    need_lab
    mkdir "$W/bin" "$W/there"
    ln -s "$DROVER" "$W/bin/drover"
    cat >"$W/bin/ssh" <<END
#!/bin/sh
exec $(command -v ssh) -F $W/ssh_config "\$@"
END
    chmod 755 "$W/bin/ssh"
    cat >"$W/ssh_config" <<END
Host admin
HostName 127.0.0.1
Port $(cat "$W/lab/port")
User $(cat "$W/lab/user")
IdentityFile $W/lab/id_ed25519
IdentitiesOnly yes
UserKnownHostsFile $W/lab/known_hosts
BatchMode yes
END
    PATH=$W/bin:$PATH
    table t.tbl
    write fill "$P/t.tbl" 0 200 100
    begin_config
    target=$(cat "$W/lab/user")@127.0.0.1:$(cat "$W/lab/port"):$W/there/r1
    print=$(ssh-keygen -lf "$W/lab/hk_ed25519.pub" | cut -d' ' -f2)
    key=$W/state-agent/id_ed25519
}
# add WORD...: with everything but the fingerprint.
add() {
    "$DROVER" --config "$conf" replica add r1 "$target" --via admin --group "$(id -gn)" \
        --known-hosts "$W/known_hosts" --authorized-keys "$W/lab/authorized_keys" \
        --receiver "$DROVER_REPLICA" "$@" </dev/null
}
# add_by COMMAND: the other host's login runs this instead.
add_by() {
    printf '#!/bin/sh\n%s\n' "$1" >"$W/bin/ssh.other"
    cp "$W/bin/ssh" "$W/bin/ssh.own"
    cp "$W/bin/ssh.other" "$W/bin/ssh"
    code=0
    add --fingerprint "$print" || code=$?
    cp "$W/bin/ssh.own" "$W/bin/ssh"
    return $code
}
remove() {
    "$DROVER" --config "$conf" replica remove r1 --authorized-keys "$W/lab/authorized_keys" "$@" </dev/null
}
# Everything that a set-up may touch.
tree() {
    for place in "$W/agent.conf" "$W/agent.d" "$W/known_hosts" "$W/lab/authorized_keys" \
        "$W/there" "$key" "$key.pub"; do
        # Not what the receiver writes into its copy.
        [ ! -e "$place" ] || find "$place" -maxdepth 1 -printf '%p %m %U %G %y\n' -type f -exec sha256sum {} +
    done | sort
}
unchanged() { [ "$(tree)" = "$before" ] || fail "something changed: $(tree)"; }
step() { out_json "steps[step=$1].state"; }

from_nothing() {
    prepare
    start_agent
    before=$(tree)

    # A dry run says each step and changes nothing.
    expect 0 add --dry-run
    out_has "^login key   would be done: make $key"
    out_has "^host key    would be done: pin $print of \[127.0.0.1\]"
    out_has "^replica     would be done: .*make directory $W/there/r1"
    out_has "^drop-in     would be done: write $W/agent.d/r1.conf"
    out_has "^reload      would be done"
    out_has "^first copy  would be done"
    unchanged

    # Nobody says yes: refused, with the fingerprint and what to type.
    expect 64 add
    out_has "shows the host key $print (ssh-ed25519), which is not pinned"
    unchanged
    # By itself, by a shell, with the words as they are.
    sed -n 's/.*if it is that one: //p' "$W/out" >"$W/typed"
    grep -q "^drover --config .* --fingerprint $print$" "$W/typed" || fail "what to type: $(cat "$W/typed")"
    expect 0 sh "$W/typed"
    out_has "^first copy  done: streaming"
    out_has "^r1  *streaming"
    out_has "^check       done: [0-9]* ok, [0-9]* warnings, 0 failures"
    proven_there

    # Repeated, everything is so already.
    before=$(tree)
    expect_json 0 add --json
    for s in 'login key' 'host key' replica drop-in; do
        is "$(step "$s")" "is so" "step $s"
    done
    is "$(step 'first copy')" "done"
    is "$(step check)" "done"
    is "$(out_json check.fail)" 0
    is "$(out_json status.state)" "streaming"
    unchanged
    # Under this name there is one already.
    expect 1 "$DROVER" --config "$conf" replica add r1 127.0.0.1:/elsewhere
    out_has "r1 is defined at $W/agent.d/r1.conf:3"
    expect_json 0 "$DROVER" --config "$conf" replica list --json
    is "$(out_json 'replicas[name=r1].fingerprint')" "$print"
    is "$(out_json 'replicas[name=r1].state')" streaming
    is "$(out_json 'replicas[name=r1].line')" 3

    # Taken away: first here alone, then the login there.
    expect 0 remove --dry-run
    unchanged
    lines=$(wc -l <"$W/lab/authorized_keys")
    cp "$W/agent.d/r1.conf" "$W/r1.conf"
    expect 0 remove
    out_has "^drop-in     done: $W/agent.d/r1.conf"
    out_has "^reload      done: .*-r1"
    out_has "^replica     left: on 127.0.0.1, directory $W/there/r1 and the login stay"
    [ ! -e "$W/agent.d/r1.conf" ] || fail "the drop-in is still there"
    must_within "$WAIT" status_is "$(of r1 name)" null
    is "$(wc -l <"$W/lab/authorized_keys")" "$lines" "the lines of authorized_keys"
    # What it says to type there takes that one line away.
    cp "$W/lab/authorized_keys" "$W/authorized"
    sed -n 's/.*to end the login, there: //p' "$W/out" >"$W/typed"
    sh "$W/typed"
    is "$(wc -l <"$W/lab/authorized_keys")" $((lines - 1)) "the lines of authorized_keys"
    cp "$W/authorized" "$W/lab/authorized_keys"
    expect 64 remove
    out_has "has no replica r1"

    cp "$W/r1.conf" "$W/agent.d/r1.conf"
    expect 0 ctl reload
    must_be r1 streaming
    expect_json 0 remove --via admin --json
    is "$(step replica)" "done"
    is "$(step drop-in)" "done"
    is "$(wc -l <"$W/lab/authorized_keys")" $((lines - 1)) "the lines of authorized_keys"
    same_there || fail "the data did not stay"
}
same_there() { "$E2E_BIN/e2e_tree" diff "$P" "$W/there/r1" >"$W/tree.out" 2>&1; }
proven_there() {
    expect 0 ctl wait r1 --timeout "${WAIT}s"
    same_there || fail "there differs: $(head -n 5 "$W/tree.out")"
}

# What fails in the middle is undone.
faults() {
    prepare
    start_agent
    before=$(tree)

    # another key than the one that is known
    other=$(ssh-keygen -lf "$W/lab/hk_other.pub" | cut -d' ' -f2)
    expect 1 add --fingerprint "$other"
    out_has "shows .*$print .*, none of which is $other"
    out_has "^login key   undone"
    unchanged
    expect 64 add --fingerprint MD5:aa
    out_has "write SHA256:"
    # the host shows another key than the one that is pinned
    echo "# pinned" >"$W/known_hosts"
    echo "[127.0.0.1]:$(cat "$W/lab/port") $(cut -d' ' -f1,2 "$W/lab/hk_other.pub")" >>"$W/known_hosts"
    before=$(tree)
    expect 1 add --fingerprint "$print"
    out_has "DR-203 the host key of .* differs from the one that is pinned at $W/known_hosts:2"
    out_lacks "drover retry"
    out_has "HINT: .*; drover --config $conf replica add r1 .* --fingerprint $print$"
    unchanged
    sed -i 2d "$W/known_hosts"
    printf '@revoked * %s\n' "$(cut -d' ' -f1,2 "$W/lab/hk_ed25519.pub")" >>"$W/known_hosts"
    before=$(tree)
    expect 1 add --fingerprint "$print"
    out_has "revoked at $W/known_hosts:2"
    unchanged
    # a last line without an end stays a line of its own
    printf '# no end' >"$W/known_hosts"
    before=$(tree)

    # the script fails there: the directory is a file; nothing is left of it
    : >"$W/there/r1"
    before=$(tree)
    expect 1 add --fingerprint "$print"
    out_has "on admin: $W/there/r1 is not a directory"
    out_has "^host key    undone"
    unchanged
    rm "$W/there/r1"
    # ... no such program, no way there
    before=$(tree)
    expect 1 add --fingerprint "$print" --receiver /nonexistent/drover-replica
    out_has "there is no /nonexistent/drover-replica here; install the package"
    unchanged
    expect 75 "$DROVER" --config "$conf" replica add r1 "$target" --via nobody@admin --fingerprint "$print" \
        --known-hosts "$W/known_hosts"
    out_has "on nobody@admin: "
    unchanged
    expect 64 "$DROVER" --config "$conf" replica add r1 "$target" --via=-oProxyCommand=x
    out_has "must not begin with '-'"

    # the agent refuses to read the configuration
    printf '[database]\nname = other\n' >"$W/agent.d.later"
    mkdir "$W/agent.d"
    cp "$W/agent.d.later" "$W/agent.d/z.conf"
    before=$(tree)
    expect 78 add --fingerprint "$print"
    out_has "the agent refuses to read it"
    out_has "^drop-in     undone: $W/agent.d/r1.conf"
    out_has "^replica     undone: .*line"
    [ ! -e "$W/agent.d/r1.conf" ] || fail "the drop-in is still there"
    rmdir "$W/there/r1"
    unchanged
    rm -r "$W/agent.d"

    # a login that runs something else, and one that swallows it
    before=$(tree)
    expect 1 add_by "cat >/dev/null; echo hello"
    out_has "on admin: the script was not run to its end, .*: it printed hello"
    out_has "^host key    undone"
    unchanged
    expect 1 add_by "cat >/dev/null"
    out_has "it printed nothing"
    expect 1 add_by cat
    out_has "the script was not run to its end"
    out_lacks "may have been made"
    unchanged
    # it is cut in the middle, or is stopped: what is not known is said
    expect 75 add_by "cat >/dev/null; echo 'there: group x'; exit 255"
    out_has "^replica     left: a line of authorized_keys may have been made there; the same command again completes it; if it is not to be, on 127.0.0.1: sed -i --follow-symlinks '.|AAAA"
    expect 1 add_by 'cat >/dev/null; kill -INT $$'
    out_has "^replica     left: a line of authorized_keys may have been made"
    expect 75 add_by "cat >/dev/null; exit 255"
    out_lacks "may have been made"
    unchanged
    # a login that was there before is not taken away with what fails later
    mkdir "$W/agent.d"
    cp "$W/lab/authorized_keys" "$W/authorized"
    expect 0 add --print
    cp "$W/out" "$W/script"
    expect 0 sh "$W/script"
    cp "$W/agent.d.later" "$W/agent.d/z.conf"
    before=$(tree)
    expect 78 add --fingerprint "$print"
    out_has "^drop-in     undone"
    out_lacks "^replica     undone"
    unchanged
    rmdir "$W/there/r1"
    expect 78 add --fingerprint "$print"
    out_has "^replica     left: .*made: directory $W/there/r1.*there: line "
    unchanged
    cp "$W/authorized" "$W/lab/authorized_keys"
    rmdir "$W/there/r1"
    rm -r "$W/agent.d" "$key" "$key.pub"

    # the login key cannot be written
    if [ "$(id -u)" != 0 ]; then
        chmod 500 "$W/state-agent"
        before=$(tree)
        expect 64 add --fingerprint "$print"
        out_has "DR-207 key file $key: "
        unchanged
        chmod 700 "$W/state-agent"
    else
        expect 64 add --fingerprint "$print" --identity /proc/id_ed25519
        out_has "DR-207 key file /proc/id_ed25519: "
    fi
    # nor is a directory a key
    mkdir "$key"
    expect 64 add --fingerprint "$print"
    out_has "DR-207"
    rmdir "$key"

    # a key runs one command: this one has another
    expect 0 add --fingerprint "$print"
    is "$(head -n 1 "$W/known_hosts")" "# no end"
    expect 1 "$DROVER" --config "$conf" replica add r2 "${target%r1}r2" --via admin --group "$(id -gn)" \
        --known-hosts "$W/known_hosts" --authorized-keys "$W/lab/authorized_keys" --receiver "$DROVER_REPLICA"
    out_has "has this key for another command"
    proven_there

    # one that was written by hand, and that no login can be told of
    printf '[replica odd]\ncommand = sh -c "exit 1"' >"$W/agent.d/odd.conf"
    expect 0 ctl reload
    expect 1 "$DROVER" --config "$conf" replica remove odd --via admin
    out_has "cannot be told: its command leads there"
    expect 0 "$DROVER" --config "$conf" replica remove odd
    [ ! -e "$W/agent.d/odd.conf" ] || fail "the drop-in is still there"
    # nor does anything wait for a FIFO in the place of a file
    printf '[replica odd]\nhost = odd\nknown-hosts = %s\nidentity = %s\n' "$W/fifo" "$W/fifo" >"$W/agent.d/odd.conf"
    mkfifo "$W/fifo"
    expect 0 timeout 60 "$DROVER" --config "$conf" replica list
    out_has "^odd .*not pinned"
    expect 1 timeout 60 "$DROVER" --config "$conf" replica remove odd --print
    out_has "$W/fifo is not a regular file"
    rm "$W/agent.d/odd.conf"
    # what is in a file with others is not edited
    cat "$W/agent.d/r1.conf" >>"$W/agent.conf"
    rm "$W/agent.d/r1.conf"
    expect 1 remove
    out_has "take lines [0-9]* to [0-9]* out of it yourself"
    must_be r1 streaming
}

# The printed text, run by a shell there, gives what --via gives.
printed() {
    prepare
    start_agent
    expect 0 add --print
    cp "$W/out" "$W/script"
    [ ! -e "$W/known_hosts" ] && [ ! -e "$W/agent.d" ] || fail "--print changes more than the key"
    before=$(tree)
    expect 0 add --print
    cmp -s "$W/out" "$W/script" || fail "the second text differs"
    expect 0 add --print --dry-run
    cp "$W/out" "$W/look"
    expect 0 sh "$W/look"
    out_has "^would: add a line to "
    unchanged
    expect 0 sh "$W/script"
    out_has "^made: a line in $W/lab/authorized_keys"
    tree >"$W/by_hand"
    expect 0 sh "$W/script"
    out_has "^there: line "
    [ "$(tree)" = "$(cat "$W/by_hand")" ] || fail "the second run changed something"

    expect 0 remove_printed
    rmdir "$W/there/r1"
    unchanged
    expect 0 add --fingerprint "$print" --no-wait
    rm -r "$W/agent.d" "$W/known_hosts"
    [ "$(tree)" = "$(cat "$W/by_hand")" ] || fail "--via gives something else than --print"
    # Without --via what was done there by hand is enough.
    via=
    expect 0 "$DROVER" --config "$conf" replica add r1 "$target" --group "$(id -gn)" \
        --known-hosts "$W/known_hosts" --fingerprint "$print" --no-wait
    out_has "^replica     skipped"
    must_be r1 streaming
    proven_there
    # Nobody is let in: it says so, and what is left.
    expect 0 remove --print
    cp "$W/out" "$W/removing"
    expect 0 sh "$W/removing"
    out_has "^removed: line "
    out_has "^left: directory $W/there/r1"
    expect 0 remove
    expect 1 "$DROVER" --config "$conf" replica add r1 "$target" --group "$(id -gn)" \
        --known-hosts "$W/known_hosts"
    out_has "DR-205 r1 is set up and failed, not streaming"
    sed -n 's/.*as root, what this prints: \(.*\); then: drover retry r1$/\1/p' "$W/out" >"$W/typed"
    sh "$W/typed" >"$W/script" || fail "what to type: $(cat "$W/typed")"
    sed -i "s,^receiver=.*,receiver=$DROVER_REPLICA,; s,^keys=.*,keys=$W/lab/authorized_keys," "$W/script"
    sed -i "/^line=/s,\"drover-replica,\"$DROVER_REPLICA," "$W/script"
    expect 0 sh "$W/script"
    expect 0 ctl retry r1
    must_be r1 streaming
}
remove_printed() {
    mkdir -p "$W/agent.d"
    printf '[replica r1]\nhost = 127.0.0.1\nport = %s\nuser = %s\npath = %s\n' \
        "$(cat "$W/lab/port")" "$(cat "$W/lab/user")" "$W/there/r1" >"$W/agent.d/r1.conf"
    remove --print >"$W/removing" && rm -r "$W/agent.d" && sh "$W/removing"
}

# At a terminal it asks; only a yes pins.
asked() {
    command -v script >/dev/null || skip "script is not installed"
    prepare
    start_agent
    before=$(tree)
    cat >"$W/typing" <<END
exec "$DROVER" --config "$conf" replica add r1 "$target" --via admin --group "$(id -gn)" \\
    --known-hosts "$W/known_hosts" --authorized-keys "$W/lab/authorized_keys" --receiver "$DROVER_REPLICA"
END
    printf 'n\n' | script -qefc "sh $W/typing" "$W/screen" >/dev/null 2>&1 || :
    grep -q "$print (ssh-ed25519)" "$W/screen" || fail "no fingerprint: $(cat "$W/screen")"
    grep -q 'was not said to be the right one' "$W/screen" || fail "not refused: $(cat "$W/screen")"
    unchanged
    printf 'yes\n' | script -qefc "sh $W/typing" "$W/screen" >/dev/null 2>&1 || fail "$(cat "$W/screen")"
    grep -q 'first copy  done: streaming' "$W/screen" || fail "$(cat "$W/screen")"
    proven_there
}

# The same command twice at once: the second comes when the first is done.
twice() {
    prepare
    start_agent
    add --fingerprint "$print" >"$W/first" 2>&1 &
    first=$!
    code=0
    add --fingerprint "$print" >"$W/second" 2>&1 || code=$?
    is $code 0 "the exit status, after: $(cat "$W/second");"
    wait $first || fail "the first ends with $?: $(cat "$W/first")"
    is "$(grep -c . "$W/known_hosts")" 1 "lines of known_hosts"
    is "$(cat "$W/first" "$W/second" | grep -c '^drop-in     done')" 1 "drop-ins made"
    is "$(cat "$W/first" "$W/second" | grep -c '^drop-in     is so')" 1 "drop-ins that were there"
    proven_there
    # Who waits says for whom, and works when it is let in.
    flock "$conf.lock" sh -c "echo 4711 >'$conf.lock'; : >'$W/held'; until [ -e '$W/go' ]; do :; done" &
    until_ok "$WAIT" test -e "$W/held" || fail "no lock"
    remove >"$W/second" 2>&1 &
    second=$!
    until_ok "$WAIT" grep -q "process 4711 has $conf.lock" "$W/second" || fail "it does not say: $(cat "$W/second")"
    [ -e "$W/agent.d/r1.conf" ] || fail "it did not wait"
    : >"$W/go"
    wait $second || fail "the second ends with $?: $(cat "$W/second")"
    [ ! -e "$W/agent.d/r1.conf" ] || fail "the drop-in is still there"
}

# Names that a shell would take apart.
odd_names() {
    prepare
    odd="$W/there/it's a \"dir\"; touch \$HOME \`x\` \\ *"
    target=$(cat "$W/lab/user")@127.0.0.1:$(cat "$W/lab/port"):$odd
    start_agent
    expect 0 add --fingerprint "$print"
    "$E2E_BIN/e2e_tree" diff "$P" "$odd" >"$W/tree.out" 2>&1 || fail "the copy differs"
    is "$(ls "$W/there" | wc -l)" 1 "the number of directories there"
    expect 0 add
    out_has "^replica     is so"
    expect 0 remove --via admin
    out_has "^replica     done: .*line "
    line='a
b'
    target=$(cat "$W/lab/user")@127.0.0.1:$(cat "$W/lab/port"):/srv/$line
    expect 64 add --fingerprint "$print"
    out_has "control character"
    for name in 'a b' '' '../x' '-x' "$line" 'a;b'; do
        expect 64 "$DROVER" --config "$conf" replica add -- "$name" 127.0.0.1:/srv/x
    done
}

# A host with nothing but the packages' accounts: /etc is a copy that only this
# test sees.  Nothing is given but the two hosts and the fingerprint.
in_own_etc() {
    [ "$(id -u)" = 0 ] || skip "needs root, to make accounts"
    [ -z "${E2E_OWN_ETC:-}" ] || return 0
    unshare -m true 2>/dev/null || skip "cannot have an /etc of its own here"
    code=0
    E2E_OWN_ETC=1 unshare -m --propagation private sh "$0" "$scenario" "$link" || code=$?
    exit $code
}
bare_hosts() {
    in_own_etc
    chmod 755 "$W"
    cp -a /etc "$W/etc"
    mount --bind "$W/etc" /etc
    rm -rf /etc/drover /etc/subuid /etc/subgid
    for account in drover:/usr/sbin/nologin drover-recv:/bin/sh; do
        user=${account%%:*}
        ! getent passwd "$user" >/dev/null || userdel "$user"
        useradd --system -U -p '*' -d "$W/home/$user" -s "${account#*:}" "$user"
        mkdir -p "$W/home/$user"
    done
    # With an account of its own the sshd gives a login its groups.
    getent passwd sshd >/dev/null || useradd --system -d /run/sshd -s /usr/sbin/nologin sshd
    mkdir -m 755 "$W/home/drover-recv/.ssh" /etc/drover "$W/var" "$W/run"
    chown drover: "$W/home/drover" "$P" "$W/var" "$W/run"
    ! getent group orders-read >/dev/null || groupdel orders-read
    mkdir "$W/path"
    ln -s "$DROVER_REPLICA" "$W/path/drover-replica"
    environment="SetEnv PATH=$W/path:/usr/sbin:/usr/bin:/bin SHLVL=2"
    need_lab --option "$environment" --option "Match User drover-recv" \
        --option "AuthorizedKeysFile .ssh/authorized_keys" --option "$environment"
    prepare
    cat >/etc/drover/orders.conf <<END
[database]
path = $P
state-dir = $W/var/orders
socket = $W/run/agent.sock
END
    ctl() { "$DROVER" --db orders "$@"; }
    expect 0 "$DROVER" init "$P"
    chown -R drover: "$P"

    # Before an agent runs: all is set up, and what is missing is said.
    target=127.0.0.1:$(cat "$W/lab/port"):$W/srv/orders
    set -- "$DROVER" replica add eu-1 "$target" --via admin --fingerprint "$print"
    PATH=$W/path:$PATH
    expect 0 "$@" --dry-run
    out_has "make group orders-read, with drover-recv in it"
    [ -z "$(ls /etc/drover/orders.d 2>/dev/null)" ] && [ ! -e "$W/var/orders" ] || fail "a dry run changes something"
    expect 69 "$@"
    out_has "DR-502 eu-1 is set up, and no agent runs"
    is "$(stat -c '%U %G %a' "$W/srv/orders")" "drover-recv orders-read 2750" "the copy's directory"
    is "$(stat -c '%U %G %a' "$W/var/orders")" "drover drover 700" "the state directory"
    is "$(stat -c '%U %a' "$W/var/orders/id_ed25519")" "drover 600" "the login key"
    is "$(stat -c '%U %a' /etc/drover/known_hosts)" "root 644" "known_hosts"
    is "$(stat -c '%U %a' /etc/drover/orders.d/eu-1.conf)" "root 644" "the drop-in"
    is "$(stat -c '%U %a' "$W/home/drover-recv/.ssh/authorized_keys")" "root 644" "authorized_keys"
    is "$(grep -c "^restrict,command=\"drover-replica receive $W/srv/orders --group orders-read\" ssh-ed25519 .* drover:orders@" \
        "$W/home/drover-recv/.ssh/authorized_keys")" 1 "lines of authorized_keys"
    is "$(id -Gn drover-recv)" "drover-recv orders-read"

    # The agent, as its own user, and the same command again.
    setpriv --reuid drover --regid drover --clear-groups "$DROVER" agent --config /etc/drover/orders.conf 2>>"$W/agent.log" &
    agent_pid=$!
    until_ok "$WAIT" answers || fail "the agent does not answer"
    expect 0 "$@"
    out_has "^eu-1  *streaming"
    out_has "^check       done: "
    [ -z "${E2E_SHOW:-}" ] || cat "$W/out" >&2
    "$E2E_BIN/e2e_tree" diff "$P" "$W/srv/orders" >"$W/tree.out" ||
        fail "the copy differs"
    # Taken away, over the same way.
    cp "$W/home/drover-recv/.ssh/authorized_keys" "$W/authorized"
    expect 0 "$DROVER" replica remove eu-1 --via admin
    out_has "left: directory $W/srv/orders with the copy"
    is "$(wc -l <"$W/home/drover-recv/.ssh/authorized_keys")" 0 "lines of authorized_keys"
    expect 0 "$DROVER" replica list
    out_has "has no replicas"

    # Who is no member of the readers' group is named, with what to type.
    gpasswd -d drover-recv orders-read >/dev/null
    mkdir "$W/srv/third"
    chown drover-recv:orders-read "$W/srv/third"
    printf '[replica eu-3]\nhost = 127.0.0.1\nport = %s\npath = %s\n' "$(cat "$W/lab/port")" \
        "$W/srv/third" >/etc/drover/orders.d/eu-3.conf
    sed "s,srv/orders,srv/third," "$W/authorized" >"$W/home/drover-recv/.ssh/authorized_keys"
    expect 0 ctl reload
    must_within "$WAIT" status_is "$(of eu-3 error.id)" 304
    status "$(of eu-3 error.text)" | grep -q "user drover-recv is not a member of group orders-read; .*usermod -aG" ||
        fail "what it says: $(status "$(of eu-3 error.text)")"
    rm /etc/drover/orders.d/eu-3.conf

    # A failure there takes the group away again that it had made.
    groupdel orders-read
    mkdir "$W/srv/other"
    : >"$W/srv/other/file"
    expect 1 "$DROVER" replica add eu-2 "${target%orders}other" --via admin --fingerprint "$print"
    out_has "is not empty, and belongs to root, not to drover-recv"
    ! getent group orders-read >/dev/null || fail "the group is still there"
    is "$(stat -c '%U %G %a' "$W/srv/other")" "root root 755" "somebody else's directory"
}

"$scenario"
