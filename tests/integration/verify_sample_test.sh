#!/bin/bash
# verify --sample reads another share at each run, and all in as many as it says; damage stays known until
# all was found whole since; --only reads the chosen sources alone. What it came to is kept, and listed.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

backups=$disk/backups

make_backup() {
    mkdir "$disk/a" "$disk/b"
    random_bytes 12000000 >"$disk/a/file"
    random_bytes 8000000 >"$disk/b/file"
    expect_exit 0 "$penstock" backup --source "dir:$disk/a" --source "dir:$disk/b" --to "$backups" --ldms 2
}

# expect_noted FILTER: so does list.
expect_noted() {
    expect_exit 0 "$penstock" list --from "$backups" --json
    expect_json ".[0].verified | $1"
}

samples() {
    local run whole=0 chunks=0
    expect_exit 0 "$penstock" list --from "$backups"
    ! grep -q 'verified' "$memory/out" || fail 'verified before it was'
    for run in 1 2 3 4; do
        expect_exit 0 "$penstock" verify --from "$backups" --sample 30% --json
        expect_json ".[-1] | .windows == 4 and .covered == $run"
        chunks=$((chunks + $(jq -s '.[-1].chunks' "$memory/out")))
        expect_noted ".windows == 4 and .covered == $run and (.damaged | not)"
    done
    expect_exit 0 "$penstock" verify --from "$backups" --json
    whole=$(jq -s '.[-1].chunks' "$memory/out")
    # each sample reads the indexes too
    [ "$chunks" = $((whole + 3 * 2)) ] || fail "$chunks chunks in samples, $whole in all"
    expect_noted '.windows == 1 and .covered == 1'
    expect_exit 0 "$penstock" list --from "$backups"
    expect_output '  verified 20'
    expect_exit 0 "$penstock" verify --from "$backups" --sample 50
    expect_output 'chunks?, .*; 1 of 2 samples that make the whole were found whole$'
    expect_exit 0 "$penstock" list --from "$backups"
    expect_output '  verified 50% by 20'
}

# One run of four finds it; the others do not forget it.
damage() {
    local part run codes=''
    part=$(ls "$backups"/BACKUP-1/*PART-1*/*.data)
    flip "$part" $(($(stat -c %s "$part") / 2))
    for run in 1 2 3 4; do
        expect_exit '0 1' "$penstock" verify --from "$backups" --sample 25%
        codes+=$status
    done
    [ "$(tr -d 0 <<<"$codes")" = 1 ] || fail "found in: $codes"
    expect_noted .damaged
    flip "$part" $(($(stat -c %s "$part") / 2))
    # It is no sound backup before all of it was found whole.
    for run in 1 2 3 4 5 6; do
        expect_exit 0 "$penstock" verify --from "$backups" --sample 25% --metrics-file "$disk/verify.prom"
        grep -q 'verified_number' "$disk/verify.prom" && break
        expect_message 'backup 1 was found damaged, and not every sample of it was found whole since'
        expect_noted .damaged
    done
    expect_noted '.damaged | not'
}

# What lies in an earlier backup has its turn too.
damage_of_base() {
    local part run codes='' reads=0
    mkdir "$disk/c"
    random_bytes 8000000 >"$disk/c/file"
    sleep 2.1 # what was changed less than 2 s before the base began would be stored again
    expect_exit 0 "$penstock" backup --source "dir:$disk/c" --to "$disk/based" --base auto --ldms 1
    echo new >"$disk/c/new"
    expect_exit 0 "$penstock" backup --source "dir:$disk/c" --to "$disk/based" --base auto --ldms 1
    expect_output '^backup 2 '
    [ "$(du -s "$disk/based/BACKUP-2" | cut -f1)" -lt 2000 ] || fail 'the file is stored twice'
    for run in 1 2 3 4; do
        expect_exit 0 "$penstock" verify --from "$disk/based" --sample 25% --json
        reads=$((reads + $(jq -s '.[-1].file_bytes' "$memory/out")))
    done
    [ "$reads" -gt 8000000 ] || fail "samples read $reads bytes of a file of 8 MB"
    part=$(ls "$disk/based"/BACKUP-1/*PART-1*/*.data)
    flip "$part" $(($(stat -c %s "$part") / 2))
    for run in 1 2 3 4; do
        expect_exit '0 1' "$penstock" verify --from "$disk/based" --sample 25%
        codes+=$status
    done
    [ "$(tr -d 0 <<<"$codes")" = 1 ] || fail "of the base found in: $codes"
    flip "$part" $(($(stat -c %s "$part") / 2))
}

# That it was found whole says nothing where what it refers to is gone, or was put there since.
base_moved() {
    local newer=("$penstock" verify --from "$disk/based" --newer-than-verified) part
    expect_exit 0 "${newer[@]}"
    expect_output '^backup 2: .*: 0 damages'
    mv "$disk/based/BACKUP-1" "$disk/away"
    expect_exit 3 "${newer[@]}"
    expect_message 'backup 2 could not be verified completely: a backup that holds some of its data is missing'
    mv "$disk/away" "$disk/based/BACKUP-1"
    expect_exit 0 "${newer[@]}"
    expect_message 'no backup is newer than the last one that was found whole'
    cp -a "$disk/based/BACKUP-1" "$disk/away"
    rm -r "$disk/based/BACKUP-1"
    mv "$disk/away" "$disk/based/BACKUP-1"
    part=$(ls "$disk/based"/BACKUP-1/*PART-1*/*.data)
    flip "$part" $(($(stat -c %s "$part") / 2))
    expect_exit 0 "$penstock" list --from "$disk/based" --json
    expect_json '.[1].verified == null'
    expect_exit 1 "${newer[@]}"
    expect_message 'backup 2 is not whole'
}

only() {
    local part
    expect_exit 0 "$penstock" verify --from "$backups" --only 1/a --json
    [ "$(jq -s '.[-1].objects' "$memory/out")" -lt 5 ] || fail 'other objects'
    expect_exit 2 "$penstock" verify --from "$backups" --only 1/c
    expect_message 'node 1 has no such source in backup 1'
    expect_exit 2 "$penstock" verify --from "$backups" --only 2
    expect_exit 2 "$penstock" verify --from "$backups" --only 1 --sample 3%
    expect_exit 2 "$penstock" verify --from "$backups" --sample 100%
    # damage in one source is none in the other
    for part in "$backups"/BACKUP-1/*/*.data; do
        flip "$part" $(($(stat -c %s "$part") / 2))
    done
    expect_exit 1 "$penstock" verify --from "$backups" --only 1
    expect_exit '0 1' "$penstock" verify --from "$backups" --only 1/a
    local a=$status
    expect_exit '0 1' "$penstock" verify --from "$backups" --only 1/b
    [ $((a + status)) -ge 1 ] || fail 'neither source is damaged'
    for part in "$backups"/BACKUP-1/*/*.data; do
        flip "$part" $(($(stat -c %s "$part") / 2))
    done
    expect_noted .damaged
    expect_exit 0 "$penstock" verify --from "$backups" --only 1
    expect_noted .damaged
    expect_exit 0 "$penstock" verify --from "$backups"
    expect_noted '.damaged | not'
}

# Whoever reads some of a backup and finds damage notes that, so that nothing refers to it any more.
found_by_others() {
    local to=$disk/others part command key=$disk/key
    expect_exit 0 "$penstock" keygen "$key"
    expect_exit 0 "$penstock" backup --source "dir:$disk/a" --to "$to" --ldms 1 --key-file "$key" --compress none
    part=$(echo "$to"/BACKUP-1/*/*.data)
    expect_exit 0 "$penstock" restore --from "$to" --target "$disk/target" --key-file "$key"
    expect_absent "$to/BACKUP-1/BACKUP-1.verified"
    flip "$part" $(($(stat -c %s "$part") / 2))
    for command in "restore --target $disk/none --only 1" 'verify --only 1' verify 'cat file' \
        "restore --force --target $disk/target --keep-going"; do
        rm -f "$to/BACKUP-1/BACKUP-1.verified"
        local keys=(--key-file "$key")
        [ "$command" != verify ] || keys=() # what is stored has checksums of its own
        # shellcheck disable=SC2086 # words of their own
        expect_exit '1 3' "$penstock" $command --from "$to" "${keys[@]}"
        grep -q ' damaged ' "$to/BACKUP-1/BACKUP-1.verified" || fail "$command does not note the damage"
    done
    expect_exit 0 "$penstock" backup --source "dir:$disk/a" --to "$to" --ldms 1 --key-file "$key"
    expect_exit 0 "$penstock" verify --from "$to" --key-file "$key" 2
    rm -r "$disk/target"
    expect_exit 0 "$penstock" restore --from "$to" --target "$disk/target" --key-file "$key" 2
    diff -r "$disk/a" "$disk/target"
    rm -r "$disk/target" "$to"
}

# A note of another backup, or none at all, is none; nor does a stranger's name warn.
notes() {
    echo 'no note' >"$backups/BACKUP-1/BACKUP-1.verified"
    expect_noted '. == null'
    expect_exit 0 "$penstock" verify --from "$backups" --json
    expect_json '.[-1].warnings == 0'
    sed -i 's/^./g/' "$backups/BACKUP-1/BACKUP-1.verified"
    expect_noted '. == null'
    expect_exit 0 "$penstock" pin --from "$backups" 1
    expect_exit 0 "$penstock" verify --from "$backups" --json
    expect_json '.[-1].warnings == 0'
    expect_exit 0 "$penstock" unpin --from "$backups" 1
    expect_exit 0 "$penstock" prune --from "$backups" 1
    expect_absent "$backups/BACKUP-1"
}

# A copy has the note of what it was made from, which says nothing of it unless it is bad.
copied() {
    local copy=$disk/copy other part
    mkdir "$disk/one"
    head -c 300000 /dev/urandom >"$disk/one/file"
    expect_exit 0 "$penstock" backup --source "dir:$disk/one" --to "$disk/original" --ldms 1
    expect_exit 0 "$penstock" verify --from "$disk/original"
    cp -a "$disk/original" "$copy"
    part=$(echo "$copy"/BACKUP-1/*/*.data)
    flip "$part" 100000
    expect_exit 0 "$penstock" list --from "$copy" --json
    expect_json '.[0].verified == null'
    for other in "$disk/original $copy" "$copy $disk/original"; do # one of several directories is a copy
        expect_exit 0 "$penstock" list --from "${other% *}" --from "${other#* }" --json
        expect_json '.[0].verified == null'
    done
    expect_exit 1 "$penstock" verify --from "$copy" --newer-than-verified
    expect_message "$(basename "$part"): offset"
    cp -a "$copy" "$copy.again"
    expect_exit 0 "$penstock" list --from "$copy.again" --json
    expect_json '.[0].verified.damaged'
    expect_exit 0 "$penstock" verify --from "$disk/original" --newer-than-verified
    expect_message 'no backup is newer than the last one that was found whole'
    mv "$disk/original" "$disk/moved"
    expect_exit 0 "$penstock" list --from "$disk/moved" --json
    expect_json '.[0].verified.damaged == false'
    rm -r "$disk/one" "$disk/moved" "$copy" "$copy.again"
}

# expect_verified EXIT NUMBERS [OPTION]...: verify --newer-than-verified takes these, in this order.
expect_verified() {
    local code=$1 numbers=$2
    shift 2
    expect_exit "$code" "$penstock" verify --from "$disk/newer" --newer-than-verified --json "$@"
    expect_json "[.[] | select(.message_type == \"summary\") | .number] == $numbers"
}

backup_of() {
    expect_exit 0 "$penstock" backup --source "dir:$disk/$1" --to "$disk/newer" --ldms 1
}

# Each set of sources has its own last verified one; damage found in one backup does not end it.
newer() {
    local part
    mkdir "$disk/newer"
    expect_exit 10 "$penstock" verify --from "$disk/newer" --newer-than-verified
    expect_message 'there is no complete backup'
    backup_of a
    expect_verified 0 '[1]'
    expect_verified 0 '[]'
    expect_message 'no backup is newer than the last one that was found whole'
    backup_of a
    backup_of b
    expect_exit 0 "$penstock" verify --from "$disk/newer" 3
    expect_verified 0 '[2]'
    backup_of a
    backup_of b
    backup_of a
    part=$(ls "$disk/newer"/BACKUP-4/*PART-1*/*.data)
    flip "$part" $(($(stat -c %s "$part") / 2))
    expect_verified 1 '[4, 5, 6]'
    expect_message 'of 3 backups 1 was not found whole'
    expect_json '.[-1] | .message_type == "exit_error" and .code == 1'
    expect_verified 0 '[]' # 6 stands for 4, which has the same sources
    backup_of b
    expect_verified 0 '[7]' --sample 50%
    expect_verified 0 '[7]' --sample 50%
    expect_verified 0 '[]' --sample 50%
    expect_exit 2 "$penstock" verify --from "$disk/newer" --newer-than-verified 7
    expect_exit 2 "$penstock" verify --from "$disk/newer" --newer-than-verified --only 1
    expect_message 'give neither an ID nor --only'
    printf '[verify]\nnewer-than-verified = 1\n' >"$disk/verify.ini"
    expect_exit 0 "$penstock" verify --from "$disk/newer" --config "$disk/verify.ini" 5
    expect_output '^backup 5: '
    newer_damaged_since
    newer_cut_off
}

# What was whole when it was verified, and is no more, stands for nothing older.
newer_damaged_since() {
    rm "$disk/newer"/BACKUP-6/*PART-1*/*.data
    expect_exit '0 3' "$penstock" list --from "$disk/newer" --json
    jq -es '.[] | select(.number == 6) | .state == "damaged" and .verified.damaged == false' "$memory/out" >/dev/null ||
        fail "the list does not show it: $(jq -c 'select(.number == 6)' "$memory/out")"
    expect_verified 1 '[4, 6]'
    expect_message 'of 2 backups 2 were not found whole'
    backup_of a
    expect_verified 1 '[4, 6, 8]' # until 8 stands for them
    expect_verified 0 '[]'
}

# What nobody completed is named, and is no failure, until a newer one is whole.
newer_cut_off() {
    backup_of a
    rm "$disk/newer"/BACKUP-9/BACKUP-9.cluster.manifest*
    expect_verified 0 '[]'
    expect_message 'backup 9 is incomplete, and is passed over' 'no other backup is newer'
    expect_verified 0 '[]' --quiet # a warning, for it is not running: it may have been whole
    expect_message 'backup 9 is incomplete, and is passed over'
    backup_of a
    expect_verified 0 '[9]' # that swept what was left, and took its number
    ! grep -q 'passed over' "$memory/err" || fail 'it is named for ever'
}

# The passphrase of sealed ones comes from a pipe, which can be read once.
newer_sealed() {
    local i
    for i in 1 2; do
        expect_exit 0 "$penstock" backup --source "dir:$disk/b" --to "$disk/sealed" --ldms 1 \
            --passphrase-command 'echo a passphrase of some length'
    done
    expect_exit 0 "$penstock" verify --from "$disk/sealed" --newer-than-verified \
        --passphrase-file <(echo a passphrase of some length)
    expect_output '^backup 1: .*: 0 damages$'
    expect_output '^backup 2: '
}

make_backup
samples
damage
damage_of_base
base_moved
only
found_by_others
notes
copied
newer
newer_sealed
