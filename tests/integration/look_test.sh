#!/bin/bash
# ls, find, cat, diff and stats show what a backup holds as a restore would make it, of one source, several, sealed and
# compressed; they read no more of it than they need, and damage that they meet is an error.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tree=$disk/tree
one=$disk/one
several=$disk/several

plant_tree() {
    mkdir -p "$tree/etc/app" "$tree/srv" "$tree/empty"
    echo hosts >"$tree/etc/hosts"
    echo conf >"$tree/etc/app/app.conf"
    echo tree-needle >"$tree/etc/needle"
    : >"$tree/etc/app/nothing"
    random_bytes 9000000 >"$tree/srv/large"
    ln "$tree/srv/large" "$tree/srv/other-name"
    ln -s ../etc/hosts "$tree/srv/link"
    printf start >"$tree/srv/sparse"
    truncate -s 5M "$tree/srv/sparse"
    printf end >>"$tree/srv/sparse"
    chmod 4751 "$tree/etc/hosts"
    touch -d '2001-02-03 04:05:06.789012345' "$tree/etc/hosts"
    echo odd >"$tree/etc/"$'odd\nname\xff'
}

make_backups() {
    plant_tree
    expect_exit 0 "$penstock" backup --source "dir:$tree" --to "$one" --ldms 2
    expect_exit 0 "$penstock" backup --source "t=dir:$tree" --source synthetic:rows=5 --to "$several" --ldms 2 --compress zstd
}

# expect_same ID-OPTIONS… NAME FILE: cat prints what the file has.
expect_same() {
    local file=${*: -1} arguments=("${@:1:$#-1}")
    "$penstock" cat "${arguments[@]}" | cmp - "$file" || fail "cat ${arguments[*]}: not what $file has"
}

# expect_list EXPECTED ARGUMENT…
expect_list() {
    local expected=$1
    shift
    expect_exit 0 "$penstock" ls "$@"
    [ "$(tr '\n' ' ' <"$memory/out")" = "$expected" ] || fail "ls $*: not \"$expected\""
}

lists() {
    expect_list 'empty etc srv ' --from "$one"
    expect_list 'app hosts needle odd?name? ' --from "$one" etc
    expect_list 'app.conf nothing ' --from "$one" ./etc/app/
    expect_list '' --from "$one" empty
    expect_list 'etc/hosts ' --from "$one" /etc/hosts
    expect_list 'synthetic t ' --from "$several"
    expect_list 'empty etc srv ' --from "$several" t
    expect_list 'app.conf nothing ' --from "$several" t/etc/app
    expect_exit 2 "$penstock" ls --from "$one" et
    expect_message 'backup 1 has no et$'
    expect_exit 2 "$penstock" ls --from "$several" etc
    expect_exit 10 "$penstock" ls --from "$one" --id 7
    expect_exit 0 "$penstock" ls -l --from "$one" etc/hosts
    expect_output "^-rwsr-x--x  +$(id -u)  +$(id -g)  +6  2001-02-03T04:05:06Z  etc/hosts\$"
    expect_exit 0 "$penstock" ls --long --from "$one" srv
    expect_output '^lrwxrwxrwx .*  link -> ../etc/hosts$' '  9000000  '
    expect_exit 0 "$penstock" ls --json --from "$one" etc
    expect_json 'map(select(.message_type == "object")) | length == 4 and .[1].mtime == "2001-02-03T04:05:06.789012345Z"
        and .[1].mode == 2537 and .[3].name == "etc/odd\nname\\xff"'
}

# expect_found EXPECTED ARGUMENT…
expect_found() {
    local expected=$1
    shift
    expect_exit 0 "$penstock" find "$@"
    [ "$(tr '\n' ' ' <"$memory/out")" = "$expected" ] || fail "find $*: not \"$expected\""
}

finds() {
    expect_found 'etc/app/app.conf ' --from "$one" '*.conf'
    expect_found 'etc/app etc/app/app.conf etc/app/nothing etc/hosts etc/needle etc/odd?name? ' --from "$one" 'etc/**/*'
    expect_found 'etc/hosts ' --from "$one" '*/h?[o-t]*s'
    expect_found '' --from "$one" 'et*/app.conf'
    expect_found 't/etc/app/app.conf t/etc/app/nothing ' --from "$several" 't/**/app/*'
    [ "$("$penstock" find --from "$one" '**' | wc -l)" = "$(find "$tree" -printf '%P\0' | tr -cd '\0' | wc -c)" ] ||
        fail 'find: not all'
    expect_exit 0 "$penstock" find -l --from "$one" '*.conf'
    expect_output '^-rw-.* 5  .*  etc/app/app.conf$'
    mkdir -p "$disk/deep/$(printf 'd/%.0s' {1..1000})"
    expect_exit 0 "$penstock" backup --source "dir:$disk/deep" --to "$disk/to-deep"
    expect_exit 0 timeout 30 "$penstock" find --from "$disk/to-deep" '**/d/**/d/**/x' # not for hours
    expect_exit 0 "$penstock" find --json --from "$one" '*.conf'
    expect_json 'length == 2 and .[1].objects == 1'
}

counts() {
    expect_exit 0 "$penstock" stats --from "$one" --json
    expect_json '.[0].types == {"directory": 5, "file": 7, "hard link": 1, "symlink": 1} and .[0].largest.bytes == 9000000'
    expect_exit 0 "$penstock" stats --from "$several" 1
    expect_output '^node 1, source t: ' ' 7  file$' '^node 1, source synthetic: '
}

contents() {
    local name
    for name in etc/hosts etc/app/nothing srv/large srv/other-name srv/sparse etc/$'odd\nname\xff'; do
        expect_same --from "$one" "$name" "$tree/$name"
        expect_same --from "$several" "t/$name" "$tree/$name"
    done
    expect_exit 2 "$penstock" cat --from "$one" etc
    expect_message 'etc: it is a directory'
    expect_exit 2 "$penstock" cat --from "$one" srv/link
    expect_exit 2 "$penstock" cat --from "$one" nothing
    expect_exit 2 "$penstock" cat --from "$one"
    ! "$penstock" cat --from "$one" srv/large >/dev/full 2>"$memory/err" || fail 'a full disk is no error'
    expect_message 'cannot write to standard output'
}

sealed() {
    "$penstock" keygen "$disk/key"
    expect_exit 0 "$penstock" backup --source "dir:$tree" --to "$disk/sealed" --ldms 2 --key-file "$disk/key"
    expect_list 'empty etc srv ' --from "$disk/sealed" --key-file "$disk/key"
    expect_same --from "$disk/sealed" --key-file "$disk/key" srv/large "$tree/srv/large"
    expect_exit 12 "$penstock" ls --from "$disk/sealed"
    expect_exit 12 "$penstock" cat --from "$disk/sealed" srv/large
}

# A list reads no data, and a file little of the others.
reads_little() {
    expect_exit 0 "$penstock" ls --json --from "$one" srv
    expect_json '.[-1] | .read_bytes * 20 < .file_bytes'
    expect_exit 0 "$penstock" cat --verbose --from "$one" etc/hosts
    local numbers
    read -ra numbers < <(sed -nE 's/.*read ([0-9]+) of ([0-9]+) bytes of the parts/\1 \2/p' "$memory/err")
    [ $((numbers[0] * 4)) -lt "${numbers[1]}" ] || fail 'cat reads much of the other files'
}

# What is damaged is not handed on; what lies elsewhere is.
damage() {
    local part offset
    for part in "$one"/BACKUP-1/*PART*/*.data; do
        offset=$(grep -obUaF -m1 "$(basename "$tree")-needle" "$part" | head -n 1 | cut -d: -f1 || true)
        [ -z "$offset" ] || break
    done
    flip "$part" "$offset"
    expect_exit 1 "$penstock" cat --from "$one" etc/needle
    expect_message 'damaged'
    [ ! -s "$memory/out" ] || fail 'cat prints what is damaged'
    expect_exit 0 "$penstock" ls --from "$one" etc
    flip "$part" "$offset"
    expect_same --from "$one" etc/needle "$tree/etc/needle"
}

# expect_diff EXPECTED ARGUMENT…
expect_diff() {
    local expected=$1
    shift
    expect_exit 0 "$penstock" diff --from "$disk/diff" "$@"
    [ "$(tr '\n' ';' <"$memory/out")" = "$expected" ] || fail "diff $*: not \"$expected\""
}

diffs() {
    local t=$disk/changing
    mkdir -p "$t/a" "$t/b"
    random_bytes 3000000 >"$t/a/large"
    head -c 100000 /dev/zero >"$t/a/zeros"
    echo same >"$t/a/same"
    ln -s one "$t/a/link"
    echo gone >"$t/b/gone"
    touch -d 2001-02-03 "$t/a/"* "$t/a" "$t/b"
    expect_exit 0 "$penstock" backup --source "t=dir:$t" --to "$disk/diff" --ldms 2
    # other chunks and compressed, a hole where there were zeros, and other bytes at the old time
    rm "$t/a/zeros" "$t/a/link" "$t/b/gone"
    truncate -s 100000 "$t/a/zeros"
    ln -s two "$t/a/link"
    chmod 600 "$t/a/same"
    flip "$t/a/large" 2999999
    echo new >"$t/b/new"
    touch -h -d 2001-02-03 "$t/a/"* "$t/a" "$t/b"
    expect_exit 0 "$penstock" backup --source "t=dir:$t" --to "$disk/diff" --ldms 1 --chunk 64K --compress zstd
    expect_diff 'M a/link  mtime, link;M a/same  mode;- b/gone;+ b/new;' 1 2
    expect_diff 'M a/large  contents;M a/link  mtime, link;M a/same  mode;- b/gone;+ b/new;' 1 2 --content
    expect_diff '' 2 2 --content
    expect_exit 0 "$penstock" diff --from "$disk/diff" 1 2 --json
    expect_json '.[-1] == (.[-1] + {"added": 1, "removed": 1, "changed": 2}) and .[-1].read_bytes * 5 < .[-1].file_bytes'
    expect_exit 10 "$penstock" diff --from "$disk/diff" 1 7
    expect_exit 0 "$penstock" backup --source "other=dir:$t" --to "$disk/diff"
    expect_exit 0 "$penstock" diff --from "$disk/diff" 2 3
    [ "$(grep -c '^-' "$memory/out") $(grep -c '^+' "$memory/out")" = "$(find "$t" | wc -l) $(find "$t" | wc -l)" ] || fail 'other sources'
}

# What lies behind a damaged index is found by its headers; what a damaged catalogue had is missing, and
# that is said.
damaged_indexes() {
    local bad=$disk/damaged-index part bytes t=$disk/few
    mkdir "$t"
    echo 1 >"$t/first-file"
    echo 2 >"$t/second-file"
    expect_exit 0 "$penstock" backup --source "t=dir:$t" --to "$bad" --ldms 1 --compress none
    expect_exit 0 "$penstock" ls --from "$bad"
    cp "$memory/out" "$memory/whole"
    cp -r "$bad" "$bad.whole"
    part=$(find "$bad" -name '*.data')
    bytes=$(stat -c %s "$part")
    for offset in $((bytes - 20)) $((bytes - 200)); do # the trailer, the index
        rm -r "$bad" && cp -r "$bad.whole" "$bad"
        flip "$part" "$offset"
        expect_exit 3 "$penstock" ls --from "$bad"
        expect_message 'error: .*BACKUP-1.1.data: offset [0-9]*: damaged' 'backup 1 is damaged, and what is shown may lack some of it: 1 damage'
        cmp "$memory/out" "$memory/whole" || fail 'not all is shown'
        expect_exit 3 "$penstock" find --from "$bad" '*d-file'
        expect_output '^second-file$'
        expect_exit 0 "$penstock" cat --from "$bad" second-file
        expect_output '^2$'
        expect_message 'error: .*BACKUP-1.1.data: offset [0-9]*: damaged'
        expect_exit 3 "$penstock" diff --from "$bad" 1 1 --content
        [ ! -s "$memory/out" ] || fail "a backup differs from itself: $(cat "$memory/out")"
        expect_exit 3 "$penstock" stats --from "$bad"
    done
    rm -r "$bad" && cp -r "$bad.whole" "$bad"
    flip "$part" "$(grep -abo first-file "$part" | tail -n 1 | cut -d : -f 1)" # the catalogue
    expect_exit 3 "$penstock" ls --from "$bad"
    expect_message 'backup 1 is damaged'
    expect_exit 1 "$penstock" cat --from "$bad" second-file
    expect_message 'backup 1 is damaged, and what can be read of it has no second-file'
}

# Of a file with more extents than its entry counts, bytes without a piece may be holes, or else what is lost.
lost_extents() {
    local t=$disk/extents bad=$disk/lost part bytes i
    mkdir "$t"
    for i in {1..1100}; do
        printf '%4095d\n' "$i" >>"$t/file"
        truncate -s +12K "$t/file"
    done
    expect_exit 0 "$penstock" backup --source "t=dir:$t" --to "$bad" --ldms 1
    expect_same --from "$bad" file "$t/file"
    part=$(find "$bad" -name '*.data')
    bytes=$(stat -c %s "$part")
    flip "$part" $((bytes - 20)) # the trailer
    expect_same --from "$bad" file "$t/file"
    flip "$part" 4200 # the header of the first chunk
    expect_exit 1 "$penstock" cat --from "$bad" file
    expect_message 'error: file: pieces of its contents (may be|are) missing'
    [ ! -s "$memory/out" ] || fail 'what is lost is zeros'
}

# What changes in a file changes under all its names; that a name comes or goes changes no other.
diffs_of_names() {
    local t=$disk/names
    rm -rf "$disk/diff"
    mkdir "$t"
    for name in several single apart; do echo one >"$t/$name"; done
    ln "$t/several" "$t/z1"
    ln "$t/several" "$t/a1"
    ln "$t/apart" "$t/gone"
    ln "$t/apart" "$t/torn"
    touch -d 2001-02-03 "$t/"* "$t"
    expect_exit 0 "$penstock" backup --source "t=dir:$t" --to "$disk/diff"
    echo two >"$t/several"
    ln "$t/single" "$t/a0"
    ln "$t/single" "$t/z0"
    rm "$t/gone" "$t/torn"
    echo one >"$t/torn"
    touch -d 2001-02-03 "$t/"* "$t"
    expect_exit 0 "$penstock" backup --source "t=dir:$t" --to "$disk/diff"
    # of the two that are no longer one file, the one that was the other's link says so
    expect_exit 0 "$penstock" diff --from "$disk/diff" 1 2 --content
    sort "$memory/out" >"$memory/sorted"
    [ "$(grep -v link "$memory/sorted" | tr '\n' ';')" = '+ a0;+ z0;- gone;M a1  contents;M several  contents;M z1  contents;' ] ||
        fail "diff of names: $(cat "$memory/out")"
    grep -qE '^M (apart|torn)  link$' "$memory/sorted" || fail 'names of one file are two, and nothing says so'
    touch -d 2002-02-03 "$t/several"
    expect_exit 0 "$penstock" backup --source "t=dir:$t" --to "$disk/diff"
    expect_diff 'M a1  mtime;M several  mtime;M z1  mtime;' 2 3
}

make_backups
lists
finds
counts
contents
sealed
reads_little
damage
damaged_indexes
lost_extents
diffs
diffs_of_names
