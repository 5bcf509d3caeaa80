# shellcheck shell=bash
# For tests of hosts that are network namespaces on one switch; sourced after lib.sh and nodes.sh.
# make_hosts makes namespaces $space-1, $space-2, … with the addresses 10.77.0.1, 10.77.0.2, …
is_root || skip 'network namespaces need root'
command -v ip >/dev/null || skip 'ip is missing: install iproute2'

space=penstock-$$
hosts=0

# What ends with the namespaces: devices, addresses, the bridge.
remove_spaces() {
    local host
    ip netns del "$space-switch" 2>/dev/null || true
    for ((host = 1; host <= hosts; host++)); do ip netns del "$space-$host" 2>/dev/null || true; done
}
trap 'leave; remove_spaces' EXIT

make_hosts() { # COUNT
    local host
    hosts=$1
    ip netns add "$space-switch" 2>"$memory/err" || skip "no network namespaces here: $(cat "$memory/err")"
    ip -n "$space-switch" link add bridge type bridge
    ip -n "$space-switch" link set bridge up
    for ((host = 1; host <= hosts; host++)); do
        ip netns add "$space-$host"
        ip -n "$space-switch" link add "port$host" type veth peer name cable netns "$space-$host"
        ip -n "$space-switch" link set "port$host" master bridge up
        ip -n "$space-$host" addr add "10.77.0.$host/24" dev cable
        ip -n "$space-$host" link set cable up
    done
}

cable() { # HOST up|down
    ip -n "$space-switch" link set "port$1" "$2"
}
