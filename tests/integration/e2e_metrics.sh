# SPDX-License-Identifier: MIT
#
# e2e_metrics.sh: what monitoring gets: metrics that promtool takes, alert rules
# that know these metrics, the line of a plugin.  See e2e_lib.sh.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"
examples=$here/../../systemd/examples/prometheus

# get PATH [HEADER...]: one request to the socket; its answer in $W/out.
get() {
    python3 - "$W/metrics.sock" "$@" >"$W/out" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
s.sendall("\r\n".join(["GET %s HTTP/1.1" % sys.argv[2], *sys.argv[3:], "", ""]).encode())
answer = b""
while part := s.recv(65536):
    answer += part
sys.stdout.write(answer.decode())
END
}
begin_served() {
    table users.tbl
    write fill "$P/users.tbl" 0 20 100
    DATABASE_EXTRA="metrics-listen = $W/metrics.sock"
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
    proven r1
}
names() { sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p'; }
health_is() {
    code=0
    ctl health "$@" >"$W/out" 2>&1 || code=$?
}

# On the socket and by the command, in both formats, the same families.
served() {
    begin_served
    must_within "$WAIT" get /metrics
    out_has '^HTTP/1.1 200 OK'
    out_has '^drover_healthy{db="agent"} 1$'
    out_has '^drover_replica_state{db="agent",replica="r1",state="streaming"} 1$'
    out_has '^drover_replica_keys{db="agent",replica="r1"} 20$'
    out_lacks 'k-0000\|users'
    names <"$W/out" >"$W/served"
    expect 0 ctl metrics
    names <"$W/out" >"$W/printed"
    cmp "$W/served" "$W/printed" || fail "the command and the socket differ"
    cp "$W/out" "$W/metrics.prom"
    get /metrics 'Accept: application/openmetrics-text; version=1.0.0'
    out_has '^Content-Type: application/openmetrics-text'
    out_has '^# EOF$'
    get /healthz
    out_has '^HTTP/1.1 200 OK'

    promtool=$here/../../build/promtool/usr/bin/promtool
    [ -x "$promtool" ] || skip "no promtool: sh agent/packages.sh promtool build/promtool"
    "$promtool" check metrics <"$W/metrics.prom" >"$W/out" 2>&1 || fail "promtool: $(cat "$W/out")"
    [ ! -s "$W/out" ] || fail "promtool: $(cat "$W/out")"
    "$promtool" check rules "$examples/drover-rules.yml" || fail "the rules"
    (cd "$examples" && "$promtool" test rules drover-rules-test.yml) || fail "the rules' tests"
    "$promtool" check config --syntax-only "$examples/scrape.yml" || fail "scrape.yml"
}

# Rules and dashboard speak of metrics that there are.
known() {
    begin_served
    expect 0 ctl metrics
    # A histogram's samples have names of their own.
    names <"$W/out" | sed 's/.*latency_seconds$/&\n&_bucket/' >"$W/families"
    for file in drover-rules.yml drover-dashboard.json; do
        grep -o 'drover_[a-z_]*' "$examples/$file" | sort -u >"$W/used"
        [ -s "$W/used" ] || fail "$file uses no metric"
        while read -r name; do
            grep -qx "$name" "$W/families" || fail "$file uses $name, which is not there"
        done <"$W/used"
    done
}

# What is wrong is in the line, the code and the metrics; an address that
# somebody else has is said and had when it is free.
trouble() {
    begin_served
    health_is
    is "$code" 0 "health's exit code"
    out_has '^DROVER OK - agent: 1 streaming | '
    health_is --max-silence 1ms
    is "$code" 2 "health's exit code beyond a limit"
    out_has '^DROVER CRITICAL - agent: 1 streaming; r1 silent '
    expect 64 ctl health --max-blocked few
    kill -STOP "$(receivers_of "$W/r1")"
    write flockd-set "$P/users.tbl" k-000001 "on its way"
    health_has() { health_is --max-lag 100ms; [ "$code" = 2 ] && grep -q 'r1 lag ' "$W/out"; }
    must_within "$WAIT" health_has
    kill -CONT "$(receivers_of "$W/r1")"
    proven r1

    mkfifo "$W/hold"
    python3 -c "
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print('ready', flush=True)
sys.stdin.read()" "$W/taken.sock" <"$W/hold" >"$W/holder" &
    exec 7>"$W/hold"
    ready() { grep -q ready "$W/holder"; }
    must_within "$WAIT" ready
    sed -i "s|^metrics-listen.*|metrics-listen = $W/taken.sock|" "$W/agent.conf"
    expect 0 ctl reload
    out_has 'metrics-listen: '
    says() { ctl status >"$W/out" 2>&1 || :; grep -q "DR-506 .*$W/taken.sock" "$W/out"; }
    must_within "$WAIT" says
    out_has 'HINT: who has that address, or that path? ss -tlnp'
    expect 0 ctl metrics
    out_has '^drover_warning{db="agent",id="DR-506"} 1$'
    exec 7>&-
    rm -f "$W/taken.sock"
    well() { ctl status >"$W/out" 2>&1; }
    must_within "$WAIT" well
    [ -S "$W/taken.sock" ] || fail "nothing listens on $W/taken.sock"

    stop_agent
    health_is
    is "$code" 2 "health's exit code without an agent"
    out_has '^DROVER CRITICAL - DR-502 '
}

"$scenario"
