#!/bin/bash
# ethdev_contract_test.sh PROGRAM: the contract of fabrics over af_packet, on three interfaces of one
# switch, in a network namespace of its own.
set -euo pipefail

if [ "$(id -u)" -ne 0 ] || ! command -v ip >/dev/null; then
    echo 'skipped: network namespaces need root, and ip (package iproute2)'
    exit 77
fi
space=penstock-contract-$$
ip netns add "$space" || { echo 'skipped: no network namespaces here'; exit 77; }
trap 'ip netns del "$space"' EXIT
ip -n "$space" link add bridge type bridge
ip -n "$space" link set bridge up
for i in 1 2 3; do
    ip -n "$space" link add "pst$i" type veth peer name "port$i"
    ip -n "$space" link set "port$i" master bridge up
    ip -n "$space" link set "pst$i" up
done
ip netns exec "$space" "$1" af_packet
