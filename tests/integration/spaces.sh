# shellcheck shell=bash
# Hosts that are network namespaces, on one switch; sourced after lib.sh. Host N has a cable to the
# switch, and the address $network.N: the kernel's (udp), or a node's own, on a macvlan of the cable
# (af_packet), or on the cable itself in frames with a tag of 802.1Q (vlan). The rest is gone with the
# test.
: "${memory:?}"
space=penstock-$$
network=10.77.0
spaces_port= hosts=

# What ends with the namespaces: devices, addresses, the bridge.
remove_spaces() {
    local host
    for host in switch $hosts; do ip netns del "$space-$host" 2>/dev/null || true; done
}

make_spaces() { # udp|af_packet|vlan [HOSTS]
    local host
    spaces_port=$1
    hosts=$(seq -s ' ' "${2:-3}")
    is_root || skip 'network namespaces need root'
    command -v ip >/dev/null || skip 'ip is missing: install iproute2'
    [ "$1" != af_packet ] || command -v nft >/dev/null || skip 'nft is missing: install nftables'
    trap 'leave remove_spaces' EXIT
    ip netns add "$space-switch" 2>"$memory/err" || skip "no network namespaces here: $(cat "$memory/err")"
    ip -n "$space-switch" link add bridge type bridge
    ip -n "$space-switch" link set bridge up
    for host in $hosts; do
        ip netns add "$space-$host"
        ip -n "$space-switch" link add "port$host" type veth peer name cable netns "$space-$host"
        ip -n "$space-switch" link set "port$host" master bridge up
        ip -n "$space-$host" link set cable up
        case $spaces_port in
        udp) ip -n "$space-$host" addr add "$network.$host/24" dev cable ;;
        af_packet)
            ip -n "$space-$host" link add pst0 link cable type macvlan mode bridge
            ip -n "$space-$host" link set pst0 up
            ip netns exec "$space-$host" nft add table netdev penstock
            ip netns exec "$space-$host" nft 'add chain netdev penstock pst0 { type filter hook ingress device pst0 priority 0; policy drop; }'
            ;;
        esac
    done
}

# For three nodes: a tree and an environment each. writer: the program lmdb_writer.
make_sources() {
    local node
    for node in 1 2 3; do
        make_small_tree "${disk:?}/tree$node"
        mkdir "$disk/env$node"
        "${writer:?}" replay "$disk/env$node" 5
    done
}

# Sets within: what runs a command on a host; and port: the options for its node.
on_host() { # HOST
    within=(ip netns exec "$space-$1")
    case $spaces_port in
    udp) port=() ;;
    af_packet) port=(--net-device af_packet:pst0 --net-address "$network.$1/24") ;;
    vlan) port=(--net-device af_packet:cable --net-address "$network.$1/24" --net-vlan 42) ;;
    esac
}

cable() { # HOST up|down
    ip -n "$space-switch" link set "port$1" "$2"
}

# drop_packets HOST PROGRAM: of what HOST sends, before the switch has it: a program of classic BPF (tc-bpf(8)) says 2.
drop_packets() {
    ip netns exec "$space-switch" tc qdisc add dev "port$1" clsact 2>"$memory/err" &&
        ip netns exec "$space-switch" tc filter add dev "port$1" ingress bpf direct-action bytecode "$2" 2>>"$memory/err" ||
        skip "packets cannot be dropped here: $(cat "$memory/err")"
}

drop_none() { # HOST
    ip netns exec "$space-switch" tc qdisc del dev "port$1" clsact
}

packets_dropped() { # HOST
    ip netns exec "$space-switch" tc -s -j qdisc show dev "port$1" clsact | jq '.[0].drops'
}

program_to() { # HOST: IPv4 packets to it
    local address=$(((10 << 24) + (77 << 16) + $1))
    echo "6,40 0 0 12,21 0 3 2048,32 0 0 30,21 0 1 $address,6 0 0 2,6 0 0 0"
}

program_of_loss() { # PERCENT, of a random number
    echo "4,32 0 0 4294963256,53 1 0 $(((1 << 32) / 100 * $1)),6 0 0 2,6 0 0 0"
}
