#!/bin/sh
# SPDX-License-Identifier: MIT
#
# libdrover as others use it: installed to a prefix, found by pkg-config and by
# find_package, linked shared and static.
# Usage: test_install_lib.sh BUILD-DIR CMAKE CC
# Expects libdrover to be built; installs only its two components.
set -eu
build=$1 cmake=$2 cc=$3
# cmake --install notes what it did in the build folder.
[ -w "$build" ] || { echo "SKIP: may not write to $build"; exit 77; }
tmp=$(mktemp -d "${TMPDIR:-/tmp}/drover-lib-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
prefix=$tmp/prefix

say() {
    echo "ok - $1"
}

for component in libdrover0 libdrover-dev drover-kv; do
    "$cmake" --install "$build" --prefix "$prefix" --component $component >/dev/null
done
lib=$(dirname "$(find "$prefix" -name drover.pc)")/..
test -f "$lib/libdrover.a"
test -L "$lib/libdrover.so"
test -f "$prefix/include/drover.h"
test -f "$prefix/share/man/man1/drover-kv.1"
say "everything is in its place"

# Only drover_* leaves the libraries.
nm -D --defined-only "$lib/libdrover.so" | awk '{print $3}' >"$tmp/shared"
nm -g --defined-only "$lib/libdrover.a" | awk 'NF == 3 {print $3}' >"$tmp/static"
if grep -v -e '^drover_' -e '^DROVER_0$' "$tmp/shared" ||
    grep -v '^drover_' "$tmp/static"; then
    echo "not ok - other names leave the library"
    exit 1
fi
grep -v '^#' "$prefix/include/drover.h" | tr '\n' ' ' | grep -o 'DROVER_API[^;]*;' |
    sed 's/^[^(]*\(drover_[a-z_]*\)(.*/\1/' | sort >"$tmp/declared"
test -s "$tmp/declared"
sed 's/@.*//' "$tmp/shared" | grep '^drover_' | sort >"$tmp/exported"
grep '^drover_' "$tmp/static" | sort | cmp - "$tmp/exported"
cmp "$tmp/declared" "$tmp/exported"
say "what drover.h declares is exported, and nothing else"

readelf -d "$lib/libdrover.so" | grep -q 'SONAME.*\[libdrover.so.0\]'
say "the soname is libdrover.so.0"

cat >"$tmp/app.c" <<'EOF'
#include <drover.h>
#include <stdio.h>

/* A name the library uses inside: a clash would not link. */
int err_set(void);
int err_set(void)
{
    return 7;
}

int main(int argc, char **argv)
{
    struct drover *db;
    struct drover_error e;
    void *value;
    size_t len;

    if (argc != 2 || drover_open(argv[1], DROVER_OPEN_CREATE, &db, &e) < 0 ||
        drover_set(db, drover_text("users"), drover_text("bob"),
                   drover_text("42"), 100, &e) < 0 ||
        drover_get(db, drover_text("users"), drover_text("bob"), 100, &value,
                   &len, &e) < 0) {
        return 1;
    }
    printf("%s %d\n", (char *)value, err_set());
    drover_free(value);
    drover_close(db);
    return 0;
}
EOF

PKG_CONFIG_PATH=$lib/pkgconfig
export PKG_CONFIG_PATH
cflags=$(pkg-config --cflags drover)
libs=$(pkg-config --libs drover)
# shellcheck disable=SC2086
$cc -std=c99 -Wall -Wextra -Wpedantic -Werror $cflags -o "$tmp/app" "$tmp/app.c" $libs
test "$(LD_LIBRARY_PATH=$lib "$tmp/app" "$tmp/db1")" = "42 7"
say "a C99 program builds and runs by pkg-config"

# shellcheck disable=SC2086
$cc -std=c99 $cflags -o "$tmp/app-static" "$tmp/app.c" "$lib/libdrover.a"
test "$("$tmp/app-static" "$tmp/db2")" = "42 7"
say "and with the static library"

mkdir "$tmp/proj"
cp "$tmp/app.c" "$tmp/proj"
cat >"$tmp/proj/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.16)
project(app C)
find_package(drover 0.1 REQUIRED)
add_executable(shared app.c)
target_link_libraries(shared drover::drover)
add_executable(static app.c)
target_link_libraries(static drover::drover_static)
EOF
"$cmake" -S "$tmp/proj" -B "$tmp/proj/b" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_PREFIX_PATH="$prefix" >"$tmp/log" || { cat "$tmp/log"; exit 1; }
"$cmake" --build "$tmp/proj/b" >"$tmp/log" || { cat "$tmp/log"; exit 1; }
test "$("$tmp/proj/b/shared" "$tmp/db3")" = "42 7"
test "$("$tmp/proj/b/static" "$tmp/db4")" = "42 7"
say "and by find_package, both ways"

if command -v c++ >/dev/null; then
    cp "$tmp/app.c" "$tmp/app.cc"
    # shellcheck disable=SC2086
    c++ -Wall -Wextra -Werror $cflags -o "$tmp/app-cc" "$tmp/app.cc" $libs
    test "$(LD_LIBRARY_PATH=$lib "$tmp/app-cc" "$tmp/db5")" = "42 7"
    say "and from C++"
else
    echo "skipped - C++: no compiler"
fi
