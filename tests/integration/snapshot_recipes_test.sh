#!/bin/bash
# The recipes of docs/snapshots.md for Btrfs and for fsfreeze, as they stand there, on loop devices: what is
# restored is of one instant, while others write.
#
#   snapshot_recipes_test.sh PENSTOCK FOLDER DOCS
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
docs=${3:?usage: snapshot_recipes_test.sh PENSTOCK FOLDER DOCS}
is_root || skip 'mounting needs root'
for tool in mkfs.btrfs btrfs mkfs.xfs; do
    command -v "$tool" >/dev/null || fail "$tool is missing: run scripts/install-deps test"
done
files=200
volume=$disk/volume

# mount_new TYPE MEGABYTES: $volume is a new file system of that type
mount_new() {
    truncate -s "$2M" "$disk/image.$1"
    "mkfs.$1" -q "$disk/image.$1"
    mkdir -p "$volume"
    mount -o loop "$disk/image.$1" "$volume" 2>"$memory/err" || skip "$1 cannot be mounted here: $(cat "$memory/err")"
    mounted=("$volume")
}

# Files that are written in a ring: at any instant there is a number n that the first ones have, and the rest has
# n - 1.
start_writer() {
    mkdir "$volume/ring"
    local i
    for ((i = 0; i < files; i++)); do printf 1000000 >"$volume/ring/$(printf %03d "$i")"; done
    rm -f "$memory/stop"
    (
        n=1000000
        while [ ! -e "$memory/stop" ]; do
            n=$((n + 1))
            for ((i = 0; i < files; i++)); do
                # shellcheck disable=SC2094 # written in place, of the same length
                printf '%d' "$n" 1<>"$volume/ring/$(printf '%03d' "$i")"
            done
        done
    ) &
    writer=$!
}
stop_writer() {
    touch "$memory/stop"
    wait "$writer"
}

is_of_one_instant() { # FOLDER
    local numbers
    numbers=$(cat "$1"/ring/* | fold -w 7 | uniq)
    case $(wc -l <<<"$numbers") in
    1) ;;
    2) [ "$(head -n 1 <<<"$numbers")" = $(($(tail -n 1 <<<"$numbers") + 1)) ] ;;
    *) false ;;
    esac
}

# recipe NAME: its file of docs/snapshots.md, for $volume in place of /srv
recipe() {
    {
        echo '[backup]'
        sed -n "\\|^# /etc/penstock/backup-$1.ini\$|,/^\`\`\`/{/^\`\`\`/d; s|/srv|$volume|g; p}" "$docs/snapshots.md"
    } >"$disk/$1.ini"
    [ "$(grep -c command "$disk/$1.ini")" = 2 ] || fail "no recipe: $(cat "$disk/$1.ini")"
}

with_recipe() { # RECIPE OPTION…
    expect_exit 0 "$penstock" backup --config "$disk/$1.ini" --source "app=dir:$volume" --to "$memory/to" --json "${@:2}"
}

exact() { # RECIPE ROUNDS
    local round
    recipe "$1"
    for ((round = 0; round < $2; round++)); do
        with_recipe "$1"
        rm -rf "$disk/restored"
        expect_exit 0 "$penstock" restore --from "$memory/to" --target "$disk/restored"
        is_of_one_instant "$disk/restored" || fail "$1: not of one instant: $(cat "$disk/restored"/ring/* | fold -w 7 | uniq -c)"
    done
    touch "$volume/thawed" # it takes writes
}

# not so without a snapshot, or this test would show nothing
is_torn() {
    local round
    for ((round = 0; round < 40; round++)); do
        rm -rf "$disk/restored"
        expect_exit '0 3' "$penstock" backup --source "app=dir:$volume" --to "$memory/to"
        [ "$status" = 0 ] || return 0
        expect_exit 0 "$penstock" restore --from "$memory/to" --target "$disk/restored"
        is_of_one_instant "$disk/restored" || return 0
    done
    fail 'whole without a snapshot too'
}

mount_new btrfs 256
start_writer
is_torn
exact btrfs 5
stop_writer
expect_absent "$volume/.penstock"

# what a killed backup and its guard have left is no obstacle for the next but one
btrfs subvolume snapshot -r "$volume" "$volume/.penstock" >/dev/null
expect_exit '0 1' "$penstock" backup --config "$disk/btrfs.ini" --source "app=dir:$volume" --to "$memory/to"
with_recipe btrfs
expect_absent "$volume/.penstock"

# a snapshot has another device, but its files are known again, and so after one without a snapshot
sleep 2.5 # or their times are too young
references() { # OPTION…
    expect_exit 0 "$penstock" backup --source "app=dir:$volume" --to "$memory/to" --json --base auto "$@"
    jq 'select(.message_type == "summary").references // 0' "$memory/out"
}
references --config "$disk/btrfs.ini" >/dev/null
[ "$(references --config "$disk/btrfs.ini")" = "$files" ] || fail 'a second snapshot: files are not known again'
[ "$(references)" = "$files" ] || fail 'after a snapshot: files are not known again'
[ "$(references --config "$disk/btrfs.ini")" = "$files" ] || fail 'in a snapshot: files are not known again'

# a subvolume below it is not in the snapshot, which must not look as if it had been empty
btrfs subvolume create "$volume/nested" >/dev/null
echo kept >"$volume/nested/file"
expect_exit 3 "$penstock" backup --config "$disk/btrfs.ini" --source "app=dir:$volume" --to "$memory/to" --one-file-system=no
expect_message 'does not have the subvolumes in it.*nested'
expect_exit 0 "$penstock" backup --source "app=dir:$volume" --to "$memory/to" --one-file-system=no

# another subvolume is the same file system: frozen, it could not take the backup
expect_exit 1 "$penstock" backup --source "app=dir:$volume/ring" --to "$volume/nested/to" --freeze-command true --thaw-command true
expect_message 'the backup is to be written to the same one'
expect_exit 0 "$penstock" backup --source "app=dir:$volume/ring" --to "$volume/nested/to" --freeze-command true --thaw-command true --thaw-at cut
umount "$volume"

mount_new xfs 320
start_writer
exact fsfreeze 3
stop_writer
# a backup that is killed does not leave it frozen
"$penstock" backup --config "$disk/fsfreeze.ini" --source "app=dir:$volume" --source synthetic:rows=10000000,row-bytes=100 \
    --to "$memory/to" --pace 1M >"$memory/out" 2>"$memory/err" &
victim=$!
sleep 1
kill -KILL "$victim"
{ wait "$victim"; } 2>/dev/null || true
timeout 120 touch "$volume/thawed" || fail 'it stayed frozen'
# nor is it written to while it is frozen
expect_exit 1 "$penstock" backup --config "$disk/fsfreeze.ini" --source "app=dir:$volume/ring" --to "$volume/to"
expect_message 'the backup is to be written to the same one'
timeout 120 touch "$volume/thawed" || fail 'it stayed frozen after a refusal'
umount "$volume"

# nothing is open any more in what the thaw command unmounts, also after a failure
mkdir "$disk/tree" "$disk/seen"
random_bytes 3000000 >"$disk/tree/file"
mounted=("$disk/seen")
back_up=("$penstock" backup --source "dir:$disk/tree" --to "$memory/to2" --ldms 2
    --freeze-command "mount --bind $disk/tree $disk/seen; echo $disk/seen" --thaw-command "umount $disk/seen")
expect_exit 0 "${back_up[@]}"
expect_exit 0 "${back_up[@]}" --single-threaded --verify
(
    ulimit -f 1000
    expect_exit 1 "${back_up[@]}"
    expect_message 'File too large'
)
! mountpoint -q "$disk/seen" || fail 'still mounted'
