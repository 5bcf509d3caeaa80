#!/bin/bash
# Three nodes, each in a network namespace of its own, on one switch. In a backup the master or another node is
# lost: its cable is pulled, its interface goes down, it hears nothing and is heard, or it is stopped; or two nodes
# part, and both keep the third. The backup ends, every node goes on with those that it reaches, and all are one
# cluster again when it is back. A short outage ends nothing, nor do a few lost packets.
#
#   cut_test.sh PENSTOCK FOLDER LMDB_WRITER [PORT]        PORT: as in ../spaces.sh
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
# shellcheck source=../spaces.sh
source "$(dirname "${BASH_SOURCE[0]}")/../spaces.sh"
writer=${3:?}

declare -A process=()
key=$memory/key

start_node() { # ID
    local within port
    on_host "$1"
    "${within[@]}" "$penstock" node --cluster cut --id "$1" --member "1=$network.1,2=$network.2,3=$network.3" "${port[@]}" \
        --cluster-key "$key" --socket "$memory/$1.socket" --to "$disk/to$1" --ldms 2 --failure 1500ms --freeze-wait 50s --freeze-hold 50s \
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

interface_of_host() {
    [ "$spaces_port" = af_packet ] && echo pst0 || echo cable
}

# What is for it goes to where node 2 is; but for what is for all.
deafen() { # NODE replace|delete
    local mac
    mac=$(ip netns exec "$space-$1" cat "/sys/class/net/$(interface_of_host)/address")
    bridge -n "$space-switch" fdb "$2" "$mac" dev port2 master static sticky
}

change() { # WAY NODE lost|back
    case $1,$3 in
    cable,lost) cable "$2" down ;;
    cable,back) cable "$2" up ;;
    interface,lost) ip -n "$space-$2" link set "$(interface_of_host)" down ;;
    interface,back) ip -n "$space-$2" link set "$(interface_of_host)" up ;;
    deaf,lost) deafen "$2" replace ;;
    deaf,back) deafen "$2" delete ;;
    stopped,lost) kill -STOP "${process[$2]}" ;;
    stopped,back) kill -CONT "${process[$2]}" ;;
    esac
}

# The writers of node 2 hold up its freeze until the backup is to end. The client is at node 2. Sets holder, client.
begin_held_backup() {
    rm -f "$memory/held"
    "$writer" hold "$disk/env2" 600000 >"$memory/held" &
    holder=$!
    wait_until grep -q held "$memory/held"
    backup 2 --json >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees 2 "$waits"
}

end_held_backup() { # Sets status, the client's.
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || true
    status=0
    wait "$client" || status=$?
}

a_node_is_lost() { # WAY NODE OTHER
    local way=$1
    shift
    local client holder node
    begin_held_backup
    change "$way" "$1" lost
    [ "$way" = stopped ] || wait_until sees_live "$1" 1
    wait_until sees_live "$2" 2
    end_held_backup
    # A master that is gone takes the outcome along.
    [ "$status" -eq $(($1 == 3 ? 1 : 4)) ] || fail "the client of a cluster that lost node $1 exits with $status"
    for node in 1 2 3; do [ "$way,$node" = "stopped,$1" ] || wait_until sees "$node" "$idle"; done
    expect_exit 1 backup "$2"
    expect_message "node $1 is missing"
    change "$way" "$1" back
    wait_until all_live
    for node in 1 2 3; do wait_until sees "$node" '.in_doubt == 0'; done
    complete_next "$1"
    [ -z "$(find "$disk"/to? -name '.*.tmp' -o -name '*.mark')" ] || fail 'a file of a backup in work is left'
}

failures_seen() {
    local node
    for node in 1 2 3; do "$penstock" status --node "$memory/$node.socket" --json | jq .signals.nodes_failed; done
}

milliseconds() {
    echo $((${EPOCHREALTIME/./} / 1000))
}

# Much shorter than --failure; one that a busy host has made longer says nothing.
a_short_outage_ends_nothing() {
    local before from
    before=$(failures_seen)
    for _ in {1..20}; do
        from=$(milliseconds)
        cable 1 down
        sleep 0.2
        cable 1 up
        [ $(($(milliseconds) - from)) -gt 500 ] || break
    done
    sleep 2
    [ "$(failures_seen)" = "$before" ] || fail_with_logs 'an outage of 200 ms ends a link'
    all_live >"$memory/out" || fail_with_logs 'an outage of 200 ms ends a link'
}

# Node 3 does not hear node 1, though node 1 hears it and both hear node 2. That node is not at fault, and stays.
one_way_of_a_pair_is_cut() {
    local client holder node
    begin_held_backup
    drop_packets 1 "$(program_to 3)"
    for node in 1 3; do wait_until sees_live "$node" 2; done
    end_held_backup
    [ "$status" -eq 1 ] || fail_with_logs "the client of a cluster of which nodes 1 and 3 have parted exits with $status"
    sees_live 2 3 || fail_with_logs 'node 2 has lost a node'
    [ "$(packets_dropped 1)" -gt 0 ] || fail 'nothing was dropped'
    for node in 1 2 3; do wait_until sees "$node" "$idle"; done
    expect_exit 1 backup 1
    expect_message 'node 3 is missing'
    drop_none 1
    wait_until all_live
    complete_next 2
}

packets_are_lost() { # PERCENT
    local node before
    before=$(failures_seen)
    for node in 1 2 3; do drop_packets "$node" "$(program_of_loss "$1")"; done
    for node in 1 2 3 1 2 3; do complete_next "$node"; done
    for node in 1 2 3; do
        [ "$(packets_dropped "$node")" -gt 0 ] || fail "nothing of node $node was lost"
        drop_none "$node"
    done
    [ "$(failures_seen)" = "$before" ] || fail_with_logs "a loss of $1 % ends a link"
}

make_spaces "${4:-udp}"
make_sources
expect_exit 0 "$penstock" keygen "$key"
for node in 1 2 3; do start_node "$node"; done
wait_until all_live
complete_next 3
a_short_outage_ends_nothing
a_node_is_lost cable 3 1
a_node_is_lost cable 1 3
a_node_is_lost interface 3 1
a_node_is_lost deaf 1 3
a_node_is_lost stopped 3 1
one_way_of_a_pair_is_cut
packets_are_lost 5
for node in 1 2 3; do kill -TERM "${process[$node]}"; done
for node in 1 2 3; do
    status=0
    wait "${process[$node]}" || status=$?
    [ "$status" -eq 0 ] || fail "node $node ends with $status"
done
