# SPDX-License-Identifier: MIT
#
# e2e_enroll_there.sh: the script that the replica's host runs, by itself: what
# an account there puts in its way, who else writes to authorized_keys at that
# moment, and a caller that is gone.  No host is logged in to.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

# As root the account is another one than who runs the script.
prepare() {
    command -v ssh-keygen >/dev/null || skip "no ssh-keygen here"
    begin_config
    account=$(id -un)
    [ "$(id -u)" != 0 ] || account=nobody
    group=$(id -gn "$account")
    chmod 755 "$W"
    mkdir "$W/home" "$W/home/.ssh" "$W/srv" "$W/roots"
    [ "$(id -u)" != 0 ] || chown -R "$account:$group" "$W/home"
    keys=$W/home/.ssh/authorized_keys
    script add r1 >"$W/add"
    script check r1 --dry-run >"$W/check"
}
# script MODE REPLICA WORD...: each has a key of its own.
script() {
    mode=$1
    name=$2
    shift 2
    [ -e "$W/key-$name" ] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$W/key-$name"
    "$DROVER" --config "$conf" replica add "$name" "$account@127.0.0.1:$W/srv/$name" --print \
        --group "$group" --authorized-keys "$keys" --receiver "$DROVER_REPLICA" \
        --identity "$W/key-$name" "$@"
}
# The same script, to take the line away.
removing() { sed 's/^mode=add$/mode=remove/' "$1"; }
tree() {
    find "$W/home" "$W/srv" "$W/roots" -printf '%p %m %U %G %y %l\n' -type f -exec sha256sum {} + | sort
}
unchanged() { [ "$(tree)" = "$before" ] || fail "something changed: $(tree)"; }
# refused TEXT: by all three, and nothing is changed.
refused() {
    before=$(tree)
    removing "$W/add" >"$W/remove"
    for one in add check remove; do
        expect 1 timeout 60 sh "$W/$one"
        out_has "$1"
        unchanged
    done
}

# What the account puts in the place of its own files.
planted() {
    prepare
    : >"$W/roots/sudoers"
    printf 'keys of root' >"$W/roots/authorized_keys"
    rm -f "$keys"
    mkfifo "$keys"
    refused "$keys is not a regular file"
    rm "$keys"
    mkdir "$keys"
    refused "$keys is not a regular file"
    rmdir "$keys" "$W/home/.ssh"
    : >"$W/home/.ssh"
    refused "$W/home/.ssh is not a directory"
    rm "$W/home/.ssh"
    mkfifo "$W/home/.ssh"
    refused "$W/home/.ssh is not a directory"
    rm "$W/home/.ssh"
    if [ "$(id -u)" != 0 ]; then return 0; fi

    own_link "$W/roots" "$W/home/.ssh"
    refused "$W/home/.ssh is a link to $W/roots/authorized_keys, and $W/roots is not $account's"
    own_link ../roots "$W/home/.ssh"
    refused "$W/home/.ssh is a link to $W/roots/authorized_keys"
    rm "$W/roots/authorized_keys"
    refused "$W/home/.ssh is a link to "
    own_link "$W/nowhere" "$W/home/.ssh"
    refused "$W/home/.ssh is a link to $W/nowhere/authorized_keys"
    rm "$W/home/.ssh"
    mkdir "$W/home/.ssh"
    chown "$account" "$W/home/.ssh"
    own_link "$W/roots/sudoers" "$keys"
    refused "$keys is a link to $W/roots/sudoers, and $W/roots is not $account's: root does not follow it"
    own_link "$W/roots/none" "$keys"
    refused "$keys is a link to $W/roots/none"
    own_link "$keys" "$keys"
    refused "too many links"

    # Its own file is, and so is what root has linked.
    : >"$W/home/mine"
    chown "$account" "$W/home/mine"
    own_link ../mine "$keys"
    made_and_removed "$W/home/mine"
    rm "$keys"
    ln -s "$W/roots/sudoers" "$keys"
    made_and_removed "$W/roots/sudoers"
}
own_link() {
    rm -f "$2"
    ln -s "$1" "$2"
    chown -h "$account" "$2"
}
made_and_removed() {
    expect 0 sh "$W/add"
    is "$(grep -c '^restrict,' "$1")" 1 "lines of $1"
    [ -h "$keys" ] || fail "$keys is no link any more"
    removing "$W/add" >"$W/remove"
    expect 0 sh "$W/remove"
    out_has "^removed: line 1 of $1"
    is "$(wc -c <"$1")" 0 "bytes of $1"
    [ -h "$keys" ] || fail "$keys is no link any more"
}

# Several scripts at once: no line is lost.
at_once() {
    prepare
    echo '# first' >"$keys"
    for i in 1 2 3 4 5 6; do
        script add "n$i" >"$W/add-$i"
        removing "$W/add-$i" >"$W/remove-$i"
    done
    all_at_once add
    is "$(grep -c '^restrict,' "$keys")" 6 "lines after six at once"
    all_at_once remove
    is "$(cat "$keys")" "# first" "what is left"
}
all_at_once() {
    pids=''
    for i in 1 2 3 4 5 6; do
        sh "$W/$1-$i" >"$W/$1-$i.out" 2>&1 &
        pids="$pids $!"
    done
    for pid in $pids; do
        wait "$pid" || fail "one of six ends with $?: $(cat "$W/$1"-*.out)"
    done
}

# Others, who know of no lock, change the file between the look and the new name.
others() {
    prepare
    expect 0 sh "$W/add"
    cp "$keys" "$W/keys"
    removing "$W/add" >"$W/remove"
    mkdir "$W/tools"
    comes_between sync "echo '# other' >>'$keys'"
    comes_between mv "echo '# other' >>'$keys'"
    comes_between sync "{ cat '$keys'; echo '# other'; } >'$W/new'; mv '$W/new' '$keys'"
    comes_between sync "sed 's/^restrict/# other\\
restrict/' '$keys' >'$W/new'; cat '$W/new' >'$keys'"
}
# comes_between PROGRAM COMMAND: before the first run of the program.
comes_between() {
    cp "$W/keys" "$keys"
    rm -rf "$W/tools" "$W/once"
    mkdir "$W/tools"
    cat >"$W/tools/$1" <<END
#!/bin/sh
PATH=$PATH
mkdir "$W/once" 2>/dev/null && { $2
}
exec $1 "\$@"
END
    chmod 755 "$W/tools/$1"
    expect 0 env PATH="$W/tools:$PATH" sh "$W/remove"
    [ -e "$W/once" ] || fail "nothing came before $1"
    is "$(cat "$keys")" "# other" "what is left after: $2"
    is "$(ls "$W/home/.ssh")" authorized_keys "files beside it"
}

# Whoever cannot be told what was done gets it undone.
nobody_hears() {
    prepare
    rmdir "$W/home/.ssh"
    before=$(tree)
    code=0
    sh "$W/add" >/dev/full 2>"$W/out" || code=$?
    [ $code != 0 ] || fail "it ends well without an output"
    unchanged
    # At the last line, too: all before it went well.
    sed 's/^say end .*/exec >\/dev\/full; &/' "$W/add" >"$W/add.deaf"
    code=0
    sh "$W/add.deaf" >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "it ends well without an end"
    out_has "^made: a line in "
    unchanged
    expect 0 sh "$W/add"
    is "$(tail -n 1 "$W/out")" "end: add"
    # What was there stays there.
    rmdir "$W/srv/r1"
    code=0
    before=$(tree)
    sh "$W/add.deaf" >"$W/out" 2>&1 || code=$?
    [ $code != 0 ] || fail "it ends well without an end"
    out_has "^there: line 1 of "
    unchanged
}

# A look says no more than what would be.
looked_at() {
    prepare
    expect 0 sh "$W/check"
    out_has "^would: make directory $W/srv/r1"
    sed "s/^group=.*/group=no-such-group/" "$W/check" >"$W/look"
    if [ "$(id -u)" = 0 ]; then
        expect 0 sh "$W/look"
        out_has "^would: make group no-such-group"
        return
    fi
    expect 1 sh "$W/look"
    out_has "there is no group no-such-group here, and only root can make it"
    chmod 500 "$W/srv"
    expect 1 sh "$W/check"
    out_has "$W/srv/r1 could not be made: $account may make nothing in $W/srv"
    chmod 700 "$W/srv"
    : >"$keys"
    chmod 400 "$keys"
    expect 1 sh "$W/check"
    out_has "$keys could not be written"
}

"$scenario"
