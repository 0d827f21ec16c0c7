#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Run by test_bare.sh as root in a bare Debian 12 with the packages in
# /root/packages/{old,new}: the life of an installation, from nothing to nothing.
set -u
cd /root/packages || exit 1
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
failed=0
check() { # what, command...
    what=$1
    shift
    if "$@" >/tmp/said 2>&1; then
        echo "ok - $what" >&2
    else
        echo "FAILED - $what" >&2
        sed 's/^/    /' /tmp/said >&2
        failed=1
    fi
}
apt() { apt-get -q -y --no-install-recommends "$@"; }
not() { ! "$@"; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
# What is there beside dpkg's and apt's own notes, users and logs.
tree() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /root \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log \
        -o -path /srv -o -path /run \) -prune -o -print | grep -Ev '^/etc/(passwd|group|shadow|gshadow)-?$|/ld\.so\.cache|^/etc/\.pwd' | sort
}
fill() { for i in 1 2 3; do drover-kv /srv/orders set --create --table users "user$i" "$1$i"; done; }
same() { [ "$(drover-kv "$1" get --table users user2)" = "$2" ]; }
agent() {
    drover agent --config /etc/drover/orders.conf >/tmp/agent.log 2>&1 &
    agent=$!
    wait_for_agent
}
wait_for_agent() {
    # The agent's own answer, at most 30 s each; before there is a socket it is 69.
    for _ in $(seq 100); do
        drover --db orders wait --timeout 30s && return 0
        kill -0 "$agent" || { cat /tmp/agent.log; return 1; }
        sleep 0.1
    done
    return 1
}

# What the packages need is there before, so that only they make the difference.
check "the dependencies come" apt install ./new/*.deb
check "... and the packages go" apt purge drover drover-replica drover-kv libdrover-dev libdrover0
tree >/tmp/before

check "the receiver alone" apt install ./old/drover-replica_*.deb
check "... has its user" id drover-recv
check "... with a home that nobody else may write" test "$(stat -c %a:%U /var/lib/drover-recv/.ssh)" = 755:root
check "... and runs" drover-replica --version
check "... without the agent" not installed drover
check "all others" apt install ./old/*.deb
check "the agent has its user" id drover
check "... owns its state" test "$(stat -c %U /var/lib/drover)" = drover
check "nothing is enabled" not ls /etc/systemd/system/multi-user.target.wants/drover*
for program in drover drover-replica drover-kv; do
    check "$program says its version" $program --version
    check "$program has a manual" ls /usr/share/man/man[18]/$program.[18].gz
done

mkdir -p /srv/orders
check "a database" fill old
check "... gets its identity" drover init /srv/orders
cat >/etc/drover/orders.conf <<'END'
[database]
path = /srv/orders

[replica copy]
command = drover-replica receive /srv/copy
END
for script in bash-completion/completions/drover zsh/vendor-completions/_drover \
    fish/vendor_completions.d/drover.fish; do
    check "... completed by shells ($script)" test -s /usr/share/$script
done
check "... and a configuration" drover check-config /etc/drover/orders.conf
mkdir /srv/copy
check "the agent replicates it" agent
check "... truly" same /srv/copy old2
kill "$agent" && wait "$agent"

check "an upgrade" apt install ./new/*.deb
check "... keeps the configuration" test -s /etc/drover/orders.conf
check "... and the state" test -d /var/lib/drover/orders
check "... and changes go on" fill new
check "... with the new agent" agent
check "... truly" same /srv/copy new2
check "... and equal" drover --db orders verify --content
kill "$agent" && wait "$agent"

# Somebody's databases in the wrong place, one of them without its identity.
mkdir -p /var/lib/drover/mine/a/.drover /var/lib/drover/lost/t.tbl
echo v >/var/lib/drover/lost/t.tbl/k.kv
check "removal" apt remove drover drover-replica drover-kv libdrover-dev libdrover0
check "... keeps the configuration" test -s /etc/drover/orders.conf
check "... and the state" test -d /var/lib/drover/orders
check "purge" dpkg --purge drover drover-replica drover-kv libdrover-dev libdrover0
check "... leaves the database" test -e /srv/orders/.drover
check "... and its copy" test -e /srv/copy/.drover
check "... and what may be one" test -e /var/lib/drover/mine/a/.drover
check "... also without its identity" test -e /var/lib/drover/lost/t.tbl/k.kv
rm -r /var/lib/drover/mine /var/lib/drover/lost
rmdir /var/lib/drover
tree >/tmp/after
check "... and nothing else" diff /tmp/before /tmp/after
exit $failed
