#!/bin/bash
# Two nodes that are processes, each with a tree and an LMDB environment that is written to, back up
# as one; then nodes and clients are killed, and each time nothing is left and the next one completes.
#
#   cluster_test.sh PENSTOCK FOLDER LMDB_WRITER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
writer=${3:?}

declare -A process=() writers=()
codec=(none auto zstd) # a node each

start_node() { # ID
    "$penstock" node --cluster "test-$$" --id "$1" --nodes 1-2 --socket "$memory/$1.socket" \
        --fabric-dir "$memory/fabric" --to "${shared:-$disk/to$1}" --ldms 2 --chunk 64K --compress "${codec[$1]}" --freeze-wait 50s --freeze-hold 50s \
        --source "dir:$disk/tree$1" --source "lmdb:$disk/env$1" --source "lmdb:$disk/pair$1" 2>>"$memory/node$1.log" &
    process[$1]=$!
}

backup() { # NODE OPTION…
    "$penstock" backup --node "$memory/$1.socket" "${@:2}"
}

kill_node() { # ID
    kill -KILL "${process[$1]}"
    wait "${process[$1]}" 2>/dev/null || true
}

# What both nodes have together.
all=(--from "$disk/to1" --from "$disk/to2")

# Nothing but complete backups in either directory.
expect_nothing_left() {
    local node
    for node in 1 2; do
        expect_exit 0 "$penstock" list --from "$disk/to$node"
        ! grep -q incomplete "$memory/out" || fail "node $node: $(cat "$memory/out")"
        [ -z "$(find "$disk/to$node" -name '.*.tmp' -o -name '*.mark')" ] ||
            fail "node $node: a file of a backup in work is left"
    done
}

complete_next() { # NODE
    expect_exit 0 backup "$1" --json
    expect_exit 0 "$penstock" verify "${all[@]}" "$(jq -r 'select(.message_type == "summary").number' "$memory/out")"
}

make_sources() {
    local node i
    for node in 1 2; do
        make_small_tree "$disk/tree$node"
        for i in {1..20}; do random_bytes 200000 >"$disk/tree$node/$i"; done
        mkdir "$disk/env$node"
        "$writer" run "$disk/env$node" 0 &
        writers[$node]=$!
        wait_until test -s "$disk/env$node/data.mdb"
        mkdir "$disk/pair$node"
    done
    "$writer" pair "$disk/pair1" "$disk/pair2" &
    writers[3]=$!
    wait_until test -s "$disk/pair2/data.mdb"
}

# The writer counts in the environment of node 1, then in that of node 2: one instant of both has
# the same number, or one more in the first.
expect_one_cut() {
    local first second
    first=$("$writer" count "$disk/restored/1/pair1")
    second=$("$writer" count "$disk/restored/2/pair2")
    [ "$first" -gt 0 ] || fail 'the pair of writers has not counted'
    [ "$first" -eq "$second" ] || [ "$first" -eq $((second + 1)) ] ||
        fail "node 1 is cut at $first, node 2 at $second"
}

# Of the same name, in the same place, with another id.
another_cluster_is_refused() {
    expect_exit 0 "$penstock" status --node "$memory/1.socket" --json
    local id
    id=$(jq -r .cluster_id "$memory/out")
    expect_exit 0 "$penstock" show "${all[@]}" --json
    expect_json ".[0].cluster_id == \"$id\" and (\"$id\" | test(\"^[0-9a-f]{8}\$\"))"
    "$penstock" node --cluster "test-$$" --cluster-id 1 --id 9 --socket "$memory/9.socket" --fabric-dir "$memory/fabric" \
        --to "$disk/to9" --source s=synthetic:rows=10 2>"$memory/node9.log" &
    process[9]=$!
    wait_until grep 'node 9 is not let in by node 1: --cluster or --cluster-id differ: ' "$memory/node9.log"
    sees 9 '[.nodes[] | select(.state == "live") | .node] == [9] and .cluster_id == "00000001"' >/dev/null ||
        fail 'a node of another cluster has joined'
    kill_node 9
}

both_nodes_as_one() {
    # Neither source nor directory of the command line would count.
    expect_exit 2 backup 1 --source "dir:$disk/tree1" --to "$disk/elsewhere"
    expect_message '--source does not apply to a backup through a node'
    expect_absent "$disk/elsewhere"
    expect_exit 1 backup 1
    expect_message 'node 2 is missing'
    start_node 2
    wait_until sees_live 1 2
    wait_until sees_live 2 2
    local node
    for node in 1 2; do # the second time the request is passed on to the master
        complete_next "$node"
        expect_exit 0 "$penstock" show "${all[@]}" --json
        expect_json '[.[0].node_manifests[].node] == [1, 2]'
    done
    kill -KILL "${writers[3]}"
    expect_exit 0 "$penstock" restore "${all[@]}" --target "$disk/restored"
    for node in 1 2; do
        compare_trees "$disk/tree$node" "$disk/restored/$node/tree$node"
        "$writer" check "$disk/restored/$node/env$node" >"$memory/out" 2>"$memory/err" ||
            fail "env$node is not consistent"
    done
    expect_one_cut
    rm -rf "$disk/restored"
}

# A transaction that takes its time: a backup waits for the freeze of that node meanwhile.
hold_writers() { # NODE
    rm -f "$memory/held"
    "$writer" hold "$disk/env$1" 600000 >"$memory/held" &
    holder=$!
    wait_until test -s "$memory/held"
}

let_go_writers() {
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || true
}

# A warning of node 2 is in its log alone: whoever has the backup made learns that there is one.
warnings_reach_the_client() {
    expect_exit 0 backup 1 --json
    expect_json '.[-1].logged_warnings == 0'
    make_too_deep "$disk/tree2"
    expect_exit '0 3' backup 1 --json
    expect_message 'the nodes logged 1 warning during the backup: see their logs'
    grep -q 'warning: .*dddd' "$memory/node2.log" || fail_with_logs 'node 2 has not warned'
    expect_json 'any(.logged_warnings == 1)'
    rm -r "$deep"
}

a_node_is_killed() { # KILLED OTHER
    local client
    backup "$2" --json >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees "$2" "$waits"
    kill_node "$1"
    let_go_writers
    status=0
    wait "$client" || status=$?
    # A master that dies takes the outcome along.
    [ "$status" -eq $(($1 == 1 ? 4 : 1)) ] || fail "the client of a cluster that lost node $1 exits with $status"
    wait_until sees "$2" "$idle"
    expect_exit 1 backup "$2"
    expect_message "node $1 is missing"
    start_node "$1"
    wait_until sees_live 1 2
    wait_until sees_live 2 2
}

abort_unheard() {
    "$penstock" abort --node "$memory/1.socket" >/dev/full
}

# The backup goes on without its client, until another one aborts it, at whatever node. What JSON
# cannot carry is no request to abort whatever runs. The work is done, the report is not: exit 3.
a_client_is_killed() {
    local client
    backup 2 >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees 2 "$waits"
    kill -KILL "$client"
    wait "$client" 2>/dev/null || true
    expect_exit 2 "$penstock" abort --node "$memory/1.socket" $'\xff'
    sees 2 "$waits" || fail "the backup does not go on after a request that is none"
    expect_exit 3 abort_unheard
    let_go_writers
    wait_until sees 1 "$idle"
    wait_until sees 2 "$idle"
}

# It counts as dead, and joins anew when it goes on.
a_node_is_stopped() { # STOPPED OTHER
    local client
    hold_writers "$1"
    backup "$2" --json >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees "$2" "$waits"
    kill -STOP "${process[$1]}"
    status=0
    wait "$client" || status=$?
    # A master that dies takes the outcome along.
    [ "$status" -eq $(($1 == 1 ? 4 : 1)) ] || fail "the client of a cluster that lost node $1 exits with $status"
    wait_until sees "$2" "$idle"
    kill -CONT "${process[$1]}"
    let_go_writers
    wait_until sees_live 1 2
    wait_until sees_live 2 2
    wait_until sees "$1" "$idle"
}

# Told to stop while a backup waits for the writers of that node.
stop_in_backup() { # STOPPED ASKED
    hold_writers "$1"
    backup "$2" >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees "$2" "$waits"
    : >"$memory/node$1.log"
    kill -TERM "${process[$1]}"
    wait_until grep -q 'stopping: aborting the running backup' "$memory/node$1.log"
}

# In order: the client is told why, and nobody has anything left.
a_node_is_told_to_stop() { # STOPPED ASKED
    local client other=$((3 - $1))
    stop_in_backup "$1" "$2"
    let_go_writers
    status=0
    wait "$client" || status=$?
    [ "$status" -eq 1 ] || fail "the client of a cluster whose node $1 stops exits with $status"
    expect_message "node $1 is being stopped"
    status=0
    wait "${process[$1]}" || status=$?
    [ "$status" -eq 0 ] || fail "node $1 ends with $status"
    wait_until sees "$other" "$idle"
    expect_nothing_left
    expect_exit 1 backup "$other"
    expect_message "node $1 is missing"
    start_node "$1"
    wait_until sees_live 1 2
    wait_until sees_live 2 2
}

# Told twice, and not by the two signals that timeout(1) sends at once: it does not wait for the
# writers, as if it were killed.
a_node_is_told_to_stop_twice() { # STOPPED ASKED
    local client
    stop_in_backup "$1" "$2"
    sleep 0.4
    kill -TERM "${process[$1]}"
    status=0
    wait "${process[$1]}" 2>/dev/null || status=$?
    [ "$status" -eq 143 ] || fail "node $1 ends with $status"
    let_go_writers
    status=0
    wait "$client" || status=$?
    # A master that dies takes the outcome along.
    [ "$status" -eq $(($1 == 1 ? 4 : 1)) ] || fail "the client of a cluster that lost node $1 exits with $status"
    wait_until sees "$2" "$idle"
    start_node "$1"
    wait_until sees_live 1 2
    wait_until sees_live 2 2
}

# Both nodes know of the backup that one of them was asked for.
expect_status() {
    local node number
    expect_exit 0 backup 2 --json
    number=$(jq -r 'select(.message_type == "summary").number' "$memory/out")
    for node in 1 2; do
        expect_exit 0 "$penstock" status --node "$memory/$node.socket" --json
        expect_json ".[0].last_backup | .number == $number and .outcome == \"complete\" and .source_bytes > 4000000 and
                     .elapsed_ns > 0 and (.ended | test(\"^20.*Z$\"))"
        expect_json ".[0].last_backup | .ratio > 0 and (.codec_chunks | .none + .lz4 + .zstd > 0) and ($node == 1 or .codec_chunks.zstd > 0)"
        expect_json '.[0] | (.ldms | length) == 2 and .signals.sent > 0 and .signals.ring_bytes > 0 and .in_doubt == 0'
        expect_exit 0 "$penstock" status --node "$memory/$node.socket"
        expect_output "last: backup $number, complete" 'signals to other nodes: [1-9]'
    done
    expect_output '^ +stored here in .*, 1 : [0-9.]+; chunks: 0 lz4, [1-9][0-9]* zstd, [0-9]+ as they are'
}

lines_at_least() { # FILE COUNT
    [ "$(wc -l <"$1")" -ge "$2" ]
}

# watch LINES OPTION…: in $memory/out; a signal ends it, and that is no failure.
watch() {
    local watcher
    : >"$memory/out" # which the watcher itself does later, when a busy host lets it
    "$penstock" status --node "$memory/1.socket" --watch --interval 100ms "${@:2}" >"$memory/out" 2>"$memory/err" &
    watcher=$!
    wait_until lines_at_least "$memory/out" "$1"
    kill -TERM "$watcher"
    status=0
    wait "$watcher" || status=$?
    [ "$status" -eq 0 ] || fail "status --watch ends with $status"
}

# The rates of both nodes are at the master's, and of itself at the other's.
expect_rates() {
    local client
    hold_writers 2
    backup 1 >"$memory/client.log" 2>&1 &
    client=$!
    wait_until sees 1 "$waits"
    watch 2 --json
    expect_json '.[-1] | .ldms[0].state == "STARTED" and [.nodes[] | select(.node == 1) | .bytes_per_second] == [0]'
    watch 2
    expect_exit 0 "$penstock" list --from "$disk/to1"
    expect_output ' running +it is being written now'
    watch 2
    expect_output 'node 1: 2 of 2 nodes, master 1, STARTED, 0 B read, 0 B/s, 0 in doubt, last complete [0-9]+$'
    let_go_writers
    wait "$client" || fail "$(cat "$memory/client.log")"
}

stop_nodes() {
    local node
    for node in 1 2; do kill -TERM "${process[$node]}"; done
    for node in 1 2; do
        status=0
        wait "${process[$node]}" || status=$?
        [ "$status" -eq 0 ] || fail "node $node ends with $status"
    done
    expect_absent "$memory/1.socket" "$memory/2.socket"
}

# Both nodes write into one directory, and one of them is killed.
one_directory() {
    shared=$disk/shared
    start_node 1
    start_node 2
    wait_until sees_live 1 2
    wait_until sees_live 2 2
    expect_exit 0 backup 2
    expect_exit 0 "$penstock" verify --from "$shared"
    expect_exit 11 "$penstock" backup --source synthetic:rows=1 --to "$shared"
    hold_writers 2
    a_node_is_killed 2 1
    expect_exit 0 backup 1
    expect_exit 0 "$penstock" list --from "$shared" --json
    expect_json '[.[] | .state] == ["complete", "complete"]'
    expect_exit 0 "$penstock" verify --from "$shared"
    [ -z "$(find "$shared" -name '.*.tmp' -o -name '*.mark')" ] || fail 'a file of a backup in work is left'
    stop_nodes
    shared=
}

make_sources
start_node 1
wait_until sees 1 true
both_nodes_as_one
another_cluster_is_refused
warnings_reach_the_client
expect_status
expect_rates
for victim in 2 1; do
    hold_writers "$victim"
    a_node_is_killed "$victim" $((3 - victim))
    complete_next 1
    expect_nothing_left
done
a_node_is_stopped 2 1
complete_next 1
expect_nothing_left
hold_writers 1
a_client_is_killed
complete_next 2
expect_nothing_left
a_node_is_told_to_stop 1 2
a_node_is_told_to_stop 2 1
a_node_is_told_to_stop 1 1
a_node_is_told_to_stop_twice 2 1
complete_next 1
expect_nothing_left
stop_nodes
one_directory
kill "${writers[1]}" "${writers[2]}" 2>/dev/null || true
