#!/bin/bash
# A target that is full or read-only: exit 1, a message that says so, and nothing left; with room
# again, the next run works. Needs to mount: root only.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

is_root || skip 'only root may mount'
small=$memory/small
mkdir "$small"
mount -t tmpfs -o size=24m,mode=755 penstock "$small" 2>/dev/null || skip 'no mounting here'
mounted+=("$small")

full_backup_target() {
    local option
    for option in --ldms=1 --ldms=4 --single-threaded --chunk=64K --chunk=4M --direct=off; do
        expect_exit 1 "$penstock" backup --source synthetic:rows=60000 --to "$small/to" "$option"
        expect_message 'No space left on device' "$small/to"
        expect_names "$small" ''
    done
    # An earlier backup stays whole.
    expect_exit 0 "$penstock" backup --source synthetic:rows=5000 --to "$small/to"
    local before
    before=$(names_below "$small")
    expect_exit 1 "$penstock" backup --source synthetic:rows=60000 --to "$small/to" --ldms 2 --json
    expect_json '.[-1] | .message_type == "exit_error" and .code == 1'
    expect_names "$small" "$before"
    expect_exit 0 "$penstock" verify --from "$small/to"
}

# With room for a few kilobytes, then a few more: it fails at another place each time.
nearly_full_backup_target() {
    rm -rf "${small:?}/to"
    local size failed=0
    for size in 4 8 12 16 20 24 28 32 36 40 48 64 128 1100 2200 3300; do
        mount -o remount,size="${size}k",nr_inodes=100 "$small" 2>/dev/null || continue
        expect_exit '0 1' "$penstock" backup --source synthetic:rows=1000 --to "$small/to" --ldms 2
        if [ "$status" -eq 1 ]; then
            failed=$((failed + 1))
            expect_message 'No space left on device'
            expect_absent "$small/to"
        else
            expect_exit 0 "$penstock" verify --from "$small/to"
            rm -rf "${small:?}/to"
        fi
    done
    [ "$failed" -gt 0 ] || fail 'the target was never full'
    mount -o remount,size=24m "$small"
    local inodes
    failed=0
    for inodes in 2 3 4 5 6 7 8 9; do
        mount -o remount,nr_inodes="$inodes" "$small" 2>/dev/null || continue
        expect_exit '0 1' "$penstock" backup --source synthetic:rows=1000 --to "$small/to" --ldms 2
        if [ "$status" -eq 1 ]; then
            failed=$((failed + 1))
            expect_message 'No space left on device'
            expect_absent "$small/to"
        else
            rm -rf "${small:?}/to"
        fi
    done
    [ "$failed" -gt 0 ] || fail 'the target never ran out of inodes'
    mount -o remount,nr_inodes=1000 "$small"
}

full_restore_target() {
    mkdir "$disk/tree"
    local i
    for i in {1..40}; do random_bytes 1000000 >"$disk/tree/$i"; done
    expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/to"
    for i in 1 3; do
        expect_exit 1 "$penstock" restore --from "$disk/to" --target "$small/target" --ldms "$i"
        expect_message 'No space left on device' "$small/target|tree/[0-9]+"
        expect_names "$small" ''
    done
    mkdir "$small/target"
    expect_exit 1 "$penstock" restore --from "$disk/to" --target "$small/target"
    expect_names "$small" ./target
    rmdir "$small/target"
    mount -o remount,size=80m "$small"
    expect_exit 0 "$penstock" restore --from "$disk/to" --target "$small/target"
    compare_trees "$disk/tree" "$small/target"
    rm -rf "$small/target"
    # Nothing was restored, and nothing is said to have been.
    mkdir "$small/target"
    echo kept >"$small/target/kept"
    head -c 100M /dev/zero >"$small/fill" 2>/dev/null || true
    expect_exit 1 "$penstock" restore --from "$disk/to" --target "$small/target" --force
    expect_message 'the marker file.*No space left on device'
    ! grep 'holds what was restored' "$memory/err" || fail 'it is said to hold what was restored'
    expect_names "$small/target" ./kept
    rm -rf "$small/target" "$small/fill"
}

# A mount point cannot be renamed onto: it is filled in place, under a marker, and resumed.
mount_point_as_target() {
    mount -o remount,size=24m "$small"
    expect_exit 1 "$penstock" restore --from "$disk/to" --target "$small"
    expect_message 'No space left on device'
    mount -o remount,size=80m "$small"
    expect_exit 0 "$penstock" restore --from "$disk/to" --target "$small"
    compare_trees "$disk/tree" "$small"
    expect_exit 2 "$penstock" restore --from "$disk/to" --target "$small"
    expect_message 'not empty.*--force'
    find "$small" -mindepth 1 -delete
}

read_only() {
    expect_exit 0 "$penstock" backup --source synthetic:rows=100 --to "$small/to"
    mount -o remount,ro "$small"
    local before
    before=$(names_below "$small")
    expect_exit 1 "$penstock" backup --source synthetic:rows=100 --to "$small/to"
    expect_message "$small/to.*Read-only file system"
    expect_exit 1 "$penstock" backup --source synthetic:rows=100 --to "$small/new"
    expect_message "$small/new.*Read-only file system"
    expect_exit 1 "$penstock" restore --from "$small/to" --target "$small/target"
    expect_message "$small/target.*Read-only file system"
    expect_names "$small" "$before"
    # Reading needs no writing.
    expect_exit 0 "$penstock" list --from "$small/to"
    expect_exit 0 "$penstock" verify --from "$small/to"
    expect_exit 0 "$penstock" restore --from "$small/to" --target "$memory/target"
    mount -o remount,rw "$small"
}

full_backup_target
nearly_full_backup_target
full_restore_target
mount_point_as_target
read_only
