#!/bin/bash
# Backups that are killed, and the next ones, which refer to what was written of them: how much is read again, what
# is restored, and what becomes of what was left.
#
#   cut_off_test.sh PENSTOCK_FAULTS FOLDER LMDB_WRITER [sealed]
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=../lib.sh disable=SC2154
source "$here/../lib.sh"
writer=${3:?}

export PENSTOCK_FAULTS=$memory/faults
mkdir "$PENSTOCK_FAULTS"
tree=$disk/tree
to=$disk/to
seal=()
if [ "${4:-}" = sealed ]; then
    expect_exit 0 "$penstock" keygen "$disk/key"
    seal=(--key-file "$disk/key")
fi
backup=("$penstock" backup --to "$to" --ldms 2 --chunk 64K --base auto "${seal[@]}")
sources=(--source "data=dir:$tree")
all=$((6 * 16000000 + 400 * 20000))

plant_tree() {
    rm -rf "$tree" "$to"
    mkdir -p "$tree/sub"
    for i in 1 2 3 4 5 6; do head -c 16000000 /dev/urandom >"$tree/large$i"; done
    head -c 8000000 /dev/urandom | split -b 20000 -a 3 - "$tree/sub/f"
    ln "$tree/sub/faaa" "$tree/second"
    sleep 2.1 # nothing is younger than what a base can tell changes by
}

back_up() { # OPTION...
    expect_exit 0 "${backup[@]}" "${sources[@]}" "$@"
    number=$(find "$to" -maxdepth 1 -name 'BACKUP-*' -printf '%f\n' | sed s/BACKUP-// | sort -n | tail -n 1)
}

# cut_off POINT [COUNT] OPTION...: kills a backup when it passes the point for the COUNTth time.
cut_off() {
    local point=$1 count=$2
    shift 2
    rm -f "$PENSTOCK_FAULTS"/*
    echo "kill $count" >"$PENSTOCK_FAULTS/$point"
    status=0
    "${backup[@]}" "${sources[@]}" "$@" >"$memory/out" 2>"$memory/err" </dev/null &
    { wait $!; } 2>/dev/null || status=$?
    rm -f "$PENSTOCK_FAULTS"/*
    [ "$status" = 137 ] || fail "not killed at $point, passing $count: exit $status"
}

manifest() { # FILTER
    head -n 1 "$to/BACKUP-$number/BACKUP-$number.1.manifest" | jq -c "$1"
}

expect_state() { # NUMBER STATE
    local found
    found=$("$penstock" list --from "$to" --json | jq -r "select(.number == $1).state")
    [ "$found" = "$2" ] || fail "backup $1 is ${found:-absent}, expected $2"
}

# The last one is whole, and so is what is restored of it.
expect_whole() {
    expect_exit 0 "$penstock" verify --from "$to" "${seal[@]}" "$number"
    rm -rf "$disk/back"
    expect_exit 0 "$penstock" restore --from "$to" "${seal[@]}" --target "$disk/back" "$number"
    compare_trees "$tree" "$disk/back"
}

stored() { manifest .sums.source_bytes; }

# Killed ever later: what the next one stores is what was not written yet, but for what was in flight. What is cut off
# is no backup: nothing picks it, and it cannot be restored.
plant_tree
last=0
for count in 2 4 6; do
    rm -rf "$to"
    cut_off after.BACKUP_FRAGMENT_CONF "$count"
    expect_state 1 incomplete
    expect_exit 10 "$penstock" restore --from "$to" "${seal[@]}" --target "$disk/back"
    back_up
    expect_message 'BACKUP-1: it was cut off' 'backup 1 was cut off: [0-9]+ of its files can be referred to'
    expect_state 1 'cut off'
    expect_state 2 complete
    kept=$(manifest '[.origins[] | select(.number == 1).bytes] | add')
    echo "killed at fragment $count: $(stored) bytes stored, $kept referred to"
    [ $(($(stored) + kept)) = $all ] || fail "$(stored) and $kept are not $all"
    [ "$kept" -gt "$last" ] || fail "killed at fragment $count: no more is kept than before"
    last=$kept
    expect_whole
    expect_exit '1 10' "$penstock" restore --from "$to" "${seal[@]}" --target "$disk/none" 1
    expect_exit '1 10' "$penstock" verify --from "$to" "${seal[@]}" 1
    expect_absent "$disk/none"
done

# What is left is read at the pace, too.
rm -rf "$to"
cut_off after.BACKUP_FRAGMENT_CONF 6
began=$(date +%s%N)
back_up --pace 16M
elapsed=$((($(date +%s%N) - began) / 1000000))
echo "at 16M: $(stored) bytes stored and the rest looked through in $elapsed ms"
[ "$elapsed" -ge $((all * 1000 / 16777216 - 500)) ] || fail "$all bytes at 16M took $elapsed ms"
expect_whole

# It goes when nobody refers to it, and not before.
expect_exit '1 3 11' "$penstock" prune --from "$to" "${seal[@]}" 1
expect_state 1 'cut off'
expect_exit 0 "$penstock" prune --from "$to" "${seal[@]}" --keep-last 1
expect_state 1 'cut off'
expect_exit 0 "$penstock" prune --from "$to" "${seal[@]}" 1 2
expect_names "$to" ''

# Several generations, beside a backup that is complete, and files that change in between.
back_up
complete=$number
head -c 16000000 /dev/urandom >"$tree/large1"
sleep 2.1
for count in 1 2 3; do cut_off after.BACKUP_FRAGMENT_CONF "$count"; done
head -c 16000000 /dev/urandom >"$tree/large2"
rm "$tree/sub/faab"
changed_at=$SECONDS
all=$((all - 20000))
back_up
[ "$(manifest .base.number)" = "$complete" ] || fail "its base is $(manifest .base)"
[ "$(stored)" -lt 32000001 ] || fail "$(stored) bytes are stored of two files of 16 MB"
expect_whole
rm -rf "$to"
for count in 2 3 4; do cut_off after.BACKUP_FRAGMENT_CONF "$count"; done
back_up
echo "killed thrice: $(stored) bytes stored, of $(manifest '.origins | length') origins"
[ "$(manifest '.origins | length')" -ge 2 ] || fail 'nothing of the first ones is used'
expect_whole

# Killed when all is written, and when what was cut off is gathered. A file that is too young is read again.
while [ $((SECONDS - changed_at)) -lt 4 ]; do sleep 0.5; done
for point in before.ARCHIVE_MANIFEST_REQ before.ARCHIVE_DECIDE_REQ; do
    rm -rf "$to"
    cut_off "$point" 1
    back_up
    [ "$(stored)" = 0 ] || fail "killed at $point: $(stored) bytes are stored again"
    expect_whole
done
rm -rf "$to"
cut_off after.BACKUP_FRAGMENT_CONF 4
cut_off after.PART_ENDED 1
cut_off after.PART_ENDED 2
back_up
[ "$(manifest '[.origins[].bytes] | add')" -gt 16000000 ] || fail 'lost when it was gathered'
expect_whole
expect_exit 0 "$penstock" verify --from "$to" "${seal[@]}"

# Damaged before it is gathered: what is behind the damage is stored again. After that: it is found.
for where in 0 5000 100000 3000000; do
    rm -rf "$to"
    cut_off after.BACKUP_FRAGMENT_CONF 4
    for part in 1 2; do flip "$to/BACKUP-1/BACKUP-1-PART-$part-OF-2/BACKUP-1.1.data" "$where"; done
    back_up
    kept=$(manifest '[.origins[]?.bytes] | add // 0')
    [ "$kept" -le $((2 * where)) ] || fail "$kept bytes of what is damaged at $where"
    expect_whole
done
flip "$to/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data" 1000000
expect_exit 1 "$penstock" verify --from "$to" "${seal[@]}" "$number"
# Then the next one does not refer to it, nor one whose base, as nobody has noticed yet, has the same damage.
back_up
[ "$(stored)" = "$all" ] || fail "$(stored) bytes are stored after damage was found"
expect_whole
rm -rf "$to"
cut_off after.BACKUP_FRAGMENT_CONF 4
back_up
back_up
flip "$to/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data" 1000000
expect_exit 1 "$penstock" verify --from "$to" "${seal[@]}" 2
back_up
[ "$(manifest 'all(.origins[]?; .number != 1)')" = true ] || fail 'it refers to what may be damaged'
expect_whole
rm -rf "$to"

# A full one refers to what was cut off of itself, not to what the full one before it refers to.
cut_off after.BACKUP_FRAGMENT_CONF 4 --full-every 2
for full in 1 0 1; do
    back_up --full-every 2
    [ "$full" = 0 ] || [ "$(manifest .sums.source_bytes)" -gt 0 ] || fail "backup $number is not full"
done
[ "$(manifest '[.origins[]?.bytes] | add // 0')" = 0 ] || fail "a full backup refers to $(manifest .origins)"
cut_off after.BACKUP_FRAGMENT_CONF 4
back_up --full-every 1
[ "$(stored)" = "$all" ] || fail 'a full backup refers to what has a base'
cut_off after.BACKUP_FRAGMENT_CONF 4 --full-every 1
back_up --full-every 1
[ "$(manifest '.origins | length')" = 1 ] || fail 'nothing of the full one that was cut off is used'
expect_whole
rm -rf "$to"

# A draft that cannot be read, and a part that leads elsewhere: nothing is referred to, and nothing there is touched.
cut_off after.BACKUP_FRAGMENT_CONF 4
flip "$to/BACKUP-1/BACKUP-1.1.draft" 30
back_up
expect_message 'BACKUP-1: left alone: BACKUP-1.1.draft: '
[ "$(stored)" = "$all" ] || fail "$(stored) bytes are stored"
expect_state 1 incomplete
expect_exit 0 "$penstock" prune --from "$to" "${seal[@]}" 1
rm -rf "$to"
cut_off after.BACKUP_FRAGMENT_CONF 4
mv "$to/BACKUP-1/BACKUP-1-PART-1-OF-2" "$disk/elsewhere"
ln -s "$disk/elsewhere" "$to/BACKUP-1/BACKUP-1-PART-1-OF-2"
sum=$(cksum <"$disk/elsewhere/BACKUP-1.1.data")
back_up
[ "$(stored)" = "$all" ] || fail "$(stored) bytes are stored"
[ "$(cksum <"$disk/elsewhere/BACKUP-1.1.data")" = "$sum" ] || fail 'a file elsewhere was changed'
rm -rf "$to" "$disk/elsewhere"
for bytes in 20 100000; do
    cut_off after.BACKUP_FRAGMENT_CONF 4
    head -c "$bytes" /dev/urandom >"$to/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data"
    sum=$(cksum <"$to/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data")
    back_up
    [ "$(stored)" = "$all" ] || fail "$(stored) bytes are stored"
    [ "$(cksum <"$to/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data")" = "$sum" ] || fail 'what is no part was changed'
    expect_whole
    rm -rf "$to"
done

# At any moment.
for round in 1 2 3 4 5 6; do
    # --foreground: it waits for what it has killed, which has the lock until it is gone.
    timeout --foreground -s KILL "0.$((RANDOM % 9 + 1))" "${backup[@]}" "${sources[@]}" >/dev/null 2>&1 </dev/null || true
    [ $((round % 3)) -gt 0 ] || { back_up && expect_whole; }
done
rm -rf "$to"

# Not what is wanted: other sources, no base, a sealed one where it is not; all is removed at once.
cut_off after.BACKUP_FRAGMENT_CONF 4
expect_exit 0 "${backup[@]}" --source "other=dir:$tree/sub"
expect_absent "$to/BACKUP-1"
cut_off after.BACKUP_FRAGMENT_CONF 4
expect_exit 0 "$penstock" backup --to "$to" "${sources[@]}" --base none "${seal[@]}"
expect_absent "$to/BACKUP-3"
if [ "${#seal[@]}" = 0 ]; then
    expect_exit 0 "$penstock" keygen "$disk/key"
    cut_off after.BACKUP_FRAGMENT_CONF 4
    back_up --key-file "$disk/key"
    expect_absent "$to/BACKUP-5"
    [ "$(stored)" = "$all" ] || fail 'a sealed backup refers to what is not'
fi

# An abort leaves nothing.
rm -rf "$to"
echo interrupt >"$PENSTOCK_FAULTS/after.BACKUP_FRAGMENT_CONF"
expect_exit 130 "${backup[@]}" "${sources[@]}"
expect_absent "$to"

# An environment that is written meanwhile: its runs are compared.
mkdir "$disk/env"
"$writer" init "$disk/env" nosync
"$writer" run "$disk/env" 20000 nosync
sources=(--source "db=lmdb:$disk/env")
cut_off after.BACKUP_FRAGMENT_CONF 2
"$writer" run "$disk/env" 3 nosync
back_up
kept=$(manifest '[.origins[]?.bytes] | add // 0')
echo "an environment of $(stat -c %s "$disk/env/data.mdb") bytes: $kept are referred to"
[ "$kept" -gt 4000000 ] || fail "of an environment $kept bytes are referred to"
expect_exit 0 "$penstock" verify --from "$to" "${seal[@]}"
rm -rf "$disk/back"
expect_exit 0 "$penstock" restore --from "$to" "${seal[@]}" --target "$disk/back"
[ "$("$writer" check "$disk/back")" = "$("$writer" check "$disk/env")" ] || fail 'another environment'

# A disk that is full of what was cut off: the next one fails or not, and leaves nothing of its own.
is_root || exit 0
sources=(--source "data=dir:$tree")
to=$memory/small/to
backup=("$penstock" backup --to "$to" --ldms 2 --chunk 64K --base auto "${seal[@]}")
mkdir "$memory/small"
mount -t tmpfs -o size=120m,mode=755 penstock "$memory/small" || skip 'no mounting here'
mounted+=("$memory/small")
cut_off after.BACKUP_FRAGMENT_CONF 4
dd if=/dev/zero of="$memory/small/fill" bs=64K 2>/dev/null || true
expect_exit 1 "${backup[@]}" "${sources[@]}"
expect_message 'No space left on device'
expect_absent "$to/BACKUP-2"
rm "$memory/small/fill"
back_up
expect_whole
