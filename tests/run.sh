#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh: install what is missing, build, and run every test.
#
#   sh tests/run.sh                  everything
#   sh tests/run.sh --quick          one gcc build, its quick tests once
#   sh tests/run.sh --only SUITE     one of the suites
#   sh tests/run.sh --filter REGEX   only tests whose ctest name matches
#   sh tests/run.sh --no-install     look for no packages
#
# Suites, and which tests (by label of ctest) run in them:
#   gcc       warnings are errors; all tests, in --quick without chaos, crash,
#             model and soak
#   asan      AddressSanitizer and UBSan; all but lint, model and `once`: long,
#             and the same code runs in another test
#   clang     warnings are errors; each fuzz target for some seconds
#   tsan      ThreadSanitizer: tests of threaded parts, some whole runs
#   static    clang-tidy, cppcheck and gcc -fanalyzer (lint/static.sh)
#   valgrind  label valgrind: one run from start to end, per kind of link
#   user      when root: the unit tests once more as an ordinary user
# and only when asked for, since it runs again what gcc ran:
#   coverage  counts lines and branches: build/coverage/report.txt; all but
#             chaos, lint, model and soak; what may stay untested, and how much
#             must be tested: lint/uncovered.txt
#
# A test of whole programs that fails is tried once more, alone; one that passes
# then counts as passed and is listed as unsteady.
#
# Builds are kept in build/test-SUITE.  The last line is
# "N passed, N failed, N skipped"; the exit status is 0 only when none failed.
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
cd "$ROOT"

SUITES="gcc asan clang tsan static valgrind user"
FILTER=
SLOW=
INSTALL=yes
JOBS=$(nproc 2>/dev/null || echo 2)
# Scenarios of whole programs wait most of the time; other tests count twice
# (tests/CMakeLists.txt).
AT_ONCE=$((JOBS * 2))
# Not run in the coverage build: other suites' own, and what is different each
# time; the installed library is linked without the counters' own library.
NOT_COUNTED='lint|valgrind|chaos|model|soak'
UNCOUNTABLE='install_lib'
# What runs on several threads: parts alone, and whole agents and receivers.
TSAN_TESTS='^unit_.*(threads|share|control|command|reader|scans|watch|fresh|sync_group|disk|link|events)|'\
'^e2e_(writers_(every_kind|readers)|tables_(huge_value|bursts)|operate_(edited|reload|terminated)|edits_(values|tables)|'\
'events_(kept|followed)|faults_(agent_killed|lock_on_replica|overflow))_exec|^e2e_writers_every_kind_ssh'

usage() {
    sed -n '4,34s/^# \{0,1\}//p' "$0"
    exit "$1"
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick) SUITES=gcc SLOW="|chaos|crash|model|soak" ;;
    --only)
        [ $# -ge 2 ] || usage 64 >&2
        case " $SUITES coverage " in *" $2 "*) SUITES=$2 ;; *) usage 64 >&2 ;; esac
        shift
        ;;
    --asan) SUITES=asan ;;
    --filter)
        [ $# -ge 2 ] || usage 64 >&2
        FILTER=$2
        shift
        ;;
    --filter=*) FILTER=${1#--filter=} ;;
    --no-install) INSTALL=no ;;
    -h | --help) usage 0 ;;
    *) usage 64 >&2 ;;
    esac
    shift
done

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
chmod 711 "$WORK"
mkdir -m 1777 "$WORK/out" # the user suite writes its report there, too
: >"$WORK/counts" # one line per suite: passed failed skipped

say() { printf '\n== %s\n' "$*"; }

# tally PASSED FAILED SKIPPED: what a suite without a report counts.
tally() { echo "$*" >>"$WORK/counts"; }

# A suite that could not even run counts as one failure.
broken() {
    printf '%s\n' "$1" >>"$WORK/failures"
    tally 0 1 0
}

left_out() {
    printf '%s\n' "$1" >>"$WORK/skips"
    tally 0 0 1
}

# build SUITE CMAKE-OPTION...: quiet unless it fails.
build() {
    suite=$1
    shift
    say "$suite: build"
    if cmake -S . -B "build/test-$suite" -DDROVER_WERROR=ON "$@" >"$WORK/log" 2>&1 &&
        cmake --build "build/test-$suite" -j "$JOBS" >>"$WORK/log" 2>&1; then
        return 0
    fi
    grep -E -A5 'error|Error|warning' "$WORK/log" | head -n 60
    tail -n 5 "$WORK/log"
    broken "$suite: the build failed"
    return 1
}

# Whole programs in real time meet the host's other work.  What failed of them
# is run once more, alone; what passes then is shown as unsteady, by name, with
# the output of its failure above.  Prints the names, each between blanks.
second_try() {
    list=$1/Testing/Temporary/LastTestsFailed.log
    [ -s "$list" ] || return 0
    names=$(sed 's/^[0-9]*://' "$list" | paste -sd'|')
    $AS ctest --test-dir "$1" -j 1 --output-on-failure --no-tests=ignore \
        -R "^($names)\$" -L 'e2e|chaos|soak|integration|confine' \
        </dev/null >"$WORK/second" 2>&1 || :
    sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \([^ ]*\) \.* *Passed .*/ \1 /p' "$WORK/second" |
        tr -d '\n'
}

# tests SUITE DIR CTEST-OPTION...
tests() {
    suite=$1 dir=$2
    shift 2
    say "$suite: tests"
    rc=0
    # No test may wait for a terminal.
    $AS ctest --test-dir "$dir" -j "$AT_ONCE" --output-on-failure --no-tests=ignore \
        --output-junit "$WORK/out/report.xml" --test-output-size-passed 4000000 \
        --test-output-size-failed 4000000 ${FILTER:+-R "$FILTER"} "$@" \
        </dev/null >"$WORK/log" 2>&1 || rc=$?
    cat "$WORK/log"
    again=
    [ $rc = 0 ] || again=$(second_try "$dir")
    if [ -s "$WORK/out/report.xml" ]; then
        # shellcheck disable=SC2086  # one name each
        python3 tests/count.py "$suite" "$WORK/out/report.xml" "$WORK" $again
        rm -f "$WORK/out/report.xml"
    elif ! grep -q 'No tests were found' "$WORK/log"; then
        broken "$suite: ctest failed ($rc)"
    fi
}

AS=
# Reports name file and line, and end the test.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}"

# What each suite is; those with more to it have a function below.
suite() {
    case $1 in
    gcc) build gcc -DCMAKE_INSTALL_PREFIX=/usr && tests gcc build/test-gcc -LE "valgrind$SLOW" ;;
    asan)
        build asan "-DDROVER_SANITIZE=address,undefined" &&
            tests asan build/test-asan -LE 'lint|model|once'
        ;;
    valgrind) plain && tests valgrind build/test-gcc -L valgrind ;;
    *) "suite_$1" ;;
    esac
}

# The plain build, for the suites that use it, too.
plain() { [ -d build/test-gcc ] || build gcc -DCMAKE_INSTALL_PREFIX=/usr; }

suite_clang() {
    command -v clang >/dev/null || { left_out "clang: not installed"; return; }
    build clang -DCMAKE_C_COMPILER=clang -DDROVER_FUZZ=ON || return
    tally 1 0 0
    [ -z "$FILTER" ] || return 0 # its targets are no tests of ctest
    say "clang: fuzz"
    sh tests/fuzz/run.sh build/test-clang 5 | tee "$WORK/log"
    awk '/ executions/ { p++ } /FAILED/ { f++ } END { print p + 0, f + 0, 0 }' \
        "$WORK/log" >>"$WORK/counts"
    grep FAILED "$WORK/log" >>"$WORK/failures" || :
}

suite_tsan() {
    build tsan -DDROVER_SANITIZE=thread || return
    # gcc 12's needs addresses less random than some kernels make them.
    bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)
    if [ "$bits" -gt 28 ] && setarch -R true 2>/dev/null; then AS="setarch -R"; fi
    FILTER=${FILTER:-"$TSAN_TESTS"}
    tests tsan build/test-tsan -LE lint
    FILTER=$GIVEN_FILTER
    AS=
}

suite_static() {
    [ -z "$FILTER" ] || return 0 # no tests of ctest
    say "static"
    # Only the commands that compile are needed, not the programs.
    if ! cmake -S . -B build/test-static -DCMAKE_C_COMPILER=gcc >"$WORK/log" 2>&1; then
        tail -n 30 "$WORK/log"
        broken "static: cmake failed"
        return
    fi
    rc=0
    sh tests/lint/static.sh . build/test-static >"$WORK/log" || rc=$?
    cat "$WORK/log"
    case $rc in
    0) tally 1 0 0 ;;
    77) left_out "$(sed -n 's/^SKIP: /static: /p' "$WORK/log")" ;;
    *) broken "static: $(tail -n 1 "$WORK/log")" ;;
    esac
}

# Pages per source with DROVER_COVERAGE_HTML=1.
suite_coverage() {
    [ -z "$FILTER" ] || return 0 # a part would say nothing
    command -v gcovr >/dev/null || { left_out "coverage: gcovr is not installed"; return; }
    dir=build/test-coverage
    # Not -Werror: without the optimizer gcc warns of other things.
    build coverage -DCMAKE_C_COMPILER=gcc -DDROVER_COVERAGE=ON -DDROVER_WERROR=OFF || return
    # Counters that every user may add to: some tests run as another one.
    find $dir -name '*.gcda' -delete
    find $dir -name '*.gcno' | sed 's/gcno$/gcda/' | while read -r f; do
        : >"$f"
        chmod 666 "$f"
    done
    tests coverage $dir -LE "$NOT_COUNTED" -E "$UNCOUNTABLE"
    missed=$(grep -c '[*][*][*]Skipped' "$WORK/log" || :)
    say "coverage"
    mkdir -p build/coverage
    if ! gcovr -r . --object-directory $dir --filter store/ --filter sync/ --filter agent/ \
        --exclude-branches-by-pattern '.*assert\(.*' \
        --json "$WORK/coverage.json" ${DROVER_COVERAGE_HTML:+--html-details build/coverage/index.html} \
        $dir >"$WORK/log" 2>&1; then
        cat "$WORK/log"
        broken "coverage: gcovr failed"
        return
    fi
    if python3 tests/lint/coverage.py "$WORK/coverage.json" tests/lint/uncovered.txt \
        build/coverage/report.txt; then
        tally 1 0 0
    elif [ "$missed" -gt 0 ]; then
        left_out "coverage: not judged, for $missed of its tests could not run here"
    else
        broken "coverage: see build/coverage/report.txt"
    fi
}

suite_user() {
    [ "$(id -u)" = 0 ] || return 0 # the others ran as an ordinary user already
    command -v setpriv >/dev/null || { left_out "user: setpriv is not installed"; return; }
    plain || return
    drop="setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs"
    if ! $drop test -x build/test-gcc/tests; then
        left_out "user: user nobody cannot reach $ROOT"
        return
    fi
    # ctest writes its logs as that user.
    rm -rf build/test-gcc/Testing
    install -d -o 65534 -g 65534 build/test-gcc/Testing
    AS="env HOME=/nonexistent $drop"
    FILTER=${FILTER:-'^unit_|^integration_(kv|examples|install_lib)'}
    tests user build/test-gcc -LE lint
    FILTER=$GIVEN_FILTER
    AS=
    rm -rf build/test-gcc/Testing
}

GIVEN_FILTER=$FILTER
if [ "$INSTALL" = yes ]; then
    say "packages"
    sh agent/packages.sh test
    # OpenSSH's server and promtool, unpacked and not installed; without them
    # their tests are skipped and say so.
    sh agent/packages.sh sshd build/sshd || :
    sh agent/packages.sh promtool build/promtool || :
fi
for name in $SUITES; do
    suite "$name" || :
done

# show FILE TITLE: if there is anything.
show() {
    [ -s "$WORK/$1" ] || return 0
    say "$2"
    cat "$WORK/$1"
}
show skips "skipped"
show unsteady "unsteady: failed beside others, passed alone"
show failures "failed"
echo
# Nothing run is no success either.
awk '{ p += $1; f += $2; s += $3 }
    END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit !(f == 0 && p > 0) }' "$WORK/counts"
