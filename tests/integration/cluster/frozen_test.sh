#!/bin/bash
# Nodes whose configuration freezes their dir: sources: the cut waits for all of them; one that fails, or is
# late, fails the backup, and all are thawed; so they are when a node is killed. A thaw that fails is told.
#
#   frozen_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
unset PENSTOCK_FAILURE

for node in 1 2; do
    make_small_tree "$disk/tree$node"
    cat >"$memory/freeze$node" <<END
echo "freeze \$(date +%s%N)" >>$memory/calls$node
. $memory/do$node
END
    : >"$memory/do$node"
done
cat >"$memory/nodes.ini" <<END
[cluster]
cluster = frozen-$$
nodes = 1-2
fabric-dir = $memory/fabric
failure = 5s
END
for node in 1 2; do
    cat >>"$memory/nodes.ini" <<END
[node $node]
socket = $memory/$node.socket
source = dir:$disk/tree$node
to = $memory/to$node
ldms = 1
freeze-wait = 10s
freeze-command = . $memory/freeze$node
thaw-command = echo "thaw \$(date +%s%N)" >>$memory/calls$node; [ ! -e $memory/stuck$node ]
END
done

declare -A process
start_node() { # ID OPTION…
    "$penstock" node --config "$memory/nodes.ini" --id "$1" "${@:2}" 2>>"$memory/node$1.log" &
    process[$1]=$!
}
both_live() {
    sees_live 1 2 && sees_live 2 2
}
restart_nodes() { # OPTION…
    for node in 1 2; do
        kill -TERM "${process[$node]}"
        wait "${process[$node]}" || fail_with_logs "node $node ends with $?"
        start_node "$node" "$@"
    done
    wait_until both_live
}
back_up() {
    "$penstock" backup --node "$memory/1.socket" --json
}

# calls NODE WORDS: what its commands did since the last call, in this order
calls() {
    local called
    called=$(cut -d ' ' -f 1 "$memory/calls$1" 2>/dev/null | tr '\n' ' ')
    [ "$called" = "$2 " ] || fail_with_logs "node $1: [$called], not [$2 ]"
    cp "$memory/calls$1" "$memory/last$1"
    rm "$memory/calls$1"
}
time_of() { # NODE WORD
    sed -n "s/^$2 //p" "$memory/last$1" | tail -n 1
}

for node in 1 2; do
    start_node "$node"
done
wait_until both_live
"$penstock" events --node "$memory/1.socket" >"$memory/events" 2>"$memory/events.log" &
follower=$!
heard() { # FILTER: an event passes it
    jq -es "any(.[]; $1)" "$memory/events"
}
wait_until heard '.event == "following"'

# both are frozen before either is thawed, however long one takes; then it is said what was read
echo 'sleep 0.2' >"$memory/do2"
expect_exit 0 back_up
for node in 1 2; do
    calls "$node" 'freeze thaw'
done
for node in 1 2; do
    [ "$(time_of "$node" thaw)" -gt "$(time_of 2 freeze)" ] || fail_with_logs 'thawed before all were frozen'
done
mkdir "$disk/snap"
echo new >"$disk/snap/file"
echo "echo $disk/snap" >"$memory/do2"
expect_exit 0 back_up
for node in 1 2; do
    calls "$node" 'freeze thaw'
done
all=(--from "$memory/to1" --from "$memory/to2")
expect_exit 0 "$penstock" restore "${all[@]}" --target "$disk/restored"
compare_trees "$disk/tree1" "$disk/restored/1/tree1"
compare_trees "$disk/snap" "$disk/restored/2/tree2"

# a thaw that fails, on the node that was asked or on another, is no failure of the backup, but said
: >"$memory/do2"
for stuck in 2 '1 2' ''; do
    for node in $stuck; do touch "$memory/stuck$node"; done
    [ -z "$stuck" ] && status=0 || status=3
    expect_exit "$status" back_up
    for node in 1 2; do calls "$node" 'freeze thaw'; done
    count=$(wc -w <<<"$stuck")
    expect_json "any(.message_type == \"summary\" and .left_frozen == $count)"
    named=$(jq -c '[splits(" +") | select(. != "") | [tonumber, "tree\(.)"]]' <<<"\"$stuck\"")
    expect_json "[.[] | select(.message_type == \"left_frozen\") | [.node, .source]] | sort == $named"
    for node in 1 2; do # its status and metrics say it, until a thaw succeeds
        left=$(jq -c '[splits(" +") | select(. == $node) | "tree\(.)"]' --arg node "$node" <<<"\"$stuck\"")
        sees "$node" ".left_frozen == $left" >/dev/null || fail_with_logs "node $node is not seen to be left frozen: $left"
        "$penstock" metrics --node "$memory/$node.socket" | grep "^penstock_sources_left_frozen{.*} $(jq length <<<"$left")\$" >/dev/null || fail_with_logs "node $node: metrics"
        [ "$("$penstock" status --node "$memory/$node.socket" | grep -c "^left frozen: source tree$node: ")" = "$(jq length <<<"$left")" ] || fail_with_logs "node $node: status"
    done
    for node in $stuck; do
        expect_json ".[-1].message | test(\"what the freeze of .* could not be undone and may still be in place: .*tree$node at node $node\")"
        wait_until heard ".event == \"left_frozen\" and .node == $node and .source == \"tree$node\""
    done
    rm -f "$memory/stuck1" "$memory/stuck2"
done
grep -q 'error: source tree2: --thaw-command has failed' "$memory/node2.log" || fail_with_logs 'node 2 does not say that it stays frozen'

# one fails: so does the backup, and both are thawed
echo 'exit 5' >"$memory/do2"
expect_exit 1 back_up
calls 2 'freeze thaw'
if [ -e "$memory/calls1" ]; then calls 1 'freeze thaw'; fi
expect_json '.[-1].message | test("a command that was to freeze or thaw a source has failed: tree2: --freeze-command has failed: .*exit code 5")'
grep -q 'error: source tree2: --freeze-command has failed: .*exit code 5' "$memory/node2.log" || fail_with_logs 'node 2 does not say why'

# one fails after the other is frozen, which stays so: whichever node was asked, its client names that
touch "$memory/stuck1"
echo "until [ \$(grep -c freeze $memory/calls1) -gt \$(grep -c thaw $memory/calls1) ]; do sleep 0.05; done; sleep 0.2; exit 5" >"$memory/do2"
for node in 1 2; do
    expect_exit 1 "$penstock" backup --node "$memory/$node.socket" --json
    expect_json 'any(.message_type == "left_frozen" and .node == 1 and .source == "tree1")
        and any(.message_type == "warning" and (.message | test("could not be undone and may still be in place: tree1 at node 1; the logs")))
        and (.[-1].message | test("--freeze-command has failed"))'
    expect_exit 1 "$penstock" backup --node "$memory/$node.socket"
    expect_message 'warning: .*may still be in place: tree1 at node 1;' 'no backup was made: source 0 of node 2'
    calls 1 'freeze thaw freeze thaw'
    calls 2 'freeze thaw freeze thaw'
done
grep -q 'source 0 of node 1: tree1: what its freeze did could not be undone' "$memory/node2.log" || fail_with_logs 'node 2 does not say it'
rm "$memory/stuck1"

# one is late, each of three times
restart_nodes --freeze-wait 1s
echo 'sleep 100' >"$memory/do2"
expect_exit 1 back_up
calls 2 'freeze thaw freeze thaw freeze thaw'
if [ -e "$memory/calls1" ]; then [ "$(grep -c freeze "$memory/calls1")" = "$(grep -c thaw "$memory/calls1")" ] || fail_with_logs 'node 1 stays frozen'; fi
rm -f "$memory/calls1"
expect_json '.[-1].message | test("could not be frozen in time")'

# a node is killed while it is frozen: its guard thaws, and so does the other node
restart_nodes
echo "touch $memory/frozen; sleep 0.3; kill -KILL ${process[2]}; sleep 1000" >"$memory/do2"
back_up >"$memory/out" 2>&1 &
client=$!
thawed() { # NODE
    grep -q thaw "$memory/calls$1"
}
wait_until thawed 2
{ wait "${process[2]}"; } 2>/dev/null || true
wait "$client" && fail_with_logs 'a backup without node 2'
calls 2 'freeze thaw'
if [ -e "$memory/calls1" ]; then wait_until thawed 1; fi

# each gap is told: a node is missing, and the other stays frozen
touch "$memory/stuck1"
is_partial() {
    local status=0
    "$penstock" backup --node "$memory/1.socket" --json --allow-missing >"$memory/out" 2>"$memory/err" || status=$?
    [ "$status" = 3 ]
}
wait_until is_partial
expect_json '[.[] | select(.message_type == "exit_error").message] | length == 2 and (.[0] | test("partial: node 2 is missing")) and (.[1] | test("partial, and what the freeze of 1 source did"))'
rm "$memory/stuck1"

# and the next backup finds nothing in its way
: >"$memory/do2"
rm -f "$memory/calls1"
start_node 2
wait_until both_live
wait_until back_up
calls 1 'freeze thaw'
calls 2 'freeze thaw'
kill -TERM "${process[1]}" "${process[2]}"
wait "${process[1]}" "${process[2]}"
wait "$follower" || true
expect_described "$memory/events"
