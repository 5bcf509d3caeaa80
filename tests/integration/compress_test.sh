#!/bin/bash
# Compressed backups: each codec is smaller, verifies, and is restored as it was; what does not shrink
# is not larger; damage in a compressed chunk is found, and takes the objects that it holds, and no
# others. A backup written before there were codecs is still read.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data=$(dirname "${BASH_SOURCE[0]}")/data

stored() { # BACKUPS
    "$penstock" list --from "$1" --json | jq -s '.[-1].stored_bytes'
}

comes_back() { # BACKUPS TREE
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" verify --from "$1"
    expect_exit 0 "$penstock" restore --from "$1" --target "$disk/target"
    diff -r --no-dereference "$2" "$disk/target"
}

mkdir -p "$disk/tree/sub" "$disk/noise"
seq 1 700000 >"$disk/tree/numbers"
head -c 3000000 /dev/urandom >"$disk/tree/noise"
head -c 5000000 /dev/urandom >"$disk/noise/noise"
truncate -s 30M "$disk/tree/hole"
for i in $(seq 1 300); do seq "$i" $((i * 9)) >"$disk/tree/sub/$i"; done

expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/none" --compress none --ldms 2
all=$(stored "$disk/none")
for codec in lz4 zstd zstd:3 zstd:9 auto; do
    expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/$codec" --compress "$codec" --ldms 2
    [ "$codec" = auto ] || [ "$(stored "$disk/$codec")" -lt $((all * 8 / 10)) ] || fail "$codec: not smaller"
    [ "$(stored "$disk/$codec")" -le $((all + 65536)) ] || fail "$codec: larger"
    comes_back "$disk/$codec" "$disk/tree"
done
[ "$(stored "$disk/zstd")" -lt "$(stored "$disk/lz4")" ] || fail 'zstd: not smaller than lz4'

expect_exit 0 "$penstock" show --from "$disk/zstd:3" --json
jq -e '.node_manifests[0].parts | map(.zstd_chunks) | add > 5' "$memory/out" >/dev/null || fail 'show: no chunks by zstd'
jq -e '.node_manifests[0].parts | map(.lz4_chunks) | add == 0' "$memory/out" >/dev/null || fail 'show: chunks by lz4'

for codec in lz4 zstd:3; do
    expect_exit 0 "$penstock" list --from "$disk/$codec" --json
    expect_described "$memory/out"
    jq -e --arg codec "${codec%:*}" '.codec_chunks[$codec] > 5 and .codec_chunks.none >= 0 and (.codec_chunks | add) == .chunks
        and ([.codec_chunks[] | select(. > 0)] | length) <= 2 and .ratio > 1.2' "$memory/out" >/dev/null || fail "list: not the chunks by $codec"
    expect_exit 0 "$penstock" list --from "$disk/$codec"
    expect_output "iB +[0-9]+\\.[0-9][0-9]  ${codec%:*} "
done
expect_exit 0 "$penstock" list --from "$disk/none"
expect_output 'iB +[0-9.]+  none '

# Auto, the default, compresses as soon as there is time: here the pace makes the LDM wait.
mkdir "$disk/text"
seq 1 8000000 >"$disk/text/numbers"
expect_exit 0 "$penstock" backup --source "dir:$disk/text" --to "$disk/idle" --ldms 1 --pace 40M
[ "$(stored "$disk/idle")" -lt $(($(stat -c %s "$disk/text/numbers") * 9 / 10)) ] || fail 'auto: not smaller, though it waits'
comes_back "$disk/idle" "$disk/text"

# Noise gains nothing: each chunk is as it was.
expect_exit 0 "$penstock" backup --source "dir:$disk/noise" --to "$disk/plain" --compress none
expect_exit 0 "$penstock" backup --source "dir:$disk/noise" --to "$disk/noisy" --compress zstd:9
cmp <(stored "$disk/plain") <(stored "$disk/noisy")

# The option's places and its errors.
expect_exit 0 env PENSTOCK_COMPRESS=lz4 "$penstock" backup --source "dir:$disk/tree" --to "$disk/environment"
[ "$(stored "$disk/environment")" -lt $((all * 8 / 10)) ] || fail 'PENSTOCK_COMPRESS'
for wrong in gzip zstd:0 zstd:10 lz4:1 ''; do
    expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$disk/wrong" --compress "$wrong"
done

# A flipped bit in a compressed chunk: named, with the chunk's place, and what was in it is lost alone.
part=$disk/lz4/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data
flip "$part" 8200
expect_exit 1 "$penstock" verify --from "$disk/lz4"
expect_message 'BACKUP-1.1.data: offset'
rm -rf "$disk/target"
expect_exit 1 "$penstock" restore --from "$disk/lz4" --target "$disk/target"
[ ! -e "$disk/target" ] || fail 'something is left'
expect_exit 3 "$penstock" restore --from "$disk/lz4" --target "$disk/target" --keep-going
named=$(grep -c "$disk\|damaged\|missing" "$memory/err") || fail 'no object is named'
[ "$named" -gt 0 ]
whole=0
while read -r file; do
    if cmp -s "$disk/tree/$file" "$disk/target/$file"; then
        whole=$((whole + 1))
    else
        grep -q "${file#./}" "$memory/err" || fail "$file is not whole, and not named"
        [ ! -e "$disk/target/$file" ] || fail "$file is not whole, and has its name"
    fi
done < <(cd "$disk/tree" && find . -type f)
[ "$whole" -gt 0 ] || fail 'nothing came back'

# Before there were codecs.
tar -xzf "$data/version_0.tar.gz" -C "$disk"
rm -rf "$disk/target"
expect_exit 0 "$penstock" verify --from "$disk/b"
expect_exit 0 "$penstock" restore --from "$disk/b" --target "$disk/target" --no-owner
tar -xzf "$data/version_0.tar.gz" -C "$memory" tree
diff -r --no-dereference "$memory/tree" "$disk/target"
expect_exit 0 "$penstock" backup --source "dir:$memory/tree" --to "$disk/b" --compress zstd
expect_exit 0 "$penstock" verify --from "$disk/b" 2
