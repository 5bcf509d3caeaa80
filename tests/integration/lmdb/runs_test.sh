#!/bin/bash
# Large files and environments of which some has changed: with --base only the runs that have are
# stored, and all are restored.
#
#   runs_test.sh PENSTOCK FOLDER LMDB_WRITER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
writer=${3:?}
work=$memory
for tool in mdb_stat jq; do
    command -v "$tool" >/dev/null || skip "$tool is missing: run scripts/install-deps test"
done

backup() { # OPTION…: of both sources
    expect_exit 0 "$penstock" backup --source "files=dir:$disk/src" --source "db=lmdb:$work/env" --to "$work/to" \
        --base auto --chunk 64K --json "$@"
}

expect_same() { # NUMBER OPTION…
    rm -rf "$work/target"
    expect_exit 0 "$penstock" verify --from "$work/to" "${@:2}" "$1"
    expect_exit 0 "$penstock" restore --from "$work/to" --target "$work/target" "${@:2}" "$1"
    cmp "$work/was-$1" "$work/target/files/large" || fail "backup $1 has another large file"
    [ "$("$writer" check "$work/target/db")" = "$(cat "$work/history-$1")" ] || fail "backup $1 has another environment"
}

keep() { # NUMBER: what the sources are now
    cp "$disk/src/large" "$work/was-$1"
    "$writer" check "$work/env" >"$work/history-$1"
}

change() { # OFFSET: a byte of the file, and some rows
    printf X | dd of="$disk/src/large" bs=1 seek="$1" conv=notrunc status=none
    "$writer" run "$work/env" 3 nosync
}

own_bytes() { # NUMBER OPTION…
    "$penstock" list --from "$work/to" "${@:2}" --json | jq "select(.number == $1) | .source_bytes"
}

generations() { # OPTION…
    mkdir "$disk/src" "$work/env"
    head -c 6000007 /dev/urandom >"$disk/src/large"
    head -c 5000 /dev/urandom >"$disk/src/small"
    "$writer" init "$work/env" nosync
    "$writer" run "$work/env" 4000 nosync
    local full
    full=$(stat -c %s "$work/env/data.mdb")
    sleep 2.1
    keep 1
    backup "$@" --ldms 2
    [ "$(own_bytes 1 "${keys[@]}")" -ge $((6005007 + full)) ] || fail 'the first one is not full'
    change 3000000
    head -c 100000 /dev/urandom >>"$disk/src/large"
    keep 2
    backup "$@" --ldms 3
    change 70000
    truncate -s 5900000 "$disk/src/large"
    keep 3
    backup "$@" --single-threaded
    local number
    for number in 1 2 3; do expect_same "$number" "${keys[@]}"; done
    # a run here and there, pages that a transaction touches, and what is not cut into runs
    for number in 2 3; do
        [ "$(own_bytes "$number" "${keys[@]}")" -lt $(((6005007 + full) / 3)) ] || fail "backup $number has too much of its own"
    done
    expect_exit 0 "$penstock" list --from "$work/to" "${keys[@]}" --json
    expect_json '.[2].origins | map(.number) | sort == [1, 2]'
}

# The run of a missing or damaged base is named by its file.
damaged() {
    local part
    part=$(find "$work/to/BACKUP-1" -name '*.data' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
    cp "$part" "$work/part"
    flip "$part" $(($(stat -c %s "$part") / 3))
    expect_exit 1 "$penstock" verify --from "$work/to" 3
    expect_message 'BACKUP-1/.*offset' 'BACKUP-3: (files/large|db/data.mdb): '
    expect_exit 1 "$penstock" restore --from "$work/to" --target "$work/none" 3
    cp "$work/part" "$part"
    expect_exit 0 "$penstock" verify --from "$work/to" 3 # else it would be no base
    expect_exit 1 "$penstock" prune --from "$work/to" 1
    expect_message 'backup 1 holds data of backups 2, 3'
}

# A file in runs of several backups that has not changed is as good as any: all of them are referred to.
unchanged() {
    sleep 2.1
    keep 4
    backup --ldms 2
    keep 5
    backup --ldms 2
    expect_message 'backup 4 is the base: 2 of its files can be referred to'
    expect_same 5
    expect_exit 0 "$penstock" list --from "$work/to" --json
    expect_json '.[4].source_bytes < 200000 and (.[4].origins | map(.number) | contains([1, 2, 3]))'
}

# Whatever is read of a file that is being written, and compared, is what is stored or referred to.
changing() {
    (while :; do
        dd if=/dev/urandom of="$disk/src/large" bs=4096 count=1 seek=$((RANDOM % 1400)) conv=notrunc status=none
    done) &
    local changer=$! number
    for number in 6 7 8; do
        expect_exit '0 3' "$penstock" backup --source "files=dir:$disk/src" --source "db=lmdb:$work/env" --to "$work/to" \
            --base auto --chunk 64K
        expect_exit 0 "$penstock" verify --from "$work/to" "$number"
    done
    kill "$changer"
    wait "$changer" 2>/dev/null || true
    expect_exit '0 3' "$penstock" restore --from "$work/to" --target "$work/changing" 8
    [ "$(stat -c %s "$work/changing/files/large")" = 5900000 ] || fail 'a file that was being written has another size'
}

keys=()
generations
damaged
unchanged
changing
rm -rf "$disk/src" "$work/env" "$work/to"
generations --compress zstd
rm -rf "$disk/src" "$work/env" "$work/to"
expect_exit 0 "$penstock" keygen "$work/key"
keys=(--key-file "$work/key")
generations "${keys[@]}" --compress lz4
