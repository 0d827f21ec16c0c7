# SPDX-License-Identifier: MIT
#
# test_examples.sh DROVER_KV CC SOURCE_DIR LIBDROVER_A: the examples for programs, taken
# from the documents themselves.  C is compiled with every warning an error, and run
# against a small database; Go is checked by shape: flockd.New takes a directory and a
# time, and no error is left unlooked at.
set -eu

kv=$1
cc=$2
source=$3
library=$4
work=$(mktemp -d "${TMPDIR:-/tmp}/drover-examples.XXXXXX")
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
is() { [ "$1" = "$2" ] || fail "$3 is '$1', not '$2'"; }

# The indented lines that follow the line that begins with $2 in file $1.
example() {
    awk -v head="$2" '
        index($0, head) == 1 { found = 1; next }
        found && /^    / { print substr($0, 5); begun = 1; next }
        found && /^$/ { if (begun) print; next }
        found && begun { exit }' "$1"
}
compile() {
    # shellcheck disable=SC2086 # a compiler may come with its flags
    $cc -std=c11 -Wall -Wextra -Werror -Wunused-result -I"$source/store/lib" -o "$work/$1" "$work/$1.c" "$library" ||
        fail "the example of $2 does not compile"
}

"$kv" "$work/db" set --create --table users alice "a value"

example "$source/README.md" '**C**' | sed "s|\"/srv/orders\"|\"$work/db\"|" >"$work/readme.c"
grep -q drover_get "$work/readme.c" || fail "README.md has no C example"
compile readme README.md
is "$("$work/readme")" "a value" "what README.md's C example prints"
rm -r "$work/db"
! "$work/readme" 2>"$work/err" || fail "README.md's C example succeeds without a database"
grep -q "$work/db" "$work/err" || fail "README.md's C example does not say what is wrong"

# drover.h's is the body of a function.
{
    printf '#include <drover.h>\n#include <stdio.h>\nint main(void)\n{\n'
    sed -n '1,/^ \*\//p' "$source/store/lib/drover.h" | sed -n 's/^ \*     \(.*\)$/\1/p' |
        sed "s|\"/srv/orders\"|\"$work/db\"|"
    printf 'return 0;\n}\n'
} >"$work/header.c"
grep -q drover_set "$work/header.c" || fail "drover.h has no example"
compile header drover.h
is "$("$work/header")" 42 "what drover.h's example prints"

example "$source/README.md" '**Go**' >"$work/go"
grep -Eq 'flockd\.New\("[^"]*", [0-9]+\*time\.(Milli|)[sS]econd\)' "$work/go" || fail "Go: flockd.New(dir, timeout)"
grep -Eq ':= db\.Table\("[^"]*"\)' "$work/go" || fail "Go: db.Table(name)"
grep -Eq ':= users\.Get\("[^"]*"\)' "$work/go" || fail "Go: users.Get(key)"
is "$(grep -c 'if err != nil' "$work/go")" "$(grep -c ', err :=' "$work/go")" "how often the Go example looks at an error"
