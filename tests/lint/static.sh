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

# Each tool's findings as "TOOL:CHECK FILE LINE MESSAGE".
plain() {
    sed -nE "s#^($PWD/)?([^ :]+):([0-9]+):([0-9]+:)? (warning|error): (.*) \[([^][]*)\]\$#$1:\7 \2 \3 \6#p"
}

# One file per run: with more, the analyzer mixes up their va_lists.  Leaks have
# a name of their own, since it does not know __attribute__((cleanup)).
tidy() {
    model=$PWD/tests/lint/analyzers.h
    xargs -P "$jobs" -I '{}' sh -c '
        case $1 in store/base/err.c) set -- "$1" ;; *) set -- "$1" "--extra-arg=-include$2" ;; esac
        exec clang-tidy-14 -p "$0" --quiet --extra-arg=-Wno-unknown-warning-option "$@"
        ' "$BUILD" '{}' "$model" <"$TMP/files" 2>"$TMP/tidy.err" >"$TMP/tidy" || :
    plain tidy <"$TMP/tidy" |
        sed -E 's/^(tidy:clang-analyzer-unix.Malloc)( .* Potential (memory )?leak)/\1.leak\2/'
    # A file that could not be read is not a clean one.
    grep -E 'Error while processing|error:' "$TMP/tidy" "$TMP/tidy.err" | sed 's/^/tidy:failed - 0 /' || :
}

check() {
    cppcheck -q -j "$jobs" --project="$BUILD/compile_commands.json" \
        --library=tests/lint/cppcheck.xml --library=posix --std=c11 --inline-suppr \
        --enable=warning,style,performance,portability --suppress=missingIncludeSystem \
        --suppress="*:$PWD/tests/*" --suppress="*:$PWD/agent/demo/*" \
        --template='{file}:{line}: warning: {message} [{id}]' 2>&1 | plain cppcheck
}

# Without the reports of leaks: gcc 12 takes what a struct holds, or what is
# handed over by TAKE_PTR, as lost.  ASan and valgrind look for leaks.
analyze() {
    sed -E "/^store\/base\/err.c/!s#\t([^ ]+)#\t\1 -include $PWD/tests/lint/analyzers.h#
        s#^[^\t]*\t##; s# -Werror # #; s# -o [^ ]+# -o /dev/null#" "$TMP/db" | tr '\n' '\0' |
        xargs -0 -P "$jobs" -I '{}' sh -c '
            eval "$0 -fanalyzer -Wno-analyzer-malloc-leak -Wno-unused-value -fdiagnostics-plain-output" ||
                echo "${0##* }:0: error: does not compile [failed]"' '{}' 2>&1 |
        sed 's/ \[CWE-[0-9]*\]//' | plain gcc
}

{ tidy; check; analyze; } | sort -u >"$TMP/found"

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
