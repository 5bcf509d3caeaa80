#!/bin/bash
# trees_test.sh PENSTOCK FOLDER TREE FIRST COUNT: trees made from seeds come back from a backup as they were, and
# as cp -a, tar and rsync copy them. Of each the kinds that it knows: tar has no sockets, and forgets
# that devices and FIFOs share an inode.
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
maker=$memory/tree
install -m 755 "$3" "$maker"
first_seed=$4
count=$5
work=$disk/work

# What makes, copies, backs up and restores: root, or an ordinary user.
as=()

clean() {
    local folder
    for folder; do
        [ ! -d "$folder" ] || "$maker" clear "$folder"
        chmod -R u+rwX "$folder" 2>/dev/null || true
        rm -rf "$folder"
    done
}
trap 'clean "$work"/{source,target,copy} || true; leave' EXIT

# lines FOLDER FILE [flags]
lines() { "$maker" show "$1" "${@:3}" >"$2" || fail "show $1"; }

same() { # NAME ONE OTHER
    cmp -s "$2" "$3" || { diff "$2" "$3" | cut -c1-400 | head -n 6 >&2 || true; fail "seed $seed: $1 differs"; }
}

# Without sockets, and without links of what is neither a file nor a symlink.
as_tar() { sed -E '/^[^ ]* (= [^ ]* )?14[0-7]{4} /d; s/^([^ ]*) = [^ ]* ([26][0-7]{4}|1[0-7]{4}) /\1 \2 /'; }

# Without what an ACL allows the group: rsync 3.2 may take that away where it is what the mask is.
as_rsync() { sed -E 's/\\04\\00\\0[0-7]\\00\\ff\\ff\\ff\\ff/group/g'; }

copies() {
    as_tar <"$work/before" >"$work/before-tar"
    "${as[@]}" mkdir "$work/copy"
    "${as[@]}" cp -a "$work/source/." "$work/copy/" 2>"$memory/err" || fail "seed $seed: cp"
    lines "$work/copy" "$work/cp"
    same 'cp -a' "$work/before-plain" "$work/cp"
    clean "$work/copy"
    "${as[@]}" mkdir "$work/copy"
    "${as[@]}" tar --xattrs --xattrs-include='*' --acls --format=posix -C "$work/source" -cf - . 2>"$memory/err" |
        "${as[@]}" tar -C "$work/copy" --xattrs --xattrs-include='*' --acls -xpf - 2>"$memory/err" || fail "seed $seed: tar"
    lines "$work/copy" "$work/tar"
    as_tar <"$work/tar" >"$work/after-tar"
    as_tar <"$work/before-plain" >"$work/before-tar"
    same tar "$work/before-tar" "$work/after-tar"
    clean "$work/copy"
    "${as[@]}" mkdir "$work/copy"
    "${as[@]}" rsync -aHAX "$work/source/" "$work/copy/" 2>"$memory/err" || fail "seed $seed: rsync"
    lines "$work/copy" "$work/rsync"
    as_rsync <"$work/before-plain" >"$work/before-rsync"
    as_rsync <"$work/rsync" >"$work/after-rsync"
    same rsync "$work/before-rsync" "$work/after-rsync"
    clean "$work/copy"
}

one_tree() {
    local seed=$1
    "${as[@]}" "$maker" make "$seed" "$work/source" || fail "make $seed"
    lines "$work/source" "$work/before" flags
    lines "$work/source" "$work/before-plain"
    expect_exit 0 "${as[@]}" "$penstock" backup --source "dir:$work/source" --to "$memory/kept/backups" --ldms 2 --quiet
    expect_exit 0 "${as[@]}" "$penstock" restore --from "$memory/kept/backups" --target "$work/target" --quiet
    lines "$work/target" "$work/after" flags
    same 'what was restored' "$work/before" "$work/after"
    copies
    cat "$work/before" >>"$memory/all"
    clean "$work"/{source,target} "$memory/kept/backups"
}

# some KIND…: else the trees would be of nothing.
some() {
    local kind
    for kind; do grep -Eaq -- "$kind" "$memory/all" || fail "no tree has \"$kind\""; done
}

all_trees() {
    mkdir "$work" "$memory/kept"
    [ ${#as[@]} = 0 ] || chown 65534:65534 "$work" "$memory/kept"
    for ((i = 0; i < count; i++)); do one_tree $((first_seed + i)); done
    some ' = ' ' -> ' user. system.posix_acl_access system.posix_acl_default ' 1[0-7]{4} ' ' 14[0-7]{4} '
}

# A copy without its attributes differs by these; one that is whole does not differ.
copies_differ() {
    local kind
    mkdir "$work/copy"
    "$maker" make "$first_seed" "$work/source" || fail "make $first_seed"
    cp -a --no-preserve=xattr "$work/source/." "$work/copy/"
    for kind in source source copy; do
        expect_exit 0 "$penstock" backup --source "t=dir:$work/$kind" --to "$memory/kept/backups" --quiet
    done
    expect_exit 0 "$penstock" diff --from "$memory/kept/backups" 1 2
    [ ! -s "$memory/out" ] || fail "differs from itself: $(head "$memory/out")"
    expect_exit 0 "$penstock" diff --from "$memory/kept/backups" 1 3
    grep -Eq '^M .*  attributes$' "$memory/out" || fail "does not differ: $(head "$memory/out")"
    clean "$work"/{source,copy} "$memory/kept/backups"
}

all_trees
copies_differ
if [ "$EUID" = 0 ]; then
    some security.capability trusted. ' immutable$' ' append$' ' 2[0-7]{4} ' ' 6[0-7]{4} '
    rm -r "$work" "$memory/kept" "$memory/all"
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    all_trees
fi
