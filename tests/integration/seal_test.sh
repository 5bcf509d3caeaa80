#!/bin/bash
# Sealed backups: they come back with a key and not without, whatever the codec; of names, contents,
# sources, host and label nothing can be found in any file; each of several keys opens them, and the
# public half of a pair does not; damage is found with a key and without, and so is what was put in
# the place of another.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

digest=${3:?usage: seal_test.sh PENSTOCK FOLDER DIGEST}

comes_back() { # BACKUPS ID KEY…
    local from=$1 id=$2 options=() key
    shift 2
    for key; do options+=(--key-file "$key"); done
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" verify --from "$from" "${options[@]}" "$id"
    expect_exit 0 "$penstock" restore --from "$from" "${options[@]}" "$id" --target "$disk/target"
    diff -r --no-dereference "$disk/tree" "$disk/target"
}

# Each known name and content, over all files and file names.
nothing_shows() { # BACKUPS
    local word
    for word in "${words[@]}"; do
        ! LC_ALL=C grep -raqF -- "$word" "$1" || fail "$word shows: $(LC_ALL=C grep -ralF -- "$word" "$1")"
        ! find "$1" | grep -qF -- "$word" || fail "a file is named $word"
    done
}

key=$disk/key other=$disk/other pair=$disk/pair
expect_exit 0 "$penstock" keygen "$key"
expect_exit 0 "$penstock" keygen "$other"
expect_exit 0 "$penstock" keygen --pair "$pair"
pair_id=$(grep -oE 'key [0-9a-f]{16}' "$memory/out")
[ "$(stat -c %a "$pair")" = 600 ] || fail 'the secret half is open to others'
expect_exit 1 "$penstock" keygen --pair "$pair"

words=(Wolframite salary-of-ada secret-folder linked-secret payroll-source Quarterly-label)
mkdir -p "$disk/tree/secret-folder"
for i in $(seq 1 200); do
    echo "Wolframite $i $i" >"$disk/tree/secret-folder/salary-of-ada-$i"
done
{ yes 'the Wolframite report' || true; } | head -c 6000000 >"$disk/tree/large-Wolframite"
head -c 12000000 /dev/urandom >"$disk/tree/noise" # both are restored past the page cache, while their chunks are decoded
ln -s linked-secret "$disk/tree/link"
truncate -s 5M "$disk/tree/hole"
words+=("$disk/tree" "$(head -c 24 "$key")")

for codec in none lz4 zstd:3 auto; do
    expect_exit 0 "$penstock" backup --source "payroll-source=dir:$disk/tree" --to "$disk/$codec" \
        --key-file "$key" --compress "$codec" --ldms 2 --chunk 256K --label Quarterly-label --verify
    nothing_shows "$disk/$codec"
    comes_back "$disk/$codec" 1 "$key"
done
b=$disk/none
! grep -raqF "\"$(hostname)\"" "$b" || fail 'the host shows'
# the test can fail: a plain backup shows all of them but the last
expect_exit 0 "$penstock" backup --source "payroll-source=dir:$disk/tree" --to "$disk/plain" --label Quarterly-label --compress none
for word in "${words[@]::${#words[@]}-1}"; do
    LC_ALL=C grep -raqF -- "$word" "$disk/plain" || fail "$word does not show in a plain backup"
done

# With the key all is said, without only what everybody may see.
expect_exit 0 "$penstock" list --from "$b" --key-file "$key"
expect_output Quarterly-label
expect_exit 0 "$penstock" show --from "$b" --key-file "$key" --json
jq -e '.sealed and .node_manifests[0].sources[0].name == "payroll-source" and .label == "Quarterly-label"' \
    "$memory/out" >/dev/null || fail 'show with the key'
expect_exit 0 "$penstock" list --from "$b"
expect_output 'complete' 'it is sealed: give the key [0-9a-f]{16}'
for word in "${words[@]}"; do ! grep -qF "$word" "$memory/out" || fail "list shows $word"; done
expect_exit 0 "$penstock" show --from "$b" --json
jq -e '.sealed and .node_manifests[0].sources == []' "$memory/out" >/dev/null || fail 'show without the key'
expect_exit 0 "$penstock" verify --from "$b"
expect_message 'only the checksums of what is stored were checked: it is sealed: give the key [0-9a-f]{16}'
expect_exit 12 "$penstock" restore --from "$b" --target "$disk/none-target"
expect_message 'backup 1: it is sealed: give the key [0-9a-f]{16}'
[ ! -e "$disk/none-target" ] || fail 'something was restored without a key'
for command in verify "restore --target $disk/none-target"; do
    # shellcheck disable=SC2086 # words of their own
    expect_exit 12 "$penstock" $command --from "$b" --key-file "$other"
    expect_message 'backup 1.*no key that was given opens it; it wants key [0-9a-f]{16}'
done
[ ! -e "$disk/none-target" ] || fail 'something was restored with a wrong key'
comes_back "$b" 1 "$other" "$key"

# Several keys, and pairs.
expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$b" --recipient "$pair.pub" --key-file "$other"
comes_back "$b" 2 "$other"
comes_back "$b" 2 "$pair"
expect_exit 12 "$penstock" verify --from "$b" --key-file "$key" 2
expect_exit '1 2' "$penstock" verify --from "$b" --key-file "$pair.pub" 2
expect_message 'must be closed|public half of a pair'
(umask 077 && cat "$pair.pub" >"$disk/closed.pub")
expect_exit 2 "$penstock" verify --from "$b" --key-file "$disk/closed.pub" 2
expect_message 'closed.pub: this is the public half of a pair'
expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$b" --recipient "$pair"
expect_message "$pair: this is the secret half of a pair"
expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$b" --recipient "$(cat "$pair.pub")"
comes_back "$b" 3 "$pair"
cmp -s "$b/BACKUP-3/BACKUP-3.1.keys" "$b/BACKUP-3/BACKUP-3.1.keys.copy" || fail 'the keys are not there twice'

# Passphrases: from a file, a pipe, a command; in no file, and no other opens.
passphrase='correct Wolframite battery'
(umask 077 && echo "$passphrase" >"$disk/passphrase" && echo wrong >"$disk/wrong" && echo >"$disk/empty")
expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/phrase" --passphrase-file "$disk/passphrase" --key-file "$other"
nothing_shows "$disk/phrase"
expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/phrase" --passphrase-command "cat '$disk/passphrase'"
with_pipe() { # COMMAND…
    "$@" --passphrase-file /dev/fd/3 3< <(echo "$passphrase")
}
for id in 1 2; do
    expect_exit 0 with_pipe "$penstock" verify --from "$disk/phrase" "$id"
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore --from "$disk/phrase" "$id" --target "$disk/target" --passphrase-command "cat '$disk/passphrase'"
    diff -r --no-dereference "$disk/tree" "$disk/target"
    expect_exit 12 "$penstock" restore --from "$disk/phrase" "$id" --target "$disk/none-target" --passphrase-file "$disk/wrong"
    expect_message 'it wants .*passphrase [0-9a-f]{16}'
done
comes_back "$disk/phrase" 1 "$other"
expect_exit 12 "$penstock" verify --from "$disk/phrase" 2 --key-file "$other"
expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$disk/phrase" --passphrase-file "$disk/empty"
expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$disk/phrase" --passphrase-command false
chmod 644 "$disk/wrong"
expect_exit 1 "$penstock" backup --source "dir:$disk/tree" --to "$disk/phrase" --passphrase-file "$disk/wrong"
expect_message 'closed to others'
printf '%s\0tail\n' "$passphrase" >"$disk/cut"
printf '%0300d\n' 1 >"$disk/long"
for text in cut long; do
    expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$disk/phrase" --passphrase-command "cat '$disk/$text'"
    expect_message 'not text|longer than 255'
    chmod 600 "$disk/$text"
    expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$disk/phrase" --passphrase-file "$disk/$text"
done
# A file that was written on Windows holds what is typed: its line ends in CR LF, or it is refused.
(umask 077 && printf '%s\r\n' "$passphrase" >"$disk/returns" && printf '\xef\xbb\xbf%s\n' "$passphrase" >"$disk/mark")
expect_exit 0 "$penstock" verify --from "$disk/phrase" 2 --passphrase-file "$disk/returns"
expect_exit 0 "$penstock" verify --from "$disk/phrase" 2 --passphrase-command "cat '$disk/returns'"
expect_exit 0 "$penstock" backup --source "dir:$disk/tree/secret-folder" --to "$disk/returned" --passphrase-file "$disk/returns"
expect_exit 0 with_pipe "$penstock" verify --from "$disk/returned"
expect_exit 2 "$penstock" verify --from "$disk/returned" --passphrase-file "$disk/mark"
expect_message 'byte order mark'
expect_exit 2 "$penstock" verify --from "$disk/returned" --passphrase-command "cat '$disk/mark'"
expect_message 'byte order mark'
expect_exit 2 "$penstock" verify --from "$disk/returned" --passphrase-file /dev/fd/3 3< <(cat "$disk/mark")
expect_message 'byte order mark'
expect_exit 1 setsid -w "$penstock" backup --source "dir:$disk/tree" --to "$disk/phrase" --passphrase-prompt
expect_message '/dev/tty: '
[ ! -e "$disk/phrase/BACKUP-3" ] || fail 'a backup was made without its passphrase'

# Options.
install -m 600 "$disk/tree/noise" "$disk/garbage"
expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$b" --key-file "$disk/garbage"
expect_exit 1 "$penstock" backup --source "dir:$disk/tree" --to "$b" --key-file "$disk/missing"
expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$b" --recipient penstock-public-key:12
# A public half says whether it was copied without a slip, wherever it is given.
public=$(cat "$pair.pub")
[ "key ${public##*:}" = "$pair_id" ] || fail "keygen names $pair_id: $public"
slip=${public:0:40}$(tr 0-9a-f 1-9a-f0 <<<"${public:40:1}")${public:41}
echo "$slip" >"$disk/slip.pub"
for recipient in "$slip" "$disk/slip.pub"; do
    for command in "backup --source dir:$disk/tree --to $b" "key add --from $b --key-file $key" \
        "node --cluster c --id 1 --socket $memory/socket --source dir:$disk/tree --to $b --check-config"; do
        # shellcheck disable=SC2086 # words of their own
        expect_exit 2 "$penstock" $command --recipient "$recipient"
        expect_message 'a character of this public half is wrong'
    done
done
printf '[node]\nrecipient = %s\n' "$slip" >"$disk/node.conf"
expect_exit 2 "$penstock" node --config "$disk/node.conf" --cluster c --id 1 --socket "$memory/socket" \
    --source "dir:$disk/tree" --to "$b" --check-config
expect_message 'a character of this public half is wrong'
expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$b" --recipient "${public%:*}"
expect_message '64 hexadecimal digits, a colon and 16 more'
# A second key in a file would be passed over, and nothing sealed for it.
expect_exit 0 "$penstock" keygen --pair "$disk/pair2"
cat "$pair.pub" "$disk/pair2.pub" >"$disk/two.pub"
(umask 077 && cat "$key" "$other" >"$disk/two-keys" && { cat "$key"; printf '\r\n \n'; } >"$disk/blank")
for options in "--recipient $disk/two.pub" "--key-file $disk/two-keys"; do
    # shellcheck disable=SC2086 # words of their own
    expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$b" $options
    expect_message 'it holds more than one line: give each key in a file of its own'
done
expect_exit 2 "$penstock" key add --from "$b" --key-file "$key" --recipient "$disk/two.pub"
expect_exit 0 "$penstock" verify --from "$b" --key-file "$disk/blank" 1
# A file of zeros is no secret.
(umask 077 && printf '%064d\n' 0 >"$disk/zeros")
expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$b" --key-file "$disk/zeros"
expect_message 'all bytes of this key are the same'
zeros_id=$(grep -oE '[0-9a-f]{16}: all' "$memory/err")
expect_exit 2 "$penstock" key add --from "$b" --key-file "$key" --new-key-file "$disk/zeros"
expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$b" --recipient "penstock-public-key:$(printf '0%.0s' {1..64}):${zeros_id%: all}"
expect_message 'nothing can be sealed for this public half'
chmod 644 "$key"
expect_exit 1 "$penstock" backup --source "dir:$disk/tree" --to "$b" --key-file "$key"
expect_message 'closed to others'
chmod 600 "$key"
[ ! -e "$b/BACKUP-4" ] || fail 'a backup was made without its key'

# One file of keys may be lost or damaged, not both.
flip "$b/BACKUP-1/BACKUP-1.1.keys" 200
comes_back "$b" 1 "$key"
expect_exit 0 "$penstock" verify --from "$b" --key-file "$key" 1
expect_message 'BACKUP-1.1.keys: .*damaged; another copy of it is whole'
rm "$b/BACKUP-1/BACKUP-1.1.keys"
comes_back "$b" 1 "$key"
rm "$b/BACKUP-1/BACKUP-1.1.keys.copy"
expect_exit '1 12' "$penstock" verify --from "$b" --key-file "$key" 1
expect_message 'BACKUP-1.1.keys'
expect_exit '1 10 12' "$penstock" restore --from "$b" --key-file "$key" 1 --target "$disk/none-target"
[ ! -e "$disk/none-target" ] || fail 'something was restored without keys'

# What a key should open is damage where it does not, though its checksum is right, and though the other
# file opens.
forge() { # FILE OFFSET: flips a byte and makes the checksum right
    local sum i
    flip "$1" "$2"
    dd if=/dev/zero of="$1" bs=1 seek=24 count=16 conv=notrunc status=none
    sum=$("$digest" <"$1")
    sum=${sum#xxh3-128:}
    for ((i = 0; i < 32; i += 2)); do printf '%b' "\\x${sum:i:2}"; done | dd of="$1" bs=1 seek=24 conv=notrunc status=none
}
for file in .keys .keys.copy; do
    cp "$disk/zstd:3/BACKUP-1/BACKUP-1.1$file" "$disk/whole-keys"
    forge "$disk/zstd:3/BACKUP-1/BACKUP-1.1$file" 200
    comes_back "$disk/zstd:3" 1 "$key"
    expect_exit 0 "$penstock" verify --from "$disk/zstd:3" --key-file "$key"
    expect_message "BACKUP-1.1$file: .*damaged; another copy of it is whole"
    expect_exit 0 "$penstock" verify --from "$disk/zstd:3"
    expect_message 'a change of keys was cut off'
    # Adding the key that it should be for mends it.
    expect_exit 0 "$penstock" key add --from "$disk/zstd:3" --key-file "$key" --new-key-file "$key"
    expect_exit 0 "$penstock" verify --from "$disk/zstd:3" --key-file "$key"
    ! grep -q damaged "$memory/err" || fail 'adding the same key does not mend a file'
done

# A flipped bit anywhere, with the key and without it.
b=$disk/lz4
part=$b/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data
bytes=$(stat -c %s "$part")
for offset in 100 130 4096 4200 8100 8185 8200 20000 $((bytes / 2)) $((bytes - 4000)) $((bytes - 8000)) $((bytes - 100)); do
    flip "$part" "$offset"
    expect_exit 1 "$penstock" verify --from "$b" --key-file "$key"
    expect_message 'BACKUP-1.1.data: offset'
    expect_exit 1 "$penstock" verify --from "$b"
    expect_message 'BACKUP-1.1.data: offset'
    flip "$part" "$offset"
done
for file in "$b"/BACKUP-1/BACKUP-1.1.manifest "$b"/BACKUP-1/BACKUP-1.cluster.manifest; do
    flip "$file" $(($(stat -c %s "$file") - 200))
    expect_exit '0 1' "$penstock" verify --from "$b" --key-file "$key"
    expect_message 'manifest.*damaged|manifest: offset'
    flip "$file" $(($(stat -c %s "$file") - 200))
done
truncate -s -4096 "$part"
expect_exit 1 "$penstock" verify --from "$b"
expect_exit 1 "$penstock" verify --from "$b" --key-file "$key"
rm -rf "$disk/target"
expect_exit 0 "$penstock" restore --from "$b" --key-file "$key" --target "$disk/target" --keep-going 1
diff -r --no-dereference "$disk/tree" "$disk/target" # a part without its trailer has all its chunks

# What is whole of a damaged one comes back, and no more; the other part's chunks do not pass here.
b=$disk/zstd:3
part=$b/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data
flip "$part" 8300
rm -rf "$disk/target"
expect_exit 1 "$penstock" restore --from "$b" --key-file "$key" --target "$disk/target"
expect_exit 3 "$penstock" restore --from "$b" --key-file "$key" --target "$disk/target" --keep-going 1
flip "$part" 8300
cp "$part" "$disk/saved"
dd if="$b/BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data" of="$part" bs=4096 skip=1 seek=1 count=2 conv=notrunc status=none
expect_exit 1 "$penstock" verify --from "$b" --key-file "$key"
dd if="$disk/auto/BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data" of="$part" bs=4096 skip=1 seek=1 count=2 conv=notrunc status=none
expect_exit 1 "$penstock" verify --from "$b" --key-file "$key"
expect_message 'of another backup'
cp "$disk/saved" "$part"
comes_back "$b" 1 "$key"

# Whoever can write there makes the checksums of manifests right again: a decision that names a master
# whose key nobody asks for, and a node that is not sealed, are found all the same.
rewrite() { # FILE SED-SCRIPT
    local line
    line=$(head -n 1 "$1" | sed "$2")
    [ "$line" != "$(head -n 1 "$1")" ] || fail "$1: $2 changes nothing"
    printf '%s\n{"checksum":"%s"}\n' "$line" "$(printf '%s\n' "$line" | "$digest")" >"$1"
}
digest_of() { # FILE
    head -n 1 "$1" | "$digest"
}
cp -r "$b/BACKUP-1" "$disk/saved-backup"
for file in "$b"/BACKUP-1/BACKUP-1.cluster.manifest*; do rewrite "$file" 's/"master_node":1/"master_node":2/'; done
expect_exit 1 "$penstock" verify --from "$b" --key-file "$key"
expect_message 'cluster.manifest: .*its master is none of its nodes'
cp "$disk"/saved-backup/*.manifest* "$b/BACKUP-1/"
sealed_digest=$(digest_of "$b/BACKUP-1/BACKUP-1.1.manifest")
rewrite "$b/BACKUP-1/BACKUP-1.1.manifest" 's/"incompatible":1/"incompatible":0/'
open_digest=$(digest_of "$b/BACKUP-1/BACKUP-1.1.manifest")
for file in "$b"/BACKUP-1/BACKUP-1.cluster.manifest*; do rewrite "$file" "s/$sealed_digest/$open_digest/"; done
expect_exit 0 "$penstock" list --from "$b" --key-file "$key"
expect_output 'damaged' '1.manifest: .*not sealed, and the decision is'
cp "$disk"/saved-backup/*.manifest* "$b/BACKUP-1/"
comes_back "$b" 1 "$key"

# Its sources are known to prune's rules by its key alone; by its name it goes without. Nothing is left.
expect_exit 0 "$penstock" backup --source "payroll-source=dir:$disk/tree" --to "$b" --key-file "$key"
expect_exit 0 "$penstock" backup --source "payroll-source=dir:$disk/tree" --to "$b" --key-file "$key"
expect_exit 0 "$penstock" prune --from "$b" --keep 1
[ "$(find "$b" -name 'BACKUP-?' | wc -l)" -eq 3 ] || fail 'prune took a sealed backup for one of the same sources'
expect_exit 0 "$penstock" prune --from "$b" --keep 2 --key-file "$key"
[ -e "$b/BACKUP-2" ] || fail 'prune removed more than it should'
expect_exit 0 "$penstock" prune --from "$b" 2
[ ! -e "$b/BACKUP-2" ] || fail 'prune left the sealed backup'
[ ! -e "$b/BACKUP-1" ] || fail 'prune left the sealed backup'
[ "$(find "$b" -name '*.pruned' | wc -l)" -eq 0 ] || fail 'prune left something'

# Who can open backups changes without a byte of what they hold.
b=$disk/changed
key_id() { # FILE: the id by which it is named
    rm -rf "$disk/one"
    expect_exit 0 "$penstock" backup --source "dir:$disk/tree/secret-folder" --to "$disk/one" --key-file "$1"
    expect_exit 0 "$penstock" key list --from "$disk/one" --json
    jq -r .id "$memory/out"
}
ids() { # OPTION…: of the backups
    expect_exit 0 "$penstock" key list --from "$b" --json "$@"
    jq -r '"\(.number) \(.id)"' "$memory/out" | sort -u
}
old_id=$(key_id "$key") new_id=$(key_id "$other")
for _ in 1 2; do expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$b" --key-file "$key"; done
sums() { (cd "$b" && find . -type f ! -name '*.keys*' ! -name '*.verified' -exec sha256sum {} + | sort); }
before=$(sums)
[ "$(ids)" = "$(printf '1 %s\n2 %s\n' "$old_id" "$old_id")" ] || fail "list: $(ids)"
expect_exit 12 "$penstock" key add --from "$b" --new-key-file "$other"
expect_exit 12 "$penstock" key add --from "$b" --new-key-file "$other" --key-file "$other"
[ "$(ids | wc -l)" -eq 2 ] || fail 'a key was added without one that opens the backup'
expect_exit 0 "$penstock" key add --from "$b" --new-key-file "$other" --recipient "$pair.pub" --key-file "$key"
[ "$(ids | wc -l)" -eq 6 ] || fail 'not added to both'
for id in 1 2; do
    for one in "$key" "$other" "$pair"; do comes_back "$b" "$id" "$one"; done
done
# A file that was put there, of another data key, is not added to, and is replaced by the copy.
keys=$b/BACKUP-1/BACKUP-1.1.keys
{ head -c 24 "$keys"; head -c 16 /dev/zero; tail -c +41 "$keys" | head -c 32; printf 'another data key'; tail -c +89 "$keys"; } >"$disk/forged"
sum=$("$digest" <"$disk/forged")
sum=${sum#xxh3-128:}
for ((i = 0; i < 32; i += 2)); do printf '%b' "\\x${sum:i:2}"; done | dd of="$disk/forged" bs=1 seek=24 conv=notrunc status=none
cp "$disk/forged" "$keys"
expect_exit 0 "$penstock" key add --from "$b" --new-key-file "$other" --key-file "$key" 1
cmp "$keys" "$keys.copy" || fail 'the file of another data key is still there'
# A change that is cut off between the two files: either opens, and making it once more completes it.
cp "$b/BACKUP-1/BACKUP-1.1.keys.copy" "$disk/older.copy"
expect_exit 12 "$penstock" key remove --from "$b" --key-id "$old_id" --key-file "$key"
expect_message 'what is left must be opened by a --key-file'
comes_back "$b" 1 "$key"
expect_exit 0 "$penstock" key remove --from "$b" --key-id "$old_id" --key-file "$pair" 1
cp "$disk/older.copy" "$b/BACKUP-1/BACKUP-1.1.keys.copy"
for one in "$key" "$other" "$pair"; do comes_back "$b" 1 "$one"; done
ids 1 | grep -q "$old_id" || fail 'the older file does not show'
expect_exit 0 "$penstock" verify --from "$b" --key-file "$other" 1
expect_message 'keys.copy: .*a change of keys was cut off; make it again'
echo half >"$b/BACKUP-1/.BACKUP-1.1.keys.tmp"
expect_exit 0 "$penstock" key remove --from "$b" --key-id "$old_id" --key-file "$pair"
[ "$(ids)" = "$(ids | grep -v "$old_id")" ] || fail 'the key is still there'
for id in 1 2; do
    expect_exit 12 "$penstock" restore --from "$b" --key-file "$key" --target "$disk/none-target" "$id"
    comes_back "$b" "$id" "$other"
done
cmp "$b/BACKUP-1/BACKUP-1.1.keys" "$b/BACKUP-1/BACKUP-1.1.keys.copy" || fail 'the two files differ'
[ ! -e "$b/BACKUP-1/.BACKUP-1.1.keys.tmp" ] || fail 'a temporary file is left'
expect_exit 0 "$penstock" key remove --from "$b" --key-id "$new_id" --key-file "$pair"
expect_exit 12 "$penstock" key remove --from "$b" --key-id "$(ids 1 | cut -d' ' -f2)" --key-file "$pair"
expect_message 'no key would be left that opens it$'
expect_exit 1 "$penstock" key remove --from "$b" --key-id "$old_id" --key-file "$pair"
expect_message 'no such key opens a backup here'
expect_exit 0 "$penstock" key add --from "$b" --new-passphrase-file "$disk/passphrase" --key-file "$pair" 2
expect_exit 0 "$penstock" restore --from "$b" 2 --target "$disk/target-2" --passphrase-file "$disk/passphrase"
diff -r --no-dereference "$disk/tree" "$disk/target-2"
[ "$(sums)" = "$before" ] || fail 'something else than keys was changed'
# Where both files of keys are lost, no key is wanted: that is damage.
cp -r "$b/BACKUP-1" "$disk/lost-keys"
rm "$disk/lost-keys"/*.keys*
mkdir "$disk/lost"
mv "$disk/lost-keys" "$disk/lost/BACKUP-1"
expect_exit 1 "$penstock" verify --from "$disk/lost" --key-file "$pair" 1
expect_message 'the keys of a node, without which nothing of it can be read'
expect_exit 12 "$penstock" restore --from "$disk/lost" --key-file "$pair" --target "$disk/none-target" 1
expect_message 'its files of keys are missing or damaged, or cannot be read, so no key opens it'
# One that the key does not open, or that is being read, keeps the change from no other, and is named.
b=$disk/several
for one in "$key" "$other" "$key"; do
    expect_exit 0 "$penstock" backup --source "dir:$disk/tree/secret-folder" --to "$b" --key-file "$one"
done
expect_exit 12 "$penstock" key add --from "$b" --key-file "$key" --recipient "$pair.pub"
expect_message 'backup 2: .*no key that was given opens it' '1 of 3 backups was not changed'
for id in 1 3; do expect_exit 0 "$penstock" verify --from "$b" --key-file "$pair" "$id"; done
expect_exit 12 "$penstock" verify --from "$b" --key-file "$pair" 2
expect_exit 0 "$penstock" key remove --from "$b" --key-file "$pair" --key-id "$old_id"
[ "$(ids | grep -c "$old_id")" -eq 0 ] || fail 'the key is still there'
exec 9<"$b/BACKUP-1"
flock -s 9
expect_exit 11 "$penstock" key add --from "$b" --key-file "$pair" --key-file "$other" --new-key-file "$key" --json
expect_message 'BACKUP-1: it is being read or pruned'
exec 9<&-
[ "$(ids | grep "$old_id")" = "$(printf '2 %s\n3 %s\n' "$old_id" "$old_id")" ] || fail "not added to the others: $(ids)"
for wrong in 'lost' "list --key-id $old_id" 'add' "add --key-id $old_id" 'remove' 'remove --key-id 12'; do
    # shellcheck disable=SC2086 # words of their own
    expect_exit 2 "$penstock" key $wrong --from "$b" --key-file "$pair"
done
