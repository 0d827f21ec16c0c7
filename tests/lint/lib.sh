# SPDX-License-Identifier: MIT
#
# lib.sh: what the lint tests share.  Sourced by each with the project's root
# as $1; a test calls bad() for each finding and ends with verdict.
set -eu

cd "$1"
FINDINGS=0

bad() {
    printf '%s\n' "$*"
    FINDINGS=$((FINDINGS + 1))
}

skip() {
    printf 'SKIP: %s\n' "$*"
    exit 77
}

verdict() {
    if [ "$FINDINGS" != 0 ]; then
        printf '%s finding(s)\n' "$FINDINGS"
        exit 1
    fi
    exit 0
}

# C files below the folders given, without left-overs of editors.
c_files() {
    find "$@" -name '.*' -prune -o \( -name '*.c' -o -name '*.h' \) -print | sort
}

# The file with comments and the insides of strings taken out, lines kept.
code_of() {
    awk '
    { out = ""; n = length($0); i = 1
      while (i <= n) {
        two = substr($0, i, 2); one = substr($0, i, 1)
        if (in_comment) {
          if (two == "*/") { in_comment = 0; i += 2 } else i++
        } else if (two == "/*") { in_comment = 1; i += 2
        } else if (two == "//") { break
        } else if (one == "\"" || one == "\047") {
          q = one; out = out q; i++
          while (i <= n && substr($0, i, 1) != q) {
            if (substr($0, i, 1) == "\\") i++
            i++
          }
          out = out q; i++
        } else { out = out one; i++ }
      }
      print out }' "$1"
}
