#!/bin/bash
# The cluster that runs under each sanitizer too, quickly: two nodes that are processes, with a tree and
# an environment that is written to, back up as one; a backup is aborted, a node is killed in one and comes
# back, both are asked for backups at once, and the last one is restored. No process says a word of a
# sanitizer's. The deadlines are long, for a sanitized node is slow.
#
#   sanitized_test.sh PENSTOCK FOLDER LMDB_WRITER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
writer=${3:?}

declare -A process=()

start_node() { # ID
    "$penstock" node --cluster "sanitized-$$" --id "$1" --nodes 1-2 --socket "$memory/$1.socket" --failure 10s \
        --fabric-dir "$memory/fabric" --to "$disk/to$1" --ldms 2 --chunk 64K --freeze-wait 30s \
        --source "dir:$disk/tree$1" --source "lmdb:$disk/env$1" 2>>"$memory/node$1.log" &
    process[$1]=$!
}

both_live() {
    sees_live 1 2 && sees_live 2 2
}

backup() { # NODE
    "$penstock" backup --node "$memory/$1.socket" --json
}

# A backup that waits for the writers of node 2, which are let go at the end.
begin_held() { # ASKED
    rm -f "$memory/held"
    "$writer" hold "$disk/env2" 600000 >"$memory/held" &
    holder=$!
    wait_until test -s "$memory/held"
    backup "$1" >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees 2 "$waits"
}

let_go() {
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || true
    status=0
    wait "$client" || status=$?
    wait_until sees 1 "$idle"
}

a_backup_is_aborted() {
    begin_held 2
    "$penstock" abort --node "$memory/1.socket" >/dev/null
    let_go
    [ "$status" -eq 1 ] || fail_with_logs "the client of an aborted backup exits with $status"
}

a_node_is_killed() {
    begin_held 1
    kill -KILL "${process[2]}"
    wait "${process[2]}" 2>/dev/null || true
    let_go
    [ "$status" -eq 1 ] || fail_with_logs "the client of a backup that lost a node exits with $status"
    expect_exit 1 backup 1
    grep -q "node 2 is missing" "$memory/err" "$memory/out" || fail "the missing node is not named"
    start_node 2
    wait_until both_live
}

# One is made, the other is made after it or refused: the node is busy.
two_at_once() {
    local clients=() one statuses=''
    for one in 1 2; do
        backup "$one" >"$memory/out$one" 2>"$memory/err" &
        clients+=($!)
    done
    for one in "${clients[@]}"; do
        status=0
        wait "$one" || status=$?
        statuses+="$status "
    done
    [[ $statuses =~ ^(0 0|0 11|11 0)\ $ ]] || fail_with_logs "two backups at once exit with $statuses"
}

expect_silence() {
    ! grep -E 'Sanitizer|runtime error' "$memory"/*.log "$memory"/err* || fail_with_logs 'a sanitizer complains'
}

for node in 1 2; do
    make_small_tree "$disk/tree$node"
    for i in {1..5}; do random_bytes 150000 >"$disk/tree$node/$i"; done
    mkdir "$disk/env$node"
    "$writer" run "$disk/env$node" 0 &
    wait_until test -s "$disk/env$node/data.mdb"
    start_node "$node"
done
wait_until both_live
expect_exit 0 backup 2
a_backup_is_aborted
a_node_is_killed
two_at_once
expect_exit 0 backup 1
all=(--from "$disk/to1" --from "$disk/to2")
expect_exit 0 "$penstock" verify "${all[@]}"
expect_exit 0 "$penstock" restore "${all[@]}" --target "$disk/restored"
for node in 1 2; do
    compare_trees "$disk/tree$node" "$disk/restored/$node/tree$node"
    "$writer" check "$disk/restored/$node/env$node" >"$memory/out" 2>"$memory/err" || fail "env$node is not consistent"
    kill -TERM "${process[$node]}"
    status=0
    wait "${process[$node]}" || status=$?
    [ "$status" -eq 0 ] || fail_with_logs "node $node ends with $status"
done
[ -z "$(find "$disk"/to? -name '.*.tmp' -o -name '*.mark')" ] || fail 'a file of a backup in work is left'
expect_silence
