#!/bin/bash
# What a program that follows a node is told: of backups, of other nodes, of the node's own end.
#
#   events_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

mkdir "$disk/tree"
random_bytes 100000 >"$disk/tree/file"
start_node() { # ID
    "$penstock" node --cluster "events-$$" --id "$1" --nodes 1-2 --socket "$memory/$1.socket" --ldms 1 --to "$disk/to$1" \
        --source "dir:$disk/tree" --fabric-dir "$memory/fabric" 2>>"$memory/$1.log" &
}

heard() { # FILTER: an event passes it
    jq -es "any(.[]; $1)" "$memory/events"
}

start_node 1
node_1=$!
wait_until sees_live 1 1
"$penstock" events --node "$memory/1.socket" >"$memory/events" 2>"$memory/events.log" &
follower=$!
wait_until heard '.event == "following" and .node == 1'
start_node 2
node_2=$!
wait_until heard '.event == "node_state" and .node == 2 and .state == "live"'
wait_until sees_live 2 2
expect_exit 0 "$penstock" backup --node "$memory/2.socket"
wait_until heard '.event == "backup_ended" and .number == 1 and .outcome == "complete" and .source_bytes == 100000'
mv "$disk/tree" "$disk/elsewhere"
expect_exit 1 "$penstock" backup --node "$memory/1.socket"
mv "$disk/elsewhere" "$disk/tree"
wait_until heard '.event == "backup_ended" and .outcome == "aborted" and .error_name == "ENOENT"'
# Each end, also of backups that follow each other faster than anybody looks.
for ((i = 0; i < 20; i++)); do expect_exit 0 "$penstock" backup --node "$memory/1.socket"; done
wait_until heard '.event == "backup_ended" and .number == 21'
[ "$(jq -r 'select(.event == "backup_ended" and .outcome == "complete").number' "$memory/events" | paste -sd ' ')" = "$(seq -s ' ' 21)" ] ||
    fail 'not told of each end'
kill -KILL "$node_2"
wait_until heard '.event == "node_state" and .node == 2 and .state != "live"'
kill -TERM "$node_1"
status=0
wait "$follower" || status=$?
[ "$status" -eq 1 ] || fail "the follower of a node that has ended exits with $status"
grep -q 'the node has ended' "$memory/events.log" || fail 'no word of the end of the node'
heard '.event == "stopping"' >"$memory/out" || fail 'not told that the node stops'
expect_described "$memory/events"

# A follower that is stopped by a signal is done.
start_node 1
wait_until sees_live 1 1
"$penstock" events --node "$memory/1.socket" >"$memory/events" &
follower=$!
wait_until heard '.event == "following"'
kill -TERM "$follower"
wait "$follower" || fail 'an interrupted follower has failed'
