# SPDX-License-Identifier: MIT
#
# What a replica's host needs besides its packages: the readers' group, the
# directory, and the line that lets the agent's key run the receiver and nothing
# else.  The settings above came with it; nothing else is asked or fetched.
#
# It may be run again: what is there already stays.  What a run that fails had
# made, it takes away again.  No data is ever deleted.
#
#   mode=add      make what is missing
#   mode=check    say what is missing
#   mode=remove   take the line out of authorized_keys; the rest stays
#
# Each line that it prints is "WORD: text"; WORD is made, removed, there, would
# or left.  The last one, "end: MODE", comes only when all went well: who does not
# see it knows nothing of what was done.
set -eu
umask 022
LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
export PATH LC_ALL

say() {
    word=$1
    shift
    printf '%s: %s\n' "$word" "$*"
}
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# --- undo ----------------------------------------------------------------------

made_group='' joined='' made_dirs='' dir_was='' made_line='' temp=''
made_keys='' made_keys_dir=''

undo() {
    [ -z "$temp" ] || rm -f -- "$temp"
    [ -z "$made_line" ] || drop_lines
    [ -z "$made_keys" ] || [ -s "$keys" ] || rm -f -- "$keys"
    [ -z "$made_keys_dir" ] || rmdir -- "${keys%/*}" || say left "directory ${keys%/*}"
    [ -z "$dir_was" ] || restore_dir
    # Only what is empty goes.
    [ -z "$made_dirs" ] || rmdir -- "$dir" || say left "directory $dir"
    [ -z "$joined" ] || gpasswd -d "$user" "$group" >/dev/null || say left "$user in group $group"
    [ -z "$made_group" ] || groupdel -- "$group" || say left "group $group"
}
at_end() {
    code=$?
    trap - EXIT
    set +e
    [ $code = 0 ] || undo
    exit $code
}
trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Nobody hears any more what was done: a line that cannot be printed ends it.
trap 'exit 141' PIPE

# --- who and where ----------------------------------------------------------------

look_around() {
    uid=$(id -u -- "$user" 2>/dev/null) ||
        fail "there is no user $user here; is the package drover-replica installed? apt-get install ./drover-replica_*.deb"
    me=$(id -u)
    [ "$me" = 0 ] || [ "$me" = "$uid" ] ||
        fail "this must be run as root, or as $user: it writes $user's authorized_keys (who has sudo there: drover replica add ... --print | ssh HOST sudo sh)"
    [ "$mode" = remove ] || command -v -- "$receiver" >/dev/null ||
        fail "there is no $receiver here; install the package drover-replica: apt-get install ./drover-replica_*.deb"
    if [ -z "$keys" ]; then
        home=$(getent passwd "$user" | cut -d: -f6)
        [ -n "$home" ] || fail "user $user has no home directory, where its authorized_keys would be"
        keys=$home/.ssh/authorized_keys
    fi
    follow_keys
    may_be_edited
}

# The way to authorized_keys, one name after the other, to a path without links.
# `link` is the last one on it that is not root's: the account may have made it.
follow_keys() {
    link='' at='' rest=$keys hops=0
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        case $rest in
        */*) rest=${rest#*/} ;;
        *) rest='' ;;
        esac
        case $part in
        '' | .) ;;
        ..) at=${at%/*} ;;
        *) if [ -h "$at/$part" ]; then follow_link "$at/$part"; else at=$at/$part; fi ;;
        esac
    done
    keys=$at
}
follow_link() {
    hops=$((hops + 1))
    [ $hops -lt 40 ] || fail "$keys: too many links on the way there"
    [ "$(stat -c %u -- "$1")" = 0 ] || link=$1
    to=$(readlink -- "$1")
    case $to in
    /*) at='' ;;
    esac
    rest=$to${rest:+/$rest}
}

# Root changes nothing of somebody else's because a link of the account leads there.
may_be_edited() {
    [ ! -e "${keys%/*}" ] || [ -d "${keys%/*}" ] || fail "${keys%/*} is not a directory"
    [ ! -e "$keys" ] || [ -f "$keys" ] || fail "$keys is not a regular file"
    [ "$me" = 0 ] && [ -n "$link" ] || return 0
    for one in "${keys%/*}" "$keys"; do
        [ "$(stat -c %u -- "$one" 2>/dev/null)" = "$uid" ] ||
            fail "$link is a link to $keys, and $one is not $user's: root does not follow it; name the file itself (--authorized-keys) if it is the right one"
    done
}

# --- the readers' group ------------------------------------------------------------

gid_of_group() { getent group "$group" | cut -d: -f3; }
is_member() {
    for one in $(id -G -- "$user"); do
        [ "$one" != "$(gid_of_group)" ] || return 0
    done
    return 1
}

only_root() { [ "$me" = 0 ] || fail "$1, and only root can $2"; }

the_group() {
    if [ -n "$(gid_of_group)" ]; then
        say there "group $group"
    else
        only_root "there is no group $group here" "make it: groupadd $group; usermod -a -G $group $user"
        if [ "$mode" = check ]; then
            say would "make group $group, with $user in it"
            return
        fi
        groupadd -- "$group" || fail "group $group could not be made"
        made_group=1
        say made "group $group"
    fi
    if is_member; then
        say there "$user in group $group"
        return
    fi
    only_root "$user is not in group $group" "change that: usermod -a -G $group $user"
    if [ "$mode" = check ]; then
        say would "put $user into group $group"
        return
    fi
    usermod -a -G "$group" -- "$user" || fail "$user could not be put into group $group"
    joined=1
    say made "$user in group $group"
}

# --- the directory ------------------------------------------------------------------

state_of_dir() { stat -c '%u %g %a' -- "$dir"; }
is_empty() { [ -z "$(ls -A -- "$dir")" ]; }

# Owner, group and mode as they were.
restore_dir() {
    # shellcheck disable=SC2086  # three words
    set -- $dir_was
    mode_of_dir "$3"
    [ "$me" != 0 ] || chown -h "$1:$2" -- "$dir"
}
# Of what is the account's; in its place there could be a link by now.
mode_of_dir() { (cd -- "$dir" && [ "$(stat -c %u .)" = "$uid" ] && chmod "$1" .); }

set_dir() {
    if [ "$me" = 0 ]; then
        chown -h "$uid:$(gid_of_group)" -- "$dir"
    else
        chgrp -h "$(gid_of_group)" -- "$dir"
    fi
    mode_of_dir "$dir_mode"
}

# Is what is there of the way to it one in which a name may be made?
can_make() {
    above=$1
    while [ -n "$above" ] && [ ! -e "$above" ]; do
        above=${above%/*}
    done
    above=${above:-/}
    [ -d "$above" ] && [ -w "$above" ] || fail "$1 could not be made: $user may make nothing in $above"
}

the_dir() {
    [ ! -h "$dir" ] || fail "$dir is a link; name the directory that it leads to"
    [ ! -e "$dir" ] || [ -d "$dir" ] || fail "$dir is not a directory"
    if [ ! -d "$dir" ]; then
        if [ "$mode" = check ]; then
            can_make "$dir"
            say would "make directory $dir ($user:$group $dir_mode)"
            return
        fi
        parent=${dir%/*}
        mkdir -p -- "${parent:-/}" && mkdir -m 700 -- "$dir" || fail "directory $dir could not be made"
        made_dirs=1
        set_dir
        say made "directory $dir ($user:$group $dir_mode)"
        return
    fi
    was=$(state_of_dir)
    if [ "$was" = "$uid $(gid_of_group) ${dir_mode#0}" ]; then
        say there "directory $dir ($user:$group $dir_mode)"
        return
    fi
    [ "${was%% *}" = "$uid" ] || is_empty ||
        fail "$dir is not empty, and belongs to $(stat -c %U -- "$dir"), not to $user: a copy needs a directory of its own"
    [ "${was%% *}" = "$uid" ] || only_root "$dir belongs to $(stat -c %U -- "$dir")" "give it to $user"
    if [ "$mode" = check ]; then
        say would "give directory $dir to $user:$group, mode $dir_mode"
        return
    fi
    dir_was=$was
    set_dir
    say made "directory $dir is $user:$group, mode $dir_mode"
}

# --- the login ----------------------------------------------------------------------

# One at a time: who waits here reads the file as the one before has left it.  The
# account could hold the lock for ever.
lock_keys() {
    if [ ! -d "${keys%/*}" ]; then
        mkdir -p -m 755 -- "${keys%/*}" || fail "directory ${keys%/*} could not be made"
        made_keys_dir=1
    fi
    exec 9<"${keys%/*}"
    flock -w 60 9 || fail "${keys%/*} is locked by another process (lslocks shows it); nothing was changed"
}

# The file by its descriptor, so that it stays the one that was looked at.
old=/proc/self/fd/4
# is_keys FD: it is what the path means, and no link that came in between.
is_keys() {
    [ "$(readlink /proc/self/fd/"$1")" = "$keys" ] || fail "$keys was replaced meanwhile; run this again"
}
open_keys() {
    exec 4<"$keys" || return 1
    is_keys 4
}
which_keys() { stat -L -c '%d:%i' -- "$1"; }
# Its first SIZE bytes: what was read, whoever adds lines.
first_keys() { head -c "$size" $old; }

# "SAME OTHER": the numbers of the line that is just this, and of another one with
# this key; 0: there is none.
find_lines() {
    [ -e "$keys" ] || {
        echo 0 0
        return
    }
    open_keys
    LINE=$line KEY=$key awk '
        /^[ \t]*#/ { next }
        index($0 " ", ENVIRON["LINE"] " ") == 1 { same = NR; next }
        index($0 " ", " " ENVIRON["KEY"] " ") { other = NR }
        END { print same + 0, other + 0 }' $old
}

# One write at the end: what others write there meanwhile stays.
add_line() {
    [ -e "$keys" ] || made_keys=1
    exec 3>>"$keys" || return 1
    is_keys 3
    # A last line without an end would become one with ours.
    end=$(tail -c 1 /proc/self/fd/3 | tr '\n' x)
    case $end in
    '' | x) end='' ;;
    *) end='
' ;;
    esac
    made_line=1
    printf '%s%s%s\n' "$end" "$line" "${comment:+ $comment}" >&3 || return 1
    sync "$new" 2>/dev/null || :
    exec 3>&-
}

# A new file beside it gets its name when it is whole.  The directory may be the
# account's own, who could put a link in its place: so it is made by this shell
# alone (-C) and then reached by its descriptor only.
new=/proc/self/fd/3
begin_keys() {
    open_keys || return 1
    size=$(stat -L -c %s $old) && was=$(first_keys | cksum) || return 1
    temp=$keys.$$.new
    rm -f -- "$temp"
    set -C
    exec 3>"$temp"
    set +C
}
# 0, 1: it failed, or 2: somebody else changed the old one, or replaced it.  What
# was added to it behind what was read is taken over, also what comes between this
# look and the new name.
commit_keys() {
    { [ "$me" != 0 ] || chown --reference=$old $new; } &&
        chmod --reference=$old $new || return 1
    sync $new 2>/dev/null || :
    [ "$(which_keys "$keys")" = "$(which_keys $old)" ] && [ "$(first_keys | cksum)" = "$was" ] || return 2
    mv -f -- "$temp" "$keys" || return 1
    temp=''
    tail -c +$((size + 1)) $old >&3 || return 1
    exec 3>&-
}

# keep CONDITION: the lines for which awk finds it true.  It is judged anew each
# time.
keep() {
    tries=0
    while [ $tries -lt 20 ]; do
        tries=$((tries + 1))
        begin_keys &&
            first_keys | LINE=$line RECEIVE=$receive KEY=$key awk "$@" >&3 || return 1
        rc=0
        commit_keys || rc=$?
        [ $rc = 2 ] || return $rc
        rm -f -- "$temp"
    done
    echo "$keys: others write to it all the time" >&2
    return 1
}
drop_lines() {
    keep 'index($0 " ", ENVIRON["LINE"] " ") != 1' || say left "a line in $keys"
}

the_login() {
    found=$(find_lines)
    if [ "${found% *}" != 0 ]; then
        say there "line ${found% *} of $keys"
    elif [ "${found#* }" != 0 ]; then
        fail "line ${found#* } of $keys has this key for another command; a key runs one: take that line out, or give this replica a key of its own (--identity)"
    elif [ "$mode" = check ]; then
        if [ -e "$keys" ]; then
            [ -w "$keys" ] || fail "$keys could not be written"
        else
            can_make "$keys"
        fi
        say would "add a line to $keys"
    else
        add_line || fail "$keys could not be written"
        say made "a line in $keys"
    fi
}

# The line of this key for this directory, whatever its other options: the first
# such line is `hit`.
is_ours='
    function is_ours(at, behind) {
        if ($0 ~ /^[ \t]*#/ || !index($0 " ", " " ENVIRON["KEY"] " ")) return 0
        at = index($0, ENVIRON["RECEIVE"])
        behind = substr($0, at + length(ENVIRON["RECEIVE"]), 1)
        return at && (behind == " " || behind == "\"")
    }
    !hit && is_ours() { hit = NR }'
remove_login() {
    [ -e "$keys" ] || {
        say there "no line: there is no $keys"
        return
    }
    lock_keys
    open_keys || fail "$keys could not be read"
    number=$(RECEIVE=$receive KEY=$key awk "$is_ours"' END { print hit + 0 }' $old)
    if [ "$number" = 0 ]; then
        say there "no line of this key for $dir in $keys"
    else
        keep "$is_ours"' NR != hit' || fail "$keys could not be written"
        say removed "line $number of $keys"
    fi
    left_there
}
left_there() {
    if [ ! -d "$dir" ]; then
        :
    elif is_empty 2>/dev/null; then
        say left "directory $dir, which is empty"
    else
        say left "directory $dir with the copy"
    fi
    [ -z "$group" ] || say left "group $group"
}

look_around
case $mode in
remove)
    remove_login
    ;;
*)
    [ "$mode" = check ] || lock_keys
    the_group
    the_dir
    the_login
    ;;
esac
say end "$mode"
