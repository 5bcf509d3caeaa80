#!/bin/bash
# What the target cannot take, or the backup has lost, is named and costs exit code 3; all else is
# restored. What one user may do to another by a backup or a target, he may not.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
work=$memory

backup() { # NAME: of $work/NAME into $work/NAME-to
    expect_exit '0 3' "$penstock" backup --source "dir:$work/$1" --to "$work/$1-to" --ldms "${2:-2}" --chunk 64K
}

restore() { # CODE NAME OPTION…: of the backup of NAME into $work/NAME-target
    expect_exit "$1" "$penstock" restore --from "$work/$2-to" --target "$work/$2-target" "${@:3}"
}

# Root of a user namespace may give files to nobody but himself.
owners() {
    unshare -Ur true 2>/dev/null || return 0
    is_root || return 0
    mkdir "$work/owners"
    echo hi >"$work/owners/a"
    echo ho >"$work/owners/b"
    ln -s a "$work/owners/link"
    chown -h 1234:0 "$work/owners/a" "$work/owners/link"
    chmod 4755 "$work/owners/a"
    backup owners
    chmod -R a+rX "$work/owners-to"
    expect_exit 3 unshare -Ur "$penstock" restore --from "$work/owners-to" --target "$work/owners-target" --json
    expect_message 'could not set the owner of owners/a: Invalid argument' \
        'could not set the owner of owners/link: ' '2 attributes could not be set'
    expect_json 'map(select(.message_type == "trouble")) | length == 2 and all(.whole)'
    expect_json '.[-2].not_set == 2 and .[-2].failed == 0 and .[-1].code == 3'
    diff -r --no-dereference "$work/owners" "$work/owners-target" || fail 'not all of the data is there'
    [ "$(stat -c %a "$work/owners-target/a")" = 755 ] || fail 'a set-user-ID bit without its owner'
}

# A file as large as no file on a disk can be.
too_large() {
    local work=$disk
    is_root || return 0
    mkdir "$work/huge"
    mount -t tmpfs none "$work/huge" 2>/dev/null || return 0
    mounted+=("$work/huge")
    mkdir "$work/huge/d"
    truncate -s 9223372036854775807 "$work/huge/d/huge" 2>/dev/null || return 0
    ln "$work/huge/d/huge" "$work/huge/d/another"
    echo a >"$work/huge/d/a"
    echo z >"$work/huge/z"
    backup huge
    restore 3 huge
    expect_message 'huge/d/(huge|another): File too large' 'another name of what is not restored whole' '2 objects'
    expect_names "$work/huge-target" $'./d\n./d/a\n./z'
    umount "$work/huge"
}

# Replaced or refused, as a whole, before anything is touched.
in_the_way() {
    mkdir -p "$work/way/d" "$work/way-target/thing/deep/er" "$work/way-target/other"
    echo f >"$work/way/thing"
    echo o >"$work/way/d/o"
    backup way
    ln -s "$work/way" "$work/way-target/thing/deep/link"
    echo d >"$work/way-target/d"
    echo k >"$work/way-target/thing/deep/er/k"
    cp -a "$work/way-target" "$work/way-before"
    if is_root && mount --bind "$work/way" "$work/way-target/thing/deep" 2>/dev/null; then
        mounted+=("$work/way-target/thing/deep")
        restore 1 way --force
        expect_message 'thing/deep: something is mounted there; it is in the way of way/thing, and nothing was restored'
        umount "$work/way-target/thing/deep"
        diff -r --no-dereference "$work/way-before" "$work/way-target" || fail 'a refused restore changed its target'
    fi
    if is_root; then
        chown 4321 "$work/way-target/thing/deep/er/k"
        restore 1 way --force
        expect_message 'er/k: belongs to user 4321.*in the way of way/thing'
        diff -r --no-dereference "$work/way-before" "$work/way-target" || fail 'a refused restore changed its target'
        chown 0 "$work/way-target/thing/deep/er/k"
    fi
    restore 0 way --force
    rmdir "$work/way-target/other"
    diff -r "$work/way" "$work/way-target" || fail 'not what was backed up'
    [ -e "$work/way/d/o" ] || fail 'a link was followed out of the target'
}

# expect_whole_but NAMES: nothing of NAMES (below damaged/) is restored under its own name, all else is.
expect_whole_but() {
    local name
    for name; do
        expect_absent "$work/damaged-target/$name"
        expect_message "damaged/$name"
    done
    while IFS= read -r -d '' name; do
        if [ -e "$work/damaged-target/$name" ]; then
            cmp "$work/damaged/$name" "$work/damaged-target/$name" || fail "$name is restored, and wrong"
        else
            grep -qE "damaged/$name: |objects are lost" "$memory/err" || fail "$name is lost without a word"
        fi
    done < <(cd "$work/damaged" && find . -type f -printf '%P\0')
}

damage() {
    mkdir -p "$work/damaged/sub"
    local i data size offset
    for i in {1..60}; do random_bytes 9000 >"$work/damaged/f$i"; done
    random_bytes 400000 >"$work/damaged/sub/large"
    truncate -s 900000 "$work/damaged/sub/sparse"
    echo tail | dd of="$work/damaged/sub/sparse" bs=1 seek=850000 conv=notrunc status=none
    backup damaged 1
    data=$(echo "$work"/damaged-to/BACKUP-1/*PART*/*.data)
    cp "$data" "$memory/data"
    size=$(stat -c %s "$data")
    restore 0 damaged --keep-going
    compare_trees "$work/damaged" "$work/damaged-target"
    # The part header; payloads and headers of chunks of all types; the last index; the trailer.
    for offset in 100 8192 4200 70000 150000 $((size / 2)) $((size / 2 + 4096)) $((size - 20000)) \
        $((size - 9000)) $((size - 5000)) $((size - 100)); do
        rm -rf "$work/damaged-target"
        cp "$memory/data" "$data"
        flip "$data" "$offset"
        restore '0 1' damaged
        [ "$status" -eq 0 ] || expect_message 'keep-going restores what is whole' "$(basename "$data")"
        [ "$status" -eq 0 ] || expect_absent "$work/damaged-target"
        rm -rf "$work/damaged-target"
        restore '0 3' damaged --keep-going
        expect_whole_but
    done
    # In the checksums of objects: none is lost by that.
    rm -rf "$work/damaged-target"
    cp "$memory/data" "$data"
    offset=$(grep -abo -m1 PSTKSUM2 "$data" | head -n 1 | cut -d: -f1)
    flip "$data" $((offset + 40))
    restore 1 damaged
    restore 0 damaged --keep-going
    expect_message "$(basename "$data"): offset .*damaged"
    compare_trees "$work/damaged" "$work/damaged-target"
    # In the middle of the large file: it alone is hit.
    rm -rf "$work/damaged-target"
    cp "$memory/data" "$data"
    offset=$(grep -abo -m1 -F "$(head -c 230000 "$work/damaged/sub/large" | tail -c 24 | tr -d '\0\n' | head -c 8)" "$data" |
        head -n 1 | cut -d: -f1) || offset=''
    if [ -n "$offset" ]; then
        flip "$data" "$offset"
        restore 3 damaged --keep-going --json
        expect_whole_but sub/large
        expect_json 'map(select(.message_type == "trouble")) | length == 1 and .[0].path == "sub/large" and (.[0].whole | not)'
        [ -e "$work/damaged-target/sub/large.damaged" ] || fail 'what is left of a large file is gone'
        cmp "$work/damaged/sub/sparse" "$work/damaged-target/sub/sparse"
    fi
    # A part that is cut off, and one that is gone: by its id.
    for size in 60000 0; do
        rm -rf "$work/damaged-target"
        truncate -s "$size" "$data"
        expect_exit 1 "$penstock" restore --from "$work/damaged-to" --target "$work/damaged-target" 1
        expect_exit 3 "$penstock" restore --from "$work/damaged-to" --target "$work/damaged-target" 1 --keep-going
        expect_whole_but
    done
    rm "$data"
    rm -rf "$work/damaged-target"
    expect_exit 3 "$penstock" restore --from "$work/damaged-to" --target "$work/damaged-target" 1 --keep-going
    expect_whole_but
}

# expect_hit NAMES: of $work/packed, damaged, verify names just these, and restore all but these.
expect_hit() {
    local name wanted
    wanted=$(printf '%s\n' "$@" | sort)
    expect_exit 1 "$penstock" verify --from "$work/packed-to" 1
    [ "$(grep -Eoh 'packed/f[0-9]+' "$memory/out" "$memory/err" | cut -d/ -f2 | sort -u)" = "$wanted" ] ||
        fail "verify was to name $*"
    rm -rf "$work/packed-target"
    restore $(($# > 0 ? 3 : 0)) packed --keep-going --json
    [ "$(jq -r 'select(.message_type == "trouble").path' "$memory/out" | sort)" = "$wanted" ] ||
        fail "restore was to name $*"
    mkdir "$work/hit"
    for name; do mv "$work/packed/$name" "$work/hit"; done
    diff -r --exclude '*.damaged' "$work/packed" "$work/packed-target" || fail 'not just what is whole is restored'
    for name; do mv "$work/hit/$name" "$work/packed"; done
    rmdir "$work/hit"
}

# The chunk of a data file that has this offset: sets header, payload, and end, of the payload.
find_chunk() { # FILE OFFSET
    local next
    for ((next = 4096; next <= $2; next = payload + (end - payload + 4095) / 4096 * 4096)); do
        header=$next
        payload=$((header + 4096))
        end=$((payload + $(od -An -tu4 -j $((header + 92)) -N4 "$1")))
    done
}

# Small files that lie in chunks together: damage costs those whose bytes it hits.
packed() {
    mkdir "$work/packed"
    local i data sums name size last header payload end others=()
    local -A at
    for i in {1..200}; do
        echo "<file $i>" >"$work/packed/f$i"
        random_bytes $((1000 + i)) >>"$work/packed/f$i"
    done
    backup packed 1
    data=$(echo "$work"/packed-to/BACKUP-1/*PART*/*.data)
    cp "$data" "$memory/data"
    while IFS=: read -r i name; do at[f${name//[^0-9]/}]=$i; done < <(grep -abo '<file [0-9]*>' "$data")
    [ ${#at[@]} = 200 ] || fail 'not each file was found'
    flip "$data" $((at[f70] + 500))
    expect_hit f70
    flip "$data" "${at[f7]}"
    flip "$data" $((at[f170] + 1000))
    expect_hit f170 f7 f70
    # What follows the last piece of a chunk is nobody's.
    cp "$memory/data" "$data"
    last=$(printf '%s\n' "${at[@]}" | sort -n | tail -n 1)
    find_chunk "$data" "$last"
    flip "$data" "$end"
    expect_hit
    expect_message 'padding'
    # Damage to its header, or to the checksums of objects, costs all files of a chunk.
    for name in "${!at[@]}"; do # one may begin in the chunk before
        size=$(stat -c %s "$work/packed/$name")
        if [ $((at[$name] + size)) -gt "$header" ] && [ "${at[$name]}" -lt "$end" ]; then others+=("$name"); fi
    done
    [ ${#others[@]} -ge 10 ] || fail "only ${others[*]} lie in the chunk"
    cp "$memory/data" "$data"
    flip "$data" $((header + 100))
    expect_hit "${others[@]}"
    cp "$memory/data" "$data"
    flip "$data" $((last + 500))
    sums=$(grep -abo -m1 PSTKSUM2 "$data" | head -n 1 | cut -d: -f1)
    flip "$data" $((sums + 40))
    expect_hit "${others[@]}"
}

# hit FILE: the part loses a chunk in the middle of FILE (of marked_file), and of no other.
hit() {
    local data offset
    data=$(echo "$work"/older-to/BACKUP-1/*PART*/*.data)
    offset=$(grep -abo -m1 -F "MARK-$1-" "$data" | head -n 1 | cut -d: -f1)
    flip "$data" "$offset"
}

marked_file() { # NAME: 200 KB that do not get smaller
    random_bytes 200000 >"$work/older/$1"
    printf 'MARK-%s-' "$1" | dd of="$work/older/$1" bs=1 seek=100000 conv=notrunc status=none
}

# An older file, link or directory makes room for a newer one that is whole, and for no other.
older_stays() {
    shopt -s extglob
    mkdir -p "$work/older" "$work/older-target/directory/deep"
    local name before
    for name in file directory link free whole; do marked_file "$name"; done
    random_bytes 3000 >"$work/older/tiny"
    ln "$work/older/file" "$work/older/second-name"
    ln -s whole "$work/older/symlink"
    mkdir "$work/older/was-file"
    echo new >"$work/older/was-file/entry"
    backup older 1
    for name in file second-name whole tiny symlink was-file; do echo "old $name" >"$work/older-target/$name"; done
    echo kept >"$work/older-target/directory/deep/kept"
    ln -s nowhere "$work/older-target/link"
    cp -a "$work/older-target" "$work/older-before"
    for name in file directory link free; do hit "$name"; done
    restore 3 older --force --keep-going
    expect_message 'older/file: ' 'older/directory: ' 'older/link: ' 'older/free: ' 'older/second-name: '
    for name in file second-name directory link; do
        diff -r --no-dereference "$work/older-before/$name" "$work/older-target/$name" >&2 || fail "the older $name went"
    done
    for name in whole tiny symlink was-file; do
        diff -r --no-dereference "$work/older/$name" "$work/older-target/$name" >&2 || fail "the newer $name did not come"
    done
    # whichever name was listed first
    for name in '@(file|second-name)' directory link free; do
        compgen -G "$work/older-target/$name.damaged" >/dev/null || fail "what is left of $name is gone"
    done
    expect_absent "$work/older-target/free" "$work"/older-target/.penstock-*
    # Once more: what has the names with .damaged stays as well, and what is left is named.
    before=$(cd "$work/older-target" && sha256sum ./*.damaged)
    : >"$work/older-target/.penstock-restore"
    restore 3 older --force --keep-going
    expect_message 'not whole, and left there as \.penstock-[^ ]*: older/free: '
    [ "$before" = "$(cd "$work/older-target" && sha256sum ./*.damaged)" ] || fail 'a file was overwritten by what is not whole'
    restore 3 older --force --keep-going
    [ "$(find "$work/older-target" -name '.penstock-*' | wc -l)" -eq 4 ] || fail 'working names pile up'
}

# A catalogue that is lost in part: files are restored though the entries of their directories are gone.
lost_catalogue() {
    mv "$work/damaged" "$work/damaged-old"
    mkdir "$work/damaged"
    local i data link
    for i in {1..900}; do
        mkdir -p "$work/damaged/directory-with-a-long-name-$i"
        echo "$i" >"$work/damaged/directory-with-a-long-name-$i/file"
    done
    rm -rf "$work/damaged-to" "$work/damaged-target"
    backup damaged 1
    data=$(echo "$work"/damaged-to/BACKUP-1/*PART*/*.data)
    # the first chunk of type CATALOGUE (2): a byte of its payload
    for ((i = 4096; i < $(stat -c %s "$data"); i += 4096)); do
        [ "$(dd if="$data" bs=1 skip="$i" count=8 status=none | tr -d '\0')" = PSTKCHNK ] || continue
        link=$(od -An -tu1 -j $((i + 80)) -N1 "$data" | tr -d ' ')
        [ "$link" != 2 ] || break
    done
    flip "$data" $((i + 4096 + 50))
    restore 3 damaged --keep-going
    expect_message 'objects are lost, with their names: the catalogue is damaged'
    expect_whole_but
    [ "$(find "$work/damaged-target" -name file | wc -l)" -ge 100 ] || fail 'hardly anything is restored'
    [ -z "$(find "$work/damaged-target" -name '*.damaged')" ] || fail 'a file without its directory is not damaged'
}

# Root, and somebody else's backup.
distrust() {
    is_root || return 0
    mkdir "$work/his"
    echo x >"$work/his/x"
    chown 1234:5678 "$work/his" "$work/his/x"
    chmod 6755 "$work/his/x"
    cp -a "$work/his/x" "$work/his/roots"
    chown 0:0 "$work/his/roots"
    chmod 6755 "$work/his/roots"
    backup his
    restore 0 his
    [ "$(stat -c %a:%u "$work/his-target/x")" = 6755:1234 ] || fail 'set-ID bits that belong there'
    ! grep -q 'belongs to user' "$memory/err" || fail 'a warning of a backup of his own'
    rm -rf "$work/his-target"
    restore 0 his --no-set-id
    [ "$(stat -c %a:%u "$work/his-target/x")" = 755:1234 ] || fail 'not what --no-set-id says'
    [ "$(stat -c %a "$work/his-target/roots")" = 755 ] || fail 'not what --no-set-id says'
    rm -rf "$work/his-target"
    restore 0 his --no-owner
    [ "$(stat -c %a:%u:%g "$work/his-target/x")" = 755:0:0 ] || fail 'not what --no-owner says'
    [ "$(stat -c %a "$work/his-target/roots")" = 755 ] || fail 'a set-user-ID program of root by --no-owner'
    local file
    for file in "$work/his-to" "$work/his-to/BACKUP-1" "$work"/his-to/BACKUP-1/*PART-2*/*.data; do
        rm -rf "$work/his-target"
        chown 1234 "$file"
        restore 0 his
        expect_message 'the backup belongs to user 1234.*--no-devices'
        chown 0 "$file"
    done
}

# Two directories of the backup are one in the target, as where a file system ignores case: what is in both
# is not replaced without a word.
names_that_are_one() {
    mkdir -p "$work/fold/lower" "$work/fold/upper" "$work/fold-target/lower" "$work/fold-target/upper"
    local directory
    for directory in lower upper; do
        echo "$directory" >"$work/fold/$directory/file"
        ln -s "$directory" "$work/fold/$directory/link"
        echo "$directory" >"$work/fold/$directory/only-$directory"
    done
    echo before >"$work/fold-target/lower/file"
    backup fold
    is_root && mount --bind "$work/fold-target/lower" "$work/fold-target/upper" 2>/dev/null || return 0
    mounted+=("$work/fold-target/upper")
    restore 3 fold --force --keep-going
    expect_message 'upper: .*is one directory with another of the backup|is one directory with another .*upper' \
        '(lower|upper)/file: another object of the backup has this name in the target already' \
        '(lower|upper)/link: another object of the backup has this name in the target already'
    umount "$work/fold-target/upper"
    [ "$(sort "$work/fold-target/lower/file"*)" = "$(printf 'lower\nupper')" ] ||
        fail "one of two files is gone: $(head "$work/fold-target/lower/"*)"
    restore 0 fold --force --keep-going # over what that left
    rm -f "$work/fold-target/lower/file.damaged" "$work/fold-target/lower/only-upper"
    diff -r --no-dereference "$work/fold" "$work/fold-target" || fail 'not what was backed up'
}

owners
too_large
names_that_are_one
in_the_way
damage
packed
older_stays
lost_catalogue
distrust
