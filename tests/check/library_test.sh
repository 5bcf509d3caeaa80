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

build_and_run() { # example, compiler and language
    local name=$1 program linked libraries=("${shared[@]}")
    shift
    for linked in shared static; do
        program=$work/${name%.*}-$linked
        [ "$linked" = shared ] || libraries=("${static[@]}")
        "$@" "${strict[@]}" "${cflags[@]}" "$work/usr/share/doc/penstock/docs/examples/$name" "${libraries[@]}" -pthread -o "$program"
        "$program" "$program.backups" >"$work/output" || { cat "$work/output"; exit 1; }
        grep '^restored, and as it was at the cut$' "$work/output" >/dev/null
    done
    if ldd "$program" | grep libpenstock; then
        echo "$program needs the shared library"
        exit 1
    fi
}

build_and_run accounts.c cc -std=c11
build_and_run notes.cpp c++ -std=c++17
