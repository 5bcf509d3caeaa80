#!/bin/bash
# A tree that changes while it is backed up: exit 0 or 3, never a crash; the backup verifies and
# restores, and what did not change is as it was.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rounds=4
[ -z "$is_full" ] || rounds=100

make_changing_tree() {
    local i
    mkdir -p "$disk/tree/still" "$disk/tree/moving"
    for i in {1..200}; do random_bytes 30000 >"$disk/tree/still/$i"; done
    random_bytes $((80 << 20)) >"$disk/tree/still/large"
}

# Grows, shrinks, removes, replaces and moves, until told to stop.
change() {
    local i kind
    while [ -d "$disk" ] && [ ! -e "$disk/stop" ]; do
        for i in {1..40}; do
            kind=$((RANDOM % 7))
            case $kind in
            0) random_bytes 500000 >>"$disk/tree/moving/$i" ;;
            1) truncate -s $((RANDOM * 10)) "$disk/tree/moving/$i" ;;
            2) rm -rf "$disk/tree/moving/$i" ;;
            3) ln -sfn nowhere "$disk/tree/moving/$i" ;;
            4) mv -f "$disk/tree/moving/$i" "$disk/tree/moving/$((i + 1))" ;;
            5) mkdir "$disk/tree/moving/$i" && echo in >"$disk/tree/moving/$i/in" ;;
            6) chmod 0 "$disk/tree/moving/$i" ;;
            esac 2>/dev/null || true
        done
    done
}

changing_tree() {
    local i changer
    for ((i = 1; i <= rounds; i++)); do
        rm -f "$disk/stop"
        change &
        changer=$!
        expect_exit '0 3' "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --ldms $((i % 4 + 1))
        echo "round $i: exit $status"
        : >"$disk/stop"
        wait "$changer"
        expect_exit 0 "$penstock" verify --from "$disk/to"
        expect_exit '0 3' "$penstock" restore --from "$disk/to" --target "$disk/target"
        compare_trees "$disk/tree/still" "$disk/target/still"
        rm -rf "$disk/target" "$disk/to"
    done
}

# One that surely changes between its listing and its reading: the process is stopped meanwhile.
shrinking_file() {
    local child
    "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --ldms 1 --depth 2 --chunk 64K \
        >"$memory/out" 2>"$memory/err" &
    child=$!
    until compgen -G "$disk/to/BACKUP-1/*/*.data" >/dev/null || ! kill -0 "$child"; do :; done
    kill -STOP "$child"
    truncate -s 100 "$disk/tree/still/large"
    kill -CONT "$child"
    status=0
    wait "$child" || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || fail "a file that shrinks: exit $status"
    echo "a file that shrinks: exit $status"
    expect_exit 0 "$penstock" verify --from "$disk/to"
    local said=$status
    expect_exit '0 3' "$penstock" restore --from "$disk/to" --target "$disk/target"
    [ "$said" -eq 0 ] || [ "$status" -eq "$said" ] || fail 'backup and restore disagree'
}

make_changing_tree
changing_tree
shrinking_file
