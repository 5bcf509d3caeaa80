#!/bin/bash
# Ports that DPDK drives: nodes that tag their frames are one cluster, and one on the same cable that
# does not is none of them; a router joins two. What a port cannot be is refused, with a line that says
# why; so is a second process with a node's address, and another host with it is reported.
#
#   port_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
# shellcheck source=../spaces.sh
source "$(dirname "${BASH_SOURCE[0]}")/../spaces.sh"
key=$memory/key
declare -A process=()

make_spaces vlan
expect_exit 0 "$penstock" keygen "$key"
mkdir "$disk/tree"
random_bytes 300000 >"$disk/tree/file"

members=1=$network.1,2=$network.2,3=$network.3

# Sets command: a node of a host, without its port.
node_of() { # ID [NAME]
    local name=${2:-$1}
    on_host "$1"
    command=("${within[@]}" "$penstock" node --cluster "port-$$" --id "$1" --cluster-key "$key"
        --member "$members" --socket "$memory/$name.socket" --ldms 1 --to "$disk/to$name"
        --source "dir:$disk/tree")
}

start_node() { # ID OPTION…
    node_of "$1"
    "${command[@]}" "${@:2}" 2>>"$memory/node$1.log" &
    process[$1]=$!
}

refused() { # EXIT MESSAGE OPTION…: node 2, which does not run
    node_of 2
    expect_exit "$1" timeout -k 1 120 "${command[@]}" "${@:3}" --check-config
    expect_message "$2"
    expect_exit "$1" timeout -k 1 120 "${command[@]}" "${@:3}"
    expect_message "$2"
}

what_a_port_cannot_be_is_refused() {
    local device=(--net-device af_packet:cable) address=(--net-address "$network.2/24") bad
    refused 2 '--net-device af_packet:cable needs --net-address' "${device[@]}"
    refused 2 'are for a --net-device of DPDK' "${address[@]}"
    refused 2 'are for a --net-device of DPDK' --net-device udp --net-vlan 42
    for bad in "$network.2" "$network.2/" "$network.2/33" "$network.2/0" "$network/24" /24; do
        refused 2 "--net-address $bad: give the node's address" "${device[@]}" --net-address "$bad"
    done
    refused 2 'is not the node.s address' "${device[@]}" --net-address "$network.1/24"
    refused 2 'node 1 is in another network' "${device[@]}" --net-address "$network.2/32"
    for bad in "$network.2" 10.78.0.1; do
        refused 2 'a gateway has another address' "${device[@]}" "${address[@]}" --net-gateway "$bad"
    done
    refused 2 'give an address' "${device[@]}" "${address[@]}" --net-gateway router
    for bad in cable af_packet: af_packet eth:cable 0000:00:00 0000:00:1g.0 0000:00:00.00; do
        refused 2 'give udp, af_packet:INTERFACE' --net-device "$bad" "${address[@]}"
    done
    refused 1 'af_packet:none: there is no such interface' --net-device af_packet:none "${address[@]}"
    refused 1 'there is no such interface' --net-device af_packet:cable,qpairs=2 "${address[@]}"
    refused 2 "node 4 has this node.s address" "${device[@]}" "${address[@]}" --member "4=$network.2:7421"
    refused 1 'there is no such PCI function' --net-device ffff:ff:1f.7 "${address[@]}"
    for bad in 0 255; do
        refused 2 'node 4 has the address of a whole network' "${device[@]}" "${address[@]}" --member "4=$network.$bad"
        refused 2 "$network.$bad: this is the address of a whole network" "${device[@]}" "${address[@]}" --net-gateway "$network.$bad"
    done
    ip -n "$space-2" link set cable down
    refused 1 'the interface is down' "${device[@]}" "${address[@]}"
    ip -n "$space-2" link set cable up mtu 1400
    refused 1 'af_packet:cable: its MTU is 1400, and --net-mtu 1500' "${device[@]}" "${address[@]}"
    # The kernel's own port can be given a larger one at any time.
    ip -n "$space-2" addr add "$network.2/24" dev cable
    node_of 2
    expect_exit 1 "${command[@]}" --check-config
    expect_message '--net-mtu 1500: the way to node 1 carries packets of 1400 bytes at most'
    expect_exit 0 "${command[@]}" --check-config --net-mtu 1400
    "${command[@]}" 2>"$memory/err" &
    wait_until grep -q 'warning: --net-mtu 1500: the way to node 1 carries' "$memory/err"
    kill -TERM $!
    wait $! || true
    ip -n "$space-2" addr del "$network.2/24" dev cable
    ip -n "$space-2" link set cable mtu 1500
    ip -n "$space-2" addr add "$network.2/24" dev cable
    refused 1 "$network.2: the kernel has this address" "${device[@]}" "${address[@]}"
    ip -n "$space-2" addr del "$network.2/24" dev cable
    command -v setpriv >/dev/null || return 0
    node_of 2
    expect_exit 1 timeout -k 1 120 "${within[@]}" setpriv --bounding-set=-net_raw "${command[@]:${#within[@]}}" "${device[@]}" "${address[@]}"
    expect_message 'it needs the capabilities CAP_NET_RAW and CAP_NET_ADMIN'
}

stop_node() { # ID
    kill -TERM "${process[$1]}"
    status=0
    wait "${process[$1]}" || status=$?
    [ "$status" -eq 0 ] || fail_with_logs "node $1 ends with $status"
}

who_lacks_the_tag_is_alone() {
    local id
    for id in 1 2; do
        on_host "$id"
        start_node "$id" "${port[@]}"
    done
    start_node 3 "${untagged[@]}"
    wait_until sees_live 1 2
    wait_until grep -q "node 2 at $network.2:7420: no answer" "$memory/node3.log"
    sees_live 3 1 >"$memory/out" || fail 'node 3 has joined without the tag'
}

# Of node 3, whose frames the kernels of the others understand.
an_address_is_of_one_node() {
    local mac
    node_of 3 second
    expect_exit 1 timeout -k 1 120 "${command[@]}" "${untagged[@]}"
    expect_message "cannot bind $network.3:7420: Address already in use"
    ip -n "$space-2" addr add "$network.9/24" dev cable
    ! command -v ping >/dev/null || expect_exit 0 ip netns exec "$space-2" ping -c 1 -W 5 "$network.3"
    ip -n "$space-2" addr add "$network.3/24" dev cable
    ip netns exec "$space-2" sysctl -qw net.ipv4.conf.cable.arp_notify=1
    mac=$(ip netns exec "$space-2" cat /sys/class/net/cable/address)
    ip -n "$space-2" link set cable address "$mac" # which is announced
    wait_until grep -q "$network.3: .* has this node's address, too" "$memory/node3.log"
    ip -n "$space-2" addr flush dev cable
}

with_the_tag_all_are_one() {
    stop_node 3
    on_host 3
    start_node 3 "${port[@]}"
    for id in 1 2 3; do wait_until sees_live "$id" 3; done
    expect_exit 0 "$penstock" backup --node "$memory/1.socket"
    expect_exit 0 "$penstock" verify --from "$disk/to1" --from "$disk/to2" --from "$disk/to3"
    sees 1 '.signals | .packets_sent > 20 and .packets_received > 20' >"$memory/out" || fail 'packets are not counted'
}

# Two networks on one cable, and the kernel of the switch as their router.
through_a_router_two_are_one() {
    local id forwarded
    members=1=$network.1,3=10.78.0.3
    for id in 1 2 3; do stop_node "$id"; done
    ip -n "$space-switch" addr add "$network.254/24" dev bridge
    ip -n "$space-switch" addr add 10.78.0.254/24 dev bridge
    ip netns exec "$space-switch" sysctl -qw net.ipv4.ip_forward=1
    start_node 1 --net-device af_packet:cable --net-address "$network.1/24" --net-gateway "$network.254"
    start_node 3 --net-device af_packet:cable --net-address 10.78.0.3/24 --net-gateway 10.78.0.254
    for id in 1 3; do wait_until sees_live "$id" 2; done
    expect_exit 0 "$penstock" backup --node "$memory/3.socket"
    forwarded=$(ip netns exec "$space-switch" grep '^Ip: [0-9]' /proc/net/snmp | cut -d ' ' -f 7)
    [ "$forwarded" -gt 20 ] || fail "the router has forwarded $forwarded packets"
    for id in 1 3; do stop_node "$id"; done
}

untagged=(--net-device af_packet:cable --net-address "$network.3/24")
what_a_port_cannot_be_is_refused
who_lacks_the_tag_is_alone
an_address_is_of_one_node
with_the_tag_all_are_one
through_a_router_two_are_one
