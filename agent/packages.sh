#!/bin/sh
# SPDX-License-Identifier: MIT
#
# packages.sh: the one list of Debian 12 packages this project needs.
#
#   sh agent/packages.sh build     to compile
#   sh agent/packages.sh demo      ... and to try it with ssh on one host
#   sh agent/packages.sh test      ... and to run every test
#   sh agent/packages.sh ci        the same as test
#   sh agent/packages.sh bench     ... to build, and the peers to measure against
#   sh agent/packages.sh list [build|deb|demo|test|bench]   only print the names
#   sh agent/packages.sh deb [DIR] build the Debian packages and put them into DIR
#                                  (build/packages); prints their paths
#   sh agent/packages.sh sshd DIR  fetch OpenSSH's server and unpack it below DIR
#                                  (not installed: nothing is started); prints
#                                  the path of the program
#   sh agent/packages.sh promtool DIR  the same with Prometheus' promtool
#
# Installs only what is missing, so a second run needs neither network nor root.
set -eu

BUILD="gcc cmake make pkg-config libc6-dev libuv1-dev libssh2-1-dev libssl-dev
       libsodium-dev libcmocka-dev libxxhash-dev uthash-dev libinih-dev libjansson-dev
       libsystemd-dev"
DEB="dpkg-dev gzip"
DEMO="openssh-client"
TEST="clang clang-format-14 libclang-rt-14-dev clang-tidy-14 cppcheck gcovr valgrind strace
      lintian mmdebstrap mandoc systemd shellcheck yamllint python3 python3-jsonschema spin xfsprogs e2fsprogs"
BENCH="python3 rsync lsyncd inotify-tools unison syncthing"

say() { printf 'packages.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

names() {
    case $1 in
    build) echo $BUILD ;;
    demo) echo $BUILD $DEMO ;;
    deb) echo $BUILD $DEB ;;
    test | ci) echo $BUILD $DEB $DEMO $TEST ;;
    bench) echo $BUILD $DEMO $BENCH ;;
    *) die "no such set: $1 (build, deb, demo, test, ci, bench)" ;;
    esac
}

# The names among "$@" that are not installed.
missing() {
    for p in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) || state=
        [ "$state" = installed ] || echo "$p"
    done
}

need_debian() {
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        die "this is not Debian (no apt-get); the packages are: $(names "$1")"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root for: $*
packages.sh: run it as root, or install sudo, or ask an administrator"
    fi
}

install_set() {
    need_debian "$1"
    # shellcheck disable=SC2046  # names hold no blanks
    set -- $(missing $(names "$1"))
    if [ $# = 0 ]; then
        say "nothing is missing"
        return
    fi
    say "installing: $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends install "$@"
}

# The package archives of "$@" into the current directory.
download() {
    apt-get -q download "$@" >&2 2>/dev/null && return
    say "the package lists are old or missing: updating them"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >&2
    apt-get -q download "$@" >&2
}

# Shared libraries that "$1" lacks, as sonames.
lacks() {
    LD_LIBRARY_PATH=$2 ldd "$1" | sed -n 's/^[[:space:]]*\([^ ]*\) => not found$/\1/p'
}

# libwrap.so.0 -> libwrap0: the names of Debian's library packages.
library_package() {
    printf '%s\n' "$1" | sed 's/\.so\.\([0-9]*\).*/\1/; s/\([0-9]\)\([0-9]*\)$/\1\2/; s/_/-/g' |
        tr '[:upper:]' '[:lower:]'
}

fetch_sshd() {
    [ -n "${1:-}" ] || die "usage: packages.sh sshd DIR"
    mkdir -p "$1"
    dir=$(cd "$1" && pwd)
    sshd=$dir/usr/sbin/sshd
    libs=$dir/usr/lib/$(gcc -print-multiarch 2>/dev/null || dpkg-architecture -qDEB_HOST_MULTIARCH)
    if [ ! -x "$sshd" ]; then
        need_debian demo
        fetch=$(mktemp -d "$dir/fetch.XXXXXX")
        trap 'rm -rf "$fetch"' EXIT
        (cd "$fetch" && download openssh-server)
        dpkg -x "$fetch"/openssh-server_*.deb "$dir/new"
        for so in $(lacks "$dir/new/usr/sbin/sshd" "$libs"); do
            package=$(library_package "$so")
            say "sshd needs $so: unpacking $package beside it"
            (cd "$fetch" && download "$package")
            dpkg -x "$fetch/$package"_*.deb "$dir"
        done
        # Last of all and at once, so that an interrupted run is repeated.
        mkdir -p "$dir/usr/sbin"
        mv "$dir/new/usr/sbin/sshd" "$sshd"
        rm -rf "$dir/new"
    fi
    [ -z "$(lacks "$sshd" "$libs")" ] ||
        die "$sshd lacks: $(lacks "$sshd" "$libs" | tr '\n' ' ')"
    echo "$sshd"
}

# Messages go to standard error, so that the last lines are the packages alone.
make_packages() {
    root=$(cd "$(dirname "$0")/.." && pwd)
    to=${1:-$root/build/packages}
    install_set deb >&2
    mkdir -p "$to"
    to=$(cd "$to" && pwd)
    rm -f "$root"/build/deb/*.deb
    {
        cmake -S "$root" -B "$root/build/deb" -DCMAKE_INSTALL_PREFIX=/usr -DDROVER_TESTS=OFF
        cmake --build "$root/build/deb" -j "$(nproc)"
        cmake --build "$root/build/deb" --target package
    } >&2
    for deb in "$root"/build/deb/*.deb; do
        cp "$deb" "$to"
        echo "$to/${deb##*/}"
    done
}

fetch_promtool() {
    [ -n "${1:-}" ] || die "usage: packages.sh promtool DIR"
    mkdir -p "$1"
    dir=$(cd "$1" && pwd)
    if [ ! -x "$dir/usr/bin/promtool" ]; then
        need_debian demo
        fetch=$(mktemp -d "$dir/fetch.XXXXXX")
        trap 'rm -rf "$fetch"' EXIT
        (cd "$fetch" && download prometheus)
        dpkg -x "$fetch"/prometheus_*.deb "$fetch/new"
        mkdir -p "$dir/usr/bin"
        mv "$fetch/new/usr/bin/promtool" "$dir/usr/bin/promtool"
    fi
    echo "$dir/usr/bin/promtool"
}

case ${1:-} in
build | demo | test | ci | bench) install_set "$1" ;;
missing) missing $(names "${2:-demo}") ;;
list) names "${2:-test}" | tr ' ' '\n' ;;
sshd) fetch_sshd "${2:-}" ;;
deb) make_packages "${2:-}" ;;
promtool) fetch_promtool "${2:-}" ;;
*)
    sed -n '4,19s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
