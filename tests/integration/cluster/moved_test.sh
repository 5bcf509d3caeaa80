#!/bin/bash
# What becomes of the paths of a running node: sources and the backup directory that are renamed and
# made anew, mounted over, replaced or gone. Each backup takes what is there when it begins.
#
#   moved_test.sh PENSTOCK FOLDER LMDB_WRITER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
writer=${3:?}
log=$memory/node1.log

back_up() { # EXIT_CODE
    : >"$log"
    expect_exit "$1" "$penstock" backup --node "$memory/1.socket"
}

expect_log() { # PATTERN
    wait_until grep -Eq -- "$1" "$log" # a thread of its own writes it
}

expect_no_warning() {
    ! grep -q warning: "$log" || fail_with_logs 'a warning where nothing changed'
}

# The newest backup in the directory, restored.
restore() {
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore --from "$disk/to" --target "$disk/target"
}

expect_file() { # CONTENTS
    restore
    [ "$(cat "$disk/target/src/f")" = "$1" ] || fail_with_logs "not $1 in what is restored"
}

expect_rows() { # OF_ENVIRONMENT
    restore
    [ "$("$writer" check "$disk/target/env")" = "$("$writer" check "$1")" ] ||
        fail_with_logs "not the rows of $1"
}

start() {
    mkdir "$disk/src" "$disk/env" "$disk/other"
    echo first >"$disk/src/f"
    "$writer" run "$disk/env" 5
    "$writer" replay "$disk/other" 3
    "$penstock" node --cluster "moved-$$" --id 1 --nodes 1 --socket "$memory/1.socket" --fabric-dir "$memory/fabric" \
        --to "$disk/to" --ldms 2 --source "dir:$disk/src" --source "lmdb:$disk/env" 2>>"$log" &
    process=$!
    wait_until sees_live 1 1
    back_up 0
    expect_no_warning
    expect_file first
}

source_made_anew() {
    mv "$disk/src" "$disk/src.old"
    mkdir "$disk/src"
    echo second >"$disk/src/f"
    back_up 0
    expect_log 'warning: source src: .*/src is another directory than before'
    expect_file second
    back_up 0
    expect_no_warning
}

source_gone() {
    mv "$disk/src" "$disk/away"
    back_up 1
    expect_message 'No such file or directory'
    expect_log 'source src: .*/src: No such file or directory'
    mv "$disk/away" "$disk/src"
    back_up 0
    expect_no_warning
}

source_mounted_over() {
    is_root || return 0
    mount -t tmpfs none "$disk/src"
    mounted+=("$disk/src")
    echo real >"$disk/src/f"
    back_up 0
    expect_log 'is another directory than before'
    umount "$disk/src" || fail_with_logs 'it cannot be unmounted between backups'
    expect_file real
    back_up 0
    expect_file second
}

environment_replaced() {
    mv "$disk/other/data.mdb" "$disk/env/data.mdb"
    cp -r "$disk/env" "$disk/other-copy"
    back_up 0
    expect_log 'warning: source env: .*/env is another environment than before'
    expect_rows "$disk/other-copy"
    back_up 0
    expect_no_warning
}

environment_gone() {
    mv "$disk/env" "$disk/away"
    back_up 1
    expect_log 'source env: .*/env: No such file or directory'
    mv "$disk/away" "$disk/env"
    back_up 0
    expect_rows "$disk/other-copy"
}

directory_made_anew() {
    local backups
    mv "$disk/to" "$disk/to.old"
    backups=$(names_below "$disk/to.old")
    back_up 1
    expect_message 'No such file or directory'
    expect_log '/to: No such file or directory: the backup directory was renamed, removed or unmounted'
    mkdir "$disk/to"
    back_up 0
    expect_log 'warning: .*/to is another directory than before'
    expect_exit 0 "$penstock" list --from "$disk/to"
    expect_output complete
    [ "$(names_below "$disk/to.old" | grep -v lock)" = "$(grep -v lock <<<"$backups")" ] ||
        fail_with_logs 'the directory of before was written to'
    back_up 0
    expect_no_warning
    expect_file second
}

# Another process cannot take the directory that the node moved to, and can take the one that it left.
directory_is_locked() {
    expect_exit 11 "$penstock" backup --source "dir:$disk/src" --to "$disk/to"
    expect_exit 0 "$penstock" backup --source "dir:$disk/src" --to "$disk/to.old"
}

# Links are part of a path: it may come to lead into a source, which is backed up without it, or to
# be the source.
directory_inside_source() {
    mv "$disk/to" "$disk/to.kept"
    ln -s src "$disk/to"
    back_up 1
    expect_log 'source src: the backup directory .*/to is the source itself now'
    rm "$disk/to"
    mkdir "$disk/src/inside"
    ln -s src/inside "$disk/to"
    back_up 0
    expect_log 'source src: the backup directory in it is left out: "inside"'
    rm "$disk/to"
    mv "$disk/to.kept" "$disk/to"
    rm -r "$disk/src/inside"
    back_up 0
    expect_file second
}

# What happens to its directory while a backup is made would not be noticed by who writes into open files.
meanwhile() { # COMMAND… in the backup directory
    : >"$log"
    expect_exit 0 "$penstock" pace --node "$memory/1.socket" 1M # it does not end by itself
    "$penstock" backup --node "$memory/1.socket" --number 50 >"$memory/out" 2>"$memory/err" &
    local client=$! status=0
    wait_until compgen -G "$disk/to/BACKUP-50/*/*.data" >/dev/null
    "$@"
    "$penstock" pace --node "$memory/1.socket" max >"$memory/pace"
    wait "$client" || status=$?
    [ "$status" = 1 ] || fail_with_logs "$1: exit $status"
}

directory_replaced_meanwhile() {
    mv "$disk/to" "$disk/to.then"
    mkdir "$disk/to"
}

changed_meanwhile() {
    meanwhile directory_replaced_meanwhile
    expect_log '/to is another directory than when the backup began'
    expect_absent "$disk/to.then/BACKUP-50"
    rmdir "$disk/to"
    mv "$disk/to.then" "$disk/to"
    meanwhile find "$disk/to/BACKUP-50" -name '*.data' -delete
    expect_log 'BACKUP-50.1.data: it was removed or replaced since it was written: No such file'
    expect_absent "$disk/to/BACKUP-50"
    back_up 0
    expect_file second
}

stop() {
    kill -TERM "$process"
    wait "$process" || fail_with_logs "the node ends with $?"
    expect_absent "$disk/to/.node-1.lock"
}

start
source_made_anew
source_gone
source_mounted_over
environment_replaced
environment_gone
directory_made_anew
directory_is_locked
directory_inside_source
changed_meanwhile
stop
