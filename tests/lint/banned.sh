#!/bin/sh
# SPDX-License-Identifier: MIT
# Functions that overflow, keep hidden state or swallow mistakes.
. "$(dirname "$0")/lib.sh"

banned='strcpy|strcat|stpcpy|sprintf|vsprintf|strtok|gets|atoi|atol|atoll|alloca|localtime|gmtime|ctime|asctime|tmpnam|mktemp'
for f in $(c_files store sync agent tests); do
    found=$(code_of "$f" | grep -nE "(^|[^A-Za-z0-9_>.])($banned)[[:space:]]*\(" || :)
    [ -z "$found" ] || bad "$f:
$found"
done
verdict
