#!/bin/bash
# Two hosts, which are network namespaces, with two nodes each: rings inside a host, the network between,
# and one list of members for all. Everything that a cluster of one host can: backups, restored from the
# collected directories, an abort, nodes killed and stopped, decisions by hand, a prune; and directories that
# nodes of both hosts share, where the locks reach from host to host and where they do not.
#
#   mixed_test.sh PENSTOCK FOLDER LMDB_WRITER PRELOADED
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
# shellcheck source=../spaces.sh
source "$(dirname "${BASH_SOURCE[0]}")/../spaces.sh"
writer=${3:?}
preloaded=${4:?}

declare -A process=()
host_of=(0 1 1 2 2) # by node
key=$memory/key
members=1=10.77.0.1,2=10.77.0.1:7421,3=10.77.0.2,4=10.77.0.2:7421
all=(--from "$disk/to1" --from "$disk/to2" --from "$disk/to3" --from "$disk/to4")

directory() { # NODE
    echo "${shared:-$disk/to$1}"
}

start_node() { # NODE [VARIABLE=VALUE…]
    local host=${host_of[$1]}
    ip netns exec "$space-$host" env "${@:2}" "$penstock" node --cluster mixed --id "$1" --member "$members" \
        --cluster-key "$key" --fabric-dir "$memory/host$host" --socket "$memory/$1.socket" --to "$(directory "$1")" \
        --ldms 2 --chunk 64K --failure 1500ms --freeze-wait 50s --freeze-hold 50s --source "dir:$disk/tree$1" --source "lmdb:$disk/env$1" \
        2>>"$memory/node$1.log" &
    process[$1]=$!
}

all_live() {
    local node
    for node in 1 2 3 4; do sees_live "$node" 4 || return 1; done
}

start_nodes() { # [VARIABLE=VALUE…], for those of host 2
    local node
    for node in 1 2; do start_node "$node"; done
    for node in 3 4; do start_node "$node" "$@"; done
    wait_until all_live
}

stop_nodes() {
    local node
    kill -TERM "${process[@]}"
    for node in "${!process[@]}"; do
        status=0
        wait "${process[$node]}" || status=$?
        [ "$status" -eq 0 ] || fail_with_logs "node $node ends with $status"
    done
    process=()
}

kill_node() { # NODE
    kill -KILL "${process[$1]}"
    wait "${process[$1]}" 2>/dev/null || true
}

backup() { # NODE OPTION…
    "$penstock" backup --node "$memory/$1.socket" "${@:2}"
}

manifest() { # NODE NUMBER
    echo "$(directory "$1")/BACKUP-$2/BACKUP-$2.cluster.manifest"
}

# Complete in all directories, with the decision in each, and nothing is left of any other. Sets $number.
complete_next() { # NODE
    local node
    expect_exit 0 backup "$1" --json
    number=$(jq -r 'select(.message_type == "summary").number' "$memory/out")
    expect_exit 0 "$penstock" verify "${all[@]}" "$number"
    for node in 1 2 3 4; do
        cmp "$(manifest 1 "$number")" "$(manifest "$node" "$number")" || fail "node $node has another decision"
    done
    [ -z "$(find "$disk"/to? -name '.*.tmp' -o -name '*.mark')" ] || fail 'a file of a backup in work is left'
}

make_sources() {
    local node i
    for node in 1 2 3 4; do
        make_small_tree "$disk/tree$node"
        for i in {1..10}; do random_bytes 200000 >"$disk/tree$node/$i"; done
        mkdir "$disk/env$node"
    done
    "$writer" replay "$disk/env2" 5
    "$writer" run "$disk/env4" 0 &
    "$writer" pair "$disk/env1" "$disk/env3" &
    pair=$!
    wait_until test -s "$disk/env3/data.mdb"
    wait_until test -s "$disk/env4/data.mdb"
}

# The writer counts on host 1, then on host 2.
one_backup_of_two_hosts() {
    local node first second
    for node in 1 2 3 4; do complete_next "$node"; done
    kill -KILL "$pair"
    expect_exit 0 "$penstock" restore "${all[@]}" --target "$disk/restored"
    for node in 1 2 3 4; do compare_trees "$disk/tree$node" "$disk/restored/$node/tree$node"; done
    "$writer" check "$disk/restored/4/env4" >"$memory/out" 2>"$memory/err" || fail 'env4 is not consistent'
    first=$("$writer" count "$disk/restored/1/env1")
    second=$("$writer" count "$disk/restored/3/env3")
    [ "$first" -gt 0 ] || fail 'the pair of writers has not counted'
    [ "$first" -eq "$second" ] || [ "$first" -eq $((second + 1)) ] || fail "host 1 is cut at $first, host 2 at $second"
}

# A backup that waits for the writers of node 2, and its client at a node. Sets $client, $holder.
begin_backup() { # NODE
    rm -f "$memory/held"
    "$writer" hold "$disk/env2" 600000 >"$memory/held" &
    holder=$!
    wait_until grep -q held "$memory/held"
    backup "$1" --json >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees "$1" "$waits"
}

end_backup() { # EXIT
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || true
    status=0
    wait "$client" || status=$?
    [ "$status" -eq "$1" ] || fail_with_logs "the client exits with $status, not $1"
}

expect_idle() { # NODE…
    local node
    for node; do
        wait_until sees "$node" "$idle"
        wait_until sees "$node" '.in_doubt == 0'
    done
}

an_abort_reaches_both_hosts() {
    begin_backup 3
    expect_exit 0 "$penstock" abort --node "$memory/4.socket"
    end_backup 1
    expect_idle 1 2 3 4
    complete_next 2
}

# A master that dies takes the outcome along.
nodes_are_killed() { # OTHER EXIT KILLED…
    local node
    begin_backup "$1"
    for node in "${@:3}"; do kill_node "$node"; done
    end_backup "$2"
    wait_until sees "$1" "$idle"
    expect_exit 1 backup "$1"
    expect_message 'missing'
    for node in "${@:3}"; do start_node "$node"; done
    wait_until all_live
    expect_idle 1 2 3 4
    complete_next "$1"
}

# Declared dead on its host, it leaves the other one too, and joins both again.
a_node_is_stopped() { # NODE OTHER EXIT
    begin_backup "$2"
    kill -STOP "${process[$1]}"
    wait_until sees_live "$2" 3
    wait_until sees_live $(((($1 - 1) ^ 1) + 1)) 3 # its neighbour
    end_backup "$3"
    wait_until sees "$2" "$idle"
    kill -CONT "${process[$1]}"
    wait_until all_live
    expect_idle 1 2 3 4
    grep -q 'declared this node dead' "$memory/node$1.log" || fail_with_logs "node $1 does not know that it was dead"
    complete_next "$1"
}

# Of a decision, both files.
lose() {
    local file
    for file; do rm "$file" "$file.copy"; done
}

# Node 1, the master, is away; the others have lost what it decided. One is given it by hand, on either host.
somebody_decides() {
    local decided=$number undecided node
    complete_next 1
    undecided=$number
    stop_nodes
    cp "$(manifest 1 "$decided")" "$memory/decided"
    for node in 2 3 4; do lose "$(manifest "$node" "$decided")"; done
    for node in 1 2 3 4; do lose "$(manifest "$node" "$undecided")"; done
    for node in 2 3 4; do start_node "$node"; done
    for node in 2 3 4; do
        wait_until sees "$node" ".in_doubt == 2 and ([.doubts[].waits_for] == [[1], [1]])"
    done
    expect_exit 0 "$penstock" status --node "$memory/4.socket"
    expect_output "backup $decided, uid [0-9a-f]{32}, master node 1, ASKING, waits for node 1\$"
    expect_exit 0 "$penstock" resolve --node "$memory/2.socket" "$decided" --commit "$memory/decided"
    expect_exit 0 "$penstock" resolve --node "$memory/3.socket" "$undecided" --abort
    for node in 2 3 4; do
        wait_until cmp "$memory/decided" "$(manifest "$node" "$decided")"
        wait_until test ! -e "$(directory "$node")/BACKUP-$undecided"
    done
    start_node 1
    wait_until all_live
    expect_idle 1 2 3 4
    wait_until test ! -e "$(directory 1)/BACKUP-$undecided"
    expect_exit 0 "$penstock" verify "${all[@]}" "$decided"
    complete_next 4
}

# Whoever joins meets a decision that it has missed.
a_manifest_is_fetched() {
    stop_nodes
    lose "$(manifest 3 "$number")" "$(manifest 2 "$number")"
    start_nodes
    for node in 2 3; do wait_until cmp "$(manifest 1 "$number")" "$(manifest "$node" "$number")"; done
    expect_exit 0 "$penstock" verify "${all[@]}" "$number"
}

prune_beside_the_nodes() {
    complete_next 3
    expect_exit 0 "$penstock" prune "${all[@]}" --keep 1
    expect_exit 0 "$penstock" list "${all[@]}" --json
    expect_json "[.[] | [.number, .state]] == [[$number, \"complete\"]]"
    complete_next 2
}

# A node on a copy of another's directory: it is another directory.
a_copy_is_another_directory() {
    stop_nodes
    rm -r "$disk/to3"
    cp -a "$disk/to1" "$disk/to3"
    start_nodes
    complete_next 3
    stop_nodes
}

# The locks of this kernel reach both hosts; then those of host 2 reach nobody.
one_directory() {
    shared=$disk/shared
    start_nodes
    expect_exit 0 backup 4
    expect_exit 0 "$penstock" verify --from "$shared" 1
    stop_nodes
    start_nodes "LD_PRELOAD=$preloaded" LOCKS=none
    expect_exit 1 backup 1
    expect_message 'No locks available'
    cat "$memory"/node?.log >"$memory/err"
    expect_message 'node [1-4] is at work in this directory too, but its lock, .node-[1-4].lock, is not seen here'
    expect_idle 1 2 3 4
    expect_exit 0 "$penstock" list --from "$shared" --json
    expect_json '[.[] | [.number, .state]] == [[1, "complete"]]'
    stop_nodes
    start_nodes
    expect_exit 0 backup 3
    expect_exit 0 "$penstock" verify --from "$shared" 2
    stop_nodes
}

make_spaces udp 2
make_sources
expect_exit 0 "$penstock" keygen "$key"
start_nodes
grep -q "cluster mixed: 1 of the other nodes on this host, found in $memory/host2" "$memory/node4.log" ||
    fail_with_logs 'node 4 has not found its host'
one_backup_of_two_hosts
an_abort_reaches_both_hosts
nodes_are_killed 1 1 2 3
nodes_are_killed 4 4 1
a_node_is_stopped 4 2 1
a_node_is_stopped 1 3 4
somebody_decides
a_manifest_is_fetched
prune_beside_the_nodes
a_copy_is_another_directory
one_directory
