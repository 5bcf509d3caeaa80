#!/bin/bash
# A cluster whose nodes seal, each with keys of its own: the backup comes back with all of them and
# with fewer not, nothing shows in any directory, and a node that has no keys, or is the only one
# with some, makes no backup with the others.
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

declare -A process=()

start_node() { # ID TO OPTION…
    local id=$1 to=$2
    shift 2
    "$penstock" node --cluster "sealed-$$" --id "$id" --nodes 1-2 --socket "$memory/$id.socket" \
        --fabric-dir "$memory/fabric" --to "$to" --ldms 2 --chunk 64K --compress zstd \
        --source "Wolframite-$id=dir:$disk/tree$id" "$@" 2>>"$memory/node$id.log" &
    process[$id]=$!
}

stop_node() { # ID
    kill -TERM "${process[$1]}"
    wait "${process[$1]}" || fail_with_logs "node $1 ends with $?"
}

meet() {
    wait_until sees_live 1 2
    wait_until sees_live 2 2
}

comes_back() { # ID OPTION…
    local id=$1
    shift
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" verify "$@" "$id"
    expect_exit 0 "$penstock" restore "$@" --target "$disk/target" "$id"
    for node in 1 2; do diff -r "$disk/tree$node" "$disk/target/$node/Wolframite-$node"; done
}

nothing_shows() { # DIRECTORY…
    ! LC_ALL=C grep -raqF Wolframite "$@" || fail "Wolframite shows: $(LC_ALL=C grep -ralF Wolframite "$@")"
}

key=$disk/key pair=$disk/pair
expect_exit 0 "$penstock" keygen "$key"
expect_exit 0 "$penstock" keygen --pair "$pair"
for node in 1 2; do
    mkdir "$disk/tree$node"
    for i in {1..50}; do echo "Wolframite $i of $node" >"$disk/tree$node/Wolframite-$i"; done
    { yes "Wolframite $node" || true; } | head -c 2000000 >"$disk/tree$node/large"
done

# Each has its own.
start_node 1 "$disk/to1" --key-file "$key" --require-encryption
start_node 2 "$disk/to2" --recipient "$pair.pub"
meet
both=(--from "$disk/to1" --from "$disk/to2")
for node in 1 2; do
    expect_exit 0 "$penstock" backup --node "$memory/$node.socket"
    nothing_shows "$disk/to1" "$disk/to2"
    comes_back "$node" "${both[@]}" --key-file "$key" --key-file "$pair"
done
node_key() { # NODE: the id of its key
    "$penstock" key list "${both[@]}" 1 | sed -n "s/.*node $1: key \([0-9a-f]*\),.*/\1/p"
}
expect_exit 12 "$penstock" restore "${both[@]}" --key-file "$key" --target "$disk/none"
expect_message "it wants key $(node_key 2)\$"
expect_exit 12 "$penstock" restore "${both[@]}" --key-file "$pair" --target "$disk/none"
expect_message "it wants key $(node_key 1)\$"
expect_exit 12 "$penstock" restore "${both[@]}" --target "$disk/none"
expect_message "give the key $(node_key 1) and key $(node_key 2)\$"
expect_exit 0 "$penstock" verify "${both[@]}"
expect_message 'only the checksums of what is stored were checked'
# What is read of one node takes the key of that node alone, and what may be of all takes all.
opens_alone() { # NODE KEY OTHER-NODE
    local node=$1 other=$3 reads=("${both[@]}" --key-file "$2") command
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore "${reads[@]}" --only "$node" --target "$disk/target"
    diff -r "$disk/tree$node" "$disk/target"
    expect_exit 0 "$penstock" verify "${reads[@]}" --only "$node"
    expect_exit 0 "$penstock" verify "${reads[@]}" --only "$node/Wolframite-$node"
    expect_exit 0 "$penstock" ls "${reads[@]}" "$node/Wolframite-$node"
    [ "$(wc -l <"$memory/out")" -eq 51 ] || fail 'ls does not list all files'
    expect_exit 0 "$penstock" ls "${reads[@]}" "$node"
    "$penstock" cat "${reads[@]}" "$node/Wolframite-$node/large" | cmp - "$disk/tree$node/large"
    for command in ls "ls $other" "ls $other/Wolframite-$other" "cat $other/Wolframite-$other/large" 'find *' stats verify \
        "verify --only $node --only $other" "restore --only $other --target $disk/none" "export --source $other/a --to $disk/none"; do
        # shellcheck disable=SC2086 # words of their own
        set -f && expect_exit 12 "$penstock" $command "${reads[@]}" && set +f
        expect_message "it wants key $(node_key "$other")\$"
    done
    expect_exit 2 "$penstock" export "${reads[@]}" --source "$node/Wolframite-$node" --to "$disk/none"
    expect_message 'was not backed up row by row'
    expect_exit 2 "$penstock" cat "${reads[@]}" 3/none
}
opens_alone 1 "$key" 2
opens_alone 2 "$pair" 1
# Each node's keys lie where it writes.
expect_exit 0 "$penstock" keygen "$disk/third"
mv "$memory/out" "$disk/third.said"
expect_exit 0 "$penstock" key add --from "$disk/to1" --key-file "$key" --new-key-file "$disk/third" 1
expect_message 'backup 1: the keys of node 2 stay as they are'
expect_exit 0 "$penstock" key add "${both[@]}" --key-file "$key" --key-file "$pair" --new-key-file "$disk/third"
! grep -q 'stay as they are' "$memory/err" || fail 'all directories were given'
comes_back 1 "${both[@]}" --key-file "$disk/third"
# Who prunes one directory of two has no wrong key, though what the master sealed is in the other.
for node in 1 2; do
    one=$key
    [ "$node" = 1 ] || one=$pair
    expect_exit 0 "$penstock" prune --from "$disk/to$node" --keep-last 1 --key-file "$one"
    cat "$memory/err" >>"$disk/pruned.err"
done
grep -q 'the manifest of its master, node [12], is missing or damaged, or in a directory that was not given' "$disk/pruned.err" ||
    fail "nothing is said of the master: $(cat "$disk/pruned.err")"
# What is in doubt is no backup yet, and none the less may become one that the key opens that is to be removed.
mkdir "$disk/doubt"
cp -r "$disk/to1"/BACKUP-* "$disk/doubt"
rm "$disk/doubt"/BACKUP-2/*.cluster.manifest*
for change in "add --new-key-file $disk/third" "remove --key-id $(sed -n 's/.*which name it key \([0-9a-f]*\).*/\1/p' "$disk/third.said")"; do
    # shellcheck disable=SC2086 # words of their own
    expect_exit 3 "$penstock" key $change --from "$disk/doubt" --key-file "$key"
    expect_message 'backup 2: its keys stay as they are: in doubt: BACKUP-2: prepared' '1 of 2 backups was not changed'
done
expect_exit 0 "$penstock" key list --from "$disk/doubt"
expect_exit 2 env PENSTOCK_KEY_FILE="$key" "$penstock" backup --node "$memory/1.socket"
expect_message 'key-file does not apply'

# One that has none.
stop_node 2
start_node 2 "$disk/to2"
meet
for node in 1 2; do
    expect_exit 1 "$penstock" backup --node "$memory/$node.socket"
    expect_message 'some nodes seal their backups, and others do not'
    if [ -e "$disk/to1/BACKUP-3" ] || [ -e "$disk/to2/BACKUP-3" ]; then fail 'something of the backup is left'; fi
done
stop_node 1
stop_node 2
expect_exit 2 "$penstock" node --cluster "sealed-$$" --id 1 --socket "$memory/1.socket" --to "$disk/to1" \
    --source "dir:$disk/tree1" --require-encryption --check-config
expect_message 'require-encryption'

# In one directory, read back.
start_node 1 "$disk/shared" --recipient "$pair.pub"
start_node 2 "$disk/shared" --recipient "$pair.pub"
meet
expect_exit 0 "$penstock" backup --node "$memory/2.socket" --verify
nothing_shows "$disk/shared"
comes_back 1 --from "$disk/shared" --key-file "$pair"
stop_node 1
stop_node 2
