#!/bin/bash
# Three nodes, each in a network namespace of its own, on one switch: a cable is pulled in a backup, of the
# master and of another node. The backup ends, every node goes on with those that it reaches, and all are one
# cluster again when the cable is back.
#
#   cut_test.sh PENSTOCK FOLDER LMDB_WRITER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
# shellcheck source=../spaces.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../spaces.sh"
writer=${3:?}
declare -A process=()
key=$memory/key

start_node() { # ID
    ip netns exec "$space-$1" "$penstock" node --cluster cut --id "$1" --member 1=10.77.0.1,2=10.77.0.2,3=10.77.0.3 \
        --cluster-key "$key" --socket "$memory/$1.socket" --to "$disk/to$1" --ldms 2 --failure 1500ms \
        --source "dir:$disk/tree$1" --source "lmdb:$disk/env$1" 2>>"$memory/node$1.log" &
    process[$1]=$!
}

all_live() {
    sees_live 1 3 && sees_live 2 3 && sees_live 3 3
}

backup() { # NODE OPTION…
    "$penstock" backup --node "$memory/$1.socket" "${@:2}"
}

all=(--from "$disk/to1" --from "$disk/to2" --from "$disk/to3")

complete_next() { # NODE
    expect_exit 0 backup "$1" --json
    expect_exit 0 "$penstock" verify "${all[@]}" "$(jq -r 'select(.message_type == "summary").number' "$memory/out")"
}

# While the writers of node 2 hold up the freeze. The client is at node 2, which keeps its cable or not.
a_cable_is_pulled() { # NODE OTHER
    local client holder node
    rm -f "$memory/held"
    "$writer" hold "$disk/env2" 60000 >"$memory/held" &
    holder=$!
    wait_until grep -q held "$memory/held"
    backup 2 --json >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees 2 "$waits"
    cable "$1" down
    wait_until sees_live "$1" 1
    wait_until sees_live "$2" 2
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || true
    status=0
    wait "$client" || status=$?
    # A master that is gone takes the outcome along.
    [ "$status" -eq $(($1 == 3 ? 1 : 4)) ] || fail "the client of a cluster that lost node $1 exits with $status"
    for node in 1 2 3; do wait_until sees "$node" "$idle"; done
    expect_exit 1 backup "$2"
    expect_message "node $1 is missing"
    cable "$1" up
    wait_until all_live
    for node in 1 2 3; do wait_until sees "$node" '.in_doubt == 0'; done
    complete_next "$1"
    [ -z "$(find "$disk"/to? -name '.*.tmp' -o -name '*.mark')" ] || fail 'a file of a backup in work is left'
}

make_sources() {
    local node
    for node in 1 2 3; do
        make_small_tree "$disk/tree$node"
        mkdir "$disk/env$node"
        "$writer" replay "$disk/env$node" 5
    done
}

make_hosts 3
make_sources
expect_exit 0 "$penstock" keygen "$key"
for node in 1 2 3; do start_node "$node"; done
wait_until all_live
complete_next 3
a_cable_is_pulled 3 1
a_cable_is_pulled 1 3
for node in 1 2 3; do kill -TERM "${process[$node]}"; done
for node in 1 2 3; do
    status=0
    wait "${process[$node]}" || status=$?
    [ "$status" -eq 0 ] || fail "node $node ends with $status"
done
