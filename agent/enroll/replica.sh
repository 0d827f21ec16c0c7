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
# or left.
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

undo() {
    [ -z "$temp" ] || rm -f -- "$temp"
    [ -z "$made_line" ] || drop_lines
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
    [ ! -h "$keys" ] || keys=$(readlink -f -- "$keys")
}

# --- the readers' group ------------------------------------------------------------

gid_of_group() { getent group "$group" | cut -d: -f3; }
is_member() {
    for one in $(id -G -- "$user"); do
        [ "$one" != "$(gid_of_group)" ] || return 0
    done
    return 1
}

the_group() {
    if [ -n "$(gid_of_group)" ]; then
        say there "group $group"
    elif [ "$mode" = check ]; then
        say would "make group $group, with $user in it"
        return
    else
        [ "$me" = 0 ] || fail "there is no group $group here, and only root can make it: groupadd $group; usermod -a -G $group $user"
        groupadd -- "$group" || fail "group $group could not be made"
        made_group=1
        say made "group $group"
    fi
    if is_member; then
        say there "$user in group $group"
    elif [ "$mode" = check ]; then
        say would "put $user into group $group"
    else
        [ "$me" = 0 ] || fail "$user is not in group $group, and only root can change that: usermod -a -G $group $user"
        usermod -a -G "$group" -- "$user" || fail "$user could not be put into group $group"
        joined=1
        say made "$user in group $group"
    fi
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

the_dir() {
    [ ! -h "$dir" ] || fail "$dir is a link; name the directory that it leads to"
    [ ! -e "$dir" ] || [ -d "$dir" ] || fail "$dir is not a directory"
    if [ ! -d "$dir" ]; then
        if [ "$mode" = check ]; then
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
    if [ "$mode" = check ]; then
        say would "give directory $dir to $user:$group, mode $dir_mode"
        return
    fi
    dir_was=$was
    set_dir
    say made "directory $dir is $user:$group, mode $dir_mode"
}

# --- the login ----------------------------------------------------------------------

# "SAME OTHER": the numbers of the line that is just this, and of another one with
# this key; 0: there is none.
find_lines() {
    [ -e "$keys" ] || {
        echo 0 0
        return
    }
    LINE=$line KEY=$key awk '
        /^[ \t]*#/ { next }
        index($0 " ", ENVIRON["LINE"] " ") == 1 { same = NR; next }
        index($0 " ", " " ENVIRON["KEY"] " ") { other = NR }
        END { print same + 0, other + 0 }' "$keys"
}

# A new file beside it gets its name when it is whole.  The directory may be the
# account's own, who could put a link in its place: so it is made by this shell
# alone (-C) and then reached by its descriptor only.
new=/proc/self/fd/3
begin_keys() {
    temp=$keys.$$.new
    rm -f -- "$temp"
    set -C
    exec 3>"$temp"
    set +C
}
commit_keys() {
    if [ -e "$keys" ]; then
        { [ "$me" != 0 ] || chown --reference="$keys" $new; } &&
            chmod --reference="$keys" $new || return 1
    fi
    sync $new 2>/dev/null || :
    exec 3>&-
    mv -f -- "$temp" "$keys" && temp=''
}

add_line() {
    [ -d "${keys%/*}" ] || mkdir -p -m 755 -- "${keys%/*}" || return 1
    begin_keys || return 1
    # A last line without an end would become one with ours.
    [ ! -e "$keys" ] || awk 1 "$keys" >&3 || return 1
    printf '%s%s\n' "$line" "${comment:+ $comment}" >&3 || return 1
    commit_keys && made_line=1
}

# keep CONDITION: the lines for which awk finds it true.
keep() {
    begin_keys && LINE=$line awk "$@" "$keys" >&3 && commit_keys
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
        say would "add a line to $keys"
    else
        add_line || fail "$keys could not be written"
        say made "a line in $keys"
    fi
}

# The line of this key for this directory, whatever its other options.
remove_login() {
    [ -e "$keys" ] || {
        say there "no line: there is no $keys"
        return
    }
    number=$(RECEIVE=$receive KEY=$key awk '
        /^[ \t]*#/ { next }
        !index($0 " ", " " ENVIRON["KEY"] " ") { next }
        (at = index($0, ENVIRON["RECEIVE"])) {
            behind = substr($0, at + length(ENVIRON["RECEIVE"]), 1)
            if (behind == " " || behind == "\"") { print NR; exit }
        }' "$keys")
    if [ -z "$number" ]; then
        say there "no line of this key for $dir in $keys"
    else
        keep -v n="$number" 'NR != n' || fail "$keys could not be written"
        say removed "line $number of $keys"
    fi
    [ ! -d "$dir" ] || say left "directory $dir with the copy"
    [ -z "$group" ] || say left "group $group"
}

look_around
case $mode in
remove)
    remove_login
    ;;
*)
    the_group
    the_dir
    the_login
    ;;
esac
