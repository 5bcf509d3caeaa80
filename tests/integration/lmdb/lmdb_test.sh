#!/bin/bash
# Live LMDB environments: writers that know nothing of Penstock write, are killed and start again,
# while backups are taken and killed. Each restored environment must be the writers' history up to
# the transaction that the manifest names, and LMDB's own tools must take it for their own.
#
#   LMDB_TEST_ROUNDS=N lmdb_test.sh PENSTOCK FOLDER LMDB_WRITER [rows]
#
# rows: the same of logical backups, and what only they can do.
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
writer=${3:?}
rows=${4:-}
how=(${rows:+--logical})
for tool in mdb_stat mdb_dump mdb_copy jq setsid; do
    command -v "$tool" >/dev/null || skip "$tool is missing: run scripts/install-deps test"
done
rounds=${is_full:+40}
rounds=${rounds:-${LMDB_TEST_ROUNDS:?}}

# Two writers, each killed and started again at random until stop_writers.
start_writers() { # ENV FLAG…
    touch "$memory/writing"
    local i
    for i in 1 2; do
        while [ -e "$memory/writing" ]; do
            status=0
            timeout -s KILL "0.$((RANDOM % 8 + 1))$RANDOM" "$writer" run "$1" 0 "${@:2}" || status=$?
            [ "$status" -eq 137 ] || echo "exit $status" >>"$memory/writer-failed"
        done 2>>"$memory/writer-failed" &
    done
}

stop_writers() {
    rm "$memory/writing"
    wait
    grep -v Killed "$memory/writer-failed" >"$memory/err" && fail 'a writer failed'
    rm -f "$memory/writer-failed" "$memory/err"
}

transaction_of() { # ENV
    mdb_stat -e "$1" | sed -n 's/.*Last transaction ID: //p'
}

# The writers have gone on since they were at transaction $2.
expect_progress() { # ENV T
    wait_until is_later "$@"
}

is_later() {
    [ "$(transaction_of "$1")" -gt "$2" ]
}

# expect_history ENV [NAME]: ENV, restored from the newest backup, is the history up to the
# transaction that its manifest has for the source NAME. $replayed keeps the history so far.
expect_history() {
    local said replay
    "$writer" check "$1" ${rows:+rows} >"$memory/checked" 2>"$memory/err" ||
        fail "$1 is not consistent: $(cat "$memory/err")"
    said=$("$penstock" show --from "$memory/backups" --json |
        jq ".node_manifests[0].sources[] | select(.name == \"${2:-env}\") | .details.transaction_id")
    [ "$(cut -d' ' -f1 "$memory/checked")" = "$said" ] || fail "$1: the manifest says $said"
    "$writer" replay "$replayed" "$said"
    replay=$("$writer" check "$replayed")
    [ "$(cat "$memory/checked")" = "$replay" ] || fail "$1: $(cat "$memory/checked") is not $replay"
}

# LMDB's tools read it, and it can be written to as if nothing had happened.
expect_usable() { # ENV
    mdb_stat -e -f -a "$1" >"$memory/out" || fail "mdb_stat $1"
    diff <(mdb_dump -a "$1" | grep -v '^mapsize=\|^maxreaders=\|^db_pagesize=') \
        <(mdb_dump -a "$replayed" | grep -v '^mapsize=\|^maxreaders=\|^db_pagesize=') >&2 ||
        fail "mdb_dump $1 is unlike that of the replay"
    mkdir "$memory/compact"
    mdb_copy -c "$1" "$memory/compact" || fail "mdb_copy -c $1"
    rm -r "$memory/compact"
    [ -z "$rows" ] || return 0 # its transactions are not those that the writer counts by
    "$writer" run "$1" 300 nosync || fail "$1 cannot be written to"
    "$writer" check "$1" >"$memory/out" || fail "$1 is damaged by further writes"
}

new_history() {
    rm -rf "$memory/env" "$memory/replayed" "$memory/backups" "$memory/target"
    mkdir "$memory/env" "$memory/replayed"
    replayed=$memory/replayed
}

backups_under_writers() { # FLAG…
    local i
    new_history
    "$writer" init "$memory/env" "$@"
    start_writers "$memory/env" "$@"
    for ((i = 1; i <= rounds; i++)); do
        expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups" \
            --ldms $((i % 4 + 1)) "${how[@]}"
        expect_exit 0 "$penstock" verify --from "$memory/backups"
        expect_exit 0 "$penstock" restore --from "$memory/backups" --target "$memory/target"
        expect_history "$memory/target"
        if [ "$i" -lt "$rounds" ]; then rm -r "$memory/target" "$memory/backups"; fi
    done
    stop_writers
    expect_usable "$memory/target"
}

single_file() {
    rm -rf "$memory/one" "$memory/backups" "$memory/replayed"
    mkdir "$memory/one" "$memory/replayed"
    "$writer" init "$memory/one/db" file nosync
    "$writer" run "$memory/one/db" 500 file nosync
    chmod 604 "$memory/one/db"
    expect_exit 0 "$penstock" backup --source "lmdb:$memory/one/db" --to "$memory/backups" --ldms 2
    grep -q '^source db: transaction id 501, .*, frozen 0\.000 ms, pinned [0-9.]* ms, grown 0 B$' \
        "$memory/out" || fail 'the summary does not tell how long the snapshot was held'
    expect_exit 0 "$penstock" show --from "$memory/backups" --json
    expect_json '.[0].node_manifests[0].sources[0].details
        | .transaction_id == 501 and .frozen_ns == 0 and .pinned_ns > 0 and .grown_bytes == 0'
    expect_exit 0 "$penstock" restore --from "$memory/backups" --target "$memory/file-target"
    [ "$(ls "$memory/file-target")" = db ] || fail "a single file: $(ls "$memory/file-target")"
    [ "$(stat -c %a "$memory/file-target/db")" = 604 ] || fail 'the mode of a single file'
    [ "$("$writer" check "$memory/file-target/db" file)" = "$("$writer" check "$memory/one/db" file)" ] ||
        fail 'a single file differs'
    # On a disk the pages are written past the page cache.
    expect_exit 0 "$penstock" restore --from "$memory/backups" --target "$disk/file-target"
    cmp "$memory/file-target/db" "$disk/file-target/db" || fail 'restored on a disk, the file differs'
}

# Writes always come first in one, then in two. Freezes are in name order.
two_environments() {
    local i first second pair
    rm -rf "$memory/backups"
    mkdir "$memory/1" "$memory/2"
    "$writer" pair "$memory/1" "$memory/2" &
    pair=$!
    wait_until test -e "$memory/2/data.mdb"
    for ((i = 1; i <= 2 * rounds; i++)); do
        # Either order of freezing.
        if [ $((i % 2)) -eq 0 ]; then first=x second=y; else first=y second=x; fi
        expect_exit 0 "$penstock" backup --source "$first=lmdb:$memory/1" \
            --source "$second=lmdb:$memory/2" --to "$memory/backups" --ldms 2 "${how[@]}"
        expect_exit 0 "$penstock" restore --from "$memory/backups" --target "$memory/pair"
        first=$("$writer" count "$memory/pair/$first")
        second=$("$writer" count "$memory/pair/$second")
        if [ "$first" -ne "$second" ] && [ "$first" -ne $((second + 1)) ]; then
            fail "no cut: $first in the first environment, $second in the second"
        fi
        rm -r "$memory/pair" "$memory/backups"
    done
    kill -KILL "$pair"
    wait "$pair" 2>/dev/null || true
    [ "$first" -gt 100 ] || fail "pair hardly counted: $first"
}

# What dir: opens and closes there, lock file included, costs the snapshot nothing.
tree_and_environment() {
    local i
    new_history
    "$writer" init "$memory/env" nosync
    start_writers "$memory/env" nosync
    for i in 1 2 3; do
        expect_exit '0 3' "$penstock" backup --source "env=lmdb:$memory/env" \
            --source "a=dir:$memory/env" --source "z=dir:$memory/env" --to "$memory/backups" --ldms 2
        expect_exit '0 3' "$penstock" restore --from "$memory/backups" --target "$memory/target"
        expect_history "$memory/target/env"
        rm -r "$memory/target" "$memory/backups"
    done
    stop_writers
}

# No reader slot belongs to a process that is gone.
expect_no_stale_reader() { # ENV
    wait_until all_readers_live "$1"
}

all_readers_live() {
    local pid
    for pid in $(mdb_stat -r "$1" | awk '$1 ~ /^[0-9]+$/ { print $1 }'); do
        [ -d "/proc/$pid" ] || return 1
    done
}

# No guard outlives its backup.
expect_no_guard() { # PID
    wait_until has_ended "$1"
}

has_ended() {
    ! grep -lqx "$1" /proc/[0-9]*/task/[0-9]*/children 2>/dev/null && [ ! -d "/proc/$1" ]
}

hold_lock() { # ENV
    : >"$memory/held"
    "$writer" hold "$1" 600000 >"$memory/held" &
    holder=$!
    wait_until test -s "$memory/held"
}

let_go_lock() {
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || true
    holder=''
}

killed_backups() {
    local i at guard pid holder=''
    new_history
    "$writer" init "$memory/env" nosync
    mkdir "$memory/held-up-last"
    "$writer" init "$memory/held-up-last" nosync small
    start_writers "$memory/env" nosync
    for ((i = 1; i <= 2 * rounds; i++)); do
        # Every other one is killed while it holds one lock and waits for the next.
        if [ $((i % 2)) -eq 0 ]; then hold_lock "$memory/held-up-last"; fi
        at=$(transaction_of "$memory/env")
        "$penstock" backup --source "lmdb:$memory/env" --source "z=lmdb:$memory/held-up-last" \
            --to "$memory/backups" "${how[@]}" >"$memory/out" 2>"$memory/err" </dev/null &
        pid=$!
        sleep "0.0$((RANDOM % 10))$RANDOM"
        guard=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)
        case $((i % 3)) in
        0) # the guard first: the backup must not end well, if it was not done already
            # shellcheck disable=SC2086 # several words, or none
            [ -z "$guard" ] || kill -KILL $guard 2>/dev/null || true
            wait "$pid" 2>/dev/null || true
            ;;
        1) kill -KILL "$pid" 2>/dev/null || true ;;
        2) # shellcheck disable=SC2086
            kill -KILL "$pid" $guard 2>/dev/null || true ;;
        esac
        wait "$pid" 2>/dev/null || true
        expect_progress "$memory/env" "$at"
        # A guard that waits for a lock hears of the end when it gets it.
        if [ -n "$holder" ]; then let_go_lock; fi
        for pid in $guard; do expect_no_guard "$pid"; done
        if [ $((i % 3)) -eq 1 ]; then expect_no_stale_reader "$memory/env"; fi
    done
    expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups"
    expect_no_stale_reader "$memory/env"
    expect_exit 0 "$penstock" list --from "$memory/backups" --json
    expect_json 'all(.[]; .state == "complete" or .state == "incomplete" or .message_type == "end")'
    # Whatever looks complete is.
    for pid in $(jq -r 'select(.state == "complete") | .number' "$memory/out"); do
        expect_exit 0 "$penstock" restore --from "$memory/backups" "$pid" --target "$memory/target"
        for at in "$memory/target" "$memory/target/env"; do
            [ ! -e "$at/data.mdb" ] || "$writer" check "$at" ${rows:+rows} >/dev/null ||
                fail "backup $pid"
        done
        rm -r "$memory/target"
    done
    stop_writers
    "$writer" check "$memory/env" >/dev/null || fail 'the environment itself is damaged'
}

# Refused, with what to do instead; which does.
read_only_mount() {
    is_root || return 0
    new_history
    "$writer" init "$memory/env" nosync
    mkdir "$memory/mount"
    mount --bind "$memory/env" "$memory/mount" 2>/dev/null || return 0
    mounted+=("$memory/mount")
    mount -o remount,ro,bind "$memory/mount"
    expect_exit 1 "$penstock" backup --source "lmdb:$memory/mount" --to "$memory/none"
    expect_message 'Read-only file system.*back up a snapshot, which nobody can write, as dir:'
    expect_exit 0 "$penstock" backup --source "dir:$memory/mount" --to "$memory/backups"
    expect_exit 0 "$penstock" restore --from "$memory/backups" --target "$memory/target"
    cmp "$memory/env/data.mdb" "$memory/target/data.mdb" || fail 'not the environment'
    umount "$memory/mount"
    rmdir "$memory/mount"
    rm -rf "$memory/backups" "$memory/target"
}

refusals() {
    local at holder
    mkdir "$memory/empty"
    expect_exit 1 "$penstock" backup --source "lmdb:$memory/empty" --to "$memory/none"
    expect_message 'want an LMDB environment'
    [ -z "$(ls "$memory/empty")" ] || fail 'an environment was made where there was none'
    head -c 8192 /dev/zero >"$memory/zeros"
    expect_exit 1 "$penstock" backup --source "lmdb:$memory/zeros" --to "$memory/none"
    expect_message 'want an LMDB environment'
    expect_absent "$memory/none" "$memory/zeros-lock"
    # A lock that another process holds: one source does without, two give up in time.
    new_history
    "$writer" init "$memory/env" nosync
    hold_lock "$memory/env"
    expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups"
    expect_exit 1 "$penstock" backup --source "lmdb:$memory/env" --source "z=dir:$memory/empty" \
        --to "$memory/backups" --freeze-wait 100ms
    expect_message 'writers of a source could not be frozen in time'
    let_go_lock
    expect_no_stale_reader "$memory/env"
    # A writer that does not lock, whatever it is that gives it away.
    at=$(transaction_of "$memory/env")
    "$writer" run "$memory/env" 0 nolock nosync &
    expect_progress "$memory/env" "$at"
    expect_exit 1 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups"
    expect_message 'MDB_NOLOCK'
    kill %1
    wait
    # Frozen first, and held up for too long while the other one is waited for.
    mkdir "$memory/held-up"
    "$writer" init "$memory/held-up" nosync small
    hold_lock "$memory/env"
    expect_exit 1 "$penstock" backup --source "a=lmdb:$memory/held-up" --source "b=lmdb:$memory/env" \
        --to "$memory/backups" --freeze-hold 100ms
    expect_message 'source b: SOURCE_FREEZE_REQ: the writers of a source could not be frozen in time'
    let_go_lock
    expect_exit 0 "$penstock" backup --source "a=lmdb:$memory/held-up" \
        --source "b=lmdb:$memory/env" --to "$memory/backups"
}

# A writer holds its lock beyond the limit, once: the next try finds it free.
missed_freeze() {
    local holder backup
    hold_lock "$memory/env"
    "$penstock" backup --source "a=lmdb:$memory/held-up" --source "b=lmdb:$memory/env" \
        --to "$memory/backups" --freeze-wait 3s >"$memory/out" 2>"$memory/err" </dev/null &
    backup=$!
    until grep -q 'source b: .* could not be frozen in time' "$memory/err"; do
        [ -d "/proc/$backup" ] || fail 'a backup does not wait for its writers'
        sleep 0.01
    done
    "$writer" run "$memory/held-up" 1 nosync # what was frozen first was let go
    let_go_lock
    wait "$backup" || fail "a backup whose freeze missed its limit once: exit $?"
    wait
}

# The tables of the newest backup are what mdb_dump prints of them.
exports() {
    local table
    expect_exit 0 "$penstock" export --from "$memory/backups" --to "$memory/dumps"
    for table in $(mdb_dump -l "$memory/target"); do
        mdb_dump -s "$table" "$memory/target" | cmp - "$memory/dumps/$table.dump" >&2 ||
            fail "the export of $table is not what mdb_dump prints"
    done
    mkdir "$memory/loaded"
    for table in "$memory"/dumps/*.dump; do
        mdb_load -f "$table" "$memory/loaded" 2>"$memory/err" || fail "mdb_load $table"
    done
    [ "$("$writer" check "$memory/loaded" rows)" = "$(cat "$memory/checked")" ] ||
        fail 'what mdb_load made of the export differs'
    expect_exit 0 "$penstock" export --from "$memory/backups" --to "$memory/json" --format jsonl \
        --tables state
    expect_exit 0 "$penstock" export --from "$memory/backups" --to "$memory/paced" --pace 20M --min-rate 1M
    expect_exit 2 "$penstock" export --from "$memory/backups" --to "$memory/none" --pace 1K
    [ "$(ls "$memory/json")" = state.jsonl ] || fail "exported: $(ls "$memory/json")"
    jq -e '.key == "n"' "$memory/json/state.jsonl" >"$memory/out" || fail 'jsonl'
    expect_exit 0 "$penstock" export --from "$memory/backups" --to "$memory/csv" --format csv \
        --tables state,history
    [ "$(wc -l <"$memory/csv/state.csv")" -eq 2 ] || fail "csv: $(cat "$memory/csv/state.csv")"
    expect_exit 2 "$penstock" export --from "$memory/backups" --to "$memory/none" --tables nothing
    expect_message 'there is no table nothing'
    expect_exit 2 "$penstock" export --from "$memory/backups" --to "$memory/none" --source nothing
    expect_message 'has no source nothing'
    expect_absent "$memory/none"
}

# A table of any name, each kind of flags, a filter, a map of another size, and damage.
# Over an environment that a process has open nothing is restored. Else its lock file goes with its
# data file: by the last transaction's number, which only the lock file has, LMDB chooses a meta page.
restore_over_environments() {
    local holder='' extra file
    new_history
    rm -rf "$memory/target" "$memory/backups"
    "$writer" init "$memory/env" nosync
    "$writer" run "$memory/env" 6 nosync
    mkdir "$memory/tree"
    cp "$memory/env/data.mdb" "$memory/tree/"
    expect_exit 0 "$penstock" backup --source "env=lmdb:$memory/env" --source "dir:$memory/tree" --to "$memory/backups" \
        "${how[@]}"
    for extra in 4 5; do
        rm -rf "$memory/target"
        mkdir "$memory/target"
        cp -r "$memory/env" "$memory/target/env"
        cp -r "$memory/env" "$memory/target/tree"
        for file in env tree; do
            hold_lock "$memory/target/$file"
            cp -r "$memory/target" "$memory/before"
            expect_exit 1 "$penstock" restore --from "$memory/backups" --target "$memory/target" --force
            expect_message "lock.mdb is locked: a process has that database open; end it first; it is in the way of $file/data.mdb"
            diff -r "$memory/before" "$memory/target" || fail 'a refused restore changed its target'
            rm -r "$memory/before"
            let_go_lock
            "$writer" run "$memory/target/$file" "$extra" nosync
        done
        expect_exit 0 "$penstock" restore --from "$memory/backups" --target "$memory/target" --force
        expect_absent "$memory/target/env/lock.mdb" "$memory/target/tree/lock.mdb"
        for file in env tree; do
            diff <(mdb_dump -a "$memory/env" | grep -v mapsize) <(mdb_dump -a "$memory/target/$file" | grep -v mapsize) >&2 ||
                fail "not all rows of $file after $extra transactions"
            "$writer" run "$memory/target/$file" 1 nosync
            "$writer" check "$memory/target/$file" ${rows:+rows} >/dev/null
        done
    done
    rm -r "$memory/tree" "$memory/target"
}

special_tables() {
    local name
    rm -rf "$memory/env" "$memory/backups" "$memory/target" "$memory/tables"
    mkdir "$memory/env"
    {
        printf 'VERSION=3\nformat=print\ndatabase=%s\ntype=btree\nmapsize=67108864\n' 'a/b ä'
        printf 'HEADER=END\n key\n value\nDATA=END\n'
        printf 'VERSION=3\nformat=print\ndatabase=dups\ntype=btree\ndupsort=1\ndupfixed=1\n'
        printf 'HEADER=END\n k\n 1111\n k\n 2222\n l\n 1111\nDATA=END\n'
        printf 'VERSION=3\nformat=print\ndatabase=empty\ntype=btree\nHEADER=END\nDATA=END\n'
    } | mdb_load "$memory/env"
    printf 'plain\nrow\n' | mdb_load -T "$memory/env"
    expect_exit 2 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups" --tables dups
    expect_exit 2 "$penstock" backup --source "dir:$memory/env" --to "$memory/backups" --logical
    expect_exit 1 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups" --logical \
        --tables 'dups,nothing'
    expect_message 'no source has a table nothing'
    expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups" --logical
    expect_exit 0 "$penstock" show --from "$memory/backups" --json
    expect_json '[.[0].tables[] | "\(.table) \(.rows) \(.flags)"]
        == ["%main 1 0", "a%2Fb%20%C3%A4 1 0", "dups 3 20", "empty 0 0"]'
    expect_exit 0 "$penstock" restore --from "$memory/backups" --target "$memory/target" \
        --map-size 32M
    mdb_stat -e "$memory/target" | grep -q 'Map size: 33554432' || fail 'the size of the map'
    for name in 'a/b ä' dups empty; do
        diff <(mdb_dump -s "$name" "$memory/env" | grep -v '^mapsize=') \
            <(mdb_dump -s "$name" "$memory/target" | grep -v '^mapsize=') >&2 || fail "table $name"
    done
    [ "$(mdb_stat "$memory/target" | sed -n 's/.*Entries: //p')" -eq 4 ] || fail 'the main database'
    expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups" --logical \
        --exclude-tables 'empty,%main' --tables 'dups,empty,a%2Fb ä'
    expect_exit 0 "$penstock" export --from "$memory/backups" --to "$memory/tables"
    [ "$(cd "$memory/tables" && echo *)" = 'a%2Fb%20%C3%A4.dump dups.dump' ] || fail 'the filter'
    expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups"
    expect_exit 2 "$penstock" export --from "$memory/backups" --to "$memory/none"
    expect_message 'was not backed up row by row'
    expect_absent "$memory/none"
}

# Past damage the other tables are restored, and the environment is not taken for a whole one.
damaged_rows() {
    local data at
    rm -rf "$memory/backups" "$memory/target" "$memory/env"
    mkdir "$memory/env"
    # a table of many rows between two small ones
    for at in alpha middle omega; do
        printf 'VERSION=3\nformat=bytevalue\ndatabase=%s\ntype=btree\nmapsize=33554432\nHEADER=END\n' "$at"
        # each digit as mdb_load wants it
        seq 10000 "$([ "$at" = middle ] && echo 12999 || echo 10009)" |
            awk '{ printf " %s\n %0400d\n", $1, $1 }' | sed 's/[0-9]/3&/g'
        echo DATA=END
    done >"$memory/dump"
    mdb_load -f "$memory/dump" "$memory/env"
    expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/backups" --logical --chunk 64K --ldms 1
    data=$(echo "$memory"/backups/BACKUP-1/*PART*/*.data)
    flip "$data" 700000
    expect_exit 1 "$penstock" restore --from "$memory/backups" --target "$memory/target"
    expect_absent "$memory/target"
    expect_exit 3 "$penstock" restore --from "$memory/backups" --target "$memory/target" --keep-going
    expect_message 'the backup has not all rows of env/middle/0+' 'env/data.mdb: ' 'not all is as it was; 2 objects'
    expect_absent "$memory/target/data.mdb"
    for at in alpha omega; do
        diff <(mdb_dump -s "$at" "$memory/env" | grep -v mapsize) \
            <(mdb_dump -n -s "$at" "$memory/target/data.mdb.damaged" | grep -v mapsize) >&2 || fail "table $at"
    done
    # In place the older environment stays.
    rm "$memory"/target/data.mdb.damaged*
    echo older >"$memory/target/data.mdb"
    expect_exit 3 "$penstock" restore --from "$memory/backups" --target "$memory/target" --force --keep-going
    expect_names "$memory/target" $'./data.mdb\n./data.mdb.damaged'
    [ "$(cat "$memory/target/data.mdb")" = older ] || fail 'an older environment went for one that is not whole'
    flip "$data" 700000
    expect_exit 0 "$penstock" restore --from "$memory/backups" --target "$memory/target" --force --keep-going
    diff <(mdb_dump -a "$memory/env" | grep -v mapsize) \
        <(mdb_dump -n -a "$memory/target/data.mdb" | grep -v mapsize) >&2 || fail 'the newer environment did not come'
    # What tables a lost part had nobody knows: without them it is no whole environment.
    expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" --to "$memory/parts" --logical --chunk 64K --ldms 2
    for data in "$memory"/parts/BACKUP-1/*PART*/*.data; do
        mv "$data" "$memory/part"
        rm -rf "$memory/target"
        expect_exit 3 "$penstock" restore --from "$memory/parts" --target "$memory/target" --keep-going 1
        [ ! -e "$memory/target/data.mdb" ] ||
            diff <(mdb_dump -a "$memory/env" | grep -v mapsize) <(mdb_dump -n -a "$memory/target/data.mdb" | grep -v mapsize) >&2 ||
            fail 'an environment that lacks tables is called whole'
        mv "$memory/part" "$data"
    done
}

# An environment that has lost its end costs its backup, by name, and nothing else.
damaged_environments() {
    local option
    rm -rf "$memory/env" "$memory/backups"
    mkdir "$memory/env" "$memory/half" "$memory/sound"
    "$writer" init "$memory/env" nosync
    "$writer" init "$memory/sound" nosync
    "$writer" run "$memory/env" 500 nosync
    mdb_copy "$memory/env" "$memory/half"
    truncate -s $(($(stat -c %s "$memory/half/data.mdb") / 2)) "$memory/half/data.mdb"
    for option in '' --logical --check-pages; do
        # shellcheck disable=SC2086 # one word, or none
        expect_exit 1 "$penstock" backup --source "lmdb:$memory/half" \
            --source "lmdb:$memory/sound" --to "$memory/backups" $option
        expect_message "source half: lmdb:$memory/half: table "
        expect_message 'a source is damaged'
        expect_absent "$memory/backups/BACKUP-1"
    done
    for option in '' --logical --check-pages; do
        # shellcheck disable=SC2086
        expect_exit 0 "$penstock" backup --source "lmdb:$memory/env" \
            --source "lmdb:$memory/sound" --to "$memory/backups" $option
    done
}

logical_backups() {
    backups_under_writers nosync
    exports
    backups_under_writers writemap mapasync
    two_environments
    killed_backups
    special_tables
    restore_over_environments
    damaged_rows
    damaged_environments
}

if [ -n "$rows" ]; then
    logical_backups
    exit
fi
read_only_mount
refusals
missed_freeze
single_file
backups_under_writers nosync
backups_under_writers writemap mapasync
backups_under_writers
two_environments
tree_and_environment
killed_backups
restore_over_environments
