# SPDX-License-Identifier: MIT
#
# e2e_watch.sh: `drover status --watch`, in a pipe and on a terminal.
# shellcheck disable=SC2034,SC2154 # e2e_lib.sh sets and uses variables, too
. "$(dirname "$0")/e2e_lib.sh"

begin() {
    table t.tbl
    write fill "$P/t.tbl" 0 5 50
    begin_config
    add_replica r1
    start_agent
    must_be r1 streaming
}
seen() { [ "$(grep -ac -- "$1" "$2")" -ge "$3" ]; } # TEXT FILE TIMES

watch_into_file() {
    "$DROVER" --socket "$W/agent.sock" status --watch=100ms >"$W/frames" 2>"$W/frames.err" &
    watcher=$!
}
# Into a pipe or file: one picture, or one object, after the other; Ctrl-C ends
# it, and so does a reader that has enough.
stream() {
    begin
    watch_into_file
    must_within "$WAIT" seen '^r1 .*streaming' "$W/frames" 3
    # What changes shows.
    expect 0 ctl pause r1
    must_within "$WAIT" seen '^r1 .*paused' "$W/frames" 2
    kill -INT $watcher
    code=0
    wait $watcher || code=$?
    is $code 130 "the exit status after Ctrl-C"
    ! grep -q "$(printf '\033')" "$W/frames" || fail "a file got a terminal's codes"

    ctl status --watch=100ms --json | head -n 2 >"$W/objects"
    is "$(wc -l <"$W/objects")" 2 "the number of objects"
    head -n 1 "$W/objects" | "$E2E_BIN/e2e_json" "replicas[name=r1].state" >"$W/out"
    is "$(cat "$W/out")" paused "the state in an object"

    # The agent may come and go.
    watch_into_file
    must_within "$WAIT" seen '^r1 .*paused' "$W/frames" 1
    stop_agent
    must_within "$WAIT" seen DR- "$W/frames.err" 1
    start_agent
    before=$(grep -c '^r1 ' "$W/frames")
    must_within "$WAIT" seen '^r1 ' "$W/frames" $((before + 2))
    kill -TERM $watcher
    wait $watcher || :
    expect 64 ctl status --watch=1ms
    expect 64 ctl status --watch=often
}

# terminal_runs TYPED: on a terminal of its own until a second picture is
# there; then TYPED; its exit status to $code.
terminal_runs() {
    rm -f "$W/typed" "$W/screen"
    mkfifo "$W/typed"
    script -qefc "'$DROVER' --socket '$W/agent.sock' status --watch=100ms; c=\$?; echo; echo status \$c; stty -a" \
        "$W/screen" <"$W/typed" >/dev/null 2>&1 &
    terminal=$!
    exec 9>"$W/typed"
    must_within "$WAIT" seen 'q quits' "$W/screen" 2
    # shellcheck disable=SC2059 # the format is what is typed
    printf "$1" >&9
    must_within "$WAIT" seen '^status [0-9]' "$W/screen" 1
    must_within "$WAIT" seen 'icanon' "$W/screen" 1
    code=$(tr -d '\r' <"$W/screen" | sed -n 's/^status //p')
    exec 9>&-
    wait $terminal || :
    # The screen is given back, and the terminal as it was.
    seen "$(printf '\033')\\[?1049l" "$W/screen" 1 || fail "the screen was not given back"
    ! grep -qa -e '-icanon' -e '-echo[ ;]' "$W/screen" || fail "the terminal stays raw"
}
terminal() {
    command -v script >/dev/null || skip "script is not installed"
    begin
    terminal_runs q
    is "$code" 0 "the exit status after q"
    seen 'r1 .*streaming' "$W/screen" 2 || fail "the picture lacks the replica"
    terminal_runs '\003'
    is "$code" 130 "the exit status after Ctrl-C"
}

"$scenario"
