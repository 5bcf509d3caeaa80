#!/bin/bash
# Three nodes that reach each other by packets alone, as nodes on different hosts do: one backup of a tree
# and of environments that are written to, restored; a node is killed in one and comes back; who has no
# key, another key, another cluster's or somebody's readable one is refused, with a line that says so.
#
# By UDP on one host, which needs no root; else on hosts of ../spaces.sh.
#
#   hosts_test.sh PENSTOCK FOLDER LMDB_WRITER [PORT]        PORT: as in ../spaces.sh
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
unset PENSTOCK_FAILURE
# shellcheck source=../spaces.sh
source "$(dirname "${BASH_SOURCE[0]}")/../spaces.sh"
writer=${3:?}

if [ $# -lt 4 ]; then
    network=127.$((64 + $$ / 256 % 64)).$(($$ % 256)) # no other process of the suite has it
    on_host() { within=() port=(); }
else
    make_spaces "$4"
fi
declare -A process=()
key=$memory/key
members=(--member "1=$network.1,2=$network.2:9000" --member "3=$network.3")

node_options() { # ID
    on_host "$1"
    options=(--cluster "hosts-$$" --id "$1" "${members[@]}" "${port[@]}" --cluster-key "$key" --socket "$memory/$1.socket"
        --to "$disk/to$1" --ldms 2 --failure 1500ms --freeze-wait 50s --freeze-hold 50s --chunk 64K --source "dir:$disk/tree$1" --source "lmdb:$disk/pair$1")
}

start_node() { # ID OPTION…
    local options within port
    node_options "$1"
    "${within[@]}" "$penstock" node "${options[@]}" "${@:2}" 2>>"$memory/node$1.log" &
    process[$1]=$!
}

kill_node() { # ID
    kill -KILL "${process[$1]}"
    wait "${process[$1]}" 2>/dev/null || true
}

all_live() {
    sees_live 1 3 && sees_live 2 3 && sees_live 3 3
}

backup() { # NODE OPTION…
    "$penstock" backup --node "$memory/$1.socket" "${@:2}"
}

all=(--from "$disk/to1" --from "$disk/to2" --from "$disk/to3")

make_sources() {
    local node i
    for node in 1 2 3; do
        make_small_tree "$disk/tree$node"
        for i in {1..20}; do random_bytes 200000 >"$disk/tree$node/$i"; done
        mkdir "$disk/pair$node"
    done
    "$writer" pair "$disk/pair1" "$disk/pair2" &
    pair=$!
    "$writer" run "$disk/pair3" 0 &
    wait_until test -s "$disk/pair2/data.mdb"
    wait_until test -s "$disk/pair3/data.mdb"
}

make_key() {
    expect_exit 0 "$penstock" keygen "$key"
    [ "$(stat -c %a "$key")" = 600 ] || fail "the key has mode $(stat -c %a "$key")"
    grep -Eqx '[0-9a-f]{64}' "$key" || fail 'the key is no line of 64 digits'
    cp "$key" "$memory/copy"
    expect_exit 1 "$penstock" keygen "$key"
    expect_message 'key: exists, and stays as it is'
    cmp "$key" "$memory/copy" || fail 'a key that was there has changed'
    expect_exit 0 "$penstock" keygen "$memory/other"
    ! cmp -s "$key" "$memory/other" || fail 'two keys are the same'
}

refused() { # EXIT MESSAGE OPTION…: node 1, with other options
    expect_exit "$1" timeout -k 1 120 "$penstock" node --cluster c --id 1 --socket "$memory/1.socket" --to "$disk/to1" \
        --source s=synthetic:rows=1 "${@:3}"
    expect_message "$2"
}

what_cannot_be_is_refused() {
    local bad
    refused 2 '--member needs --cluster-key FILE' "${members[@]}"
    refused 2 '--cluster-key is for a cluster with --member' --cluster-key "$key"
    refused 2 '--member stands for --nodes' "${members[@]}" --cluster-key "$key" --nodes 1-3
    refused 2 'this node, 1, is not among them' --member "2=$network.2" --cluster-key "$key"
    refused 2 'this node, 1, is not among them' --member "1,2=$network.2" --cluster-key "$key"
    for bad in x 1= =1.2.3.4 0=1.2.3.4 256=1.2.3.4 1=host 1=1.2.3 1=0.0.0.0 1=1.2.3.4:0 1=1.2.3.4:65536 1=1.2.3.4: \
        1=1.2.3.4,1=1.2.3.5 1=1.2.3.4,2,2 1=1.2.3.4,2=1.2.3.4 '1=1.2.3.4,' 1=::1 1=1.2.3.4:5:6; do
        refused 2 '--member: .*: ' --member "$bad" --cluster-key "$key"
    done
    for bad in 0.1.2.3 224.0.0.1 240.0.0.1 255.255.255.255; do
        refused 2 "1=$bad: one host cannot have this address" --member "1=$bad" --cluster-key "$key"
    done
    refused 2 'net-mtu' "${members[@]}" --cluster-key "$key" --net-mtu 1279
    refused 1 'No such file' "${members[@]}" --cluster-key "$memory/none"
    refused 1 'must be a regular file' "${members[@]}" --cluster-key "$memory"
    refused 1 'cannot bind 192.0.2.1:7420' --member 1=192.0.2.1 --cluster-key "$key"
    refused 1 'cannot bind 192.0.2.1:7420' --member 1=192.0.2.1 --cluster-key "$key" --check-config
    refused 1 'cannot be one host at 127.255.255.255:7420' --member 1=127.255.255.255 --cluster-key "$key" --check-config
    for bad in 0644 0604 0660; do
        chmod "$bad" "$memory/copy"
        refused 1 'must be closed to others' "${members[@]}" --cluster-key "$memory/copy"
    done
    chmod 0600 "$memory/copy"
    for bad in '' 'xyz' "$(head -c 63 "$key")" "$(cat "$key" "$key" "$key")" "$(cat "$key")0"; do
        printf '%s' "$bad" >"$memory/copy"
        refused 2 'a cluster key is a line of 64 hexadecimal digits' "${members[@]}" --cluster-key "$memory/copy"
    done
    is_root || return 0
    cp "$key" "$memory/copy"
    chown 12345 "$memory/copy"
    refused 1 'must belong to the node.s user or to root' "${members[@]}" --cluster-key "$memory/copy"
}

# As the nodes run, and without them.
a_configuration_is_checked() {
    local options within port
    node_options 1
    expect_exit 0 "${within[@]}" "$penstock" node "${options[@]}" --check-config
    expect_message 'node 1 of cluster hosts-.* could be started'
    expect_exit 1 "${within[@]}" "$penstock" node "${options[@]}" --source "dir:$disk/none" --check-config
    expect_message 'none: No such file or directory'
    expect_exit 2 "${within[@]}" "$penstock" node "${options[@]}" --member "4=$network" --check-config
    key=$memory/none node_options 1
    expect_exit 1 "${within[@]}" "$penstock" node "${options[@]}" --check-config
    expect_message 'none: No such file or directory'
}

complete_next() { # NODE
    expect_exit 0 backup "$1" --json
    expect_exit 0 "$penstock" verify "${all[@]}" "$(jq -r 'select(.message_type == "summary").number' "$memory/out")"
}

# The last one is configured by a file; its writers go on in all backups.
three_nodes_as_one() {
    local node within port
    {
        printf '[node]\ncluster = hosts-%s\nid = 3\nmember = 1=%s.1\nmember = 2=%s.2:9000\nmember = 3=%s.3\n' \
            $$ "$network" "$network" "$network"
        printf 'failure = 1500ms\ncluster-key = %s\nsocket = %s/3.socket\nto = %s/to3\nsource = dir:%s/tree3\nsource = lmdb:%s/pair3\n' \
            "$key" "$memory" "$disk" "$disk" "$disk"
        on_host 3
        [ ${#port[@]} -eq 0 ] || printf '%s = %s\n' "${port[@]#--}"
    } >"$memory/3.ini"
    start_node 1
    start_node 2
    wait_until sees_live 1 2
    expect_exit 1 backup 1
    expect_message 'node 3 is missing'
    "${within[@]}" "$penstock" node --config "$memory/3.ini" 2>>"$memory/node3.log" &
    process[3]=$!
    wait_until all_live
    for node in 1 2 3; do complete_next "$node"; done
    kill -KILL "$pair"
    expect_exit 0 "$penstock" restore "${all[@]}" --target "$disk/restored"
    for node in 1 2 3; do compare_trees "$disk/tree$node" "$disk/restored/$node/tree$node"; done
    "$writer" check "$disk/restored/3/pair3" >"$memory/out" 2>"$memory/err" || fail 'pair3 is not consistent'
    expect_one_cut "$("$writer" count "$disk/restored/1/pair1")" "$("$writer" count "$disk/restored/2/pair2")"
}

# The writer counts on node 1, then on node 2.
expect_one_cut() { # FIRST SECOND
    [ "$1" -gt 0 ] || fail 'the pair of writers has not counted'
    [ "$1" -eq "$2" ] || [ "$1" -eq $(($2 + 1)) ] || fail "node 1 is cut at $1, node 2 at $2"
}

# While its writers hold up the freeze.
a_node_is_killed() { # KILLED OTHER
    local client holder node
    rm -f "$memory/held"
    "$writer" hold "$disk/pair$1" 600000 >"$memory/held" &
    holder=$!
    wait_until grep -q held "$memory/held"
    backup "$2" --json >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until sees "$2" "$waits"
    kill_node "$1"
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || true
    status=0
    wait "$client" || status=$?
    # A master that dies takes the outcome along.
    [ "$status" -eq $(($1 == 1 ? 4 : 1)) ] || fail "the client of a cluster that lost node $1 exits with $status"
    for node in 1 2 3; do [ "$node" -eq "$1" ] || wait_until sees "$node" "$idle"; done
    expect_exit 1 backup "$2"
    expect_message "node $1 is missing"
    expect_exit 3 backup "$2" --allow-missing
    start_node "$1"
    wait_until all_live
    complete_next "$2"
    [ -z "$(find "$disk"/to? -name '.*.tmp' -o -name '*.mark')" ] || fail 'a file of a backup in work is left'
}

# Node 3 comes back with another key, then as of another cluster, then as what it is.
who_does_not_belong_is_refused() {
    kill_node 3
    wait_until sees_live 1 2
    key=$memory/other start_node 3
    wait_until grep "node 3 at $network.3:7420: refused: it has another cluster key" "$memory/node1.log"
    wait_until grep "node 2 at $network.2:9000: it refuses this node: it has another cluster key" "$memory/node3.log"
    kill_node 3
    start_node 3 --cluster-id 1
    wait_until grep "node 3 at $network.3:7420: refused: it is of a cluster with another id" "$memory/node1.log"
    kill_node 3
    sees_live 1 2 || fail 'a node that does not belong has joined'
    start_node 3
    wait_until all_live
    complete_next 1
}

stop_nodes() {
    local node
    for node in 1 2 3; do kill -TERM "${process[$node]}"; done
    for node in 1 2 3; do
        status=0
        wait "${process[$node]}" || status=$?
        [ "$status" -eq 0 ] || fail "node $node ends with $status"
    done
}

make_key
[ $# -ge 4 ] || what_cannot_be_is_refused
make_sources
a_configuration_is_checked
expect_absent "$memory/1.socket" "$disk/to1"
three_nodes_as_one
a_configuration_is_checked
sees_live 1 3 >/dev/null || fail 'a check ends a node'
a_node_is_killed 3 1
a_node_is_killed 1 2
who_does_not_belong_is_refused
stop_nodes
