#!/bin/bash
# A node that has nothing to do costs less than one percent of a core: CPU time over 10 s, of each of
# two nodes with two LDMs that hear each other's heartbeats.
#
#   idle_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
seconds=10
permille_max=10

# User and system time of a process, in clock ticks. Its name in /proc has no blanks.
ticks_of() { # PID
    awk '{ print $14 + $15 }' "/proc/$1/stat"
}

mkdir "$disk/tree"
nodes=()
for id in 1 2; do
    "$penstock" node --cluster "idle-$$" --id "$id" --nodes 1-2 --socket "$memory/$id.socket" --ldms 2 \
        --fabric-dir "$memory/fabric" --to "$disk/to$id" --source "dir:$disk/tree" 2>>"$memory/$id.log" &
    nodes+=($!)
done
wait_until sees_live 1 2

before=()
for pid in "${nodes[@]}"; do before+=("$(ticks_of "$pid")"); done
sleep "$seconds"
for i in 0 1; do
    spent=$(($(ticks_of "${nodes[i]}") - before[i]))
    permille=$((spent * 1000 / ($(getconf CLK_TCK) * seconds)))
    echo "node $((i + 1)): $spent ticks of CPU time in $seconds s, $permille permille of a core"
    [ "$permille" -lt "$permille_max" ] || fail "an idle node costs $permille permille of a core"
done
