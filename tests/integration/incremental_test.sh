#!/bin/bash
# Incremental backups: what is read and what is referred to, for every way in which a file can change or
# a base can be of no use. What a reader makes of references: reading tests.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tree=$disk/tree
to=$disk/to
number=0

# Nothing of the tree is younger than the 2 s by which a base can tell changes.
settle() {
    sleep 2.1
}

back_up() { # OPTION...
    number=$((number + 1))
    expect_exit 0 "$penstock" backup --source "data=dir:$tree" --to "$to" --ldms 2 "$@"
}

manifest() { # FILTER
    head -1 "$to/BACKUP-$number/BACKUP-$number.1.manifest" | jq -c "$1"
}

# Bytes that the last backup read, and objects that it refers to.
expect_read() { # BYTES OBJECTS
    local found
    found=$(manifest '[.sums.source_bytes, ([.origins[]?.objects] | add // 0)] | map(tostring) | join(" ")' | tr -d '"')
    [ "$found" = "$1 $2" ] || fail "backup $number: read and referred to $found, expected $1 $2"
}

expect_base() { # NUMBER|null
    [ "$(manifest .base.number)" = "$1" ] || fail "backup $number: base $(manifest .base), expected $1"
}

plant_tree() { # 10 files of 1000 bytes, a large one, a sparse one, one with two names
    rm -rf "$tree" "$to"
    mkdir -p "$tree/sub"
    for i in 0 1 2 3 4 5 6 7 8 9; do head -c 1000 /dev/urandom >"$tree/sub/f$i"; done
    head -c 5000000 /dev/urandom >"$tree/large"
    head -c 8192 /dev/urandom >"$tree/sparse"
    truncate -s 20M "$tree/sparse"
    head -c 2000 /dev/urandom >"$tree/one"
    ln "$tree/one" "$tree/two"
    : >"$tree/empty"
    number=0
    settle
}
all=$((10 * 1000 + 5000000 + 8192 + 2000))

# The first stores everything, the second nothing; the third refers to the first, past the second.
plant_tree
back_up --base auto
expect_read $all 0
expect_base null
back_up --base auto
expect_message 'backup 1 is the base: 13 of its files can be referred to'
expect_read 0 13
expect_base 1
expect_output "^base 1: 4\\.8 MiB more lie in earlier backups \\(17 references\\)"
back_up --base auto --compress zstd --json
tail -1 "$memory/out" >"$memory/summary"
expect_described "$memory/summary"
jq -e ".base == 2 and .references == 17 and .referenced_bytes == $all and .source_bytes == 0" "$memory/summary" >/dev/null ||
    fail 'summary: not what was referred to'
expect_base 2
expect_read 0 13
[ "$(manifest '[.origins[].number]')" = '[1]' ] || fail 'the third generation is not flat'
[ "$(manifest '.origins[0].bytes')" = $all ] || fail 'not all bytes are referred to'
[ "$(manifest .version.incompatible)" = 2 ] || fail 'an older reader takes it'
rm -rf "$to/BACKUP-2"
back_up --base auto # BACKUP-4: its base, 3, needs 1 alone
expect_base 3
expect_read 0 13

# Every way in which a file can change.
echo changed >>"$tree/sub/f0"                         # 1008 bytes
rm "$tree/sub/f1"
mv "$tree/sub/f2" "$tree/sub/renamed"                 # read: another path
head -c 700 /dev/urandom >"$tree/new"
mv "$tree/new" "$tree/sub/f3"                         # replaced
truncate -s 10 "$tree/sub/f4"                         # shrunk
touch -r "$tree/sub/f5" "$disk/time"
head -c 1000 /dev/urandom | dd of="$tree/sub/f5" conv=notrunc status=none
touch -r "$disk/time" "$tree/sub/f5"                  # the same size and mtime
chmod 600 "$tree/sub/f6"                              # ctime alone: read, its contents may have changed
ln "$tree/sub/f7" "$tree/sub/other"                   # likewise
back_up --base auto
expect_read $((1008 + 1000 + 700 + 10 + 1000 + 1000 + 1000)) 5
settle
back_up --base auto # what was changed less than 2 s before the base began is read again
expect_read $((1008 + 1000 + 700 + 10 + 1000 + 1000 + 1000)) 5
back_up --base auto
expect_read 0 12
[ "$(manifest '[.origins[].number] | sort')" = '[1,6]' ] || fail 'origins: not where the bytes are'

# A large file that was as it had been, and changes then: its run is stored, and no other.
printf XXXXXXXX | dd of="$tree/large" bs=1 seek=3000000 conv=notrunc status=none
back_up --base auto
expect_read 1048576 12

# Without a base nothing is referred to; --rehash reads all, and refers to the runs that it finds.
back_up --base auto --rehash
[ "$(manifest .sums.source_bytes)" = $((all - 1000 + 8 - 300 - 990 - 5000000)) ] || fail "rehash: $(manifest .sums)"
[ "$(manifest '[.origins[].bytes] | add')" = 5000000 ] || fail 'rehash: a run is stored again'
expect_base 8
back_up
expect_base null
expect_read $((all - 1000 + 8 - 300 - 990)) 0
[ "$(manifest .version.incompatible)" = 0 ] || fail 'a full backup has a bit set'

# One in three is full; an ID is taken or refused.
plant_tree
back_up --base auto --full-every 3
for base in 1 2 null 4; do
    back_up --base auto --full-every 3
    expect_base $base
done
back_up --base 1
expect_base 1
expect_read 0 13
expect_exit 1 "$penstock" backup --source "data=dir:$tree" --to "$to" --base 99
expect_message 'base 99: no backup has the number or uid 99' 'no backup was made: .*no such backup: 99$'
expect_exit 1 "$penstock" backup --source "other=dir:$tree" --to "$to" --base 1
expect_message 'backup 1 is not one of the same node, host and sources'

# what a dry run says too
expect_exit 1 "$penstock" backup --dry-run --source "data=dir:$tree" --to "$to" --base 99
expect_message 'base 99: no backup has the number or uid 99'
expect_exit 1 "$penstock" backup --dry-run --source "other=dir:$tree" --to "$to" --base 1
expect_message 'backup 1 is not one of the same node, host and sources'
expect_exit 0 "$penstock" backup --dry-run --source "data=dir:$tree" --to "$to" --base 1

expect_exit 2 "$penstock" backup --source "data=dir:$tree" --to "$to" --full-every 3
expect_message 'full-every counts with base auto alone'
expect_exit 2 "$penstock" backup --source "data=dir:$tree" --to "$to" --rehash
expect_message 'rehash: without a base all files are read anyway'
expect_exit 2 "$penstock" backup --source "data=dir:$tree" --to "$to" --trust-after 5s
expect_message 'trust-after: without a base all files are read anyway'

# Two jobs of one name: each has its own newest as the base, and its own one in two that is full; the first has
# what there is.
plant_tree
here=$tree
cp -a "$tree" "$disk/there"
settle
for base in null 1 1 null null 4; do
    back_up --base auto --full-every 2
    expect_base $base
    [ "$tree" = "$here" ] && tree=$disk/there || tree=$here
done
expect_read 0 13
tree=$here
# So has each choice of what is left out; and what was moved is known still.
plant_tree
back_up --base auto
back_up --base auto --exclude /sub/
expect_base 1
expect_read 0 3
back_up --base auto
expect_base 1
expect_read 0 13
back_up --base auto --exclude /sub/
expect_base 2
mv "$tree" "$disk/moved"
tree=$disk/moved
back_up --base auto
expect_base 4
expect_read 10000 3
tree=$here

# A base that is damaged is passed over, and named; nothing refers to what is gone.
plant_tree
back_up --base auto
back_up --base auto
for part in 1 2; do flip "$to/BACKUP-2/BACKUP-2-PART-$part-OF-2/BACKUP-2.1.data" 8200; done
back_up --base auto
expect_message 'backup 2 is not taken as the base: .*BACKUP-2'
expect_base 1
expect_read 0 13
rm -rf "$to/BACKUP-1"
back_up --base auto # 3 refers to 1 alone
expect_message 'backup 3 is not taken as the base' 'backup 2 is not taken as the base'
expect_base null
expect_read $all 0

# Sealed and plain ones are no bases of each other; another key opens nothing.
for key in a b; do expect_exit 0 "$penstock" keygen "$disk/$key"; done
back_up --base auto --key-file "$disk/a"
expect_message 'backup 4 is not taken as the base: it is not sealed, and this one is'
expect_base null
back_up --base auto --key-file "$disk/a"
expect_base 5
expect_read 0 13
# Without the key verify says what it could not check, and what is not there.
expect_exit 0 "$penstock" verify --from "$to" 6
expect_message 'only the checksums of what is stored' 'not checked without a key: [0-9]+ bytes and [0-9]+ objects of it that lie in backup 5, uid'
expect_exit 0 "$penstock" verify --from "$to" 6 --json
jq -es 'any(.warning and (.what | test("^not checked without a key: .* objects of it that lie in backup 5")))' "$memory/out" >/dev/null || fail 'nothing of it in JSON'
expect_exit 0 "$penstock" verify --from "$to" 6 --key-file "$disk/a"
! grep -q 'without a key' "$memory/err" || fail 'it says so with the key'
mkdir "$disk/alone"
cp -r "$to/BACKUP-6" "$disk/alone/"
expect_exit 3 "$penstock" verify --from "$disk/alone"
expect_message 'could not be verified: a backup that holds some of its data is missing \(backup 5, uid [0-9a-f]+\)'
back_up --base auto --key-file "$disk/b"
expect_message 'backup 6 is not taken as the base: no key that was given opens it'
expect_read $all 0
back_up --base auto
expect_message 'backup 7 is not taken as the base: it is sealed, and this one is not'
expect_base 4

# Whoever opens a backup must be able to read what it refers to: each key that it is sealed for, by itself.
expect_opened_by() { # KEY-OPTION...
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore --from "$to" --target "$disk/target" "$@" "$number"
    compare_trees "$tree" "$disk/target"
}
plant_tree
(umask 077 && echo "correct horse" >"$disk/phrase")
expect_exit 0 "$penstock" keygen --pair "$disk/pair"
back_up --base auto --key-file "$disk/a"
for more in "--key-file $disk/b" "--recipient $disk/pair.pub" "--passphrase-file $disk/phrase"; do
    # shellcheck disable=SC2086
    back_up --base auto --key-file "$disk/a" $more
    expect_message "backup $((number - 1)) is not taken as the base: not all keys that this one is sealed for open it"
    # shellcheck disable=SC2086
    back_up --base auto --key-file "$disk/a" $more
    expect_base $((number - 1))
    more=${more/--recipient/--key-file}
    # shellcheck disable=SC2086
    expect_opened_by ${more%.pub}
    expect_opened_by --key-file "$disk/a"
done
expect_exit 1 "$penstock" backup --source "data=dir:$tree" --to "$to" --base 1 --key-file "$disk/a" --key-file "$disk/b"
expect_message 'base 1: not all keys that this one is sealed for open it'
# The same holds for what the base itself refers to.
plant_tree
back_up --base auto --key-file "$disk/a"
back_up --base auto --key-file "$disk/a"
expect_exit 0 "$penstock" key add --from "$to" --key-file "$disk/a" --new-key-file "$disk/b" 2
expect_message 'backup 2 has data in backup 1: a new key opens that only if it is added there too'
expect_exit 12 "$penstock" cat --from "$to" --key-file "$disk/b" --id 2 large
expect_message 'sealed, and no key that was given opens it \(backup 1,'
back_up --base auto --key-file "$disk/b"
expect_opened_by --key-file "$disk/b"
back_up --base auto --key-file "$disk/b" --key-file "$disk/a"
expect_opened_by --key-file "$disk/b"

# A base that has lost both files of its decision is not taken for one that was never completed: another has data in it.
plant_tree
back_up --base auto
back_up --base auto
mkdir "$disk/lost"
mv "$to"/BACKUP-1/*.cluster.manifest* "$disk/lost"
back_up --base auto
expect_message 'BACKUP-1: left alone: backup 2 has data in it, so it was complete'
expect_base null
mv "$to/BACKUP-1/BACKUP-1.1.manifest" "$disk/lost" # and what says its uid
back_up --base auto
expect_message 'BACKUP-1: left alone: backup 2 has data in it, so it was complete'
mv "$disk/lost"/* "$to/BACKUP-1"
rm -rf "$disk/target"
expect_exit 0 "$penstock" restore --from "$to" --target "$disk/target" 2
compare_trees "$tree" "$disk/target"
rm -r "$to"/BACKUP-[2-4] # nobody has data in it any more
rm "$to"/BACKUP-1/*.cluster.manifest*
expect_exit 0 "$penstock" backup --source "data=dir:$tree" --to "$to" --number 9
expect_absent "$to/BACKUP-1"

# The other may have a lower number, if it was asked for.
back_up --base auto --number 200
back_up --base auto --number 100
cp -r "$to/BACKUP-200" "$disk/higher"
rm "$to"/BACKUP-200/*.cluster.manifest*
expect_exit 0 "$penstock" backup --source "data=dir:$tree" --to "$to" --number 300
expect_message 'BACKUP-200: left alone: backup 100 has data in it, so it was complete'
cp "$disk/higher"/*.cluster.manifest* "$to/BACKUP-200"
expect_exit 0 "$penstock" verify --from "$to" 100

# Nor where one that is newer cannot be read: it may have data in it.
plant_tree
back_up --base auto
back_up --base auto
cp -r "$to" "$disk/whole"
rm "$to"/BACKUP-1/*.cluster.manifest*
truncate -s 100 "$to"/BACKUP-2/*.cluster.manifest*
back_up --base auto
expect_message 'BACKUP-1: left alone: it has no cluster manifest, but backup 2, whose own cannot be read, may have data in it'
for lost in 1 2; do cp "$disk/whole/BACKUP-$lost"/*.cluster.manifest* "$to/BACKUP-$lost"; done
rm -rf "$disk/target"
expect_exit 0 "$penstock" restore --from "$to" --target "$disk/target" 2
compare_trees "$tree" "$disk/target"

# What it refers to is gone before it is complete: whoever removes it is not kept off, as prune is. More than once
# where the host lets the backup end before that.
for _ in {1..20}; do
    plant_tree
    back_up --base auto
    head -c 4000000 /dev/urandom >"$tree/large"
    "$penstock" backup --source "data=dir:$tree" --to "$to" --base auto --pace 4M 2>"$memory/err" &
    client=$!
    until [ -d "$to/BACKUP-2" ]; do kill -0 "$client" || fail 'it has ended'; done
    rm -rf "$disk/away"
    mv "$to/BACKUP-1" "$disk/away"
    status=0
    wait "$client" || status=$?
    [ "$status" = 0 ] || break
done
[ "$status" = 1 ] || fail "what it refers to is gone: exit $status"
expect_message 'BACKUP-1: it was removed or moved while a backup was made that has data in it'
[ -z "$(names_below "$to")" ] || fail 'something is left'
