#!/bin/sh
# SPDX-License-Identifier: MIT
# units.sh ROOT BUILT-UNITS: systemd accepts the units, and finds them hardened.
built=$2
. "$(dirname "$0")/lib.sh"

command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# The programs need not be installed for this.
for u in drover@.service drover-verify@.service; do
    sed 's,^\(Exec[A-Za-z]*=\)[^ ]*/drover ,\1/bin/true ,' "$built/$u" >"$tmp/$u"
done
cp systemd/drover-verify@.timer "$tmp"
for u in drover@orders.service drover-verify@orders.service drover-verify@orders.timer; do
    found=$(SYSTEMD_UNIT_PATH="$tmp:" systemd-analyze verify --man=no --recursive-errors=no "$tmp/$u" 2>&1) ||
        bad "$u: exit status $?"
    [ -z "$found" ] || bad "$found"
done
for u in drover@.service drover-verify@.service; do
    text=$(systemd-analyze security --offline=true --no-pager "$tmp/$u" 2>&1) ||
        { bad "systemd-analyze security $u: $text"; continue; }
    score=$(printf '%s\n' "$text" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
    printf '%s: exposure %s\n' "$u" "$score"
    awk -v s="${score:-99}" 'BEGIN { exit !(s <= 2.0) }' || bad "$u: exposure $score, more than 2.0"
done
# What is started before the agent has an exit status that nothing looks at, and a
# condition makes a mistyped name a success; a reload is the agent's answer.
agent=$built/drover@.service
for word in ExecStartPre ExecCondition 'Condition[A-Za-z]*' 'Assert[A-Za-z]*' network-online; do
    grep -v '^#' "$agent" | grep -q "$word" && bad "drover@.service: $word"
done
grep -q '^ExecReload=[^ ]*/drover --db %i reload$' "$agent" ||
    bad "drover@.service: a reload without the agent's answer"
[ "$(grep -c '^ExecReload=' "$agent")" = 1 ] || bad "drover@.service: one ExecReload="
for code in 64 77 78; do
    grep -qE "^RestartPreventExitStatus=([0-9]+ )*$code( |\$)" "$agent" ||
        bad "drover@.service: exit status $code is started again"
done
for word in StartLimitIntervalSec StartLimitBurst RestartSec; do
    grep -q "^$word=[0-9]" "$agent" || bad "drover@.service: no $word="
done
# So many starts fit into the time, or the limit is never met.
awk -F= '$1 == "RestartSec" { pause = $2 } $1 == "StartLimitBurst" { n = $2 }
         $1 == "StartLimitIntervalSec" { t = $2 * ($2 ~ /min/ ? 60 : 1) }
         END { exit !(n * (pause + 5) < t) }' "$agent" ||
    bad "drover@.service: a start that always fails never ends in failed"
# Calls that a receiver on the same host makes and systemd's set lacks.
allowed=$(awk -F= '$1 == "SystemCallFilter" && $2 !~ /^~/ { print $2 }' "$tmp/drover@.service")
for call in landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp; do
    printf '%s\n' "$allowed" | grep -qw "$call" || bad "drover@.service: a local receiver may not call $call"
done
grep -q '^ProcSubset=pid' "$tmp/drover@.service" && bad "ProcSubset=pid hides /proc/locks from the agent"
verdict
