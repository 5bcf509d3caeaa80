#!/bin/bash
# Kinds and numbers of sources: several at once, one file, rows from a seed, nothing at all, and
# what is no file.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

devices=()
detach() {
    local device
    for device in "${devices[@]}"; do losetup -d "$device" 2>/dev/null || true; done
}
trap 'leave detach' EXIT

several_sources() {
    make_small_tree "$disk/one"
    mkdir "$disk/two"
    random_bytes 5000000 >"$disk/two/big"
    expect_exit 0 "$penstock" backup --source "dir:$disk/two" --source "first=dir:$disk/one" \
        --source rows=synthetic:rows=10,row-bytes=7 --to "$disk/backups" --ldms 2
    expect_exit 0 "$penstock" restore --from "$disk/backups" --target "$disk/target"
    [ "$(ls "$disk/target")" = $'first\nrows\ntwo' ] || fail "DIR/NAME: $(ls "$disk/target")"
    compare_trees "$disk/one" "$disk/target/first"
    compare_trees "$disk/two" "$disk/target/two"
    [ "$(stat -c %s "$disk/target/rows/rows")" = 70 ] || fail 'rows: not 70 bytes'
}

several_sources_of_one_name() {
    mkdir -p "$disk/a/same" "$disk/b/same"
    expect_exit 2 "$penstock" backup --source "dir:$disk/a/same" --source "dir:$disk/b/same" --to "$disk/same"
    expect_message 'two sources are called "same": give one another name with NAME='
    expect_absent "$disk/same"
}

one_file() {
    random_bytes 3000001 >"$disk/file"
    chmod 640 "$disk/file"
    touch -d '2003-04-05 06:07:08.9' "$disk/file"
    expect_exit 0 "$penstock" backup --source "dir:$disk/file" --to "$disk/of-file"
    expect_exit 0 "$penstock" verify --from "$disk/of-file"
    expect_exit 0 "$penstock" restore --from "$disk/of-file" --target "$disk/file-target"
    cmp "$disk/file" "$disk/file-target/file" || fail 'the file differs'
    [ "$(stat -c '%a %y' "$disk/file")" = "$(stat -c '%a %y' "$disk/file-target/file")" ] ||
        fail 'mode or time of the file differ'
}

# What is on it comes back as a file; a file system on it that has the backups is refused.
block_device() {
    local device
    is_root || return 0
    random_bytes 5000000 >"$disk/image"
    truncate -s 9M "$disk/image"
    device=$(losetup -f --show "$disk/image" 2>/dev/null) || return 0
    devices+=("$device")
    expect_exit 0 "$penstock" backup --source "dir:$device" --to "$disk/of-device" --ldms 2
    expect_exit 0 "$penstock" verify --from "$disk/of-device"
    expect_exit 0 "$penstock" restore --from "$disk/of-device" --target "$disk/device-target"
    cmp "$disk/image" "$disk/device-target/${device##*/}" || fail 'the image differs'
    ! grep -q 'in use' "$memory/err" || fail 'a device that nobody uses is said to be in use'
    mkdir "$disk/mounted"
    if mkfs.ext4 -q "$device" 2>/dev/null && mount "$device" "$disk/mounted" 2>/dev/null; then
        mounted+=("$disk/mounted")
        expect_exit 0 "$penstock" backup --source "dir:$device" --to "$disk/of-device"
        expect_message 'the device is in use'
        expect_exit 2 "$penstock" backup --source "dir:$device" --to "$disk/mounted/to"
        expect_message 'the backup would contain itself'
        umount "$disk/mounted"
    fi
    losetup -d "$device"
    : >"$disk/no-image"
    device=$(losetup -f --show "$disk/no-image" 2>/dev/null) || return 0
    devices+=("$device")
    expect_exit 1 "$penstock" backup --source "dir:$device" --to "$disk/of-nothing"
    expect_message 'the device has no bytes'
    expect_message 'no backup was made: .*No medium found'
    losetup -d "$device"
    expect_exit 2 "$penstock" backup --source dir:/dev/null --to "$disk/of-null"
    expect_message 'want a directory, a regular file or a block device'
}

rows_of() { # SEED NAME
    expect_exit 0 "$penstock" backup --source "synthetic:rows=70000,row-bytes=1000,seed=$1" \
        --to "$memory/$2" --ldms "$3"
    expect_exit 0 "$penstock" verify --from "$memory/$2"
    expect_exit 0 "$penstock" restore --from "$memory/$2" --target "$memory/$2-target"
    rm -r "${memory:?}/$2"
    [ "$(stat -c %s "$memory/$2-target/rows")" = 70000000 ] || fail "rows: not 70000000 bytes"
}

rows_from_a_seed() {
    rows_of 7 seven 1
    rows_of 7 again 4
    rows_of 8 eight 2
    cmp "$memory/seven-target/rows" "$memory/again-target/rows" || fail 'one seed, two outcomes'
    ! cmp -s "$memory/seven-target/rows" "$memory/eight-target/rows" || fail 'two seeds, one outcome'
    rm -r "$memory"/*-target
}

nothing() {
    mkdir "$disk/nothing"
    expect_exit 0 "$penstock" backup --source "dir:$disk/nothing" --to "$disk/of-nothing" --ldms 4
    expect_exit 0 "$penstock" verify --from "$disk/of-nothing"
    expect_exit 0 "$penstock" restore --from "$disk/of-nothing" --target "$disk/nothing-target"
    compare_trees "$disk/nothing" "$disk/nothing-target"
    expect_exit 0 "$penstock" backup --source synthetic:rows=0 --to "$disk/of-no-rows"
    expect_exit 0 "$penstock" restore --from "$disk/of-no-rows" --target "$disk/no-rows-target"
    [ "$(stat -c %s "$disk/no-rows-target/rows")" = 0 ] || fail 'no rows: not 0 bytes'
}

no_file() {
    mkdir "$disk/odd"
    mkfifo "$disk/odd/fifo"
    echo file >"$disk/odd/file"
    expect_exit 0 timeout 300 "$penstock" backup --source "dir:$disk/odd" --to "$disk/of-odd"
    expect_exit 0 "$penstock" restore --from "$disk/of-odd" --target "$disk/odd-target"
    [ -p "$disk/odd-target/fifo" ] || fail 'the FIFO is not restored'
    cmp "$disk/odd/file" "$disk/odd-target/file" || fail 'the file beside it differs'
    expect_exit 2 timeout 300 "$penstock" backup --source "dir:$disk/odd/fifo" --to "$disk/of-fifo"
    expect_message "odd/fifo.*want a directory, a regular file or a block device"
    expect_absent "$disk/of-fifo"
}

# Too deep for one path: what cannot be named is said, the rest is kept.
deeper_than_a_path() {
    local name
    name=$(printf 'd%.0s' {1..200})
    mkdir "$disk/pit"
    echo top >"$disk/pit/top"
    (
        cd "$disk/pit"
        for _ in {1..30}; do
            mkdir "$name"
            cd "$name"
        done
        echo bottom >bottom
    )
    expect_exit '0 3' "$penstock" backup --source "dir:$disk/pit" --to "$disk/of-pit"
    local said=$status
    expect_exit "$said" "$penstock" restore --from "$disk/of-pit" --target "$disk/pit-target"
    [ "$(cat "$disk/pit-target/top")" = top ] || fail 'the rest of a tree too deep is not restored'
    [ "$said" = 3 ] || compare_trees "$disk/pit" "$disk/pit-target"
}

by_symlink_and_relative() {
    ln -s one "$disk/link"
    (cd "$disk" && expect_exit 0 "$penstock" backup --source dir:link/ --to ./of-link &&
        expect_exit 0 "$penstock" restore --from of-link --target link-target/)
    compare_trees "$disk/one" "$disk/link-target"
    expect_exit 0 "$penstock" show --from "$disk/of-link"
    expect_output '  source link: dir:link/'
}

# Few descriptors make a backup slow, or let it fail by their name; they leave nothing out of it.
few_descriptors() {
    local ldms i
    mkdir "$memory/many"
    for ((i = 0; i < 3000; i++)); do
        if ((i % 500 == 0)); then mkdir -p "$memory/many/$i/a/b/c/d/e"; fi
        echo "$i" >"$memory/many/$((i / 500 * 500))/a/b/c/d/e/$i"
    done
    for ldms in 1 2 8; do
        expect_exit 0 bash -c 'ulimit -n 64; exec "$@"' - "$penstock" backup --source "dir:$memory/many" \
            --to "$memory/of-many" --ldms "$ldms"
        expect_message 'the limit of open files \(ulimit -n\) is low'
        expect_exit 0 "$penstock" restore --from "$memory/of-many" --target "$memory/many-target"
        compare_trees "$memory/many" "$memory/many-target"
        rm -r "$memory/many-target"
    done
    expect_exit 1 bash -c 'ulimit -n 24; exec "$@"' - "$penstock" backup --source "dir:$memory/many" \
        --to "$memory/of-few" --ldms 8
    expect_message 'Too many open files; raise the limit of open files'
    expect_absent "$memory/of-few"
    expect_exit 0 bash -c 'ulimit -Sn 40; exec "$@"' - "$penstock" backup --source "dir:$memory/many" \
        --to "$memory/of-many"
    ! grep -q 'ulimit -n' "$memory/err" || fail 'the soft limit was not raised'
}

several_sources
several_sources_of_one_name
one_file
rows_from_a_seed
nothing
no_file
block_device
deeper_than_a_path
by_symlink_and_relative
few_descriptors
