#!/bin/bash
# Incremental backups of a tree in which programs change files all the time, before, while and after
# they are compared: when all is quiet, the last backup, which refers to many earlier ones, comes back as
# the tree is; each one verifies, by itself and with all that it refers to.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tree=$disk/tree
to=$disk/to
seconds=${is_full:+60}
until_s=$(($(date +%s) + ${seconds:-12}))

# Changes files in every way, for ever: whole, in the middle, at the end, by another of the same name,
# with the same size and mtime, with further names.
change() { # SEED
    local file n=0
    RANDOM=$1
    while :; do
        file=$tree/d$((RANDOM % 5))/f$((RANDOM % 60))
        n=$((n + 1))
        case $((RANDOM % 8)) in
        0) echo "$1 $n" >"$file" ;;
        1) echo "$1 $n" >>"$file" ;;
        2) printf '%s' "$((n % 10))" | dd of="$file" bs=1 seek=3 conv=notrunc status=none ;;
        3) echo "$1 $n" >"$tree/.new$1" && mv "$tree/.new$1" "$file" ;;
        4) rm -f "$file" ;;
        5) ln -f "$file" "$file.link" 2>/dev/null || true ;;
        6) mv "$file" "$tree/d$((RANDOM % 5))/f$((RANDOM % 60))" 2>/dev/null || true ;;
        7)
            touch -r "$file" "$memory/time$1" 2>/dev/null || continue
            printf '%s' "$((n % 10))" | dd of="$file" bs=1 seek=0 conv=notrunc status=none
            touch -c -r "$memory/time$1" "$file" 2>/dev/null || true
            ;;
        esac
    done
}

for i in {0..4}; do
    mkdir -p "$tree/d$i" "$tree/quiet$i"
    for j in {0..59}; do
        echo "$i $j" >"$tree/d$i/f$j"
        echo "quiet $i $j" >"$tree/quiet$i/$j"
    done
done
head -c 3000000 /dev/urandom >"$tree/quiet0/large"
change 1 2>/dev/null &
writers=$!
change 2 2>/dev/null &
writers="$writers $!"
made=0 # on a slow host it takes longer to make a few
while [ "$(date +%s)" -lt "$until_s" ] || [ "$made" -lt 6 ]; do
    made=$((made + 1))
    expect_exit '0 3' "$penstock" backup --source "dir:$tree" --to "$to" --ldms 2 --base auto
done
# shellcheck disable=SC2086 # two
kill $writers
wait
for _ in 1 2; do # what changed less than 2 s before the first is read by the second
    expect_exit 0 "$penstock" backup --source "dir:$tree" --to "$to" --ldms 2 --base auto
    expect_exit 0 "$penstock" restore --from "$to" --target "$disk/target"
    diff -r --no-dereference "$tree" "$disk/target"
    rm -rf "$disk/target"
done
"$penstock" list --from "$to" --json >"$memory/list"
for number in $(jq .number "$memory/list"); do
    expect_exit 0 "$penstock" verify --from "$to" "$number"
done
jq -se '.[-1].origins | length > 2' "$memory/list" >/dev/null || fail 'the last one refers to fewer than three'
