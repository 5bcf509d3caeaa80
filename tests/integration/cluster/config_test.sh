#!/bin/bash
# One configuration file for the three nodes of a cluster that spans hosts: what --check-config says of
# it and of bad ones; the cluster's key is changed while the nodes run, with a backup after each step;
# nodes that disagree, which both ends log and show; a node is added, and taken away, as docs/deploy.md
# says.
#
#   config_test.sh PENSTOCK FOLDER DOCS
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
unset PENSTOCK_FAILURE

docs=${3:?}

declare -A process=()
network=127.$((64 + $$ / 256 % 64)).$(($$ % 256)) # no other process of the suite has it
ini=$memory/cluster.ini

write_configuration() {
    cat >"$ini" <<END
[cluster]
cluster = config-$$
member = 1=$network.1
member = 2=$network.2,3=$network.3
cluster-key = $memory/key1
failure = 1500ms

[node]
ldms = 2
chunk = 64K
source = s=synthetic:rows=100

[node 1]
socket = $memory/1.socket
to = $disk/to1

[node 2]
socket = $memory/2.socket
to = $disk/to2

[node 3]
socket = $memory/3.socket
to = $disk/to3
END
}

check() { # EXIT MESSAGE ID
    expect_exit "$1" "$penstock" node --config "$ini" --id "$3" --check-config
    expect_message "$2"
}

expect_setting() { # LINE
    grep -Eqxe "$1" "$memory/out" || fail "no line '$1' in: $(cat "$memory/out")"
}

the_file_is_checked() {
    check 0 "node 2 of cluster config-$$ .* could be started" 2
    expect_setting "$ini:2 +cluster = config-$$"
    expect_setting "$ini:4 +member = 2=$network.2,3=$network.3"
    expect_setting '--id +id = 2'
    expect_setting "$ini:19 +to = $disk/to2"
    expect_setting "$ini:11 +source = s=synthetic:rows=100"
    expect_setting 'default +net-mtu = 1500'
    expect_setting '--check-config +check-config = 1'
    ! grep -q "to1" "$memory/out" || fail 'a setting of another node is shown'
    PENSTOCK_LDMS=3 check 0 'could be started' 1
    expect_setting 'PENSTOCK_LDMS +ldms = 3'
    check 2 'cluster.ini: has no section \[node 4\]' 4
    expect_exit 2 "$penstock" node --config "$ini" --check-config
    expect_message '--id N is missing'
}

bad() { # MESSAGE SED: on the file as it should be
    write_configuration
    sed -i "$2" "$ini"
    check 2 "$1" 1
}

# The example, at a place of this test's, is sound for either node; the document names what is shared.
the_documents_are_right() {
    local node shared key
    sed -e "s|/run/penstock|$memory|" -e "s|/srv/accounts/files|$memory|" -e "s|/var/backups|$disk|" \
        -e "s|/etc/penstock/cluster.key|$memory/key1|" -e "s|10\.20\.0\.|$network.|" "$docs/examples/cluster.ini" >"$memory/example.ini"
    for node in 1 2; do
        expect_exit 0 "$penstock" node --config "$memory/example.ini" --id "$node" --check-config
        expect_setting "$memory/example.ini:[0-9]+ +ldms = $((2 * node))"
    done
    shared=$("$penstock" node --help | awk '/^  --/ { name = substr($1, 3) } /^ +\((required; )?shared;/ { print name }')
    [ -n "$shared" ] || fail 'no option is shared'
    for key in $shared; do
        grep -E '^\| .\[cluster\]. ' "$docs/configuration.md" | grep -q "\`$key\`" || fail "configuration.md lacks $key"
    done
}

what_is_wrong_is_named() {
    bad 'cluster.ini:6: to belongs in \[node\], not in \[cluster\]' '6s/.*/to = x/'
    bad 'cluster.ini:15: member belongs in \[cluster\], not in \[node 1\]' '15s/.*/member = 4=1.2.3.4/'
    bad 'cluster.ini:11: unknown key "sauce"; did you mean source' '11s/source/sauce/'
    bad 'cluster.ini:23: unknown key "tu"; did you mean to' '23s/to/tu/'
    bad 'cluster.ini:14: ldms is in \[node\] too, in line 9; leave one of them out' '14s/.*/ldms = 4/'
    bad 'cluster.ini:17: unknown section "node 02"' 's/node 2/node 02/'
    bad 'cluster.ini:17: unknown section "node 300"' 's/node 2/node 300/'
    bad 'cluster.ini:1: unknown section "clusters"; did you mean cluster' 's/\[cluster\]/[clusters]/'
    bad 'cluster.ini:21: unknown key "keep-lasst"; did you mean keep-last' '20s/.*/[prune]\nkeep-lasst = 3/'
    bad "cluster.ini:4: 2=$network.1: another node has the same address" "4s/.*/member = 2=$network.1/"
    bad "cluster.ini:4: 1=$network.9: the node is given twice" "4s/.*/member = 1=$network.9/"
    bad 'cluster.ini:6: failure: .* is out of range' '6s/1500/1/'
    write_configuration
    chmod 0644 "$memory/key1"
    check 1 'key1: a cluster key must be closed to others' 1
    chmod 0600 "$memory/key1"
}

# What would keep the node from starting is named without starting it.
what_cannot_be_made_is_named() {
    write_configuration
    sed -i "14s|.*|socket = $memory/none/socket|" "$ini"
    check 1 "$memory/none/socket: cannot create the socket: No such file" 1
    sed -i "14s|.*|socket = $ini|" "$ini"
    check 1 "$ini: cannot create the socket: File exists" 1
    sed -i "14s|.*|socket = $memory/$(printf 'x%.0s' {1..108})|" "$ini"
    check 1 'the path of a socket has at most 107 bytes' 1
    write_configuration
    sed -i "15s|.*|to = $disk/none/to|" "$ini"
    check 1 "$disk/none/to: cannot be made: No such file" 1
    sed -i "15s|.*|to = $ini|" "$ini"
    check 1 "$ini: not a directory that can be written to: Not a directory" 1
    write_configuration
    sed -i '15s|.*|to = null:|' "$ini"
    check 2 'null: is for penstock backup alone' 1
    write_configuration
    sed -i '9s|.*|metrics = 192.0.2.1:9420|' "$ini"
    check 1 'metrics 192.0.2.1:9420: Cannot assign requested address' 1
    local shm=$memory/shm.ini
    check_shm() { # MESSAGE DIRECTORY: the nodes of one host meet there
        printf '%s\n' '[node]' cluster=shm id=1 "socket=$memory/1.socket" source=s=synthetic:rows=100 "to=$disk/to1" "fabric-dir=$2" >"$shm"
        expect_exit 1 "$penstock" node --config "$shm" --check-config
        expect_message "$1"
    }
    check_shm "cannot make the cluster directory $memory/none/fabric: No such file" "$memory/none/fabric"
    check_shm "cannot open the cluster directory $shm: Not a directory" "$shm"
    mkdir -m 755 "$memory/open"
    check_shm "the cluster directory $memory/open must .* be closed to others" "$memory/open"
    expect_exit 0 "$penstock" node --config "$shm" --fabric-dir "$memory/fabric" --check-config
    expect_absent "$memory/fabric"
    expect_absent "$memory/1.socket"
    expect_absent "$disk/to1"
    write_configuration
}

start_node() { # ID OPTION…
    "$penstock" node --config "$memory/host$1.ini" --id "$1" --cluster-key "$memory/key$1" "${@:2}" 2>>"$memory/node$1.log" &
    process[$1]=$!
}

stop_node() { # ID
    kill -TERM "${process[$1]}"
    status=0
    wait "${process[$1]}" || status=$?
    [ "$status" -eq 0 ] || fail_with_logs "node $1 ends with $status"
}

all_live() {
    sees_live 1 3 && sees_live 2 3 && sees_live 3 3
}

backup() { # NODE
    wait_until all_live
    expect_exit 0 "$penstock" backup --node "$memory/$1.socket"
}

# On each host the file, then its node, one after the other: whenever all nodes are up, a backup is made.
roll_to() { # FILE: with the key or the keys
    local node
    for node in 1 2 3; do
        cp "$1" "$memory/key$node"
        stop_node "$node"
        start_node "$node"
        backup $((node % 3 + 1))
    done
}

mark_of() { # NODE: of the key that it has logged last
    grep -o 'cluster key .*: [0-9a-f]*$' "$memory/node$1.log" | tail -n 1 | grep -o '[0-9a-f]*$'
}

the_key_is_changed() {
    "$penstock" keygen "$memory/new" >"$memory/out"
    cat "$memory/old" "$memory/new" >"$memory/both"
    cat "$memory/new" "$memory/old" >"$memory/turned"
    chmod 0600 "$memory/both" "$memory/turned"
    roll_to "$memory/both"
    grep -Eq 'cluster key .*key1: [0-9a-f]{8} is offered, [0-9a-f]{8} is accepted too' "$memory/node1.log" ||
        fail_with_logs 'two keys are not logged'
    roll_to "$memory/turned"
    roll_to "$memory/new"
    # From now on the old key opens nothing; the marks in the log are those of the start.
    stop_node 3
    cp "$memory/old" "$memory/key3"
    : >"$memory/node3.log"
    start_node 3
    wait_until grep 'is up' "$memory/node3.log"
    wait_until grep "node 3 at $network.3:7420: refused: it has another cluster key: $(mark_of 3) there, $(mark_of 1) here" \
        "$memory/node1.log"
    wait_until sees 3 '[.nodes[] | select(.refusal != null) | .node] == [1, 2]'
    stop_node 3
    cp "$memory/new" "$memory/key3"
    start_node 3
    backup 3
}

# Both ends log it, once, and show it; and when they agree it is over.
who_disagrees_is_told() {
    local words='--net-mtu differs: 1500 at node 1, 9000 at node 3'
    stop_node 3
    : >"$memory/node3.log"
    start_node 3 --net-mtu 9000
    wait_until sees 1 ".nodes[] | select(.node == 3) | .refusal == \"refused: $words\""
    wait_until sees 3 ".nodes[] | select(.node == 1) | .refusal == \"it refuses this node: $words\""
    expect_exit 0 "$penstock" status --node "$memory/1.socket"
    grep -q "^node 3: refused: $words" "$memory/out" || fail 'status does not show why node 3 is missing'
    sleep 3 # it is tried again
    [ "$(grep -ce "refused: $words" "$memory/node1.log")" -eq 1 ] || fail_with_logs 'it is not logged once'
    [ "$(grep -ce "refuses this node: $words" "$memory/node3.log")" -eq 1 ] || fail_with_logs 'it is not logged once'
    expect_exit 1 "$penstock" backup --node "$memory/1.socket"
    stop_node 3
    start_node 3
    backup 1
    sees 1 '[.nodes[] | select(.refusal != null)] == []' >/dev/null || fail 'a refusal that is over is shown'
}

# Nodes 1 and 2, which have different lists: neither makes a backup of what it can reach.
halves_make_no_backup() {
    local node other
    wait_until sees 1 '.nodes[] | select(.node == 2) | .refusal | test("--member 4 differs: ")'
    wait_until sees 2 '.nodes[] | select(.node == 1) | .refusal | test("--member 4 differs: ")'
    for node in 1 2; do
        other=$((3 - node))
        expect_exit 1 "$penstock" backup --node "$memory/$node.socket"
        expect_message "node $other is missing"
    done
}

# On each host in turn: the file, its node.
change_lists() { # FILE NODE…
    local node
    for node in "${@:2}"; do
        cp "$1" "$memory/host$node.ini"
        expect_exit 0 "$penstock" node --config "$memory/host$node.ini" --id "$node" --cluster-key "$memory/key$node" --check-config
        stop_node "$node"
        start_node "$node"
        wait_until sees "$node" "$idle"
        [ "$node" -ne 1 ] || halves_make_no_backup
    done
}

four_live() {
    sees_live 1 4 && sees_live 2 4 && sees_live 3 4 && sees_live 4 4
}

# Of a backup by a node, when all are there.
number_of() { # NODE [ALL]
    wait_until "${2:-all_live}"
    expect_exit 0 "$penstock" backup --node "$memory/$1.socket" --json
    jq -r 'select(.message_type == "summary").number' "$memory/out"
}

a_member_comes_and_goes() {
    local three four
    three=$(number_of 1)
    sed "s/^member = 1=.*/&,4=$network.4/" "$ini" >"$memory/four.ini"
    printf '\n[node 4]\nsocket = %s\nto = %s\n' "$memory/4.socket" "$disk/to4" >>"$memory/four.ini"
    cp "$memory/key1" "$memory/key4"
    cp "$memory/four.ini" "$memory/host4.ini"
    change_lists "$memory/four.ini" 1 2 3
    start_node 4
    four=$(number_of 2 four_live)
    expect_exit 0 "$penstock" verify --from "$disk/to1" --from "$disk/to2" --from "$disk/to3" --from "$disk/to4" "$four"
    stop_node 4
    change_lists "$ini" 1 2 3
    number_of 3 >/dev/null
    expect_exit 0 "$penstock" verify --from "$disk/to1" --from "$disk/to2" --from "$disk/to3" "$three"
    expect_exit 0 "$penstock" verify --from "$disk/to1" --from "$disk/to2" --from "$disk/to3" --from "$disk/to4" "$four"
}

write_configuration
"$penstock" keygen "$memory/old" >"$memory/out"
for node in 1 2 3; do cp "$memory/old" "$memory/key$node"; done
the_file_is_checked
what_is_wrong_is_named
what_cannot_be_made_is_named
the_documents_are_right
for node in 1 2 3; do cp "$ini" "$memory/host$node.ini"; done
for node in 1 2 3; do start_node "$node"; done
backup 1
the_key_is_changed
who_disagrees_is_told
a_member_comes_and_goes
for node in 1 2 3; do stop_node "$node"; done
