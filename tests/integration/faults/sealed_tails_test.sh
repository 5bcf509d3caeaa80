#!/bin/bash
# Sealed backups that are killed, and gathered by the next: nothing is added to what the key of a part has sealed,
# no two gatherings seal with one key, nothing shows, and without the key nothing is touched.
#
#   sealed_tails_test.sh PENSTOCK_FAULTS FOLDER DIGEST
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=../lib.sh disable=SC2154
source "$here/../lib.sh"
digest=${3:?}

export PENSTOCK_FAULTS=$memory/faults
mkdir "$PENSTOCK_FAULTS"
tree=$disk/secret-tree
to=$memory/to
key=$disk/key other=$disk/other pair=$disk/pair
expect_exit 0 "$penstock" keygen "$key"
expect_exit 0 "$penstock" keygen "$other"
expect_exit 0 "$penstock" keygen --pair "$pair"
words=(Wolframite salary-of-ada secret-folder payroll-source "$tree" Quarterly-label "$(head -c 24 "$key")")
mkdir -p "$tree/secret-folder"
for i in 1 2 3 4; do { yes 'the Wolframite report' || true; } | head -c 400000 >"$tree/salary-of-ada-$i"; done
for i in 1 2 3 4; do head -c 10000000 /dev/urandom >"$tree/large$i"; done
head -c 600000 /dev/urandom | split -b 6000 -a 3 - "$tree/secret-folder/f"
all=$((4 * 400000 + 4 * 10000000 + 600000))
sleep 2.1 # nothing is younger than what a base can tell changes by

backup=("$penstock" backup --to "$to" --ldms 2 --chunk 64K --compress none --label Quarterly-label --source "payroll-source=dir:$tree")

# cut_off POINT COUNT OPTION...: kills a backup when it passes the point for the COUNTth time.
cut_off() {
    local point=$1 count=$2
    shift 2
    set -- --base auto "$@"
    rm -f "$PENSTOCK_FAULTS"/*
    echo "kill $count" >"$PENSTOCK_FAULTS/$point"
    status=0
    "${backup[@]}" "$@" >"$memory/out" 2>"$memory/err" </dev/null &
    { wait $!; } 2>/dev/null || status=$?
    rm -f "$PENSTOCK_FAULTS"/*
    [ "$status" = 137 ] || fail "not killed at $point, passing $count: exit $status"
}

back_up() { # OPTION...
    [[ " $* " == *' --base '* ]] || set -- --base auto "$@"
    expect_exit 0 "${backup[@]}" "$@"
    number=$(find "$to" -maxdepth 1 -name 'BACKUP-*' -printf '%f\n' | sed s/BACKUP-// | sort -n | tail -n 1)
}

manifest() { # FILTER
    head -n 1 "$to/BACKUP-$number/BACKUP-$number.1.manifest" | jq -c "$1"
}

kept() { # NUMBER: bytes that the last one refers to in it
    manifest "[.origins[]? | select(.number == $1).bytes] | add // 0"
}

expect_state() { # NUMBER STATE
    local found
    found=$("$penstock" list --from "$to" --json | jq -r "select(.number == $1).state")
    [ "$found" = "$2" ] || fail "backup $1 is ${found:-absent}, expected $2"
}

expect_whole() { # KEY OPTION...
    expect_exit 0 "$penstock" verify --from "$to" "$number" "$@"
    rm -rf "$memory/back"
    expect_exit 0 "$penstock" restore --from "$to" --target "$memory/back" "$number" "$@"
    compare_trees "$tree" "$memory/back"
}

nothing_shows() {
    local word
    for word in "${words[@]}"; do
        ! LC_ALL=C grep -raqF -- "$word" "$to" || fail "$word shows: $(LC_ALL=C grep -ralF -- "$word" "$to")"
        ! find "$to" | grep -qF -- "$word" || fail "a file is named $word"
    done
}

part() { # NUMBER PART: without what its name ends in
    echo "$to/BACKUP-$1/BACKUP-$1-PART-$2-OF-2/BACKUP-$1.1"
}

# The draft and the keys are there from the start, and nothing shows: not before what is left is gathered, nor after.
cut_off after.BACKUP_FRAGMENT_CONF 3 --key-file "$key"
for file in draft keys keys.copy; do [ -s "$to/BACKUP-1/BACKUP-1.1.$file" ] || fail "no $file"; done
head -n 1 "$to/BACKUP-1/BACKUP-1.1.draft" | jq -e '.sealed and .sources == [] and .host == null and .version.incompatible == 1' >/dev/null ||
    fail 'the draft is not sealed'
nothing_shows
expect_state 1 incomplete
expect_exit 0 "$penstock" list --from "$to"
expect_output '^ +1 +incomplete +BACKUP-1: .*--base auto refers to what of it is whole'
# As if what it wrote last had not come to the disk.
for i in 1 2; do flip "$(part 1 $i).data" $(($(stat -c %s "$(part 1 $i).data") - 150000)); done
cp -r "$to" "$memory/was"

# Not by a key that does not open it, nor without one, nor by a public half: it is left as it is, and named.
expect_left() { # OPTION...
    back_up "$@"
    expect_message 'BACKUP-1: left alone: BACKUP-1.1.draft: .*no key that was given opens it'
    diff -r "$memory/was/BACKUP-1" "$to/BACKUP-1" || fail 'what no key opens was changed'
    [ "$(manifest .sums.source_bytes)" = "$all" ] || fail 'it is referred to all the same'
}
expect_left --key-file "$other"
expect_left
expect_left --recipient "$pair.pub"
expect_left --key-file "$other" --base none
rm -rf "$to"
cp -r "$memory/was" "$to"

# Killed in between, it is gathered once more: with another key for the tail, and what the part has is what it had.
cut_off after.TAIL_NAMED 1 --key-file "$key"
one_tail=$(ls "$to"/BACKUP-1/*/BACKUP-1.1.tail)
[ "$(wc -l <<<"$one_tail")" = 1 ] || fail "killed at the first tail, there are: $one_tail"
data=${one_tail%.tail}.data
cp "$one_tail" "$memory/first.tail"
cp "$data" "$memory/in-between"
back_up --key-file "$key"
cut=$(stat -c %s "$data")
cmp -n "$cut" "$data" "${data/$to/$memory/was}" || fail 'the part was written to'
cmp -n "$cut" "$data" "$memory/in-between" || fail 'the part was written to when it was gathered the second time'
[ "$cut" -lt "$(stat -c %s "${data/$to/$memory/was}")" ] || fail 'what was in flight is still there'
[ "$(stat -c %s "$one_tail")" = "$(stat -c %s "$memory/first.tail")" ] || fail 'the second gathering found something else'
blocks() { # FILE: its 16-byte blocks that are not zeros, but for identities
    xxd -p -c 16 "$1" | tail -n +6 | grep -v '^0*$' | sort -u
}
salt() { dd if="$1" bs=1 skip=88 count=32 status=none | xxd -p -c 32; }
[ "$(salt "$one_tail")" != "$(salt "$memory/first.tail")" ] || fail 'two gatherings have one key'
# In headers of chunks and the trailer 128 bytes and 280 stand open; of what is sealed, no block comes twice.
common=$(comm -12 <(blocks "$one_tail") <(blocks "$memory/first.tail") | wc -l)
echo "the two tails have $common of $(blocks "$one_tail" | wc -l) blocks in common"
[ "$common" -lt 60 ] || fail 'two gatherings have sealed the same with one key'
nothing_shows
expect_state 1 'cut off'
[ "$(kept 1)" -gt 2000000 ] || fail "$(kept 1) bytes are kept"
[ $(($(kept 1) + $(manifest .sums.source_bytes))) = "$all" ] || fail 'more or less than all'
[ "$(manifest .version.incompatible)" = 7 ] || fail "older readers would not refuse it: $(manifest .version)"
jq -e '.version.incompatible == 7' >/dev/null <<<"$(head -n 1 "$to/BACKUP-$number/BACKUP-$number.cluster.manifest")" || fail 'nor its decision'
expect_whole --key-file "$key"
# A base that refers to it hands that on; what refers to nothing of it is as before.
back_up --key-file "$key"
[ "$(manifest .version.incompatible)" = 7 ] || fail 'not handed on'
expect_whole --key-file "$key"
back_up --key-file "$key" --base none
[ "$(manifest .version.incompatible)" = 1 ] || fail "$(manifest .version) without a base"

# Killed at each step of gathering, and of several parts, again and again.
for point in after.TAIL_NAMED after.PART_ENDED; do
    for count in 1 2; do
        rm -rf "$to"
        cp -r "$memory/was" "$to"
        cut_off "$point" "$count" --key-file "$key"
        cut_off "$point" "$count" --key-file "$key"
        back_up --key-file "$key"
        [ "$(kept 1)" -gt 2000000 ] || fail "killed at $point, passing $count: $(kept 1) bytes are kept"
        expect_whole --key-file "$key"
    done
done
# A temporary file of a tail, and a tail of which the draft knows nothing, go with the rest.
rm -rf "$to"
cp -r "$memory/was" "$to"
cut_off after.TAIL_NAMED 1 --key-file "$key"
echo half >"$to/BACKUP-1/BACKUP-1-PART-1-OF-2/.BACKUP-1.1.tail.tmp"
expect_exit 0 "${backup[@]}" --key-file "$key" --base none
expect_absent "$to/BACKUP-1"

# Who looks at it: with the key, and without.
rm -rf "$to"
cp -r "$memory/was" "$to"
back_up --key-file "$key"
expect_exit 0 "$penstock" list --from "$to" --key-file "$key"
expect_output '^ *1 +cut off' "^ *$number +complete"
expect_exit 0 "$penstock" list --from "$to"
expect_output '^ *1 +cut off' "^ *$number +complete .*give the key"
expect_exit 0 "$penstock" ls --from "$to" --id "$number" --key-file "$key"
"$penstock" cat --from "$to" --id "$number" --key-file "$key" large1 | cmp - "$tree/large1" || fail 'cat'
expect_exit 0 "$penstock" verify --from "$to"
expect_exit 12 "$penstock" restore --from "$to" --target "$memory/none" "$number"
expect_exit 12 "$penstock" restore --from "$to" --target "$memory/none" "$number" --key-file "$other"
expect_exit '1 3 11' "$penstock" prune --from "$to" 1 --key-file "$key"
expect_state 1 'cut off'
# Keys are added to it and removed from it as from any.
expect_exit 0 "$penstock" key add --from "$to" --key-file "$key" --new-key-file "$other"
expect_whole --key-file "$other"
key_id=$("$penstock" key list --from "$to" --json | jq -r 'select(.number == 1).id' | sort -u | head -n 2)
[ "$(wc -l <<<"$key_id")" = 2 ] || fail "backup 1 is opened by $key_id"
for id in $key_id; do
    expect_exit '0 12' "$penstock" key remove --from "$to" --key-file "$other" --key-id "$id"
    [ "$status" = 12 ] || break
done
expect_whole --key-file "$other"
expect_exit 12 "$penstock" restore --from "$to" --target "$memory/none" "$number" --key-file "$key"
# By the rules of prune it goes when nothing refers to it any more, if the key shows of which sources it is.
back_up --base none --key-file "$other"
expect_exit 12 "$penstock" prune --from "$to" --keep-last 1 --key-file "$key"
expect_state 1 'cut off'
expect_exit 0 "$penstock" prune --from "$to" --keep-last 1 --key-file "$other"
expect_absent "$to/BACKUP-1"
expect_exit 0 "$penstock" prune --from "$to" "$number" --key-file "$other"
expect_names "$to" ''

# With other keys than it, and with a pair or a passphrase.
(umask 077 && echo 'correct battery' >"$disk/passphrase")
for with in "--key-file $pair --recipient $pair.pub" "--passphrase-file $disk/passphrase"; do
    # shellcheck disable=SC2086 # words of their own
    cut_off after.BACKUP_FRAGMENT_CONF 3 $with
    # shellcheck disable=SC2086
    back_up $with
    [ "$(kept 1)" -gt 2000000 ] || fail "$with: $(kept 1) bytes are kept"
    # shellcheck disable=SC2086
    expect_whole ${with%% --recipient*}
    rm -rf "$to"
done
cut_off after.BACKUP_FRAGMENT_CONF 3 --key-file "$key"
back_up --key-file "$key" --key-file "$other"
expect_message 'not all keys that this one is sealed for open it: penstock key add'
[ "$(kept 1)" = 0 ] || fail 'a key that does not open all'
rm -rf "$to"

# Killed while it writes the files of keys and the draft, it has written nothing: all goes.
for point in after.FILE_WRITTEN after.FILE_RENAMED after.FILE_DURABLE; do
    for count in 1 2; do
        cut_off "$point" "$count" --key-file "$key"
        back_up --key-file "$key"
        expect_message 'BACKUP-1: removed: it was never completed'
        [ -z "$(find "$to" -name '.*tmp' -o -name '*.draft')" ] || fail "killed at $point, passing $count: $(find "$to")"
        expect_whole --key-file "$key"
        rm -rf "$to"
    done
done

# Killed when it is removed, the draft goes before the keys: nothing stays that no key opens any more.
for ((count = 1; count < 30; count++)); do
    cp -r "$memory/was" "$to"
    echo "kill $count" >"$PENSTOCK_FAULTS/after.NAME_SWEPT"
    status=0
    "${backup[@]}" --base none --key-file "$key" >"$memory/out" 2>"$memory/err" </dev/null &
    { wait $!; } 2>/dev/null || status=$?
    rm -f "$PENSTOCK_FAULTS"/*
    [ "$status" = 137 ] || break
    back_up --base none --key-file "$key"
    [ -z "$(find "$to" -name "*.draft")" ] || fail "killed after the removal of $count names: $(find "$to" -name "*.draft")"
    rm -rf "$to"
done
{ [ "$count" -gt 10 ] && [ "$status" = 0 ]; } || fail "exit $status after the removal of $count names"
rm -rf "$to"

# Nor where the draft of a backup that is given up cannot be removed.
echo 'interrupt 3' >"$PENSTOCK_FAULTS/after.BACKUP_FRAGMENT_CONF"
echo 'refuse 2' >"$PENSTOCK_FAULTS/before.NAME_REMOVED"
expect_exit 130 "${backup[@]}" --base auto --key-file "$key"
expect_message 'BACKUP-1.1.draft: remove it by hand'
rm -f "$PENSTOCK_FAULTS"/*
[ -s "$to/BACKUP-1/BACKUP-1.1.draft" ] || fail 'the draft was removed'
back_up --key-file "$key"
expect_absent "$to/BACKUP-1"
rm -rf "$to"

# The public half alone opens nothing: it is said once, and what is left is removed.
cut_off after.BACKUP_FRAGMENT_CONF 3 --recipient "$pair.pub"
expect_absent "$to/BACKUP-1/BACKUP-1.1.draft"
back_up --recipient "$pair.pub"
[ "$(grep -c 'this node has no key that opens it' "$memory/err")" = 1 ] || fail 'not said once'
expect_message 'BACKUP-1: removed: it was never completed'
[ "$(manifest .sums.source_bytes)" = "$all" ] || fail 'what nobody opens is referred to'
rm -rf "$to"

# Damage in a tail: it is found and named, and what is lost with it is not restored as if it were whole.
cp -r "$memory/was" "$to"
back_up --key-file "$key"
tail=$(part 1 1).tail
cp "$tail" "$memory/whole.tail"
bytes=$(stat -c %s "$tail")
# Its header, the index and the trailer; the checksums of objects are not read where it is referred to.
for offset in 30 60 84 95 2000 $((bytes - 8000)) $((bytes - 4200)) $((bytes - 4000)) $((bytes - 100)); do
    flip "$tail" "$offset"
    expect_exit 1 "$penstock" verify --from "$to" --key-file "$key" "$number"
    expect_message 'BACKUP-1.1.tail: offset'
    rm -rf "$memory/back"
    expect_exit 1 "$penstock" restore --from "$to" --target "$memory/back" --key-file "$key" "$number"
    expect_absent "$memory/back"
    # The chunks of the part are whole, and found without it.
    expect_exit '0 3' "$penstock" restore --from "$to" --target "$memory/back" --key-file "$key" --keep-going "$number"
    expect_message 'BACKUP-1.1.tail: offset'
    compare_trees "$tree" "$memory/back"
    cp "$memory/whole.tail" "$tail"
done
# Both ends of it, so that its chunks are looked for: what is not found is said of the tail, where it lies.
flip "$tail" 4100
flip "$tail" $((bytes - 100))
rm -rf "$memory/back"
expect_exit '0 3' "$penstock" restore --from "$to" --target "$memory/back" --key-file "$key" --keep-going "$number"
expect_message 'BACKUP-1.1.tail: offset 4096: .*no chunk that could be found again'
! grep -q 'BACKUP-1.1.data: offset' "$memory/err" || fail 'the part is named for its tail'
cp "$memory/whole.tail" "$tail"
for wrong in "$memory/first.tail" "$(part 1 2).tail" /dev/null; do
    cp "$wrong" "$tail"
    expect_exit 1 "$penstock" verify --from "$to" --key-file "$key" "$number"
    expect_message 'BACKUP-1.1.tail'
done
truncate -s $((bytes - 4096)) "$tail"
expect_exit 1 "$penstock" verify --from "$to" --key-file "$key" "$number"
rm "$tail"
expect_exit '1 3' "$penstock" verify --from "$to" --key-file "$key" "$number"
expect_message 'BACKUP-1.1.tail: '
rm -rf "$memory/back"
expect_exit '0 3' "$penstock" restore --from "$to" --target "$memory/back" --key-file "$key" --keep-going "$number"
compare_trees "$tree" "$memory/back"
cp "$memory/whole.tail" "$tail"
expect_whole --key-file "$key"
# A bit that is put right by its checksum: the tag tells.
forge() { # FILE OFFSET: of the header of a tail
    local sum i
    flip "$1" "$2"
    dd if=/dev/zero of="$1" bs=1 seek=24 count=16 conv=notrunc status=none
    sum=$(head -c 4096 "$1" | "$digest")
    sum=${sum#xxh3-128:}
    for ((i = 0; i < 32; i += 2)); do printf '%b' "\\x${sum:i:2}"; done | dd of="$1" bs=1 seek=24 conv=notrunc status=none
}
for offset in 72 90; do
    forge "$tail" "$offset"
    expect_exit 1 "$penstock" verify --from "$to" --key-file "$key" "$number"
    expect_message 'not what was sealed here'
    cp "$memory/whole.tail" "$tail"
done
# A draft that was changed outside, or put in the place of a manifest, is none.
draft=$to/BACKUP-1/BACKUP-1.1.draft
cp "$draft" "$memory/draft"
line=$(head -n 1 "$draft" | sed 's/"sealed":"..[0-7]/&8/; t cut; s/"sealed":"..[8-9a-f]/&0/; :cut; s/\("sealed":"..\)./\1/')
printf '%s\n{"checksum":"%s"}\n' "$line" "$(printf '%s\n' "$line" | "$digest")" >"$draft"
expect_exit 1 "$penstock" verify --from "$to" --key-file "$key" "$number"
cp "$memory/draft" "$draft"
expect_whole --key-file "$key"
# What was found damaged is not referred to by the next.
flip "$tail" $((bytes - 100))
expect_exit 1 "$penstock" verify --from "$to" --key-file "$key" "$number"
back_up --key-file "$key"
[ "$(kept 1)" = 0 ] || fail 'it refers to what is damaged'
expect_whole --key-file "$key"
