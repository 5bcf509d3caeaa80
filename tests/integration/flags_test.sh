#!/bin/bash
# Flags of chattr(1) and project ids come back from backups of XFS, Btrfs and ext4, each on a loop device, as
# lsattr(1) shows them, and what a target cannot take is named.
#
#   flags_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
is_root || skip 'mounting needs root'
for tool in mkfs.btrfs mkfs.xfs mkfs.ext4 lsattr chattr xfs_io; do
    command -v "$tool" >/dev/null || fail "$tool is missing: run scripts/install-deps test"
done
volume=$disk/volume
tree=$volume/tree
backup_exit=0
to=$memory/to
trap 'chattr -fR -ia "$disk" "$memory" || true; leave' EXIT

mount_new() { # TYPE
    truncate -s 320M "$disk/image.$1"
    "mkfs.$1" -q "$disk/image.$1" >"$memory/out"
    mkdir -p "$volume"
    mount -o loop "$disk/image.$1" "$volume" 2>"$memory/err" || skip "$1 cannot be mounted here: $(cat "$memory/err")"
    mounted=("$volume")
    mkdir "$tree"
}
discard() { # FOLDER
    chattr -fR -ia "$1" || true
    rm -r "$1"
}
unmount() {
    chattr -fR -ia "$volume" || true
    umount "$volume"
    mounted=()
}

# What Penstock does not keep: of ext4 how a file's blocks are listed (e), and inline data (N).
shown() { (cd "$1" && find . \( -type f -o -type d \) -print0 | sort -z | xargs -0 lsattr -dp) | sed -E 's/^( *[0-9]+ [^ ]*)[eN]/\1-/' >"$2"; }
# xfs_io opens no link or FIFO: their ids are in what bulkstat tells.
projects() { # FOLDER NAME…
    local name
    for name in "${@:2}"; do
        xfs_io -c "bulkstat_single $(stat -c %i "$1/$name")" "$volume" | awk -v name="$name" '/bs_projectid/ { print name, $3 }'
    done
}
back_up() { expect_exit "$backup_exit" "$penstock" backup --source "t=dir:$tree" --to "$to" --base auto --quiet "$@"; }
restored() { expect_exit "$backup_exit" "$penstock" restore --from "$to" --target "$volume/restored" --quiet "$@"; }
same() { cmp -s "$memory/before" "$memory/after" || fail "$1: $(diff "$memory/before" "$memory/after")"; }
comes_back() { # NAME
    shown "$tree" "$memory/before"
    back_up
    restored
    shown "$volume/restored" "$memory/after"
    same "$1"
}
object() { # NAME FILTER
    expect_exit 0 "$penstock" find --from "$to" --json "$1"
    jq -es "$2" "$memory/out" >/dev/null || fail "not so of $1: $2: $(cat "$memory/out")"
}

# ---- XFS: project ids, of what cannot be opened too where the kernel tells (Linux 6.17)
mount_new xfs
mkdir "$tree"/{plain,inherits,set}
chattr -p 42 "$tree/inherits"
chattr +P "$tree/inherits"
mkdir "$tree/inherits/below"
for name in a b below/c; do echo "$name" >"$tree/inherits/$name"; done
: >"$tree/inherits/empty"
ln -s a "$tree/inherits/link"
mkfifo "$tree/inherits/fifo"
ln "$tree/inherits/a" "$tree/inherits/below/another"
echo moved >"$tree/plain/dump" && chattr +dA "$tree/plain/dump" # one that a look shows, with one that it does not
truncate -s 2M "$tree/plain/large" && chattr -p 4294967294 "$tree/plain/large" && chattr +S "$tree/plain/large"
echo i >"$tree/set/locked" && chattr -p 7 "$tree/set/locked" && chattr +i "$tree/set/locked"
mkdir "$tree/set/appended" && chattr -p 8 "$tree/set/appended" && chattr +aP "$tree/set/appended"
chattr -p 9 "$tree" && chattr +A "$tree"
sleep 2.1 # so that a base can tell changes
comes_back XFS
grep -q '^ *42 -*P-* ./inherits/below$' "$memory/after" || fail "no id is handed down: $(cat "$memory/after")"
grep -q '^ *42 -* ./inherits/below/c$' "$memory/after" || fail 'the test has no file with an id'
grep -q '^ *9 -*A-* .$' "$memory/after" || fail 'the root has no id'
projects "$tree/inherits" link fifo >"$memory/before"
projects "$volume/restored/inherits" link fifo >"$memory/after"
if [ "$(uname -r | awk -F. '{ print $1 * 1000 + $2 }')" -ge 6017 ]; then
    same 'what cannot be opened'
    grep -q '^fifo 42$' "$memory/after" || fail 'a FIFO has no id'
else
    echo 'not shown: ids of symlinks and FIFOs need Linux 6.17'
fi
[ "$(stat -c %h "$volume/restored/inherits/a")" = 2 ] || fail 'a link was copied'
object inherits/b '.[0].project == 42'
object plain/dump '.[0].flags == "dA"'
object plain '.[0] | has("flags") or has("project") | not'
there=$volume/restored

# What is changed alone differs; what is known again, and not read, keeps what it has.
back_up --json
mv "$memory/out" "$memory/known"
expect_exit 0 "$penstock" diff --from "$to" 1 2
[ ! -s "$memory/out" ] || fail "differs from itself: $(cat "$memory/out")"
jq -es 'map(select(.message_type == "summary"))[0].referenced_bytes > 0' "$memory/known" >/dev/null || fail "nothing is known again: $(cat "$memory/known")"
discard "$there"
restored
shown "$tree" "$memory/before"
shown "$volume/restored" "$memory/after"
same 'by an incremental backup'
chattr -p 43 "$tree/inherits/b"
back_up
expect_exit 0 "$penstock" diff --from "$to" 2 3
[ "$(cat "$memory/out")" = 'M inherits/b  attributes' ] || fail "a changed id: $(cat "$memory/out")"

# In place, in a directory that hands down another id, and as another user
discard "$there"
mkdir "$there" && : >"$there/mine" && chattr -p 77 "$there" && chattr +P "$there"
expect_exit 0 "$penstock" restore --from "$to" --target "$there" --force --quiet
shown "$tree" "$memory/before"
shown "$there" "$memory/after"
grep -q '^ *42 -* ./inherits/below/another$' "$memory/after" || fail 'in place: no id'
grep -q '^ *77 -*P-* ./plain$' "$memory/after" || fail "the id of the target is gone: $(cat "$memory/after")"
discard "$there"
restored --no-owner
lsattr -Rp "$there" 2>/dev/null | grep -q ' 42 ' && fail '--no-owner: an id'
# Where the target has no project ids each is named.
expect_exit 3 "$penstock" restore --from "$to" --target "$memory/there"
expect_message 'could not set the project id of t/inherits/b' 'could not set the flags P of t/inherits:'
discard "$memory/there"
# Of many a hundred are named.
mkdir "$volume/many" && chattr -p 42 "$volume/many" && chattr +P "$volume/many"
(cd "$volume/many" && touch {1..120})
expect_exit 0 "$penstock" backup --source "t=dir:$volume/many" --to "$memory/many" --quiet
expect_exit 3 "$penstock" restore --from "$memory/many" --target "$memory/there" --json
[ "$(grep -c 'could not set the' "$memory/err")" = 100 ] || fail 'not a hundred are named'
expect_message 'the target does not take 122 attributes; 100 are named above'
[ "$(jq -s 'map(select(.message_type == "trouble")) | length' "$memory/out")" = 122 ] || fail 'not all are records'
discard "$memory/there"
rm -r "$memory/many"
unmount

# ---- Btrfs: no copy on write must be set before there are contents
rm -rf "$to"
mount_new btrfs
mkdir "$tree"/{nocow,compressed}
chattr +C "$tree/nocow"
echo c >"$tree/nocow/inherited"
: >"$tree/alone" && chattr +C "$tree/alone" && head -c 3M /dev/urandom >>"$tree/alone"
chattr +c "$tree/compressed"
head -c 200000 /dev/zero >"$tree/compressed/zeros"
: >"$tree/locked" && chattr +C "$tree/locked" && echo l >>"$tree/locked" && chattr +di "$tree/locked"
: >"$tree/m" && chattr +m "$tree/m" && echo m >>"$tree/m" && chattr +d "$tree/m"
chattr +D "$tree/compressed"
backup_exit=3 # the algorithm, which Btrfs keeps in an attribute of its own, is not kept
comes_back Btrfs
backup_exit=0
grep -q 'C[-]* ./alone$' "$memory/after" || fail "no flag C: $(cat "$memory/after")"
# An empty subvolume, and an empty directory with flags of its own, are filled as they are.
btrfs -q subvolume create "$volume/subvolume"
mkdir "$volume/flagged" && chattr +C "$volume/flagged"
for there in subvolume flagged; do
    expect_exit 3 "$penstock" restore --from "$to" --target "$volume/$there" --quiet
    cmp "$tree/alone" "$volume/$there/alone"
    expect_absent "$volume/$there/.penstock-restore"
done
[ "$(stat -c %i "$volume/subvolume")" = 256 ] || fail 'the subvolume is gone'
lsattr -d "$volume/flagged" | grep -q 'C[-]* ' || fail "the target has lost its flag: $(lsattr -d "$volume/flagged")"
cmp "$tree/alone" "$volume/restored/alone"
# One that cannot be opened now, for somebody has a lease of it, and is read later
python3 -c 'import fcntl, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
signal.sigtimedwait({signal.SIGIO}, 300)' "$tree/alone" >"$memory/held" &
wait_until test -s "$memory/held"
expect_exit 3 "$penstock" backup --source "t=dir:$tree" --to "$memory/leased" --quiet
expect_message 'cannot keep its attribute flags .*"alone"'
wait
unmount

# ---- ext4
mount_new ext4
# What it refuses is not in the way of the rest; and what it never does anyway is not missed.
expect_exit 3 "$penstock" restore --from "$to" --target "$volume/from_btrfs"
! grep -q 'could not set the flags' "$memory/err" || fail "missed: $(cat "$memory/err")"
shown "$volume/from_btrfs" "$memory/after"
grep -q ' *0 -*i-d-* ./locked$' "$memory/after" || fail "immutable too early: $(cat "$memory/after")"
discard "$volume/from_btrfs"
rm -rf "$to"
mkdir "$tree"/{sync,top}
chattr +D "$tree/sync"
echo s >"$tree/sync/file"
chattr +T "$tree/top"
echo d >"$tree/dump" && chattr +dS "$tree/dump"
comes_back ext4
grep -q 'T[-]* ./top$' "$memory/after" || fail "no flag T: $(cat "$memory/after")"
unmount
