#!/bin/sh
# SPDX-License-Identifier: MIT
# Three analyzers over store/, sync/ and agent/: clang-tidy (checks in
# .clang-tidy), cppcheck, and gcc's -fanalyzer.
#
#   sh tests/lint/static.sh ROOT BUILD     BUILD holds compile_commands.json
#
# What is found and right all the same stands in static.txt with its reason:
# "TOOL:CHECK FILE:FUNCTION REASON", FILE:* for a whole file, * for all.  A
# line there that matches nothing any more fails, too.
BUILD=$(cd "$2" && pwd)
. "$(dirname "$0")/lib.sh"

listed=tests/lint/static.txt
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
for tool in clang-tidy-14 cppcheck gcc; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
jobs=$(nproc 2>/dev/null || echo 2)

# "FILE<tab>COMMAND", once per source of the product.
awk -v root="$PWD/" '
    /^  "command": "/ { sub(/^  "command": "/, ""); sub(/",$/, "")
        gsub(/\\\\/, "\001"); gsub(/\\"/, "\""); gsub(/\001/, "\\"); command = $0 }
    /^  "file": "/ {
        sub(/^  "file": "/, ""); sub(/",?$/, "")
        if (index($0, root) != 1) next
        file = substr($0, length(root) + 1)
        if (file ~ /^(store|sync|agent)\// && file !~ /^agent\/demo\// && !seen[file]++)
            print file "\t" command
    }' "$BUILD/compile_commands.json" >"$TMP/db"
cut -f1 "$TMP/db" >"$TMP/files"
[ "$(wc -l <"$TMP/files")" -ge 100 ] || bad "only $(wc -l <"$TMP/files") sources in $BUILD"

# Each tool's findings as "TOOL:CHECK FILE LINE MESSAGE".  Leaks have a name of
# their own, since clang-tidy does not know __attribute__((cleanup)).
plain() {
    sed -nE "s#^([a-z]+) ($PWD/)?([^ :]+):([0-9]+):([0-9]+:)? (warning|error): (.*) \[([^][]*)\]\$#\1:\8 \3 \4 \7#p" |
        sed -E 's/^(tidy:clang-analyzer-unix.Malloc)( .* Potential (memory )?leak)/\1.leak\2/'
}

{
    tr '\t\n' '\0\0' <"$TMP/db" |
        xargs -0 -P "$jobs" -n 2 sh tests/lint/static_one.sh "$BUILD" | sed 's/ \[CWE-[0-9]*\]//'
    mkdir -p "$BUILD/static/cppcheck"
    cppcheck -q -j "$jobs" --project="$BUILD/compile_commands.json" \
        --cppcheck-build-dir="$BUILD/static/cppcheck" \
        --library=tests/lint/cppcheck.xml --library=posix --std=c11 --inline-suppr \
        --enable=warning,style,performance,portability --suppress=missingIncludeSystem \
        --suppress="*:$PWD/tests/*" --suppress="*:$PWD/agent/demo/*" \
        --template='cppcheck {file}:{line}: warning: {message} [{id}]' 2>&1
} | plain | sort -u >"$TMP/found"

# The function that a line belongs to.
while read -r check file line text; do
    where=$(awk -v line="$line" '
        NR > line { exit }
        /^}/ && NR < line { name = "" }
        /^[A-Za-z_].*\(/ && !/^(typedef|enum|struct [a-z_]+ {)/ {
            name = $0; sub(/\(.*/, "", name); sub(/.*[^A-Za-z0-9_]/, "", name)
        }
        /^#define [A-Za-z_]+\(/ { macro = $2; sub(/\(.*/, "", macro); from = NR }
        /[^\\]$/ && from { if (NR >= line) name = macro; from = 0 }
        END { print name == "" ? "-" : name }' "$file" 2>/dev/null || echo -)
    printf '%s %s:%s %s %s\n' "$check" "$file" "$where" "$line" "$text"
done <"$TMP/found" | sort -u >"$TMP/named"

awk -v listed="$listed" '
    FILENAME == listed {
        if (/^#/ || NF == 0) next
        if (NF < 3) { print listed ":" FNR ": no reason given"; next }
        key = $1 " " $2
        if (key in rule) print listed ":" FNR ": stands there twice: " key
        rule[key] = FNR
        next
    }
    {
        split($2, at, ":"); n = 0
        try[++n] = $1 " " $2; try[++n] = $1 " " at[1] ":*"; try[++n] = $1 " *"
        for (i = 1; i <= n; i++)
            if (try[i] in rule) { used[try[i]] = 1; break }
        if (i > n) {
            check = $1; where = $2; line = $3
            $1 = $2 = $3 = ""
            print at[1] ":" line ": " check " in " at[2] ":" $0
        }
    }
    END {
        for (k in rule)
            if (!(k in used)) print listed ":" rule[k] ": matches nothing any more: " k
    }' "$listed" "$TMP/named" >"$TMP/bad"
while read -r line; do bad "$line"; done <"$TMP/bad"
printf '%s sources, %s findings, %s not excepted\n' "$(wc -l <"$TMP/files")" \
    "$(wc -l <"$TMP/named")" "$(wc -l <"$TMP/bad")"
verdict
