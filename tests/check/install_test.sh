#!/bin/bash
# scripts/build makes all that cmake --install installs, and what is installed runs from there.
#   install_test.sh BUILD_FOLDER SOURCE_FOLDER
set -euo pipefail

build=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Of the build folder's files that are installed, those that the build makes: cmake itself makes the
# others. What the targets of scripts/build make is named in the commands that make it.
read -ra targets < <(sed -n 's/^cmake --build .*--target //p' "$2/scripts/build")
ninja -C "$build" -t targets all | sed 's/: [^:]*$//' | sort -u >"$work/made"
ninja -C "$build" -t commands "${targets[@]}" | tr ' ' '\n' | sed "s,^$build/,," | sort -u >"$work/named"
find "$build" -name cmake_install.cmake -exec grep -oh "\"$build/[^\"]*\"" {} + | tr -d '"' | sed "s,^$build/,," |
    sort -u | comm -12 - "$work/made" >"$work/needed"
for file in bin/penstock lib/libpenstock.a; do grep -qx "$file" "$work/needed"; done
if comm -23 "$work/needed" "$work/named" | grep .; then
    echo 'cmake --install needs these files, and scripts/build does not build them'
    exit 1
fi

cmake --install "$build" --prefix "$work" >/dev/null
"$work/bin/penstock" --help | grep '^Usage: penstock' >/dev/null
"$work/bin/penstock-bench" --help >/dev/null
"$work/sbin/penstock-setup-host" --dry-run >/dev/null
test -s "$work/share/doc/penstock/LICENSE"
test -s "$work/share/doc/penstock/docs/architecture.md"
test -s "$work/share/man/man1/penstock-backup.1"
test -s "$work/share/man/man8/penstock-setup-host.8"
# An NFS server's grace period of 90 s is no failed start.
[ "$(sed -n 's/^TimeoutStartSec=//p' "$work"/lib/systemd/system/penstock@.service)" -ge 120 ]
