#!/bin/bash
# What is installed of libpenstock is all that a program needs, and shows nothing else: headers that
# compile alone, symbols as written down, and the examples, built against it and run.
#   library_test.sh BUILD_FOLDER SOURCE_FOLDER
set -euo pipefail

build=$1 tree=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/usr" >/dev/null
archive=$(find "$work/usr" -name libpenstock.a)
library=$(dirname "$archive")
PKG_CONFIG_PATH=$library/pkgconfig
LD_LIBRARY_PATH=$library
export PKG_CONFIG_PATH LD_LIBRARY_PATH
read -ra cflags < <(pkg-config --cflags penstock)
read -ra shared < <(pkg-config --libs penstock)
read -ra static < <(pkg-config --libs --static penstock)
static=("${static[@]/#-lpenstock/-l:libpenstock.a}")
strict=(-Wall -Wextra -pedantic -Werror)

for header in "$work"/usr/include/penstock/*.h; do
    for language in 'c -std=c11' 'c++ -std=c++17'; do
        # shellcheck disable=SC2086
        cc -x $language "${strict[@]}" "${cflags[@]}" -fsyntax-only - <<<"#include <penstock/${header##*/}>
            int unit;"
    done
done

sed -nE 's/^ +(pst_[a-z_]+);$/\1/p' "$tree/engine/api/penstock.map" | sort >"$work/symbols"
nm -D --defined-only "$library/libpenstock.so" | sed -E '/ A PENSTOCK_[0-9.]+$/d; s/.* . (.*)@@PENSTOCK_[0-9.]+$/\1/' |
    sort | diff "$work/symbols" -
nm -g --defined-only "$archive" | sed -nE 's/^[0-9a-f]+ [A-Z] //p' | sort | diff "$work/symbols" -
cc "${cflags[@]}" -aux-info "$work/declared" -fsyntax-only "$work/usr/include/penstock/penstock.h"
sed -nE 's,^/\* .*include/penstock/.* \*/ extern .*[ *](pst_[a-z_]+) \(.*,\1,p' "$work/declared" | sort | diff "$work/symbols" -
readelf -d "$library/libpenstock.so" | grep 'SONAME.*\[libpenstock\.so\.0\]' >/dev/null

more=()
build_example() { # example, compiler and language: $work/NAME-shared and $work/NAME-static
    local name=$1 linked libraries=("${shared[@]}")
    shift
    for linked in shared static; do
        [ "$linked" = shared ] || libraries=("${static[@]}")
        "$@" "${strict[@]}" "${cflags[@]}" "$work/usr/share/doc/penstock/docs/examples/$name" "${libraries[@]}" "${more[@]}" -pthread \
            -o "$work/${name%.*}-$linked"
    done
    if ldd "$work/${name%.*}-static" | grep libpenstock; then
        echo "$name needs the shared library"
        exit 1
    fi
}

build_and_run() { # likewise
    local linked program
    build_example "$@"
    for linked in shared static; do
        program=$work/${1%.*}-$linked
        "$program" "$program.backups" >"$work/output" || { cat "$work/output"; exit 1; }
        grep '^restored, and as it was at the cut$' "$work/output" >/dev/null
    done
}

build_and_run accounts.c cc -std=c11
build_and_run notes.cpp c++ -std=c++17
build_and_run journal.c cc -std=c11
more=(-lrocksdb)
build_and_run rocks.c cc -std=c11
[ ! -e "$work/rocks-static.backups.checkpoint" ] # what the snapshot was is gone
more=()

# A node in a program, and the client in Python. The program is the same in a cluster that spans hosts: then it
# loads the module from beside the shared library, and linked statically from where penstock would.
build_example embedded.c cc -std=c11
python=$work/usr/share/doc/penstock/docs/examples/backup.py
mkfifo "$work/enter"
for linked in shared static; do
    "$work/embedded-$linked" "library-$$" 1 "$work/to-$linked" "$work/socket" <"$work/enter" 2>"$work/log" &
    program=$!
    exec 3>"$work/enter"
    for _ in {1..200}; do
        ! grep -q 'is up: socket' "$work/log" || break
        sleep 0.05
    done
    python3 "$python" "$work/socket" >"$work/output" || { cat "$work/output" "$work/log"; exit 1; }
    grep '^complete: 23 bytes in ' "$work/output" >/dev/null
    status=0
    python3 "$python" "$work/socket" 1 2>"$work/output" >/dev/null || status=$?
    [ "$status" -eq 1 ]
    grep 'PST_E_NUMBER_EXISTS' "$work/output" >/dev/null
    echo >&3
    wait "$program"
    exec 3>&-
    "$work/usr/bin/penstock" restore --from "$work/to-$linked" --target "$work/restored-$linked" >/dev/null 2>&1
    [ "$(tr -d ' ' <"$work/restored-$linked/value")" = 42 ]
done

"$work/usr/bin/penstock" keygen "$work/key" >/dev/null
sed -E 's/^( *)job\.cluster = argv\[1\];/\1job.cluster = argv[1];\n\1static const char *const members[] = {"1=127.0.0.1:47420"};\n\1job.members = members;\n\1job.members_count = 1;\n\1job.cluster_key = "key";/' \
    "$work/usr/share/doc/penstock/docs/examples/embedded.c" >"$work/wide.c"
grep -q cluster_key "$work/wide.c"
cc -std=c11 "${strict[@]}" "${cflags[@]}" "$work/wide.c" "${shared[@]}" -o "$work/wide-shared"
cc -std=c11 "${strict[@]}" "${cflags[@]}" "$work/wide.c" "${static[@]}" -o "$work/wide-static"
cp "$work/wide-static" "$work/usr/bin"
runs_wide() { # program: whether it comes up
    local status=0
    (cd "$work" && sleep 4 | timeout -s TERM 3 "$1" "library-$$" 1 "$work/to-wide" "$work/socket") 2>"$work/log" || status=$?
    [ "$status" -eq 124 ] && grep -q 'is up: socket' "$work/log"
}
runs_wide ./wide-shared || { cat "$work/log"; exit 1; }
runs_wide usr/bin/wide-static || { cat "$work/log"; exit 1; }
if runs_wide ./wide-static; then exit 1; fi
grep 'for networks between hosts and DPDK cannot be loaded' "$work/log" >/dev/null
