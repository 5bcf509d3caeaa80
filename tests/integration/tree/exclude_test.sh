#!/bin/bash
# exclude_test.sh PENSTOCK FOLDER: what the options leave out of a backup, and "dir:/" with the disk
# for the backups beneath it.
set -euo pipefail
# shellcheck source=../lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

src=$disk/src
mkdir -p "$src"/{a/b,cache,build,private}
touch "$src"/{a/x.o,a/b/y.o,a/b/keep.o,'#file','end ',build/out,private/.nobackup,private/key,cache/big}
printf 'Signature: 8a477f597d28d172789f06886806bc55\n' >"$src/cache/CACHEDIR.TAG"

# kept EXPECTED OPTION…: the files that come back, by their names in one line.
kept() {
    local expected=$1
    shift
    expect_exit 0 "$penstock" backup --source "dir:$src" --to "$disk/to" "$@"
    expect_exit 0 "$penstock" restore --from "$disk/to" --target "$disk/target"
    local found
    found=$(cd "$disk/target" && find . -type f -printf '%f,' | tr ',' '\n' | sort | tr '\n' ',')
    rm -r "$disk/target"
    [ "${found#,}" = "$expected," ] || fail "$*: kept ${found#,}"
}

options() {
    kept '#file,.nobackup,CACHEDIR.TAG,big,end ,keep.o,key,out,x.o,y.o'
    kept '#file,.nobackup,CACHEDIR.TAG,big,end ,keep.o,key,out' --exclude '*.o' --exclude '!keep.o'
    kept '#file,.nobackup,CACHEDIR.TAG,end ,keep.o,x.o,y.o' --exclude-caches --exclude-if-present .nobackup --exclude /build/
    printf '\xef\xbb\xbf*.o\r\n\n# no pattern\n\\#file\nend\\ \nbig   \n' >"$disk/patterns"
    kept '.nobackup,CACHEDIR.TAG,key,out' --exclude-from "$disk/patterns"
    kept '.nobackup,CACHEDIR.TAG,keep.o,key,out' --exclude-from "$disk/patterns" --exclude '!keep.o'
    PENSTOCK_EXCLUDE='*.o' kept '#file,.nobackup,CACHEDIR.TAG,big,end ,key,out'
}

refused() {
    expect_exit 1 "$penstock" backup --source "dir:$src" --to "$disk/to" --exclude-from "$disk/missing"
    expect_message 'leave out: .*/missing: No such file'
    # Half of a pattern would leave out other files.
    printf 'keep\0more\n' >"$disk/half"
    expect_exit 1 "$penstock" backup --source "dir:$src" --to "$disk/to" --exclude-from "$disk/half"
    expect_message "$disk/half: it is not text"
    printf 'keep\n' | iconv -t UTF-16 >"$disk/half"
    expect_exit 1 "$penstock" backup --source "dir:$src" --to "$disk/to" --exclude-from "$disk/half"
    expect_exit 2 "$penstock" backup --source "dir:$src" --to "$disk/to" --exclude-if-present a/b
    expect_message '"a/b" is no name of a file'
    expect_exit 2 "$penstock" backup --source "dir:$src" --to "$disk/to" --one-file-system maybe
    expect_message 'one-file-system "maybe": want yes or no'
    expect_exit 2 "$penstock" backup --node "$disk/socket" --exclude a
    expect_message '--exclude does not apply to a backup through a node'
}

# A system of nothing but the program, with proc, sysfs and the disk mounted in it.
whole_system() {
    local root=$disk/root library
    mkdir -p "$root"/{backups,proc,sys,data}
    cp "$penstock" "$root/penstock"
    while read -r library; do cp --parents -L "$library" "$root"; done < <(ldd "$penstock" | grep -o '/[^ ]*')
    echo precious >"$root/data/file"
    # shellcheck disable=SC2016 # the inner shell's
    unshare -m bash -c 'mount --make-rprivate / && mount -t tmpfs disk "$1/backups" && mount -t proc proc "$1/proc" &&
        mount -t sysfs sys "$1/sys" &&
        chroot "$1" /penstock backup --source whole=dir:/ --to /backups --ldms 2 2>"$2/messages" &&
        chroot "$1" /penstock backup --source whole=dir:/ --to /backups --one-file-system=no 2>"$2/crossing" &&
        cp -a "$1/backups" "$2/kept"' - "$root" "$disk" >/dev/null || fail "$(cat "$disk/messages")"
    grep -q 'other file systems that are mounted in it is left out' "$disk/messages" || fail 'what is left out is not said'
    grep -q 'the backup directory in it is left out: "backups"' "$disk/messages" || fail 'nor that the target is'
    grep -q 'file systems of the kernel' "$disk/crossing" || fail 'nor what of the kernel is'
    for number in 1 2; do
        expect_exit 0 "$penstock" restore "$number" --from "$disk/kept" --target "$disk/target"
        [ "$(cat "$disk/target/data/file")" = precious ] || fail 'the data are not restored'
        [ -z "$(find "$disk"/target/{backups,proc,sys} -mindepth 1)" ] || fail 'the backup has itself, or proc, in it'
        cmp "$penstock" "$disk/target/penstock" || fail 'the program is not restored'
        rm -r "$disk/target"
    done
}

options
refused
if is_root && unshare -m true 2>/dev/null; then whole_system; fi
