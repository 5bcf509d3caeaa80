#!/bin/bash
# A cluster whose nodes look for bases: each refers to what it wrote itself, in a directory that both
# share, where the decision adds up what all refer to, and in one of its own. One without a base among
# them stores everything, and the others do not.
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

declare -A process=() directory=()

start_node() { # ID TO OPTION…
    local id=$1
    directory[$id]=$2
    shift 2
    "$penstock" node --cluster "incremental-$$" --id "$id" --nodes 1-2 --socket "$memory/$id.socket" \
        --fabric-dir "$memory/fabric" --to "${directory[$id]}" --ldms 2 --chunk 64K \
        --source "data=dir:$disk/tree$id" "$@" 2>>"$memory/node$id.log" &
    process[$id]=$!
}

start_both() { # TO TO OPTION…
    local one=$1 two=$2
    shift 2
    start_node 1 "$one" "$@"
    start_node 2 "$two" "$@"
    wait_until sees_live 1 2
    wait_until sees_live 2 2
}

stop_both() {
    for id in 1 2; do
        kill -TERM "${process[$id]}"
        wait "${process[$id]}" || fail_with_logs "node $id ends with $?"
    done
}

manifest() { # NUMBER NODE|cluster
    head -1 "${directory[${2/cluster/1}]}/BACKUP-$1/BACKUP-$1.$2.manifest"
}

# What a node read of its tree and refers to, and its base.
expect_node() { # NUMBER NODE BYTES OBJECTS BASE
    local found
    found=$(manifest "$1" "$2" | jq -r '"\(.sums.source_bytes) \([.origins[]?.objects] | add // 0) \(.base.number)"')
    [ "$found" = "$3 $4 $5" ] || fail_with_logs "backup $1, node $2: $found, expected $3 $4 $5"
}

expect_decision() { # NUMBER FILTER
    manifest "$1" cluster | jq -e "$2" >/dev/null || fail_with_logs "backup $1: its decision has not $2"
}

for node in 1 2; do
    mkdir "$disk/tree$node"
    for i in {1..20}; do head -c $((node * 1000)) /dev/urandom >"$disk/tree$node/f$i"; done
done
sleep 2.1

# In one directory.
start_both "$disk/to" "$disk/to" --base auto
expect_exit 0 "$penstock" backup --node "$memory/2.socket"
! grep -q 'earlier backups' "$memory/out" || fail 'a full backup refers to others'
expect_exit 0 "$penstock" backup --node "$memory/2.socket" # the other node is the master
expect_output '^base 1: 58\.6 KiB more lie in earlier backups$'
expect_node 1 1 20000 0 null
expect_node 1 2 40000 0 null
expect_node 2 1 0 20 1
expect_node 2 2 0 20 1
expect_decision 1 '.origins == null and .version.incompatible == 0'
expect_decision 2 '.version.incompatible == 2 and (.origins | length) == 1'
expect_decision 2 '.origins[0] | .number == 1 and .objects == 40 and .bytes == 60000'
expect_exit 0 "$penstock" status --node "$memory/1.socket"
expect_output '19\.5 KiB more of it lie in earlier backups'
expect_exit 0 "$penstock" status --node "$memory/2.socket" --json
expect_json '.[0].last_backup.referenced_bytes == 40000'
echo more >>"$disk/tree2/f1"
expect_exit 0 "$penstock" backup --node "$memory/1.socket" --single-threaded --json
expect_json '.[-1] | .source_bytes == 2005 and .base == 2 and .referenced_bytes == 58000 and .nodes_not_counted == 0'
expect_node 3 1 0 20 2
expect_node 3 2 2005 19 2
stop_both
sleep 2.1

# Each in its own; one of them without a base.
start_both "$disk/to1" "$disk/to2" --base auto
for _ in 1 2; do expect_exit 0 "$penstock" backup --node "$memory/1.socket"; done
expect_output '^base 1: 19\.5 KiB more lie in earlier backups, without 1 node with another backup directory$'
expect_node 2 1 0 20 1
expect_node 2 2 0 20 1
rm -r "$disk/to2/BACKUP-1" "$disk/to2/BACKUP-2"
expect_exit 0 "$penstock" backup --node "$memory/1.socket"
expect_node 3 1 0 20 2
expect_node 3 2 40005 0 null
stop_both
# What node 2 had written in backup 1 is gone; nothing of it is needed.
expect_exit 0 "$penstock" list --from "$disk/to1" --from "$disk/to2"
expect_output '^ *1 +damaged' '^ *3 +complete'
expect_exit 0 "$penstock" verify --from "$disk/to1" --from "$disk/to2" 3
expect_exit 0 "$penstock" restore --from "$disk/to1" --from "$disk/to2" --target "$disk/target" 3
for node in 1 2; do compare_trees "$disk/tree$node" "$disk/target/$node/data"; done
# What node 1 has written there is.
rm "$(find "$disk/to1/BACKUP-1" -name BACKUP-1.1.data | head -n 1)"
expect_exit 0 "$penstock" list --from "$disk/to1" --from "$disk/to2"
expect_output '^ *3 +damaged +.*backup 1, uid .* which holds some of its data, is damaged'

# Cut off: a node is killed, the other one aborts and leaves nothing; what the first had written is referred to.
head -c 40000000 /dev/urandom >"$disk/tree2/large"
sleep 2.1
cut_off() { # TO TO
    start_both "$1" "$2" --base auto --pace 4M
    "$penstock" backup --node "$memory/1.socket" >"$memory/out" 2>"$memory/err" &
    local client=$!
    wait_until sees 2 '[.ldms[].source_bytes] | add > 10000000'
    kill -KILL "${process[2]}"
    { wait "${process[2]}" || true; } 2>/dev/null
    wait "$client" && fail_with_logs 'the backup of a node that was killed is complete'
    start_node 2 "$2" --base auto
    wait_until sees_live 1 2
    wait_until sees_live 2 2
    expect_exit 0 "$penstock" backup --node "$memory/1.socket"
    stop_both
    local kept
    kept=$(manifest 2 2 | jq '[.origins[]?.bytes] | add // 0')
    echo "of 40000000 bytes $kept are referred to"
    [ "$kept" -gt 4000000 ] || fail_with_logs "of what node 2 had written $kept bytes are referred to"
    [ "$(manifest 2 1 | jq .origins)" = null ] || fail_with_logs 'node 1 refers to what it had removed'
    expect_exit 0 "$penstock" verify --from "$1" --from "$2" 2
}
cut_off "$disk/to3" "$disk/to3"
cut_off "$disk/to4" "$disk/to5"

# All lose both files of a decision: what another has data in was decided, and is not aborted.
rm "$disk/tree2/large"
lost_decision() { # TO TO
    start_both "$1" "$2" --base auto
    for _ in 1 2; do expect_exit 0 "$penstock" backup --node "$memory/1.socket"; done
    stop_both
    rm -rf "$disk/lost"
    mkdir "$disk/lost"
    cp "$1"/BACKUP-1/*.cluster.manifest* "$disk/lost"
    rm -f {"$1","$2"}/BACKUP-1/*.cluster.manifest*
    start_both "$1" "$2" --base auto
    for node in 1 2; do
        wait_until grep -qF "${directory[$node]}/BACKUP-1: left alone: backup 2 has data in it" "$memory/node$node.log"
    done
    stop_both
    for node in 1 2; do cp "$disk/lost"/* "${directory[$node]}/BACKUP-1"; done
    expect_exit 0 "$penstock" verify --from "$1" --from "$2" 2
}
lost_decision "$disk/to6" "$disk/to6"
lost_decision "$disk/to7" "$disk/to8"
