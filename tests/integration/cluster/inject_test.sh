#!/bin/bash
# Three nodes, each in a network namespace of its own, and an attacker on the switch between them, who sends
# what he has captured once more, changed, cut or in another's name, and makes up what ends connections
# elsewhere, while backups run; and then floods them. Every backup completes, no link ends, no signal is
# taken that was not sent, and no memory stays behind.
#
#   inject_test.sh PENSTOCK FOLDER LMDB_WRITER INJECTOR
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
# shellcheck source=../spaces.sh
source "$(dirname "${BASH_SOURCE[0]}")/../spaces.sh"
writer=${3:?}
injector=${4:?}

seconds=5
[ -z "$is_full" ] || seconds=120
seed=${INJECT_SEED:-1}
declare -A process=()
key=$memory/key

start_node() { # ID
    ip netns exec "$space-$1" "$penstock" node --cluster inject --id "$1" --member 1=10.77.0.1,2=10.77.0.2,3=10.77.0.3 \
        --cluster-key "$key" --socket "$memory/$1.socket" --to "$disk/to$1" --ldms 2 --failure 4s --freeze-hold 20s \
        --source "dir:$disk/tree$1" --source "lmdb:$disk/env$1" 2>>"$memory/node$1.log" &
    process[$1]=$!
}

all_live() {
    sees_live 1 3 && sees_live 2 3 && sees_live 3 3
}

all=(--from "$disk/to1" --from "$disk/to2" --from "$disk/to3")

complete_next() { # NODE
    expect_exit 0 "$penstock" backup --node "$memory/$1.socket" --json
    number=$(jq -r 'select(.message_type == "summary").number' "$memory/out")
}

# attack SECONDS RATE WHAT: in the background.
attack() {
    ip netns exec "$space-switch" "$injector" "$1" "$seed" "$2" "$3" port1 port2 port3 >"$memory/injected" 2>&1 &
    attacker=$!
}

# Backups until the attacker is done; two at least.
backups_complete_meanwhile() {
    local made=0
    while kill -0 "$attacker" 2>/dev/null || [ "$made" -lt 2 ]; do
        complete_next $((made % 3 + 1))
        made=$((made + 1))
    done
    status=0
    wait "$attacker" || status=$?
    [ "$status" -ne 77 ] || skip 'no raw sockets here'
    [ "$status" -eq 0 ] || fail "the attacker ends with $status: $(cat "$memory/injected")"
    ! grep -Eq '^[a-z]+ 0$' "$memory/injected" || fail "not everything was tried: $(cat "$memory/injected")"
    expect_exit 0 "$penstock" verify "${all[@]}" "$number"
}

signals() { # FIELD: the sum over all nodes
    local node
    for node in 1 2 3; do "$penstock" status --node "$memory/$node.socket" --json; done | jq -s "map(.signals.$1) | add"
}

as_many_received_as_sent() {
    [ "$(signals sent)" -eq "$(signals received)" ]
}

expect_failures() { # COUNT
    local failed
    failed=$(signals nodes_failed)
    [ "$failed" -eq "$1" ] || fail_with_logs "links ended $failed times, not $1"
}

resident_kib() { # NODE
    awk '/^VmRSS:/ { print $2 }' "/proc/${process[$1]}/status"
}

links_that_are_up_stay_up() {
    attack "$seconds" 3000 rfcajsvh
    backups_complete_meanwhile
    expect_failures 0
    wait_until as_many_received_as_sent
}

# What its last life has sent and was sent comes again, to both its next life and who knew the last one.
a_node_comes_back() {
    attack "$seconds" 1000 rfaj
    complete_next 1
    kill -KILL "${process[2]}"
    wait "${process[2]}" 2>/dev/null || true
    wait_until sees_live 1 2
    wait_until sees_live 3 2
    start_node 2
    wait_until all_live
    backups_complete_meanwhile
    expect_failures 2
}

a_flood_is_weathered() {
    local node before=()
    for node in 1 2 3; do before[node]=$(resident_kib "$node"); done
    attack "$seconds" 20000 ish
    backups_complete_meanwhile
    expect_failures 2
    for node in 1 2 3; do
        [ "$(resident_kib "$node")" -lt $((before[node] + 8192)) ] ||
            fail "node $node grew from ${before[node]} to $(resident_kib "$node") KiB"
    done
}

make_spaces udp
make_sources
expect_exit 0 "$penstock" keygen "$key"
for node in 1 2 3; do start_node "$node"; done
wait_until all_live
complete_next 3
links_that_are_up_stay_up
a_node_comes_back
a_flood_is_weathered
expect_exit 0 "$penstock" restore "${all[@]}" --target "$disk/restored"
for node in 1 2 3; do compare_trees "$disk/tree$node" "$disk/restored/$node/tree$node"; done
! grep -E 'damaged|no such signal|assertion' "$memory"/node?.log || fail 'a node took what nobody had sent'
for node in 1 2 3; do kill -TERM "${process[$node]}"; done
for node in 1 2 3; do
    status=0
    wait "${process[$node]}" || status=$?
    [ "$status" -eq 0 ] || fail "node $node ends with $status"
done
