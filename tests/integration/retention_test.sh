#!/bin/bash
# retention_test.sh PENSTOCK FOLDER: no rule of prune takes a backup that lacks something of a source for one that has
# all of it, whichever option left it out, nor an older one for a newer one, whatever their numbers.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
src=$disk/src to=$disk/to
mkdir -p "$src"/{cache,private}
touch "$src"/{file,private/.nobackup,private/key,cache/big}
printf 'Signature: 8a477f597d28d172789f06886806bc55\n' >"$src/cache/CACHEDIR.TAG"
key=()

back_up() { expect_exit 0 "$penstock" backup --source "data=dir:$src" --to "$to" "${key[@]}" "$@"; }

# expect_kept NUMBERS [OPTION…]: those that prune --keep-last 1 leaves.
expect_kept() {
    local found
    expect_exit 0 "$penstock" prune --from "$to" --keep-last 1 "${key[@]}" "${@:2}"
    found=$(find "$to" -maxdepth 1 -name 'BACKUP-*' -printf '%f\n' | sed 's/BACKUP-//' | sort -n | tr '\n' ' ')
    [ "$found" = "$1 " ] || fail "prune kept $found, not $1"
}

# Each option by itself, after a whole backup; then once more, which takes the place of its like alone.
options() {
    local option number=1
    printf 'file\n' >"$disk/patterns"
    back_up
    for option in '--exclude=*' "--exclude-from=$disk/patterns" --exclude-caches --exclude-if-present=.nobackup --one-file-system=no; do
        back_up "$option"
    done
    expect_kept '1 2 3 4 5 6'
    for option in '--exclude=*' "--exclude-from=$disk/patterns" --exclude-caches --exclude-if-present=.nobackup --one-file-system=no; do
        back_up "$option"
    done
    expect_kept '1 7 8 9 10 11'
    expect_exit 0 "$penstock" restore --from "$to" --target "$disk/target" 1
    [ "$(find "$disk/target" -type f | wc -l)" -eq 5 ] || fail 'the whole one is not whole'
    printf 'file\nkey\n' >"$disk/patterns" # what is in the file counts, not its name
    back_up "--exclude-from=$disk/patterns"
    expect_kept '1 7 8 9 10 11 12'
    back_up
    expect_kept '7 8 9 10 11 12 13'
    expect_exit 0 "$penstock" prune --from "$to" --keep-last 1 --dry-run
    expect_output '^backup 12, .*stays: newest 1 of 1, chosen otherwise than backup 13$' '^backup 13, .*stays: newest 1 of 1$'
    for number in 8 13; do
        expect_exit 0 "$penstock" show --from "$to" "$number"
        grep chosen "$memory/out" >"$memory/chosen" || true
        [ "$(cat "$memory/chosen")" = "$([ "$number" = 13 ] || echo '    chosen by --exclude=file')" ] || fail "show: $(cat "$memory/chosen")"
    done
    expect_exit 0 "$penstock" show --from "$to" --json
    expect_json '.[0].node_manifests[0].sources[0].choice == ""'
    # Once what is left out has been changed for good.
    expect_exit 2 "$penstock" prune --from "$to" --keep-last 1 --group-by nothing
    expect_exit 0 "$penstock" prune --from "$to" --keep-last 1 --group-by sources --dry-run
    expect_output '^backup 12, uid [0-9a-f]{8}, complete, 20[0-9TZ:-]*, [0-9.]+ [KMi]*B: would be removed: no rule keeps it$'
    expect_exit 0 "$penstock" prune --from "$to" --keep-last 1 --group-by sources --dry-run --json
    expect_json 'all(.message_type == "summary" or .reason)'
    expect_kept '13' --group-by sources
}

# The number is not what makes a backup the newest one: it can be asked for, and each directory has its own.
made_last() {
    rm -r "$to"
    back_up --number 100
    printf 'new\n' >"$src/file"
    back_up --number 5
    expect_exit 0 "$penstock" restore --from "$to" --target "$disk/newest"
    [ "$(cat "$disk/newest/file")" = new ] || fail 'not the newest one was restored'
    expect_kept 5
    back_up
    expect_kept 6
    mv "$to" "$disk/before"
    printf 'newer\n' >"$src/file"
    back_up
    expect_exit 0 "$penstock" restore --from "$disk/before" --from "$to" --target "$disk/newer"
    [ "$(cat "$disk/newer/file")" = newer ] || fail 'not the newest one of two directories was restored'
    expect_kept 1 --from "$disk/before"
    expect_absent "$disk/before/BACKUP-6"
    back_up --number 7
    rm -r "$disk/before"
    mv "$to" "$disk/before"
    back_up
    truncate -s 100 "$to"/BACKUP-1/*.manifest*
    expect_exit 3 "$penstock" restore --from "$disk/before" --from "$to" --target "$disk/older"
    expect_message 'backup 1, which may be newer than 7, is passed over: it is damaged'
}

# What was chosen is sealed with the rest.
sealed() {
    rm -r "$to"
    "$penstock" keygen "$disk/key" 2>/dev/null
    key=(--key-file "$disk/key")
    back_up
    back_up --exclude=secret --exclude='*'
    expect_kept '1 2'
    ! grep -rq secret "$to" || fail 'what is left out of a sealed backup can be read'
    back_up
    # Without the key, or with another, no rule is applied, which is said.
    expect_exit 0 "$penstock" prune --from "$to" --keep-last 1
    expect_message 'no rule was applied to 3 backups; backup 3: it is sealed: give the key [0-9a-f]{16}'
    "$penstock" keygen "$disk/other" 2>/dev/null
    expect_exit 12 "$penstock" prune --from "$to" --keep-last 1 --key-file "$disk/other"
    expect_message 'no rule was applied to 3 backups; backup 3: .*it wants key [0-9a-f]{16}'
    expect_kept '2 3'
    key=()
}

databases() {
    command -v mdb_load >/dev/null || return 0
    local table
    mkdir "$disk/env"
    rm -r "$to"
    for table in a b; do printf 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n key\n value\nDATA=END\n' | mdb_load -s $table "$disk/env"; done
    set -- "$penstock" backup --source "lmdb:$disk/env" --to "$to"
    expect_exit 0 "$@"
    expect_exit 0 "$@" --logical
    expect_exit 0 "$@" --logical --tables a
    expect_exit 0 "$@" --logical --exclude-tables a
    expect_kept '1 2 3 4'
    expect_exit 0 "$@" --logical --tables a
    expect_kept '1 2 4 5'
    expect_exit 0 "$penstock" show --from "$to"
    expect_output '^    chosen by --logical --tables=a$'
}

options
made_last
sealed
databases
