#!/bin/bash
# A tree of everything that trees have goes through backup, verify and restore unchanged: for
# numbers of LDMs, chunk sizes, depths, with and without O_DIRECT, on disk and on tmpfs.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

make_files() {
    local size
    for size in 0 1 4095 4096 4097 65536 1048575 1048576 1048577; do
        random_bytes "$size" >"$1/size-$size"
    done
    random_bytes $((70 << 20)) >"$1/large" # more than one fragment
    printf 'tail' >>"$1/large"
    mkdir "$1/many"
    local i
    for i in {1..400}; do echo "file $i" >"$1/many/$i"; done
}

make_sparse_files() {
    truncate -s 3M "$1/all-hole"
    truncate -s 80M "$1/sparse"
    printf 'begin' | dd of="$1/sparse" conv=notrunc status=none
    random_bytes 100000 | dd of="$1/sparse" conv=notrunc bs=1 seek=$((65 << 20)) status=none iflag=fullblock
    truncate -s 10M "$1/hole-then-data"
    printf 'end' >>"$1/hole-then-data"
}

make_names() {
    local long deep i
    long=$(printf 'n%.0s' {1..255})
    mkdir "$1/$long"
    echo long >"$1/$long/$long"
    touch "$1/"$'new\nline' "$1/"$'tab\there' "$1/"$'not\xff\xfeutf8' "$1/-dash" "$1/ space " \
        "$1/back\\slash" "$1/"$'\x01\x1b[31m' "$1/*" "$1/ünïcode"
    deep=$1/deep
    for i in {1..150}; do deep=$deep/level$((i % 10)); done
    mkdir -p "$deep"
    echo bottom >"$deep/bottom"
    mkdir "$1/empty-directory"
}

make_links() {
    ln -s nowhere "$1/dangling"
    ln -s /etc/hostname "$1/absolute"
    ln -s . "$1/loop"
    ln -s "$(printf 'x%.0s' {1..4000})" "$1/long-target"
    ln -s $'bad\xff\nname' "$1/odd-target"
    mkdir "$1/links" "$1/links/a" "$1/links/b"
    echo shared >"$1/links/a/one"
    ln "$1/links/a/one" "$1/links/b/two"
    ln "$1/links/a/one" "$1/three"
    : >"$1/links/a/nothing"
    ln "$1/links/a/nothing" "$1/links/b/nothing"
    ln "$1/large" "$1/links/b/large-too"
}

make_modes_and_times() {
    mkdir "$1/modes" "$1/modes/sticky" "$1/modes/read-only" "$1/modes/setgid"
    echo program >"$1/modes/setuid"
    echo secret >"$1/modes/nobody-reads"
    echo inside >"$1/modes/read-only/inside"
    if is_root; then
        chown 12345:54321 "$1/modes/sticky" "$1/modes/nobody-reads" "$1/links/a/one"
        chown 4294967290:4294967291 "$1/modes/setuid"
        chown -h 7:8 "$1/absolute"
        chmod 0 "$1/modes/nobody-reads"
    fi
    chmod 4755 "$1/modes/setuid"
    chmod 1777 "$1/modes/sticky"
    chmod 2750 "$1/modes/setgid"
    touch -d '2001-02-03 04:05:06.123456789' "$1/size-1"
    touch -d '1955-11-05 06:00:00.000000001' "$1/size-4096"
    touch -d '1969-12-31 23:59:59.999999999' "$1/size-0"
    touch -d '2222-02-22 22:22:22.222222222' "$1/many"
    touch -h -d '1999-09-09 09:09:09.987654321' "$1/dangling" "$1/absolute"
    touch -d '1984-01-01 00:00:00.5' "$1/modes/read-only" "$1/deep"
    chmod 555 "$1/modes/read-only"
    touch -d '1990-01-01 00:00:00.000000007' "$1"
}

make_nasty_tree() {
    mkdir "$1"
    make_files "$1"
    make_sparse_files "$1"
    make_names "$1"
    make_links "$1"
    make_modes_and_times "$1"
}

# round_trip WHERE OPTION…: backs up, verifies, restores and compares below a folder.
round_trip() {
    local where=$1
    shift
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$where/backups" "$@"
    [ -z "$(find "$where/backups" -type f ! -perm 600 -o -type d ! -perm 700)" ] ||
        fail "$* : a backup that others may read"
    expect_exit 0 "$penstock" verify --from "$where/backups" --ldms 2
    expect_exit 0 "$penstock" restore --from "$where/backups" --target "$where/target" --ldms 3
    compare_trees "$source_tree" "$where/target"
    [ "$(find "$where" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ] || fail "$* : files left in $where"
    chmod -R u+rwX "$where/target"
    rm -rf "$where/backups" "$where/target"
    echo "passed: $* on $where"
}

source_tree=$disk/tree
mkdir "$disk/work" "$memory/work"
make_nasty_tree "$source_tree"
round_trip "$disk/work" --ldms 1
round_trip "$disk/work" --ldms 2 --direct on
round_trip "$disk/work" --ldms 4 --chunk 64K --depth 32
round_trip "$disk/work" --ldms 4 --single-threaded --direct off
round_trip "$disk/work" --ldms 2 --sqpoll --iopoll --chunk 64K
round_trip "$memory/work" --ldms 2 --chunk 16M --depth 2
round_trip "$memory/work" --ldms 1 --chunk 68K --depth 2
[ -n "$is_full" ] || exit 0
for ldms in 1 2 4 7; do
    for chunk in 68K 64K 1M 16M; do
        for depth in 2 32; do
            for direct in on off auto; do
                round_trip "$disk/work" --ldms "$ldms" --chunk "$chunk" --depth "$depth" --direct "$direct"
            done
            round_trip "$memory/work" --ldms "$ldms" --chunk "$chunk" --depth "$depth"
            round_trip "$memory/work" --ldms "$ldms" --chunk "$chunk" --depth "$depth" --single-threaded
        done
    done
done
