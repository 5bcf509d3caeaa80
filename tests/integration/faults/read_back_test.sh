#!/bin/bash
# A disk that says "written" and did not: a bit of a part or manifest is flipped after its sync and before
# it is read back. With --verify the backup fails, names file and byte, and leaves nothing, in one process
# and through a node; without, it is complete and nobody knows.
#
#   read_back_test.sh PENSTOCK_FAULTS FOLDER
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=../lib.sh disable=SC2154
source "$here/../lib.sh"
# shellcheck source=../nodes.sh
source "$here/../nodes.sh"

export PENSTOCK_FAULTS=$memory/faults
mkdir "$PENSTOCK_FAULTS" "$disk/source"
head -c 9000000 /dev/urandom >"$disk/source/large"
for i in {1..200}; do echo "$i" >"$disk/source/$i"; done

is_stopped() { grep -q '^State:.T' "/proc/$1/status"; }

# damage PROCESS FOLDER WHERE: at the step before its part is read back it is stopped, a bit of the part
# is flipped, and it goes on. WHERE: a byte; from the end, if negative; "cut": the last block is lost.
damage() {
    local part bytes
    wait_until is_stopped "$1"
    part=$(find "$2" -name '*.data')
    bytes=$(stat -c %s "$part")
    if [ "$3" = cut ]; then
        truncate -s "$((bytes - 4096))" "$part"
    else
        flip "$part" "$(($3 < 0 ? bytes + $3 : $3))"
    fi
    kill -CONT "$1"
}

wrong='a file was not read back from its disk as it was written'
wrong_file=$wrong
wrong_part="BACKUP-[0-9]+\.[0-9]+\.data: .* at byte [0-9]+: $wrong"
wrong="LDM 1 of node [0-9]+: $wrong"

# All kinds of block: header, chunk's header, payload, catalogue and index, trailer, and the file's end.
for where in 9 4200 9000 1000000 4194304 8388608 -12288 -8200 -4097 -4000 -1 cut; do
    echo stop >"$PENSTOCK_FAULTS/before.READ_BACK"
    "$penstock" backup --source "dir:$disk/source" --to "$disk/backups" --ldms 1 --chunk 256K --verify \
        >"$memory/out" 2>"$memory/err" </dev/null &
    process=$!
    damage "$process" "$disk/backups" "$where"
    status=0
    wait "$process" || status=$?
    [ "$status" = 1 ] || fail "damage at $where: exit $status"
    expect_message "$wrong_part" "no backup was made: $wrong"
    [ -z "$(find "$disk" -name 'BACKUP-*')" ] || fail "damage at $where: something is left"
done

# damage_manifest PROCESS FOLDER: as above, with the manifest that is about to have its name.
damage_manifest() {
    local manifest
    wait_until is_stopped "$1"
    manifest=$(find "$2" -name '.BACKUP-*.tmp' -type f)
    [ -f "$manifest" ] || fail_with_logs 'not one manifest is being written'
    flip "$manifest" 5
    kill -CONT "$1"
}

# The node manifest, and the decision: neither has its name before it was found on the disk.
for count in 1 2; do
    echo "stop $count" >"$PENSTOCK_FAULTS/before.MANIFEST_READ_BACK"
    "$penstock" backup --source "dir:$disk/source" --to "$disk/backups" --verify \
        >"$memory/out" 2>"$memory/err" </dev/null &
    process=$!
    damage_manifest "$process" "$disk/backups"
    status=0
    wait "$process" || status=$?
    [ "$status" = 1 ] || fail "manifest $count: exit $status"
    name=$([ "$count" = 1 ] && echo '1.manifest' || echo 'cluster.manifest')
    expect_message "BACKUP-[0-9]+\\.$name: read back: $wrong_file" "no backup was made: .*$wrong_file"
    [ -z "$(find "$disk" -name '*BACKUP-*')" ] || fail "manifest $count: something is left"
done

# The second file of the decision: the backup is made, has it once, and the next one makes up for it.
echo 'stop 3' >"$PENSTOCK_FAULTS/before.MANIFEST_READ_BACK"
"$penstock" backup --source "dir:$disk/source" --to "$disk/backups" --verify \
    >"$memory/out" 2>"$memory/err" </dev/null &
process=$!
damage_manifest "$process" "$disk/backups"
wait "$process" || fail 'the copy: no backup was made'
expect_message "manifest.copy: .*the decision is kept once only: $wrong_file"
[ -z "$(find "$disk/backups" -name '*.copy*')" ] || fail 'the wrong copy is left'
expect_exit 0 "$penstock" backup --source "dir:$disk/source" --to "$disk/backups"
[ "$(find "$disk/backups" -name '*.copy' | wc -l)" = 2 ] || fail 'the copy is still missing'
rm -r "$disk/backups"

echo 'a sound disk'
seq 1 800000 >"$disk/source/text" # it shrinks, over several chunks
"$penstock" keygen "$memory/key"
for options in '--ldms 1' '--compress zstd:3' "--compress lz4 --depth 2 --key-file $memory/key" "--key-file $memory/key" '--ldms 4' '--ldms 4 --single-threaded' '--direct off --chunk 64K' '--ldms 2 --depth 2'; do
    for to in "$disk/sound" "$memory/sound"; do
        # shellcheck disable=SC2086 # several options
        expect_exit 0 "$penstock" backup --source "dir:$disk/source" --to "$to" --verify $options
        expect_exit 0 "$penstock" verify --from "$to" --key-file "$memory/key"
    done
done

start_node() { # ID
    PENSTOCK_FAULTS=$memory/faults$1 "$penstock" node --cluster c --fabric-dir "$memory/fabric" --id "$1" --nodes 1-2 \
        --socket "$memory/$1.socket" --source "dir:$disk/source" --to "$disk/node$1" --ldms 1 2>"$memory/$1.log" &
}
mkdir -m 700 "$memory/fabric"
mkdir "$memory/faults1" "$memory/faults2"
start_node 1
start_node 2
node2=$!
wait_until sees_live 1 2
for option in --verify ''; do
    echo stop >"$memory/faults2/before.READ_BACK"
    # shellcheck disable=SC2086 # none or one option
    "$penstock" backup --node "$memory/1.socket" $option >"$memory/out" 2>"$memory/err" </dev/null &
    process=$!
    [ -z "$option" ] || damage "$node2" "$disk/node2" 1000000
    status=0
    wait "$process" || status=$?
    if [ -n "$option" ]; then
        [ "$status" = 1 ] || fail_with_logs "exit $status"
        expect_message "no backup was made: $wrong"
        grep -Eq "$wrong_part" "$memory/2.log" || fail_with_logs 'the node does not name the part'
        [ -z "$(find "$disk/node1" "$disk/node2" -name 'BACKUP-*')" ] || fail 'something is left'
    else
        [ "$status" = 0 ] || fail_with_logs "exit $status"
        [ -e "$memory/faults2/before.READ_BACK" ] || fail_with_logs 'read back unasked'
    fi
done
rm "$memory/faults2/before.READ_BACK"

# At a node that takes part: its own manifest fails the backup; of the decision that it fetched it
# has not what its disk lost, and fetches it again.
for count in 1 2; do
    echo "stop $count" >"$memory/faults2/before.MANIFEST_READ_BACK"
    "$penstock" backup --node "$memory/1.socket" --verify >"$memory/out" 2>"$memory/err" </dev/null &
    process=$!
    damage_manifest "$node2" "$disk/node2"
    status=0
    wait "$process" || status=$?
    name=$([ "$count" = 1 ] && echo '2.manifest' || echo 'cluster.manifest')
    grep -Eq "BACKUP-[0-9]+\\.$name: read back: $wrong_file" "$memory/2.log" || fail_with_logs "$name is not named"
    if [ "$count" = 1 ]; then
        [ "$status" = 1 ] || fail_with_logs "exit $status"
        expect_message "no backup was made: .*node 2.*$wrong_file"
    else
        [ "$status" = 3 ] || fail_with_logs "exit $status"
        expect_message 'the cluster manifest is not stored yet at 1 node'
        wait_until grep -q 'complete: its cluster manifest is here' "$memory/2.log"
    fi
done
for option in --verify ''; do
    # shellcheck disable=SC2086 # none or one option
    expect_exit 0 "$penstock" backup --node "$memory/1.socket" $option --json
    expect_output "\"verified\":$([ -n "$option" ] && echo true || echo false)"
    expect_exit 0 "$penstock" verify --from "$disk/node1" --from "$disk/node2"
done
