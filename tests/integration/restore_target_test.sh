#!/bin/bash
# Where restore writes to: what is refused, what --force does, what is kept.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

restore=("$penstock" restore --from "$disk/to" --target)

refused_targets() {
    mkdir -p "$disk/full/sub"
    echo kept >"$disk/full/kept"
    echo file >"$disk/file"
    local before
    before=$(names_below "$disk")
    expect_exit 2 "${restore[@]}" "$disk/full"
    expect_message "$disk/full.*not empty.*--force"
    expect_exit 1 "${restore[@]}" "$disk/missing/target"
    expect_message "$disk/missing.*No such file"
    expect_exit 1 "${restore[@]}" "$disk/file"
    expect_message "$disk/file.*directory"
    expect_exit 1 "${restore[@]}" "$disk/file" --force
    expect_exit 1 "${restore[@]}" "$disk/file/below"
    expect_exit 2 "${restore[@]}" "$disk/to"
    expect_message 'not empty'
    expect_exit 2 "${restore[@]}" "$disk/tree"
    expect_exit 2 "${restore[@]}" /
    expect_exit 2 "${restore[@]}" ''
    expect_exit 1 "${restore[@]}" "$disk/$(printf 'x%.0s' {1..256})"
    expect_names "$disk" "$before"
    [ "$(cat "$disk/full/kept" "$disk/file")" = $'kept\nfile' ] || fail 'a refused target was changed'
}

accepted_targets() {
    local name
    mkdir "$disk/empty"
    expect_exit 0 "${restore[@]}" "$disk/empty"
    compare_trees "$disk/tree" "$disk/empty"
    expect_exit 0 "${restore[@]}" "$disk/slash///"
    compare_trees "$disk/tree" "$disk/slash"
    mkdir "$disk/real"
    ln -s real "$disk/by-link"
    expect_exit 0 "${restore[@]}" "$disk/by-link"
    compare_trees "$disk/tree" "$disk/real"
    name=$disk/$'new\nline \xff'
    expect_exit 0 "${restore[@]}" "$name"
    compare_trees "$disk/tree" "$name"
    name=$disk/$(printf 'x%.0s' {1..255})
    expect_exit 0 "${restore[@]}" "$name"
    compare_trees "$disk/tree" "$name"
    (cd "$disk" && expect_exit 0 "$penstock" restore --from to --target relative)
    compare_trees "$disk/tree" "$disk/relative"
}

# --force: what the backup has is overwritten, whatever kind it was; the rest stays; links that
# stand in the way are replaced, never followed.
force() {
    mkdir -p "$disk/force/hello/below" "$disk/elsewhere"
    echo gone >"$disk/force/hello/below/gone"
    echo precious >"$disk/elsewhere/precious"
    echo old >"$disk/force/empty"
    echo kept >"$disk/force/kept"
    ln -s "$disk/elsewhere" "$disk/force/sub"
    expect_exit 0 "${restore[@]}" "$disk/force" --force
    rm -rf "$disk/force/hello" "$disk/force/sub"
    ln -s "$disk/elsewhere/precious" "$disk/force/hello"
    expect_exit 0 "${restore[@]}" "$disk/force" --force
    expect_names "$disk/elsewhere" ./precious
    [ "$(cat "$disk/elsewhere/precious")" = precious ] || fail 'a link was followed out of the target'
    [ "$(cat "$disk/force/kept")" = kept ] || fail 'what the backup has not was not kept'
    rm "$disk/force/kept"
    touch -d "@$(stat -c %.9Y "$disk/tree")" "$disk/force"
    compare_trees "$disk/tree" "$disk/force"
}

# --force removes no directory that the backups are read from, though a file of the backup is to be
# there: by whatever path they are named, and however deep they lie in what would go.
backups_in_the_way() {
    local place=$disk/way to
    for to in thing thing/deep/to; do
        mkdir -p "$place/source" "$place/target/thing/deep"
        echo file >"$place/source/thing"
        expect_exit 0 "$penstock" backup --source "dir:$place/source" --to "$place/target/$to"
        ln -sfn "target/$to" "$place/link"
        for how in --force '--force --keep-going'; do
            # shellcheck disable=SC2086 # several options
            expect_exit 1 "$penstock" restore --from "$place/link" --target "$place/target" $how
            expect_message "$place/target/$to: the backup that is restored is read from there.*in the way of source/thing, and nothing was restored"
        done
        [ ! -e "$place/target/.penstock-restore" ] || fail 'the target was marked'
        expect_exit 0 "$penstock" verify --from "$place/target/$to"
        rm -rf "$place"
    done
}

# Nor a file in one of them, which the backup has too.
backups_below_the_target() {
    local place=$disk/way
    mkdir -p "$place/tree"
    echo file >"$place/tree/file"
    expect_exit 0 "$penstock" backup --source "dir:$place/tree" --to "$place/tree/to"
    expect_exit 0 "$penstock" backup --source "dir:$place/tree" --to "$place/other" --number 2
    rm "$place"/tree/to/BACKUP-1/*.copy
    for how in --force '--force --keep-going'; do
        # shellcheck disable=SC2086 # several options
        expect_exit 1 "$penstock" restore --from "$place/other" --from "$place/tree/to" --target "$place/tree" $how
        expect_message "$place/tree/to: the backup that is restored is read from there.*in the way of tree/to/BACKUP-1/.*, and nothing was restored"
    done
    expect_absent "$place/tree/.penstock-restore" "$place/tree/to/BACKUP-1/BACKUP-1.cluster.manifest.copy"
    expect_exit 0 "$penstock" restore --from "$place/other" --from "$place/tree/to" --target "$place/tree" --force --path file
    expect_exit 0 "$penstock" restore --from "$place/other" --target "$place/tree" --force
    [ -e "$place/tree/to/BACKUP-1/BACKUP-1.cluster.manifest.copy" ] || fail 'what is not read is not restored'
    rm -rf "$place"
}

# Whoever else works on the backups does not keep a restore out, and two restores of one backup to
# two places are none of each other's business.
side_by_side() {
    local children=() child name
    for name in a b c; do
        "${restore[@]}" "$disk/side-$name" >"$memory/out-$name" 2>&1 &
        children+=($!)
    done
    for child in "${children[@]}"; do wait "$child" || fail "a restore beside others: $(cat "$memory"/out-*)"; done
    for name in a b c; do compare_trees "$disk/tree" "$disk/side-$name"; done
}

make_small_tree "$disk/tree"
expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --ldms 2
refused_targets
accepted_targets
force
backups_in_the_way
backups_below_the_target
side_by_side
