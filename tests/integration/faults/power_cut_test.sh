#!/bin/bash
# A power cut in a backup, and another one while what is left of it is gathered: of what was not synced the disk has any
# part, old blocks, new ones, or zeros. Nothing that is not there is believed, and the next backup is whole.
#
#   power_cut_test.sh PENSTOCK_FAULTS FOLDER [SEED]
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=../lib.sh disable=SC2154
source "$here/../lib.sh"
RANDOM=${3:-1}

export PENSTOCK_FAULTS=$memory/faults
mkdir "$PENSTOCK_FAULTS"
tree=$disk/tree
to=$memory/to
block=4096
backup=("$penstock" backup --to "$to" --ldms 2 --chunk 64K --base auto --source "data=dir:$tree")
mkdir -p "$tree/sub"
for i in 1 2 3 4; do head -c 3000000 /dev/urandom >"$tree/large$i"; done
for i in {1..150}; do seq "$i" "$((i + 4000))" >"$tree/sub/f$i"; done
sleep 2.1 # nothing is younger than what a base can tell changes by

cut_off() { # POINT COUNT OPTION...
    rm -f "$PENSTOCK_FAULTS"/*
    echo "kill $2" >"$PENSTOCK_FAULTS/$1"
    status=0
    "${backup[@]}" "${@:3}" >"$memory/out" 2>"$memory/err" </dev/null &
    { wait $!; } 2>/dev/null || status=$?
    rm -f "$PENSTOCK_FAULTS"/*
    [ "$status" = 137 ] || fail "not killed at $1: exit $status"
}

blocks_of() { echo $((($(stat -c %s "$1") + block - 1) / block)); }
part() { echo "$1/BACKUP-1/BACKUP-1-PART-$2-OF-2/BACKUP-1.1.data"; } # DIRECTORY PART

# Some blocks that were not synced were never written; or the file is shorter.
lose_some() { # PART_FILE
    local i blocks lost
    blocks=$(blocks_of "$1")
    lost=$((RANDOM % 3))
    for ((i = 0; i < lost; i++)); do
        dd if=/dev/zero of="$1" bs=$block count=1 seek=$((RANDOM % blocks)) conv=notrunc status=none
    done
    [ $((RANDOM % 3)) -gt 0 ] || truncate -s $((RANDOM % blocks * block)) "$1"
}

# What was being written behind the whole chunks: each block is as it was, as it was to be, or zeros; and the length likewise.
tear() { # FILE OLD_FILE NEW_FILE
    local first i sizes=("$(stat -c %s "$2")" "$(stat -c %s "$3")") shorter
    shorter=$((sizes[0] < sizes[1] ? sizes[0] : sizes[1]))
    first=$({ cmp "$2" "$3" 2>/dev/null || true; } | awk '{ print int(($5 - 1) / 4096) }')
    [ -n "$first" ] || first=$((shorter / block)) # one is the beginning of the other
    cp "$2" "$1"
    for ((i = first; i < $(blocks_of "$3"); i++)); do
        case $((RANDOM % 4)) in
        0) ;;
        1) dd if=/dev/zero of="$1" bs=$block count=1 seek="$i" conv=notrunc status=none ;;
        *) dd if="$3" of="$1" bs=$block count=1 skip="$i" seek="$i" conv=notrunc status=none ;;
        esac
    done
    truncate -s "${sizes[RANDOM % 2]}" "$1"
    [ $((RANDOM % 3)) -gt 0 ] || truncate -s "$(((first + RANDOM % 8) * block))" "$1"
}

gathered=0
for round in {1..24}; do
    rm -rf "$to"
    codec=none
    [ $((round % 2)) = 0 ] || codec=zstd
    cut_off after.BACKUP_FRAGMENT_CONF $((RANDOM % 2 + 1)) --compress "$codec"
    for i in 1 2; do
        [ $((RANDOM % 2)) = 0 ] || lose_some "$(part "$to" "$i")"
    done
    rm -rf "$memory/before"
    cp -a "$to" "$memory/before"
    if [ $((round % 4)) -gt 0 ]; then # cut again
        last=$((RANDOM % 2 + 1))
        cut_off after.PART_ENDED "$last"
        rm -rf "$memory/after"
        cp -a "$to" "$memory/after"
        tear "$(part "$to" "$last")" "$(part "$memory/before" "$last")" "$(part "$memory/after" "$last")"
    fi
    expect_exit 0 "${backup[@]}"
    if grep -q 'are whole in it' "$memory/err"; then gathered=$((gathered + 1)); fi
    expect_exit 0 "$penstock" verify --from "$to"
    rm -rf "$memory/back"
    expect_exit 0 "$penstock" restore --from "$to" --target "$memory/back"
    compare_trees "$tree" "$memory/back"
done
echo "24 power cuts: in $gathered of them something was left to refer to"
[ "$gathered" -ge 12 ] || fail "something was left in $gathered rounds only"
