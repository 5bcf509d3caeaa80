#!/bin/bash
# mount_test.sh PENSTOCK FOLDER TREE: what a mounted backup shows is what was backed up, however it is stored;
# what is damaged is an error, of that file alone; and a mount ends as it should, whoever ends it.
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../mounts.sh
source "$(dirname "${BASH_SOURCE[0]}")/../mounts.sh"
maker=$memory/tree
install -m 755 "$3" "$maker"
why=$(why_no_mount)
[ -z "$why" ] || skip "$why"
point=$memory/point
tree=$disk/tree
"$penstock" keygen "$disk/key" >/dev/null
trap '"$maker" clear "$tree" 2>/dev/null || true; leave' EXIT

back_up() { # TO OPTION…
    expect_exit 0 "$penstock" backup --to "$1" --quiet "${@:2}"
}

# Trees of every kind of file, with their attributes, as the maker shows them.
every_kind() {
    local seed options
    for seed in 1 2 3 4 5 6; do
        options=(--ldms $((seed % 3 + 1)))
        [ $((seed % 2)) = 0 ] || options+=(--key-file "$disk/key")
        "$maker" make "$seed" "$tree"
        back_up "$disk/kinds" --source "dir:$tree" "${options[@]}"
        mount_backup "$point" --from "$disk/kinds" --key-file "$disk/key"
        "$maker" show "$tree" >"$memory/before"
        "$maker" show "$point" >"$memory/after"
        diff "$memory/before" "$memory/after" >&2 || fail "seed $seed differs"
        unmount_backup "$point"
        "$maker" clear "$tree"
        chmod -R u+rwX "$tree"
        rm -rf "$tree"
    done
}

plant_tree() {
    mkdir -p "$tree/etc/app" "$tree/srv" "$tree/empty" "$tree/many"
    make_small_tree "$tree/small"
    random_bytes $((200 << 20)) >"$tree/srv/large"
    ln "$tree/srv/large" "$tree/etc/app/other-name"
    echo mount-needle >"$tree/etc/needle"
    echo hosts >"$tree/etc/hosts"
    random_bytes 100 >"$tree/srv/sparse"
    truncate -s 50M "$tree/srv/sparse"
    printf end >>"$tree/srv/sparse"
    echo odd >"$tree/etc/"$'odd\nname\xff'
    local i
    for i in {1..3000}; do echo "$i" >"$tree/many/file-$i"; done
    sleep 2.1 # nothing is younger than what a base can tell
}

# Some bytes here and there of the large file, its ends among them; and behind the end, and in the hole.
expect_ranges() {
    local i offset bytes
    for i in {1..60}; do
        offset=$((RANDOM * 32768 + RANDOM))
        bytes=$((RANDOM * (i % 4 * 20 + 1) + 1))
        cmp -n "$bytes" -i "$((offset % (200 << 20)))" "$tree/srv/large" "$point/srv/large" || fail "other bytes at $offset"
    done
    cmp -i $(((200 << 20) - 5)) "$tree/srv/large" "$point/srv/large" || fail 'other bytes at the end'
    [ "$(tail -c +$(((200 << 20) + 1)) "$point/srv/large" | wc -c)" = 0 ] || fail 'bytes behind the end'
    cmp -i 40000000 "$tree/srv/sparse" "$point/srv/sparse" || fail 'other bytes in the hole'
}

expect_whole() { # ARGUMENT…
    mount_backup "$point" "$@"
    expect_ranges
    compare_trees "$tree" "$point"
    rsync -anicHAX --delete "$tree/" "$point/" >"$memory/out" 2>"$memory/err" || fail 'rsync'
    ! grep -v '^\.d\.\.t' "$memory/out" >&2 || fail 'rsync finds differences'
    unmount_backup "$point"
}

# The second backup has some of the large file anew, and refers to the first for the rest; the third to both.
however_stored() {
    local options=(--source "dir:$tree" --ldms 2 --base auto)
    plant_tree
    back_up "$disk/plain" "${options[@]}"
    back_up "$disk/other" "${options[@]}" --compress zstd --key-file "$disk/key"
    expect_whole --from "$disk/plain"
    dd if=/dev/urandom of="$tree/srv/large" bs=1M count=3 seek=77 conv=notrunc status=none
    echo new >"$tree/many/file-17"
    rm "$tree/many/file-18"
    sleep 2.1
    back_up "$disk/plain" "${options[@]}"
    back_up "$disk/other" "${options[@]}" --compress lz4 --key-file "$disk/key"
    dd if=/dev/urandom of="$tree/srv/large" bs=100K count=1 seek=3 conv=notrunc status=none
    sleep 2.1
    back_up "$disk/plain" "${options[@]}"
    back_up "$disk/other" "${options[@]}" --compress zstd --key-file "$disk/key"
    head -1 "$disk/plain/BACKUP-3/BACKUP-3.1.manifest" | jq -e '(.origins | length) == 2 and .sums.source_bytes < 9000000' >/dev/null ||
        fail 'the third backup does not refer to both'
    expect_whole --from "$disk/plain" 3
    expect_whole --from "$disk/other" --key-file "$disk/key"
    expect_exit 12 "$penstock" mount --from "$disk/other" "$point"
}

# A look at one file reads neither all names nor the other files, and two chunks of the large one are no more than that.
reads_little() {
    mount_backup "$point" --from "$disk/plain" --verbose
    cat "$point/etc/hosts" >/dev/null
    dd if="$point/srv/large" bs=4096 skip=20000 count=1 status=none | cmp - <(dd if="$tree/srv/large" bs=4096 skip=20000 count=1 status=none)
    unmount_backup "$point"
    local numbers
    read -ra numbers < <(sed -nE 's/.*read ([0-9]+) of ([0-9]+) bytes of the parts/\1 \2/p' "$memory/err")
    [ "${numbers[0]}" -lt $((6 << 20)) ] || fail "read ${numbers[*]} bytes"
}

read_bytes() { # of the last mount
    sed -nE 's/.*read ([0-9]+) of [0-9]+ bytes of the parts/\1/p' "$memory/err"
}

# To open a file, only those indexes are read that name something of it; here there are 10.
few_indexes() {
    local before
    mkdir "$tree/few"
    yes | head -c 300M >"$tree/few/large" || true # yes ends by SIGPIPE
    echo small >"$tree/few/small"
    back_up "$disk/few" --source "dir:$tree/few" --ldms 1 --chunk 64K --compress lz4
    mount_backup "$point" --from "$disk/few" --verbose
    stat "$point/small" "$point/large" >/dev/null
    unmount_backup "$point"
    before=$(read_bytes)
    mount_backup "$point" --from "$disk/few" --verbose
    grep -qx small "$point/small" || fail 'other contents'
    unmount_backup "$point"
    [ $(($(read_bytes) - before)) -lt 300000 ] || fail "a small file takes $(($(read_bytes) - before)) bytes"
    mount_backup "$point" --from "$disk/few"
    cmp "$tree/few/large" "$point/large" || fail 'the large file differs'
    unmount_backup "$point"
    rm -r "$tree/few"
}

# expect_bad NAME FILE [OTHER-NAME]: it cannot be read, and the log says which it is; nothing else is wrong.
expect_bad() {
    mount_backup "$point" --from "$disk/plain" 1
    ! cat "$point/$1" >"$memory/out" 2>"$memory/err" || fail "$1 can be read"
    expect_message 'Input/output error'
    cmp -s -n "$(stat -c %s "$memory/out")" "$memory/out" "$2" || fail "$1: bytes that were not there"
    : >"$memory/out"
    grep -Eq "error: ($1|${3:-$1}): .*BACKUP-1.*damaged" "$memory/mount.log" || fail "no line for $1: $(cat "$memory/mount.log")"
}

damage() {
    local part offset
    "$penstock" cat --from "$disk/plain" --id 1 srv/large >"$memory/large"
    offset=$(grep -obUaF -m1 mount-needle "$disk"/plain/BACKUP-1/*PART*/*.data | head -n 1 | cut -d: -f1,2)
    part=${offset%:*}
    flip "$part" "${offset#*:}"
    expect_bad etc/needle "$tree/etc/needle"
    cmp "$memory/large" "$point/srv/large" || fail 'what is whole differs' # but for what shares the chunk
    unmount_backup "$point"
    flip "$part" "${offset#*:}"
    # One chunk in the middle of the large file: the others can be read.
    part=$(find "$disk/plain/BACKUP-1" -name '*.data' -size +30M -print -quit)
    flip "$part" 20000000
    expect_bad srv/large "$memory/large" etc/app/other-name
    [ "$(dd if="$point/srv/large" bs=1M conv=noerror status=none 2>/dev/null | wc -c)" -gt $((190 << 20)) ] ||
        fail 'much of the large file cannot be read'
    diff -r --no-dereference "$tree/small" "$point/small" >&2 || fail 'what is whole differs'
    expect_exit 3 "$penstock" backup --source "dir:$point/srv" --to "$disk/torn" --ldms 2 --quiet
    unmount_backup "$point"
    flip "$part" 20000000
}

# A mount that may lack names is to be asked for. Behind a damaged index chunks are found by their headers.
without_index() {
    local part
    back_up "$disk/index" --source "dir:$tree/small" --ldms 1 --key-file "$disk/key"
    part=$(find "$disk/index" -name '*.data')
    flip "$part" $(($(stat -c %s "$part") - 20)) # the trailer
    expect_exit 1 "$penstock" mount --from "$disk/index" --key-file "$disk/key" "$point"
    expect_message 'data: offset [0-9]*: damaged' 'backup 1 is damaged, and a mount may lack some of it; --keep-going mounts'
    mount_backup "$point" --from "$disk/index" --key-file "$disk/key" --keep-going
    expect_begin
    compare_trees "$tree/small" "$point"
    unmount_backup "$point" 3
    expect_message 'backup 1 is damaged, and what is shown may lack some of it: 1 damage'
}

# What is said before anything is looked at.
expect_begin() {
    grep -q "warning: backup 1 is damaged, and $point may lack some of it: 1 damage\$" "$memory/mount.log" ||
        fail "no word of the damage: $(cat "$memory/mount.log")"
}

# One of several catalogues: what the others name is as it was.
without_catalogue() {
    local part name
    back_up "$disk/lost" --source "dir:$tree/many" --ldms 1 --chunk 64K --compress none
    part=$(find "$disk/lost" -name '*.data')
    flip "$part" "$(grep -abo file-1500 "$part" | tail -n 1 | cut -d : -f 1)"
    expect_exit 1 "$penstock" mount --from "$disk/lost" "$point"
    expect_message 'data: offset [0-9]*: damaged.*; --keep-going mounts what is whole'
    mount_backup "$point" --from "$disk/lost" --keep-going
    expect_begin
    ls "$point" >"$memory/names"
    ! grep -qx file-1500 "$memory/names" || fail 'a name without a catalogue'
    [ "$(wc -l <"$memory/names")" -gt 1500 ] || fail 'more is lost than one catalogue had'
    while read -r name; do
        cmp "$tree/many/$name" "$point/$name" || fail "$name differs"
    done <"$memory/names"
    unmount_backup "$point" 3
}

# That a file of the backup is not found says nothing of the names in it, which the kernel would keep for good.
moved() {
    mount_backup "$point" --from "$disk/plain" 3
    mv "$disk/plain/BACKUP-1" "$disk/aside"
    ! cat "$point/srv/large" >/dev/null 2>"$memory/err" || fail 'what is not there can be read'
    expect_message 'Input/output error'
    mv "$disk/aside" "$disk/plain/BACKUP-1"
    cmp "$tree/srv/large" "$point/srv/large" || fail 'it cannot be read when it is there again'
    unmount_backup "$point"
    expect_message 'error: (srv/large|etc/app/other-name): .*BACKUP-1.*No such file'
}

# What a backup could not read is an error, not zeros; the rest of the file is there.
torn() {
    mount_backup "$point" --from "$disk/torn"
    ! cat "$point/large" >"$memory/read" 2>/dev/null || fail 'what is not in the backup can be read'
    cmp -n "$(stat -c %s "$memory/read")" "$memory/read" "$memory/large" || fail 'other bytes before what is missing'
    cmp -i 190000000 "$point/large" "$memory/large" || fail 'other bytes behind what is missing'
    unmount_backup "$point"
    expect_message 'error: large: the backup could not read it wholly'
}

# Of several sources each is a directory; of tables there is nothing, and that is said.
several() {
    back_up "$disk/several" --source "a=dir:$tree/small" --source "b=dir:$tree/many" --source synthetic:rows=5
    mount_backup "$point" --from "$disk/several"
    compare_trees "$tree/small" "$point/a"
    compare_trees "$tree/many" "$point/b"
    diff <(printf '%s\n' a b synthetic) <(ls "$point") >&2 || fail 'the top has other sources'
    [ -z "$(ls -A "$point/synthetic")" ] || fail 'tables are shown'
    unmount_backup "$point"
    expect_message 'tables and their rows are not shown'
}

read_only() {
    mount_backup "$point" --from "$disk/plain"
    ! touch "$point/new" 2>"$memory/err" || fail 'it can be written to'
    expect_message 'Read-only file system'
    ! rm "$point/etc/hosts" 2>"$memory/err" || fail 'a file can be removed'
    unmount_backup "$point"
}

# What is mounted stays until it is unmounted.
pruned() {
    back_up "$disk/prune" --source "dir:$tree/small"
    back_up "$disk/prune" --source "dir:$tree/small"
    mount_backup "$point" --from "$disk/prune" 1
    expect_exit 0 "$penstock" prune --from "$disk/prune" --keep-last 1
    expect_message 'backup 1 is kept: .* it is being read'
    expect_exit 11 "$penstock" prune --from "$disk/prune" 1
    compare_trees "$tree/small" "$point"
    unmount_backup "$point"
    expect_exit 0 "$penstock" prune --from "$disk/prune" --keep-last 1
    expect_absent "$disk/prune/BACKUP-1"
}

others() {
    chmod 755 "$disk" "$point"
    chmod 600 "$tree/small/hello"
    back_up "$disk/modes" --source "dir:$tree/small"
    mount_backup "$point" --from "$disk/modes"
    ! as_ordinary_user ls "$point" 2>/dev/null || fail 'others may look without being allowed to'
    unmount_backup "$point"
    mount_backup "$point" --from "$disk/modes" --allow-other
    as_ordinary_user cat "$point/sub/deeper/../../empty" || fail 'others may not read what all may'
    ! as_ordinary_user cat "$point/hello" 2>/dev/null || fail 'others may read what is not theirs'
    unmount_backup "$point"
}

ends() {
    local signal
    for signal in INT TERM HUP; do
        mount_backup "$point" --from "$disk/modes"
        kill -s "$signal" "$server"
        expect_unmounted "$point" 130
        expect_message 'interrupted; .* is unmounted'
    done
    mount_backup "$point" --from "$disk/modes"
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
    ! ls "$point" 2>"$memory/err" || fail 'a dead mount shows something'
    expect_message 'not connected'
    fusermount3 -u "$point" || fail 'a dead mount cannot be cleared'
    expect_exit 2 "$penstock" mount --from "$disk/modes" "$disk/nowhere"
    expect_message 'nowhere: No such file'
    expect_exit 2 "$penstock" mount --from "$disk/modes" "$tree/etc/hosts"
    expect_message 'etc/hosts: not a directory'
    expect_exit 2 "$penstock" mount --from "$disk/modes"
    expect_exit 10 "$penstock" mount --from "$disk/modes" 77 "$point"
}

every_kind
however_stored
reads_little
few_indexes
damage
without_index
without_catalogue
moved
torn
several
read_only
pruned
others
ends
