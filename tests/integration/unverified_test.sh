#!/bin/bash
# What cannot be read is not damaged: verify says that it could not be verified, and why, with an
# exit code of its own; so it does, and restore too, where there is no io_uring.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

no_ring=${3:?usage: unverified_test.sh PENSTOCK FOLDER NO_RING}
command -v setpriv >/dev/null || skip 'setpriv is missing'
home=$memory/home
mkdir "$home" "$home/tree"
head -c 3000000 /dev/urandom >"$home/tree/large"
echo small >"$home/tree/small"
if is_root; then chown -R 65534:65534 "$home"; fi
part1=$home/to/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data
part2=$home/to/BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data

user() {
    (
        ulimit -l 8192
        as_ordinary_user "$@"
    )
}

expect_exit 0 user "$penstock" backup --source "dir:$home/tree" --to "$home/to" --ldms 2

a_part_that_may_not_be_read() {
    chmod 000 "$part1"
    expect_exit 3 user "$penstock" verify --from "$home/to"
    expect_output '0 damages; not all of it could be read'
    expect_message "could not be verified: Permission denied \\(part 1 of node 1\\)" \
        'backup 1 could not be verified completely: Permission denied'
    if grep -q 'damaged' "$memory/err"; then fail 'it is called damaged'; fi
    expect_exit 3 user "$penstock" verify --from "$home/to" --json
    expect_json '[.[] | select(.message_type == "summary")] | .[0].damages == 0 and .[0].unverified == 1
        and .[0].objects_damaged == 0'
    expect_json 'any(.[]; .unverified == true and .error == "EACCES" and .warning == false)'
    expect_exit 1 user "$penstock" restore --from "$home/to" --target "$home/target"
    expect_message 'Permission denied'
    if grep -qs ' damaged ' "$home/to/BACKUP-1"/*.verified; then fail 'it is noted as damaged'; fi
    # A damage beside it is a damage.
    cp -p "$part2" "$home/part2"
    flip "$part2" 9000
    expect_exit 1 user "$penstock" verify --from "$home/to" --json
    expect_json '[.[] | select(.message_type == "summary")] | .[0].damages == 1 and .[0].unverified == 1'
    # Where nobody may write, nothing is noted, and all else is as it was.
    rm -f "$home/to/BACKUP-1"/*.verified
    chmod 500 "$home/to/BACKUP-1"
    expect_exit 1 user "$penstock" restore --from "$home/to" --target "$home/target"
    chmod 600 "$part1"
    expect_exit 1 user "$penstock" restore --from "$home/to" --target "$home/target"
    expect_message "$(basename "$part2"): offset" 'that it is damaged could not be noted beside it: Permission denied'
    chmod 700 "$home/to/BACKUP-1"
    cp -p "$home/part2" "$part2"
    expect_exit 0 user "$penstock" verify --from "$home/to"
}

a_manifest_that_may_not_be_read() {
    chmod 000 "$home/to/BACKUP-1/BACKUP-1.1.manifest"
    expect_exit 3 user "$penstock" verify --from "$home/to" 1
    expect_message 'could not be verified.*Permission denied'
    chmod 600 "$home/to/BACKUP-1/BACKUP-1.1.manifest"
}

no_io_uring() { # ERRNO
    expect_exit 3 user "$no_ring" "$1" "$penstock" verify --from "$home/to"
    expect_message 'backup 1 could not be verified: there is no io_uring: .*kernel.io_uring_disabled, seccomp'
    expect_exit 1 user "$no_ring" "$1" "$penstock" restore --from "$home/to" --target "$home/target"
    expect_message 'backup 1: there is no io_uring: .*kernel.io_uring_disabled, seccomp'
    expect_absent "$home/target"
    if grep -qs ' damaged ' "$home/to/BACKUP-1"/*.verified; then fail 'it is noted as damaged'; fi
}

# Of the owner's backups root leaves nothing that the owner cannot read.
what_root_adds() {
    local key=$home/key other=$home/other name files
    for name in key other; do
        expect_exit 0 "$penstock" keygen "$disk/$name"
        install -m 600 -o 65534 "$disk/$name" "$home/$name"
    done
    expect_exit 0 user "$penstock" backup --source "dir:$home/tree" --to "$home/sealed" --key-file "$key"
    expect_exit 0 "$penstock" key add --from "$home/sealed" --key-file "$disk/key" --new-key-file "$disk/other"
    expect_exit 0 "$penstock" pin --from "$home/sealed" 1
    expect_exit 0 "$penstock" verify --from "$home/sealed" --key-file "$disk/key"
    files=$(find "$home/sealed" -user root)
    [ -z "$files" ] || fail "root's: $files"
    expect_exit 0 user "$penstock" verify --from "$home/sealed" --key-file "$other"
    expect_exit 0 user "$penstock" key remove --from "$home/sealed" --key-file "$other" \
        --key-id "$(user "$penstock" key list --from "$home/sealed" --json | jq -r .id | head -n 1)"
    # What nobody may read says of no key that it is the wrong one.
    chmod 000 "$home/sealed/BACKUP-1/BACKUP-1.1.keys"*
    expect_exit 3 user "$penstock" verify --from "$home/sealed" --key-file "$other"
    expect_message 'BACKUP-1.1.keys: could not be verified: Permission denied' \
        'could not be verified completely: Permission denied'
}

a_part_that_may_not_be_read
a_manifest_that_may_not_be_read
no_io_uring 1  # EPERM: forbidden
no_io_uring 38 # ENOSYS: none
if is_root; then what_root_adds; fi
