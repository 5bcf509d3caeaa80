#!/bin/bash
# Everything works for a user without rights and without lockable memory: files that may not be
# read are said (exit 3), the rest is whole.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v setpriv >/dev/null || skip 'setpriv is missing'
home=$memory/home
mkdir "$home"
if is_root; then chown 65534:65534 "$home"; fi

# Runs penstock as that user; $memlock KiB may be locked.
memlock=64
user() {
    (
        ulimit -l "$memlock"
        as_ordinary_user "$penstock" "$@"
    )
}

# Runs a shell script as that user.
user_script() {
    as_ordinary_user bash -euc "$@"
}

whole_round() {
    # shellcheck disable=SC2016 # the inner shell's
    user_script 'mkdir "$1"; cd "$1"; mkdir -p a/b; echo x >a/b/x; head -c 5000000 /dev/urandom >big
        ln big a/again; ln -s nowhere a/link; chmod 500 a/b; truncate -s 3M hole' - "$home/tree"
    local option
    for option in --ldms=1 --single-threaded --depth=32 --ldms=4; do
        expect_exit 0 user backup --source "dir:$home/tree" --to "$home/to" "$option"
        # The queues of io_uring count as locked memory since Linux 6.14: two sets do not fit 64 KiB, and
        # the kernel gives back those of a process some time after its end.
        memlock=8192
        expect_exit 0 user list --from "$home/to"
        expect_exit 0 user show --from "$home/to"
        expect_exit 0 user verify --from "$home/to"
        expect_exit 0 user restore --from "$home/to" --target "$home/target"
        compare_trees "$home/tree" "$home/target"
        chmod -R u+w "$home/target"
        rm -r "$home/target"
    done
    expect_exit 0 user topology
    expect_exit 0 user topology --json
    expect_json 'length == 1'
}

# Whose keys lie in a directory that cannot be read, nobody knows.
closed_backup() {
    expect_exit 0 user keygen "$home/key"
    expect_exit 0 user keygen "$home/new"
    for _ in 1 2; do
        expect_exit 0 user backup --source "dir:$home/tree/a" --to "$home/sealed" --key-file "$home/key"
    done
    chmod 0 "$home/sealed/BACKUP-1"
    expect_exit 3 user key add --from "$home/sealed" --key-file "$home/key" --new-key-file "$home/new"
    expect_message 'backup 1: its keys stay as they are: .*Permission denied' '1 of 2 backups was not changed'
}

unreadable_files() {
    # shellcheck disable=SC2016
    user_script 'cd "$1"; mkdir closed; echo in >closed/in; echo secret >secret
        ln secret other-name; chmod 0 closed secret' - "$home/tree"
    expect_exit 3 user backup --source "dir:$home/tree" --to "$home/partial" --ldms 2
    expect_message 'secret: Permission denied' '"closed"' 'penstock show names them'
    expect_exit 0 user list --from "$home/partial" --json
    expect_json '.[0].state == "complete" and .[0].unreadable == 3'
    expect_exit 0 user show --from "$home/partial"
    expect_output 'could not be read.*: tree/secret'
    expect_output 'could not be read.*: tree/closed'
    expect_exit 0 user verify --from "$home/partial"
    expect_exit 3 user restore --from "$home/partial" --target "$home/target"
    expect_message 'secret: ' 'other-name: ' 'closed: ' '2 objects could not be restored, .*3 objects could not be read' \
        'not made, .* nothing of it: .*: No data available'
    expect_absent "$home/target/secret" "$home/target/other-name"
    # Nor does it take the place of an older one.
    echo older >"$home/target/secret"
    expect_exit 3 user restore --from "$home/partial" --target "$home/target" --force
    expect_message 'secret: ' 'left as it is in the target'
    [ "$(cat "$home/target/secret")" = older ] || fail 'an older file made room for nothing'
    chmod 700 "$home/tree/closed" "$home/target/closed"
    chmod 600 "$home/tree/secret"
    rm -r "$home/target/secret" "$home/target/closed" "$home/tree/secret" "$home/tree/other-name" \
        "$home/tree/closed"
    touch -d "@$(stat -c %.9Y "$home/tree")" "$home/target"
    compare_trees "$home/tree" "$home/target"
}

# Too little memory to lock is no crash, and said; nothing is left.
hardly_any_memlock() {
    memlock=64
    expect_exit '0 1' user backup --source "dir:$home/tree" --to "$home/little" --ldms 64
    if [ "$status" -eq 1 ]; then
        expect_message 'raise the memlock limit \(ulimit -l\), or use fewer --ldms'
        expect_absent "$home/little"
    fi
    memlock=8192
}

# What cannot be locked is not registered, which is no failure, and in the log.
buffers_not_registered() {
    memlock=1024
    expect_exit 0 user backup --source "dir:$home/tree" --to "$home/plain" --ldms 1
    expect_message 'buffers not registered \(Cannot allocate memory: raise the memlock limit, ulimit -l\)'
    memlock=8192
}

# Owners that he cannot give: his own, and said.
backup_of_root() {
    is_root || return 0
    mkdir "$memory/roots"
    echo x >"$memory/roots/x"
    chown 12:34 "$memory/roots/x"
    chmod 4755 "$memory/roots/x"
    mkdir "$memory/roots/d"
    chown 12:34 "$memory/roots/d"
    chmod 2755 "$memory/roots/d"
    expect_exit 0 "$penstock" backup --source "dir:$memory/roots" --to "$memory/of-root"
    expect_exit 1 user list --from "$memory/of-root"
    expect_message "$memory/of-root.*Permission denied"
    chmod -R a+rX "$memory/of-root"
    expect_exit 0 user restore --from "$memory/of-root" --target "$home/roots" --json
    expect_message 'not root: the restored files will belong to the caller'
    expect_json '.[-1].owners_skipped == true'
    [ "$(stat -c %u "$home/roots/x")" = 65534 ] || fail 'an owner that only root may give'
    # A program of somebody else's must not run as the user who restores it.
    [ "$(stat -c %a "$home/roots/x")" = 755 ] || fail 'a set-user-ID bit without its owner'
    [ "$(stat -c %a "$home/roots/d")" = 755 ] || fail 'a set-group-ID bit without its group'
}

whole_round
closed_backup
hardly_any_memlock
buffers_not_registered
unreadable_files
backup_of_root
