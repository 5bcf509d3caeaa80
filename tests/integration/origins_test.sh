#!/bin/bash
# Backups whose bytes lie in earlier ones, made by --base: restored from several at once, to what the
# source was; what a missing or damaged one costs is named, and prune keeps what is needed.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
work=$memory
seal=()

# What is younger than 2 s when a backup begins is read again in the next one.
make_source() {
    mkdir -p "$disk/src/d"
    local i
    for i in 1 2 3 4 5 6 7 8; do head -c $((i * 3000)) /dev/urandom >"$disk/src/d/f$i"; done
    head -c 3000000 /dev/urandom >"$disk/src/large"
    truncate -s 3M "$disk/src/sparse"
    echo data | dd of="$disk/src/sparse" bs=1 seek=2000000 conv=notrunc status=none
    ln "$disk/src/d/f1" "$disk/src/linked"
    sleep 2.1
}

backup() { # OPTION…: and what the source is now, as $work/was-NUMBER
    expect_exit 0 "$penstock" backup --source "dir:$disk/src" --to "$work/to" --base auto --ldms 2 --chunk "${chunk:-64K}" "${seal[@]}" --json "$@"
    cp -a "$disk/src" "$work/was-$(jq -r 'select(.message_type == "summary") | .number' "$work/out")"
}

make_backups() { # 1 is full, 2 has its bytes in 1, 3 in both
    make_source
    backup
    echo new >"$disk/src/new"
    echo changed >>"$disk/src/d/f2"
    head -c 40000 /dev/urandom >"$disk/src/second"
    sleep 2.1
    backup
    rm "$disk/src/d/f3"
    mv "$disk/src/d/f4" "$disk/src/d/renamed"
    echo changed >>"$disk/src/d/f5"
    backup --single-threaded
}

expect_same() { # NUMBER [FROM…]: restored as it was
    local number=$1 from=() folder
    for folder in "${@:2}"; do from+=(--from "$folder"); done
    rm -rf "$work/target"
    expect_exit 0 "$penstock" restore "${from[@]:---from=$work/to}" --target "$work/target" "${keys[@]}" "$number"
    diff -r --no-dereference "$work/was-$number" "$work/target" || fail "backup $number is restored to something else"
    expect_exit 0 "$penstock" verify "${from[@]:---from=$work/to}" "${keys[@]}" "$number"
}

# Alone: what lies here, and what lies in each of the others.
looked_into() { # NUMBER
    local name
    for name in d/f1 d/f2 d/f6 d/f8 linked large sparse second; do
        "$penstock" cat --from "$work/to" "${keys[@]}" --id "$1" "$name" | cmp - "$work/was-$1/$name" || fail "cat of $name"
    done
    rm -rf "$work/target"
    expect_exit 0 "$penstock" restore --from "$work/to" --target "$work/target" "${keys[@]}" --path 'd/f[0-9]' --path large "$1"
    cmp "$work/was-$1/large" "$work/target/large"
    diff -r -x renamed "$work/was-$1/d" "$work/target/d" || fail 'a path is restored to something else'
}

followed() {
    local number
    for number in 2 3; do looked_into "$number"; done
    for number in 1 2 3; do expect_same "$number"; done
    expect_exit 0 "$penstock" list --from "$work/to" "${keys[@]}"
    expect_output '^ *3 +complete .* base 2, .* shared'
    expect_exit 0 "$penstock" list --from "$work/to" "${keys[@]}" --json
    expect_json '.[0].base == null and .[1].base.number == 1 and .[1].source_bytes < 200000 and .[1].shared_bytes > 3000000'
    expect_json '.[2].base.number == 2 and (.[2].origins | map(.number) | sort) == [1, 2] and (.[2].origins | map(.bytes) | add) == .[2].shared_bytes'
    expect_exit 0 "$penstock" show --from "$work/to" "${keys[@]}" 3
    expect_output '^base 2, uid .* lie in other backups' '^  in backup 1, uid [0-9a-f]{32}: '
}

missing() {
    local uid
    uid=$("$penstock" list --from "$work/to" --json | jq -r 'select(.number == 2) | .uid')
    mkdir "$work/other"
    mv "$work/to/BACKUP-2" "$work/other/"
    expect_exit 0 "$penstock" list --from "$work/to"
    expect_output "^ *3 +split .*backup 2, uid $uid, .*name its directory too"
    expect_exit 1 "$penstock" restore --from "$work/to" --target "$work/none" 3
    expect_message "backup 2, uid $uid"
    expect_absent "$work/none"
    expect_exit 3 "$penstock" verify --from "$work/to" 3
    expect_message "backup 2, uid $uid"
    expect_exit 3 "$penstock" restore --from "$work/to" --target "$work/some" --keep-going 3 --json
    expect_json 'map(select(.message_type == "trouble") | .path) | sort == ["d/f2", "new", "second"]'
    expect_absent "$work/some/second" "$work/some/new"
    cmp "$work/was-3/large" "$work/some/large"
    cmp "$work/was-3/d/renamed" "$work/some/d/renamed"
    expect_same 3 "$work/to" "$work/other"
    mv "$work/other/BACKUP-2" "$work/to/"
}

# A bit of what backup 1 has of "large", which 2 and 3 refer to.
damaged() {
    local part
    part=$(find "$work/to/BACKUP-1" -name '*.data' -size +2M | head -n 1)
    cp "$part" "$work/part"
    flip "$part" $(($(stat -c %s "$part") / 2))
    expect_exit 1 "$penstock" verify --from "$work/to" 3
    expect_message 'BACKUP-1/.*offset' 'BACKUP-3: src/large: '
    expect_exit 1 "$penstock" restore --from "$work/to" --target "$work/none" 3
    expect_absent "$work/none"
    expect_exit 3 "$penstock" restore --from "$work/to" --target "$work/most" --keep-going 3
    expect_message 'src/large'
    cmp "$work/was-3/second" "$work/most/second"
    expect_absent "$work/most/large"
    cp "$work/part" "$part"
    mv "$work/to/BACKUP-1/BACKUP-1.1.manifest" "$work/manifest"
    expect_exit 1 "$penstock" verify --from "$work/to" 3
    expect_message 'backup 1, uid .*, node 1: .*BACKUP-1.1.manifest'
    mv "$work/manifest" "$work/to/BACKUP-1/BACKUP-1.1.manifest"
    expect_exit 0 "$penstock" verify --from "$work/to" 3 # else prune would not count it
}

# What one that cannot be read refers to is not known: it may be mended, and is to find all that it has then.
unreadable() {
    cp -a "$work/to" "$work/hidden"
    truncate -s 100 "$work"/hidden/BACKUP-3/*.manifest*
    expect_exit 1 "$penstock" prune --from "$work/hidden" 2
    expect_message 'backup 2 holds data of backup 3, or may, for backup 3 cannot be read'
    expect_exit 0 "$penstock" prune --from "$work/hidden" --keep-last 1 --dry-run
    expect_message 'backup 3 may have data in any before it, so that these stay until it is mended or pruned: what it has cannot be read: BACKUP-3/'
    expect_output '^backup 1, .*stays: may hold data of backup 3, which cannot be read$'
    rm -r "$work/hidden/BACKUP-3"
    cp -a "$work/to/BACKUP-3" "$work/hidden/BACKUP-3"
    expect_same 3 "$work/hidden"
    truncate -s 100 "$work"/hidden/BACKUP-3/*.manifest*
    expect_exit 0 "$penstock" prune --from "$work/hidden" 2 3
}

pruned() {
    expect_exit 1 "$penstock" prune --from "$work/to" 1
    expect_message 'backup 1 holds data of backups 2, 3'
    expect_exit 0 "$penstock" prune --from "$work/to" --keep-last 1 --dry-run --json
    expect_json 'map(select(.message_type == "retained" and (.reason | test("holds data of backup 3"))) | .number) == [1, 2]'
    expect_exit 0 "$penstock" prune --from "$work/to" --keep-last 1
    expect_same 3
    cp -a "$work/to" "$work/all"
    expect_exit 0 "$penstock" prune --from "$work/all" 1 2 3
    expect_exit 0 "$penstock" prune --from "$work/to" 3
    expect_exit 0 "$penstock" prune --from "$work/to" --keep-last 1
    expect_same 2
}

# Prune sees what holds what without a key.
sealed() {
    rm -rf "$disk/src" "$work/to" "$work"/was-*
    expect_exit 0 "$penstock" keygen "$work/key"
    seal=(--key-file "$work/key")
    keys=("${seal[@]}")
    make_backups
    followed
    expect_exit 12 "$penstock" restore --from "$work/to" --target "$work/shut" 3
    expect_exit 1 "$penstock" prune --from "$work/to" 1
    expect_message 'backup 1 holds data of backups 2, 3'
}

# Many files that compress, in chunks of 256K, and then of 64K: what was decoded into is used for both.
of_other_chunks() {
    local i
    rm -rf "$disk/src" "$work/to" "$work"/was-*
    mkdir -p "$disk/src"
    for i in {1..1000}; do seq "$i" $((i + 900)) >"$disk/src/f$i"; done
    sleep 2.1
    chunk=256K backup --compress zstd
    for i in {1..500}; do seq "$i" $((i + 900)) >"$disk/src/new$i"; done
    backup --compress zstd
    [ "$("$penstock" show --from "$work/to" "${keys[@]}" --json 2 | jq '.shared_bytes > 3000000')" = true ] ||
        fail 'the second backup does not refer to the first'
    for i in 1 2 3; do expect_same 2; done # by which thread is chance
}

keys=()
make_backups
followed
missing
damaged
unreadable
pruned
of_other_chunks
sealed
