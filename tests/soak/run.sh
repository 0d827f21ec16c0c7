#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh: the scenarios of integration/e2e_resources.sh, small or large.
#
#   sh tests/soak/run.sh BUILD [SCENARIO...]           as in CI
#   sh tests/soak/run.sh --long BUILD [SCENARIO...]    an hour of soak, a million
#                                                      changes, 10,000 tables,
#                                                      1,000,000 keys
#   sh tests/soak/run.sh --minutes N BUILD soak        that long
#
# BUILD is a build directory.  Prints the figures; the exit status is 0 when all
# went well.
set -eu

usage() {
    sed -n '4,13s/^# \{0,1\}//p' "$0"
    exit 64
}
long='' minutes=''
while [ $# -gt 0 ]; do
    case $1 in
    --long) long=1 ;;
    --minutes)
        [ $# -ge 2 ] || usage >&2
        minutes=$2
        shift
        ;;
    -*) usage >&2 ;;
    *) break ;;
    esac
    shift
done
[ $# -ge 1 ] || usage >&2
build=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- watch_limit instance_limit agent_descriptors receiver_descriptors \
    replica_down many_tables many_keys soak
here=$(cd "$(dirname "$0")" && pwd)

export DROVER="$build/agent/drover" DROVER_REPLICA="$build/sync/replica/drover-replica"
export DROVER_KV="$build/store/drover-kv" E2E_BIN="$build/tests/e2e"
failed=0
for scenario in "$@"; do
    unset DROVER_KEYS DROVER_CHANGES DROVER_TABLES DROVER_SECONDS
    if [ -n "$long" ]; then
        export DROVER_LONG=1
        case $scenario in
        replica_down) export DROVER_KEYS=10000 DROVER_CHANGES=1000000 ;;
        many_tables) export DROVER_TABLES=10000 ;;
        many_keys) export DROVER_KEYS=1000000 ;;
        soak) export DROVER_SECONDS=3600 ;;
        esac
    fi
    [ -z "$minutes" ] || export DROVER_SECONDS=$((minutes * 60))
    began=$(date +%s)
    if "$E2E_BIN/e2e_run" 86000 sh "$here/../integration/e2e_resources.sh" "$scenario" exec; then
        echo "$scenario: good, $(($(date +%s) - began)) s"
    else
        code=$?
        [ $code = 77 ] || failed=1
        echo "$scenario: exit status $code"
    fi
done
exit $failed
