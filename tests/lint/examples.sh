#!/bin/sh
# SPDX-License-Identifier: MIT
# examples.sh ROOT DROVER: what configuration management is shown is YAML, has no
# tabs, and uses no other command of drover, and no other option, than there are.
root=$1 drover=$2
set -- "$root"
. "$(dirname "$0")/lib.sh"

examples=$(find systemd/examples/ansible systemd/examples/cloud-init -type f | sort)
yaml=$(printf '%s\n' "$examples" | grep -E '\.ya?ml$')
[ -n "$yaml" ] || bad "there are no examples"

# Blanks in front, no tab, an end of the last line: what every YAML needs.
for f in $yaml; do
    ! grep -n "$(printf '\t')" "$f" || bad "$f has a tab"
    [ -z "$(tail -c 1 "$f")" ] || bad "$f: the last line has no end"
done
if command -v yamllint >/dev/null; then
    found=$(yamllint -d '{extends: relaxed, rules: {line-length: disable, comments: disable}}' $yaml) || bad "$found"
elif python3 -c 'import yaml' 2>/dev/null; then
    for f in $yaml; do
        found=$(python3 -c 'import sys, yaml; list(yaml.safe_load_all(open(sys.argv[1])))' "$f" 2>&1) || bad "$f: $found"
    done
fi
for f in systemd/examples/cloud-init/*.yaml; do
    [ "$(head -n 1 "$f")" = '#cloud-config' ] || bad "$f: cloud-init wants #cloud-config in the first line"
done

# Every option and command of drover that stands there is one it has.
words() { sed "s/#.*root@.*//; s/[][,'\"{}()+|]/ /g" "$1"; }
known=$({
    "$drover" help replica add
    "$drover" help replica remove
} | grep -oE -- '--[a-z][a-z-]+' | sort -u)
for f in $examples; do
    for o in $(words "$f" | grep -oE -- '(^| )--[a-z][a-z-]+'); do
        case $o in --now | --check) continue ;; esac # systemctl's, ansible-playbook's
        printf '%s\n' "$known" | grep -qxF -- "$o" || bad "$f: drover replica has no $o"
    done
    for c in $(words "$f" | tr -s ' ' | grep -oE '(^| |`)drover (--db (drover_database|orders) |--json )*(replica )?[a-z-]+' |
        awk '{ print $NF }'); do
        case $c in add | remove | list | init) ;; *) bad "$f: uses drover $c" ;; esac
    done
    ! grep -qE 'known_hosts|authorized_keys|ssh-keyscan|groupadd|useradd' "$f" ||
        bad "$f does by hand what drover replica does"
done
verdict
