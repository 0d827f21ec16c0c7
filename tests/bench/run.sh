#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh: measure Drover beside its peers on this machine.
#
#   sh tests/bench/run.sh                  every job (some hours)
#   sh tests/bench/run.sh --quick          every job on small data (some minutes)
#   sh tests/bench/run.sh JOB...           only these; --list names them
#   sh tests/bench/run.sh --runs N         alternating runs of each (5)
#   sh tests/bench/run.sh --out DIR        report and rows go there
#                                          (build/bench/report)
#
# Installs the peers from Debian, builds Drover as its packages would be built,
# starts a throwaway sshd on the loopback address, and runs Drover and each peer
# in turn on the same data.  Afterwards every copy is compared with its source.
# Writes rows.csv (each single run), report.md and its pictures.
set -eu
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
cd "$ROOT"
sh agent/packages.sh bench
sh agent/packages.sh sshd build/sshd >/dev/null
cmake -S . -B build/bench -DCMAKE_BUILD_TYPE=RelWithDebInfo >build/bench.log 2>&1 &&
    cmake --build build/bench -j "$(nproc)" --target drover drover-replica \
        bench_tool e2e_tree >>build/bench.log 2>&1 ||
    { tail -n 30 build/bench.log; exit 1; }
exec python3 tests/bench/driver/main.py --build build/bench "$@"
