#!/bin/bash
# Two nodes whose signals cross rings in hugepages of DPDK's EAL back up as one, also after one of
# them was killed; one without --eal is not let in. Their counters are in DPDK's telemetry.
#
#   eal_test.sh PENSTOCK FOLDER TELEMETRY_CLIENT
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
[ "$(id -u)" -eq 0 ] || skip 'only root can reserve hugepages'
# shellcheck source=../../hugepages.sh disable=SC1091
source "$(dirname "${BASH_SOURCE[0]}")/../../hugepages.sh"
telemetry_client=$3
trap 'leave put_back_hugepages' EXIT
reserve_hugepages 64

declare -A process=()

start_node() { # ID OPTION…
    RUNTIME_DIRECTORY=$memory/run "$penstock" node --cluster "eal-$$" --id "$1" --nodes 1-2 --socket "$memory/$1.socket" --ldms 2 \
        --fabric-dir "$memory/fabric" --to "$disk/to$1" --source "dir:$disk/tree" "${@:2}" 2>>"$memory/$1.log" &
    process[$1]=$!
}

expect_backup() { # NODE
    expect_exit 0 "$penstock" backup --node "$memory/$1.socket"
    rm -rf "$disk/all"
    cp -r "$disk/to1" "$disk/all"
    cp -r "$disk/to2/." "$disk/all/"
    expect_exit 0 "$penstock" verify --from "$disk/all"
}

# All rings, its own and the other's, are pages of an EAL.
expect_rings_of_the_eal() { # NODE
    local maps=/proc/${process[$1]}/maps
    [ "$(grep -c 'memfd:seg_' "$maps")" -ge 2 ] || fail "node $1 maps no memory of an EAL"
    ! grep 'memfd:penstock-ring' "$maps" || fail "node $1 has a ring elsewhere"
}

telemetry_of() { # NODE: its socket
    echo "$memory/run/dpdk/penstock-$(jq -r .cluster_id "$memory/status")-$1/dpdk_telemetry.v2"
}

# ask NODE COMMAND FILTER: the answer is so.
ask() {
    "$telemetry_client" "$(telemetry_of "$1")" "$2" >"$memory/out" 2>"$memory/err" || fail "node $1 does not answer $2"
    jq -e ".\"$2\" | $3" "$memory/out" >/dev/null || fail "the telemetry of node $1 has not: $2 $3"
}

expect_telemetry() { # NODE COMPLETE: what the status says
    "$penstock" status --node "$memory/$1.socket" --json >"$memory/status"
    [ "$(stat -c %a "$(dirname "$(telemetry_of "$1")")")" = 700 ] || fail 'others can ask the telemetry'
    ask "$1" / '(map(select(startswith("/penstock/"))) | length) == 2'
    ask "$1" /penstock/status ".backup_running == 0 and .backups_complete == $2 and .ldms == 2 and .hung == 0 and
        .total_source_bytes == $(jq .totals.source_bytes "$memory/status")"
    ask "$1" /penstock/signals ".sent >= $(jq .signals.sent "$memory/status") and .zombie_senders == 0 and
        (keys | length) == $(jq '.signals | length' "$memory/status")"
}

mkdir "$disk/tree" "$memory/run"
for i in 1 2 3; do random_bytes 300000 >"$disk/tree/$i"; done
start_node 1 --eal
start_node 2 --eal
wait_until sees_live 1 2
wait_until sees_live 2 2
expect_rings_of_the_eal 1
expect_rings_of_the_eal 2
expect_telemetry 1 0
expect_backup 2
expect_telemetry 1 1
expect_telemetry 2 1
kill -KILL "${process[2]}"
wait "${process[2]}" 2>/dev/null || true
start_node 2 --eal
wait_until sees_live 2 2
wait_until sees_live 1 2
expect_telemetry 2 0 # at the socket that the one that was killed has left
expect_backup 1
expect_telemetry 2 1
kill -TERM "${process[2]}"
wait "${process[2]}" || fail "node 2 ends with $?"
start_node 2
wait_until grep -q 'only one of the two nodes uses --eal' "$memory/2.log"
for node in 1 2; do
    kill -TERM "${process[$node]}"
    wait "${process[$node]}" || fail "node $node ends with $?"
done
expect_names "$memory/run/dpdk" '' # an orderly end leaves none of its files
