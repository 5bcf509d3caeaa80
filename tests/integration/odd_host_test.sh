#!/bin/bash
# What cannot be reached is no less there: it is named and counted, and the exit code is 3. A file with
# several names is read through any of them; one that changes is restored as it was read. A clock that no backup can have is named.
#
#   odd_host_test.sh PENSTOCK FOLDER PRELOADED
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
preloaded=${3:?}

back_up() { # EXIT_CODE UNREACHABLE
    rm -rf "$memory/to" "$memory/target"
    expect_exit "$1" env LD_PRELOAD="$preloaded" UNREACHABLE="$2" "$penstock" backup --source "dir:$memory/src" --to "$memory/to"
}

restore() {
    expect_exit "$1" "$penstock" restore --from "$memory/to" --target "$memory/target"
}

# Only ENOENT says that a file is gone.
errors() {
    local error
    mkdir "$memory/src"
    echo good >"$memory/src/good"
    echo lost >"$memory/src/bad1"
    echo lost >"$memory/src/bad2"
    for error in 5 13 20 40 107 116; do # EIO EACCES ENOTDIR ELOOP ENOTCONN ESTALE
        back_up 3 $error
        expect_message 'not in the backup: "bad1"' 'not in the backup: "bad2"' 'complete, but 2 objects could not be read'
        expect_exit 0 "$penstock" show --from "$memory/to"
        expect_output src/bad1 src/bad2
        restore 3
        [ "$(ls "$memory/target")" = good ] || fail "not the reachable file alone: $(ls "$memory/target")"
    done
    back_up 0 2 # ENOENT
    expect_message '2 files were removed while they were listed'
    for error in 12 24; do # ENOMEM EMFILE: not the file's fault, and worth no backup
        back_up 1 $error
        expect_absent "$memory/to"
    done
    rm -r "$memory/src"
}

# The first name goes between listing and reading; the data is there under the other.
one_of_two_names_goes() {
    mkdir "$memory/src"
    echo DATA >"$memory/src/aa"
    ln "$memory/src/aa" "$memory/src/bb"
    back_up 0 gone
    restore 0
    local name
    for name in "$memory/src"/*; do # the other one may be there, as it was when it was listed
        cmp "$name" "$memory/target/$(basename "$name")" || fail "restored: $(head "$memory/target"/*)"
    done
    [ "$(sort -u "$memory/target"/*)" = DATA ] || fail "restored: $(head "$memory/target"/*)"
    rm -r "$memory/src"
}

# What is cut, grows or is replaced between listing and reading: what was read is restored, no zeros.
changed_before_it_is_read() {
    local name
    mkdir "$memory/src"
    for name in cut-0 cut-1 cut-4096 cut-150000 grown replaced; do random_bytes 200000 >"$memory/src/$name"; done
    cp "$memory/src/grown" "$memory/listed"
    ln "$memory/src/cut-4096" "$memory/src/link" # to what was cut, or is not yet
    random_bytes 70000 >"$memory/other"
    back_up 3 changed
    expect_message 'complete, but [678] objects could not be read, or changed'
    expect_exit 0 "$penstock" verify --from "$memory/to"
    restore 3
    for name in cut-0 cut-1 cut-4096 link cut-150000 replaced; do
        cmp "$memory/src/$name" "$memory/target/$name" || fail "restored of $name: $(stat -c %s "$memory/target/$name") bytes"
    done
    cmp "$memory/listed" "$memory/target/grown" || fail 'not what was read of a file that grew'
    rm -r "$memory/src"
}

# From a directory that is not read yet to one that was: it is in the backup.
moved_to_where_the_listing_was() {
    local name order
    for name in a b c; do mkdir -p "$memory/src/$name"; done
    mapfile -t order < <(ls -U "$memory/src")
    mkdir "$memory/src/${order[2]}/tree"
    echo file >"$memory/src/${order[2]}/tree/file"
    echo mover >"$memory/src/${order[1]}/mover"
    sleep 0.1
    export MOVED_FROM=$memory/src/${order[2]}/tree MOVED_TO=$memory/src/${order[0]}/tree
    rm -rf "$memory/to" "$memory/target"
    expect_exit 0 env LD_PRELOAD="$preloaded" UNREACHABLE=moved "$penstock" backup --source "dir:$memory/src" --to "$memory/to" --ldms 1
    [ -e "$MOVED_TO" ] || fail 'nothing was moved'
    expect_exit 0 "$penstock" verify --from "$memory/to"
    restore 0
    diff -r "$memory/src" "$memory/target" || fail 'not what is there'
    rm -r "$memory/src"
}

no_name_can_be_read() {
    mkdir -p "$memory/src/deeper"
    echo secret >"$memory/src/one"
    ln "$memory/src/one" "$memory/src/deeper/two"
    ln "$memory/src/one" "$memory/src/three"
    echo other >"$memory/src/other"
    chmod 000 "$memory/src/one"
    rm -rf "$memory/to"
    mkdir -m 777 "$memory/for-all"
    expect_exit 3 as_ordinary_user "$penstock" backup --source "dir:$memory/src" --to "$memory/for-all/to"
    expect_message 'one: Permission denied' 'deeper/two: Permission denied' 'three: Permission denied' 'but 3 objects could not be read'
    expect_exit 0 "$penstock" show --from "$memory/for-all/to"
    expect_output src/one src/deeper/two src/three
}

wrong_clock() {
    local seconds
    rm -rf "$memory/to"
    for seconds in -86400 9300000000; do # 1969, 2264
        expect_exit 1 env LD_PRELOAD="$preloaded" CLOCK=$seconds "$penstock" backup --source "dir:$memory/src" --to "$memory/to"
        expect_message 'the clock of this host is before 1970 or after 2262: set it'
        expect_absent "$memory/to"
        # Set during the backup.
        expect_exit 1 env LD_PRELOAD="$preloaded" CLOCK=$seconds CLOCK_FROM="$memory/to/BACKUP-1" "$penstock" backup --source "dir:$memory/src" --to "$memory/to"
        expect_message 'the clock of this host is before 1970 or after 2262: set it'
        ! grep -q 'Invalid argument' "$memory/err" || fail 'a riddle about the clock'
        expect_absent "$memory/to/BACKUP-1"
        rm -rf "$memory/to"
    done
    expect_exit 0 env LD_PRELOAD="$preloaded" CLOCK=86400 "$penstock" backup --source "dir:$memory/src" --to "$memory/to"
}

# Where times do not show all changes, no file is known from a base, and the log says so.
file_systems_that_hide_changes() {
    local magic bytes
    mkdir "$disk/src"
    echo one >"$disk/src/one"
    sleep 2.1
    for magic in 0xef53:0 0x4d44:4 0x2011BAB0:4 0x01021994:4 0x65735546:4 0x73717368:4; do # ext4, FAT, exFAT, tmpfs, FUSE, squashfs
        rm -rf "$disk/to"
        for _ in 1 2; do
            expect_exit 0 env LD_PRELOAD="$preloaded" FILE_SYSTEM="${magic%:*}" "$penstock" backup --source "data=dir:$disk/src" --to "$disk/to" --base auto
        done
        bytes=$(head -n 1 "$disk/to/BACKUP-2/BACKUP-2.1.manifest" | jq .sums.source_bytes)
        [ "$bytes" = "${magic#*:}" ] || fail "on $magic $bytes bytes were read again"
        [ "$bytes" = 0 ] || expect_message 'files on tmpfs, FAT and the like are read: their times do not show all changes'
    done
    chmod 600 "$disk/src/one" # so that its ctime is not its mtime
    sleep 2.1
    for _ in 1 2; do
        expect_exit 0 env LD_PRELOAD="$preloaded" FILE_SYSTEM=0x65735546 "$penstock" backup --source "data=dir:$disk/src" --to "$disk/to" --base auto
    done
    bytes=$(head -n 1 "$disk/to/BACKUP-4/BACKUP-4.1.manifest" | jq .sums.source_bytes)
    [ "$bytes" = 0 ] || fail "on FUSE with a ctime of its own $bytes bytes were read again"
    ! grep -q 'show all changes' <(FILE_SYSTEM=0xef53 "$penstock" backup --source "data=dir:$disk/src" --to "$disk/to" --base auto 2>&1) || fail 'ext4 shows them'
}

# What was restored in place lies in several file systems; one of them has lost what it took.
unsynced_mount() {
    local target=$memory/place damage
    is_root || return 0
    mkdir -p "$disk/nested/sub/deep" "$target/sub/deep"
    echo file | tee "$disk/nested/top" >"$disk/nested/sub/deep/file"
    expect_exit 0 "$penstock" backup --source "dir:$disk/nested" --to "$disk/nested-to"
    for damage in '' --keep-going; do
        for place in sub sub/deep; do
            mount -t tmpfs none "$target/$place" 2>"$memory/err" || return 0
            mounted+=("$target/$place")
            mkdir -p "$target/sub/deep"
            # shellcheck disable=SC2086 # no option, or one
            expect_exit 1 env LD_PRELOAD="$preloaded" UNSYNCED="$target/$place" "$penstock" restore --from "$disk/nested-to" --target "$target" --force $damage
            expect_message "$target: the target's file system could not be synced .Input/output error" "$target holds what was restored so far"
            # shellcheck disable=SC2086
            expect_exit 0 "$penstock" restore --from "$disk/nested-to" --target "$target" $damage
            diff -r "$disk/nested" "$target"
            umount "$target/$place"
        done
    done
}

# A file system may take an owner and a mode, and keep neither.
kept_by_nobody() {
    local name
    is_root || return 0
    mkdir -p "$disk/odd/narrow"
    for name in plain other set; do echo "$name" >"$disk/odd/$name"; done
    chown 1234:1234 "$disk/odd/other"
    chmod 4755 "$disk/odd/set"
    chmod 711 "$disk/odd/narrow"
    expect_exit 0 "$penstock" backup --source "dir:$disk/odd" --to "$disk/odd-to"
    expect_exit 3 env LD_PRELOAD="$preloaded" IGNORED=1 "$penstock" restore --from "$disk/odd-to" --target "$memory/ignored"
    expect_message 'could not set the owner of odd/other: Operation not supported' 'could not set the mode of odd/set' 'could not set the mode of odd/narrow'
    ! grep -q odd/plain "$memory/err" || fail 'the owner and mode of this one are right'
    expect_exit 0 "$penstock" restore --from "$disk/odd-to" --target "$memory/kept"
}

errors
unsynced_mount
kept_by_nobody
file_systems_that_hide_changes
one_of_two_names_goes
changed_before_it_is_read
moved_to_where_the_listing_was
no_name_can_be_read
wrong_clock
