#!/bin/bash
# Programs of other versions, built beside this one (CMakeLists.txt): in one cluster with it those with the same signals make
# backups, and those with others refuse each other, over shared memory and over packets, until the older one is started anew.
# Each restores what the others wrote, and each one's client works with the others' nodes.
#
#   versions_test.sh PENSTOCK FOLDER OTHERS        OTHERS: the folder that holds them
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
others=${3:?}
network=127.$((128 + $$ / 256 % 64)).$(($$ % 256)) # no other process of the suite has it
key=$memory/key
declare -A program=([this]=$penstock) process=()
for other in same_signals other_signals other_fabric; do program[$other]=$others/$other/bin/penstock; done
all=(--from "$disk/to1" --from "$disk/to2")

start_node() { # ID VERSION NETWORK
    local joined=(--nodes 1-2 --fabric-dir "$memory/fabric")
    [ "$3" = shm ] || joined=(--member "1=$network.1" --member "2=$network.2" --cluster-key "$key")
    "${program[$2]}" node --cluster "versions-$$" --id "$1" "${joined[@]}" --socket "$memory/$1.socket" --to "$disk/to$1" \
        --source "dir:$disk/tree$1" --ldms 1 2>>"$memory/node$1.log" &
    process[$1]=$!
}

stop_nodes() { # ID…
    local node
    for node; do
        kill -TERM "${process[$node]}"
        wait "${process[$node]}" || fail_with_logs "node $node ends with $?"
    done
}

both_live() {
    sees_live 1 2 && sees_live 2 2
}

# Of both, from a backup that either is asked for, and as they were when it was made.
complete() { # ASKED [RESTORER…]
    local restorer node number
    expect_exit 0 "$penstock" backup --node "$memory/$1.socket" --json
    number=$(jq -r 'select(.message_type == "summary").number' "$memory/out")
    for restorer in "${@:2}"; do
        expect_exit 0 "${program[$restorer]}" verify "${all[@]}" "$number"
        expect_exit 0 "${program[$restorer]}" restore "${all[@]}" --target "$disk/restored" "$number"
        for node in 1 2; do compare_trees "$disk/tree$node" "$disk/restored/$node/tree$node"; done
        rm -r "$disk/restored"
    done
}

same_signals_make_backups_together() { # NETWORK
    local other
    for other in 1 2; do
        start_node "$other" same_signals "$1"
        start_node $((3 - other)) this "$1"
        wait_until both_live
        sees "$other" '.version == "9.8.7"' >/dev/null || fail "node $other is not of the other version"
        complete 1 this same_signals other_signals other_fabric
        complete 2 this
        stop_nodes 1 2
    done
}

# The same words in both logs and at both nodes, whichever of the two connects.
refused() { # WORDS
    local node
    for node in 1 2; do
        wait_until grep -Eq "$1" "$memory/node$node.log"
        wait_until sees "$node" "any(.nodes[]; .node == $((3 - node)) and (.refusal | strings | test(\"$1\")))"
        sees "$node" '[.nodes[] | select(.state == "live").node] == ['"$node"']' >/dev/null || fail_with_logs "node $node is not alone"
        expect_exit 0 "$penstock" status --node "$memory/$node.socket"
        expect_output "$1"
        expect_exit 1 "$penstock" backup --node "$memory/$node.socket"
        expect_message "node $((3 - node)) is missing"
    done
}

# A log names it once, not at every try.
logged_once() { # WORDS
    local node count
    for node in 1 2; do
        count=$(grep -Ec "$1" "$memory/node$node.log")
        [ "$count" -le 2 ] || fail_with_logs "node $node has logged $count times: $1"
    done
}

# What both made before stays as it is, each goes on alone, and they are one cluster again after an upgrade.
others_refuse_each_other() { # NETWORK VERSION OLD_NODE WHAT OWN THEIRS
    local new=$((3 - $3)) names values=("" "$5" "$5")
    values[$3]=$6
    rm -f "$memory"/node?.log
    start_node "$new" this "$1"
    start_node "$3" "$2" "$1"
    wait_until sees_live 1 1
    wait_until sees_live 2 1
    names=$(names_below "$disk/to1" && names_below "$disk/to2")
    refused "the version of the $4 differs: (${values[1]} at node 1, ${values[2]} at node 2|${values[2]} at node 2, ${values[1]} at node 1)"
    [ "$names" = "$(names_below "$disk/to1" && names_below "$disk/to2")" ] || fail 'what was refused has left something'
    expect_exit 3 "$penstock" backup --node "$memory/$new.socket" --allow-missing
    logged_once "the version of the $4"
    stop_nodes "$3"
    start_node "$3" this "$1"
    wait_until both_live
    wait_until sees "$new" '[.nodes[] | select(.refusal)] == []'
    expect_exit 0 "$penstock" verify "${all[@]}" 1
    complete "$new" this
    stop_nodes 1 2
}

a_client_works_with_another_s_node() { # NODE'S CLIENT'S
    local client=${program[$2]}
    start_node 1 "$1" shm
    start_node 2 "$1" shm
    wait_until both_live
    expect_exit 0 "$client" status --node "$memory/1.socket"
    expect_output '^ +1 live' '^ +2 live'
    expect_exit 0 "$client" backup --node "$memory/1.socket"
    expect_exit 10 "$client" abort --node "$memory/1.socket"
    expect_message "no such backup is running"
    expect_exit 0 "$client" pace --node "$memory/1.socket" max
    stop_nodes 1 2
}

for node in 1 2; do make_small_tree "$disk/tree$node"; done
expect_exit 0 "$penstock" keygen "$key"
for over in shm udp; do
    same_signals_make_backups_together $over
    for node in 1 2; do
        others_refuse_each_other $over other_signals $node protocol 1 77
        others_refuse_each_other $over other_fabric $node fabric 2 9
    done
done
for other in same_signals other_signals other_fabric; do
    a_client_works_with_another_s_node "$other" this
    a_client_works_with_another_s_node this "$other"
done
