# SPDX-License-Identifier: MIT
#
# e2e_remedies.sh: each number is provoked; its hint has real names and no
# placeholder; what it says to type is typed, as it stands, and status is healthy
# then.  See e2e_lib.sh.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# The numbers that a scenario here provokes.
SERVERS='208'
BUSY='301' # sleeping, copied
DATABASE='104 107 108 111 112 309 401 402'
FORCED='209 210 211'
LOGINS='201 202 203 204 205 206 207'
TARGETS='212 213 302 304 305 306 307 308 310 312 313 314 320 321 322 323 404'
# And those that are proven where this says: a file of tests that has the number.
elsewhere() {
    cat <<END
101 unit/agent/watch/test_watch.c DR_WATCH_LIMIT: sysctls are the whole host's
102 unit/agent/watch/test_watch.c DR_INSTANCE_LIMIT: the same
103 integration/e2e_guard.sh 103
105 integration/e2e_guard.sh DR-105
106 unit/sync/errors/test_hint.c DR_STATE_DIR
109 integration/e2e_delete.sh 109
110 integration/e2e_handover.sh DR-110
214 integration/e2e_truth.sh DR-214
303 integration/e2e_handover.sh 303
311 unit/sync/replica/meta/test_session.c DR_EPOCH_JUMP
403 integration/e2e_faults.sh 403
501 integration/e2e_config.sh 501
502 unit/agent/control/test_control.c DR_NO_AGENT
503 integration/e2e_operate.sh DR-503
504 unit/agent/control/test_control.c DR_NO_SUCH_REPLICA
505 integration/e2e_verify.sh 505
506 integration/e2e_metrics.sh 506
END
}
# Each number of the program is in one of these lists.
every_number() {
    tests=$here/..
    all=$(sed -n 's/^DR([A-Z_]*, \([0-9]*\),.*/\1/p' "$tests/../sync/errors/errors.def")
    [ "$(echo "$all" | wc -l)" -gt 50 ] || fail "few numbers: $all"
    for n in $all; do
        case " $SERVERS $BUSY $DATABASE $FORCED $LOGINS $TARGETS " in *" $n "*) continue ;; esac
        line=$(elsewhere | grep "^$n ") || fail "DR-$n is provoked nowhere"
        # shellcheck disable=SC2086 # words
        set -- $line
        grep -q -- "${3%:}" "$tests/$2" || fail "DR-$n: tests/$2 does not have $3"
    done
}

# --- what is told --------------------------------------------------------------------

error_is() { status_is "$(of "$1" error.id)" "$2"; }
WORDS='EPOCH|HOST|USER|PORT|REPLICA|DIR|PRIMARY|FILE|NAME|KNOWN|SSH|RECEIVE|TABLE|KEY|PID|ID|TOKEN'
# no_placeholder WHAT TEXT
no_placeholder() {
    ! printf '%s' "$2" | grep -qE "(^|[^A-Za-z_])($WORDS)([^A-Za-z_]|\$)" ||
        fail "$1: a name is missing in the hint: $2"
}
# took NUMBER PATH: an error of the status; status exits with 1, and the error's
# hint goes to $hint, and where that has none, its text.
took() {
    must_within "$WAIT" status_is "$2.id" "$1"
    exits_with 1 || fail "healthy with DR-$1"
    hint=$(status "$2.hint")
    [ -n "$hint" ] || hint=$(status "$2.text")
    no_placeholder "DR-$1" "$hint"
}
# provoked NAME NUMBER: it is the replica's.
provoked() {
    took "$2" "$(of "$1" error)"
    checked "$1" "$2"
}
# warned NUMBER: it is among the warnings.
warned() {
    took "$1" "warnings[id=$1]"
    must_within "$WAIT" check_has "$1"
}
# `check` has it, too, of whatever it is.
check_has() {
    "$DROVER" --config "$W/agent.conf" check --timeout 1s --json >"$W/check" 2>&1 || :
    grep -q "\"id\":$1," "$W/check"
}
hint_has() {
    case $hint in *"$1"*) ;; *) fail "\"$1\" is not in the hint: $hint" ;; esac
}
# typed COMMAND: what begins so in the hint is run as it stands there, up to the
# mark behind it.
typed() {
    line=$(printf '%s\n' "$hint" | sed 's/; /\n/g; s/, then /\n/g' |
        grep -o -- "$1.*" | head -n 1 | sed 's/)[,.]\{0,1\}\( .*\)\{0,1\}$//')
    [ -n "$line" ] || fail "\"$1\" is not in the hint: $hint"
    (PATH=$W/bin:$PATH && eval "$line") >"$W/out" 2>&1 || fail "exit status $? of: $line"
}
# The names that are in PATH where drover is installed.
install_names() {
    mkdir "$W/bin"
    printf '#!/bin/sh\nexec "%s" --socket "%s" "$@"\n' "$DROVER" "$W/agent.sock" >"$W/bin/drover"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$DROVER_REPLICA" >"$W/bin/drover-replica"
    chmod +x "$W"/bin/*
}
exits_with() {
    code=0
    ctl status >"$W/out" 2>&1 || code=$?
    [ $code = "$1" ]
}
must_be_well() { must_within "$WAIT" exits_with 0; }

# each WHAT NUMBER...: what_NUMBER, where there is one.
each() {
    what=$1
    shift
    for number in "$@"; do
        ! grep -q "^${what}_$number()" "$0" || "${what}_$number" "$number"
    done
}
# mend_all NUMBER...: provoke one after the other, type, and see it stream.
mend_all() {
    for number in "$@"; do
        say "DR-$number"
        "mend_$number" "r$number" "$number"
        must_be "r$number" streaming
        must_within "$WAIT" status_is "$(of "r$number" error)" null
    done
}

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
    head="[replica $1]" line=$2 awk '
        BEGIN { head = ENVIRON["head"]; line = ENVIRON["line"] }
        /^\[/ { mine = $0 == head }
        !mine { print }
        $0 == head { print; print line }' "$conf" >"$W/new.conf"
    mv "$W/new.conf" "$conf"
}

# set_lines NAME LINE, and the agent reads it again.
now_with() {
    set_lines "$@"
    expect 0 ctl reload
}

# What neither the algorithms of libssh2 nor the number of connections lets in.
hardened() {
    need_lab
    install_names
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
        hint_has "add transport = openssh to [replica $r]"
        sed -i "s/^\[replica $r\]\$/&\ntransport = openssh/" "$conf"
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
    typed 'drover retry'
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
    expect 0 ctl retry
    must_be_well
    proven
}

# --- logins -----------------------------------------------------------------------------

# login NUMBER LINE...: a replica with these lines instead of the good ones.
login() {
    login=r$1
    shift
    { ssh_lines && echo "command = $DROVER_REPLICA receive $W/$login"; } >"$W/lines"
    for line in "$@"; do
        sed -i "/^${line%% = *} = /d" "$W/lines"
        echo "$line" >>"$W/lines"
    done
    { echo "[replica $login]" && cat "$W/lines"; } >>"$conf"
}
own_key() { # FILE FROM
    cp "$W/lab/$2" "$1"
    cp "$W/lab/$2.pub" "$1.pub"
}
authorize() { cat "$1" >>"$W/lab/authorized_keys"; }

make_201() { login 201 "port = 1"; }
mend_201() {
    provoked "$1" 201
    # It says the same by hand, and says nothing when the port is right.
    ! (typed 'ssh -T') 2>/dev/null || fail "port 1 answers"
    hint=$(printf '%s' "$hint" | sed "s/ -p 1 / -p $(cat "$W/lab/port") /")
    typed 'ssh -T'
    now_with "$1" "$(ssh_lines && echo "command = $DROVER_REPLICA receive $W/$1")"
}
make_202() {
    : >"$W/hosts-202"
    login 202 "known-hosts = $W/hosts-202"
}
mend_202() {
    provoked "$1" 202
    typed ssh-keyscan
}
make_203() {
    echo "[127.0.0.1]:$(cat "$W/lab/port") $(cut -d' ' -f1,2 "$W/lab/hk_other.pub")" >"$W/hosts-203"
    login 203 "known-hosts = $W/hosts-203"
}
mend_203() {
    provoked "$1" 203
    typed 'ssh-keygen -R'
    typed ssh-keyscan
    typed 'drover retry'
}
make_204() { login 204 "known-hosts = $W/hosts-204"; }
mend_204() {
    provoked "$1" 204
    typed ssh-keyscan
}
make_205() {
    own_key "$W/id-205" id_wrong
    login 205 "identity = $W/id-205"
}
mend_205() {
    provoked "$1" 205
    authorize "$W/id-205.pub"
    typed 'drover retry'
}
make_206() {
    own_key "$W/id-206" id_rsa
    login 206 "identity = $W/id-206"
}
mend_206() {
    provoked "$1" 206
    typed ssh-keygen
    authorize "$W/id-206.ed25519.pub"
    now_with "$1" "$(ssh_lines | sed "/^identity/d" && echo "identity = $W/id-206.ed25519" &&
        echo "command = $DROVER_REPLICA receive $W/$1")"
}
make_207() {
    own_key "$W/id-207" id_pass
    login 207 "identity = $W/id-207"
}
mend_207() {
    provoked "$1" 207
    hint=$(printf '%s' "$hint" | sed 's/ssh-keygen -p /&-P secret /') # it would ask
    typed 'ssh-keygen -p'
}
logins() {
    need_lab
    table t.tbl
    write fill "$P/t.tbl" 0 3 10
    begin_config
    # shellcheck disable=SC2086 # words
    each make $LOGINS
    install_names
    start_agent
    # shellcheck disable=SC2086 # words
    mend_all $LOGINS
    must_be_well
    proven
}

# --- targets ------------------------------------------------------------------------------

# A copy of the replica `seed`, as somebody might have made one.
seeded() { cp -a "$W/seed" "$W/$1"; }
well_first() { must_be "$1" streaming && proven "$1"; }

make_212() { printf '[replica r212]\ncommand = /nonexistent/drover-replica receive %s\n' "$W/r212" >>"$conf"; }
mend_212() {
    provoked "$1" 212
    now_with "$1" "command = $DROVER_REPLICA receive $W/$1"
}
# One of another version: it speaks, but not so that this agent understands it.
make_213() {
    cat >"$W/other" <<'END'
printf '\211DRV\r\n\032\n'
exec cat /dev/zero
END
    printf '[replica r213]\ncommand = sh %s\n' "$W/other" >>"$conf"
}
mend_213() {
    provoked "$1" 213
    typed 'drover version'
    typed 'drover-replica version'
    now_with "$1" "command = $DROVER_REPLICA receive $W/$1"
}
make_302() {
    seeded r302
    sed -i "s/^database .*/database $(printf '%032x' 7)/" "$W/r302/.drover/replica"
    add_replica r302
}
mend_302() {
    provoked "$1" 302
    typed 'drover-replica status'
    hint_has "move $W/$1 away"
    mv "$W/$1" "$W/away-302"
    mkdir "$W/$1"
    expect 0 ctl reload
}
make_304() {
    printf '[replica r304]\ncommand = %s receive %s\n' "$DROVER_REPLICA" "$W/none/r304" >>"$conf"
}
mend_304() {
    provoked "$1" 304
    ! (typed 'ls -ld') 2>/dev/null || fail "it is there"
    mkdir -p "$W/none/r304"
    typed 'ls -ld'
    expect 0 ctl reload
}
make_305() {
    mount_small r305 size=1m
    add_replica r305
}
mend_305() {
    well_first "$1"
    write big "$P" large 3000000 1
    warned 305
    typed 'df -h'
    typed 'df -i'
    mount -o remount,size=32m "$W/$1"
}
make_306() {
    mount_small r306 size=16m
    add_replica r306
}
mend_306() {
    well_first "$1"
    expect 0 ctl pause "$1"
    must_within "$WAIT" nobody_in "$1"
    mount -o remount,ro "$W/$1" || fail "cannot be mounted read-only"
    expect 0 ctl resume "$1"
    must_within "$WAIT" read_only "$1"
    provoked "$1" "$(status "$(of "$1" error.id)")"
    hint_has "findmnt -T $W/$1" # no unit runs this agent
    typed 'findmnt -T'
    mount -o remount,rw "$W/$1"
    expect 0 ctl reload
}
read_only() { error_is "$1" 306 || error_is "$1" 304; }
nobody_in() { [ -z "$(receivers_of "$W/$1")" ]; }
make_307() {
    cp -a "$P" "$W/r307"
    rm -r "$W/r307/.drover"
    add_replica r307
}
mend_307() {
    provoked "$1" 307
    typed 'drover-replica adopt'
}
make_308() { add_replica r308; }
mend_308() {
    well_first "$1"
    mkdir -p "$W/$1/t.tbl/in-the-way.kv/x"
    write flockd-set "$P/t.tbl" in-the-way 1
    warned 308
    rm -r "$W/$1/t.tbl/in-the-way.kv"
}
make_310() {
    seeded r310
    expect 0 "$DROVER_REPLICA" promote --epoch 9 "$W/r310"
    add_replica r310
}
mend_310() {
    provoked "$1" 310
    typed 'drover-replica status'
    case $hint in *demote*) fail "it tells to demote: $hint" ;; esac
    rm -r "$W/$1/.drover" # "a copy without its .drover"
    provoked "$1" 307
    typed 'drover-replica adopt'
}
make_312() { add_replica r312 --lock-timeout 300ms; }
mend_312() {
    well_first "$1"
    "$E2E_BIN/e2e_writer" hold-exclusive "$W/$1/t.tbl/k-000000.kv" "$W/ready" "" &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    write flockd-set "$P/t.tbl" k-000000 "locked there"
    warned 312
    typed 'ps -fp'
    grep -q e2e_writer "$W/out" || fail "not the holder: $(cat "$W/out")"
    kill "$holder"
    wait "$holder" || :
}
make_313() { add_replica r313; }
mend_313() {
    well_first "$1"
    chattr +i "$W/$1/t.tbl/k-000001.kv" || return 0 # not on every file system
    write flockd-set "$P/t.tbl" k-000001 "another value"
    warned 313
    typed 'ls -ld'
    typed 'lsattr -d'
    grep -q -- "i.*$W/$1/t.tbl/k-000001.kv" "$W/out" || fail "not which: $(cat "$W/out")"
    chattr -i "$W/$1/t.tbl/k-000001.kv"
}
make_314() { add_replica r314; }
mend_314() {
    well_first "$1"
    chmod 600 "$W/$1/t.tbl/k-000001.kv"
    chattr +i "$W/$1/t.tbl/k-000001.kv" || return 0 # not on every file system
    expect 1 ctl verify "$1"
    warned 314
    typed 'ls -ld'
    typed 'lsattr -d'
    grep -q -- "i.*$W/$1/t.tbl/k-000001.kv" "$W/out" || fail "not which: $(cat "$W/out")"
    chattr -i "$W/$1/t.tbl/k-000001.kv"
    typed 'drover verify'
}
make_320() { add_replica r320; }
mend_320() {
    well_first "$1"
    mv "$W/$1" "$W/away-320"
    mkdir "$W/$1"
    provoked "$1" 320
    typed 'findmnt -T'
    typed 'drover resync --anew'
    well_first "$1"
}
make_321() { add_replica r321; }
mend_321() {
    well_first "$1"
    mv "$W/$1" "$W/away-321"
    seeded "$1"
    provoked "$1" 321
    typed 'findmnt -T'
    typed 'drover resync --anew'
}
make_322() { :; }
mend_322() {
    cp -a "$W/r321" "$W/$1"
    add_replica "$1"
    expect 0 ctl reload
    provoked "$1" 322
    typed 'drover resync --anew'
}
make_323() { printf "[replica r323]\\ncommand = sh -c 'exec \"%s\" receive \"%s\"'\\n" "$DROVER_REPLICA" "$P" >>"$conf"; }
mend_323() {
    provoked "$1" 323
    now_with "$1" "command = $DROVER_REPLICA receive $W/$1"
}
make_404() { add_replica r404; }
mend_404() {
    well_first "$1"
    expect 0 ctl pause "$1"
    write flockd-set "$P/t.tbl" k-000002 "not on the paused one"
    warned 404
    typed 'drover resume'
}
mount_small() { # NAME OPTIONS
    mkdir "$W/$1"
    mount -t tmpfs -o "$2" none "$W/$1" 2>/dev/null || skip "no tmpfs can be mounted"
}
targets() {
    [ "$(id -u)" = 0 ] || skip "needs root to mount small disks"
    DATABASE_EXTRA='lag-limit = 1s'
    table t.tbl
    write fill "$P/t.tbl" 0 5 100
    begin_config
    add_replica seed
    start_agent
    proven
    must_within "$WAIT" grep -q 'epoch=1 ' "$W/seed/.drover/freshness" # it was whole
    stop_agent
    begin_config
    # shellcheck disable=SC2086 # words
    each make $TARGETS
    install_names
    start_agent
    # shellcheck disable=SC2086 # words
    mend_all $TARGETS
    must_be_well
    proven
}

# --- who has it already -------------------------------------------------------------------

text_of() { status "$(of "$1" error.text)"; }
says() { case $(text_of "$1") in *"$2"*) ;; *) return 1 ;; esac; }

# The receiver of a link that was cut does not run: it is ours, and said so, first
# while it is waited for.
sleeping() {
    SILENCE=2s
    table t.tbl
    write fill "$P/t.tbl" 0 3 10
    begin_config
    add_replica r1
    install_names
    start_agent
    proven
    stopped=$(receivers_of "$W/r1")
    for pid in $stopped; do kill -STOP "$pid"; done
    # The agent of the link does not end it: as if it were another host's.
    must_within "$WAIT" says r1 "an earlier session of this same agent"
    says r1 "another agent" && fail "it is called another agent's: $(text_of r1)"
    provoked r1 301
    typed 'ps -o'
    grep -q "drover-replica receive" "$W/out" || fail "not the holder: $(cat "$W/out")"
    typed 'kill -CONT'
    must_be_well
    proven
}

# Two agents with one configuration: the reason is there before the refusal.
copied() {
    table t.tbl
    write fill "$P/t.tbl" 0 3 10
    begin_config
    add_replica r1
    start_agent
    proven
    first=$agent_pid
    SILENCE=30s begin_config second
    add_replica r1
    start_agent second
    must_within "$WAIT" says r1 "second agent on the same database"
    says r1 "it is asked to leave" || fail "not while it waits: $(text_of r1)"
    is "$(status "$(of r1 attempts)")" 0 "the number of refusals until then"
    state_is r1 connecting || fail "it is $(status "$(of r1 state)")"
    provoked r1 301
    hint_has "ps -C drover"
    # The first one ends, and this one is well.
    second=$agent_pid
    agent=agent agent_pid=$first
    stop_agent
    agent=second agent_pid=$second
    must_be_well
}

# --- the database -------------------------------------------------------------------------

mend_104() {
    mv "$P" "$W/away-104"
    took 104 database.error
    ! (typed 'findmnt -T') 2>/dev/null || fail "it is there"
    mv "$W/away-104" "$P"
    typed 'findmnt -T'
    must_be_well
    # Only what says whose it is was lost; a running agent knows.
    rm -r "$P/.drover"
    took 104 database.error
    must_within "$WAIT" status_says database.error.text 'drover init --id'
    took 104 database.error
    typed 'drover init --id'
    # It ends for that, and the service manager starts it again.
    wait "$agent_pid" || :
    start_agent
}
status_says() { status "$1" | grep -q -- "$2"; }
mend_107() {
    "$E2E_BIN/e2e_writer" hold-exclusive "$P/t.tbl/k-000000.kv" "$W/ready" 3 &
    holder=$!
    must_within "$WAIT" test -e "$W/ready"
    warned 107
    typed 'ps -fp'
    grep -q e2e_writer "$W/out" || fail "not the holder: $(cat "$W/out")"
    kill "$holder"
    wait "$holder" || :
}
mend_108() {
    mount --bind "$P/u.tbl" "$P/t.tbl" 2>/dev/null || skip "no bind mounts"
    expect 0 ctl pause r1 # nothing of it matters to replicas
    expect 0 ctl resume r1
    ctl resync >"$W/out" 2>&1 || : # or whenever it looks next
    warned 108
    typed 'findmnt -T'
    typed 'ls -ld'
    hint_has "umount $P/t.tbl)"
    typed umount
    ctl resync >"$W/out" 2>&1 || :
}
mend_111() {
    "$E2E_BIN/e2e_hot" shift "$P/t.tbl" hot 150000000 0 &
    hot=$!
    warned 111
    hint_has "$P/t.tbl/hot.kv"
    kill -TERM "$hot"
    wait "$hot" || fail "the hot writer failed"
}
mend_112() {
    mkdir "$W/real.tbl"
    write flockd-set "$W/real.tbl" k 1
    ln -s "$W/real.tbl" "$P/linked.tbl"
    warned 112
    typed 'ls -la'
    grep -q 'linked.tbl -> ' "$W/out" || fail "not what is there: $(cat "$W/out")"
    rm "$P/linked.tbl"
    mv "$W/real.tbl" "$P/linked.tbl"
}
# The primary's disk was copied, and the copy is in its place.
mend_309() {
    stop_agent
    cp -a "$P" "$W/copy"
    rm -r "$P"
    mv "$W/copy" "$P"
    start_agent
    provoked r1 309
    typed 'drover-replica status'
    case $hint in *demote*) fail "it tells to demote: $hint" ;; esac
    stop_agent
    typed 'drover-replica promote'
    start_agent
}
mend_401() {
    rm -r "$P/w.tbl"
    must_be r1 held
    provoked r1 401
    must_within "$WAIT" let_through
}
# What was not shown yet is held on, so look again.
let_through() (
    ! exits_with 0 || exit 0
    # What was approved is on its way by the next look; nothing here waits for a
    # state that may be over.
    status_is "$(of r1 error.id)" 401 || exit 1
    hint=$(status "$(of r1 error.hint)")
    [ -n "$hint" ] || exit 1
    typed 'drover approve --dry-run'
    hint=$(sed -n 's/^.*release exactly these: //p' "$W/out")
    [ -n "$hint" ] && typed 'drover approve r1'
    exits_with 0
)
# An edit on the replica is found and repaired by itself in seconds, too.
mend_402() { must_within "$WAIT" differs; }
differs() (
    echo "not what the primary has" >"$W/r1/t.tbl/k-000001.kv"
    expect 1 ctl verify --content
    exits_with 1
    hint=$(status "warnings[id=402].hint")
    no_placeholder DR-402 "$hint"
    typed 'drover resync r1'
)
database() {
    [ "$(id -u)" = 0 ] || skip "needs root to mount"
    DATABASE_EXTRA='lag-limit = 1s'
    table t.tbl
    table u.tbl
    write fill "$P/t.tbl" 0 20 100
    table w.tbl
    write fill "$P/w.tbl" 0 1100 10 # to be held
    begin_config
    add_replica r1
    install_names
    start_agent
    proven
    must_be_well
    for number in $DATABASE; do
        say "DR-$number"
        "mend_$number"
        must_be_well
    done
    proven
}

"$scenario"
