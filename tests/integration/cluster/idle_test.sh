#!/bin/bash
# A node that has nothing to do sleeps: how often its threads wake, and their CPU time, over 10 s, of each
# of two nodes with two LDMs that hear each other's heartbeats, on one host and between hosts: by UDP, and
# as root by af_packet. What a wake-up costs is the machine's (0.1 to 2 % of a core in all); that none
# works without sleep, and none wakes for nothing, is the node's.
#
#   idle_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
unset PENSTOCK_FAILURE
# shellcheck source=../spaces.sh
source "$(dirname "${BASH_SOURCE[0]}")/../spaces.sh"
seconds=10
permille_max=100 # of a core
sleeps_max=150 # a second: heartbeats, clocks and reports take 15 to 45

# User and system time of a process, in clock ticks. Its name in /proc has no blanks.
ticks_of() { # PID
    awk '{ print $14 + $15 }' "/proc/$1/stat"
}

# How often its threads have slept: what they do each time takes a slow machine longer, but is no more.
sleeps_of() { # PID
    awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }' "/proc/$1"/task/*/status
}

mkdir "$disk/tree"
nodes=() within=()
start_node() { # CLUSTER ID SOCKET OPTION…
    "${within[@]}" "$penstock" node --cluster "$1-$$" --id "$2" --socket "$memory/$3.socket" --ldms 2 --to "$disk/to$3" \
        --source "dir:$disk/tree" "${@:4}" 2>>"$memory/$3.log" &
    nodes+=($!)
}

loopback=127.$((64 + $$ / 256 % 64)).$(($$ % 256)) # no other process of the suite has it
expect_exit 0 "$penstock" keygen "$memory/key"
for id in 1 2; do
    start_node idle "$id" "$id" --nodes 1-2 --fabric-dir "$memory/fabric"
    start_node hosts "$id" "$((id + 2))" --member "1=$loopback.1,2=$loopback.2" --cluster-key "$memory/key"
done
of=('of a host' 'between hosts by UDP')
if is_root; then
    make_spaces af_packet
    of+=('between hosts by af_packet')
    for id in 1 2; do
        on_host "$id"
        start_node wire "$id" "$((id + 4))" --member "1=$network.1,2=$network.2" --cluster-key "$memory/key" "${port[@]}"
    done
    wait_until sees_live 5 2
fi
wait_until sees_live 1 2
wait_until sees_live 3 2

before=() slept=()
for pid in "${nodes[@]}"; do before+=("$(ticks_of "$pid")") slept+=("$(sleeps_of "$pid")"); done
sleep "$seconds"
for i in "${!nodes[@]}"; do
    spent=$(($(ticks_of "${nodes[i]}") - before[i]))
    permille=$((spent * 1000 / ($(getconf CLK_TCK) * seconds)))
    if [ "$i" -lt 4 ]; then node=$((i / 2 + 1)) kind=$((i % 2)); else node=$((i - 3)) kind=2; fi
    sleeps=$((($(sleeps_of "${nodes[i]}") - slept[i]) / seconds))
    echo "node $node ${of[kind]}: $spent ticks of CPU time in $seconds s, $permille permille of a core, $sleeps sleeps a second"
    for thread in 'hub' 'ldm 1' 'ldm 2' 'source 1' 'archive'; do
        grep -qx "pst $thread" "/proc/${nodes[i]}"/task/*/comm || fail "no thread is named pst $thread"
    done
    [ "$permille" -lt "$permille_max" ] || fail "an idle node costs $permille permille of a core"
    [ "$sleeps" -lt "$sleeps_max" ] || fail "an idle node wakes $sleeps times a second"
done
