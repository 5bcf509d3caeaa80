# shellcheck shell=bash
# For tests that run nodes; sourced after lib.sh. The socket of node ID is $memory/ID.socket, its log
# is in $memory too.
: "${penstock:?}" "${memory:?}"
command -v jq >/dev/null || skip 'jq is missing: run scripts/install-deps test'

# A node that only has to wait for the host is not dead. What is about the default unsets it.
export PENSTOCK_FAILURE=5s

sees() { # NODE FILTER
    "$penstock" status --node "$memory/$1.socket" --json | jq -e "$2"
}

sees_live() { # NODE COUNT
    sees "$1" "([.nodes[] | select(.state == \"live\")] | length) == $2"
}

# Filters for sees: no LDM has work; all wait for a freeze.
# shellcheck disable=SC2034
idle='[.ldms[] | select(.state != "IDLE")] == []'
# shellcheck disable=SC2034
waits='[.ldms[] | select(.state != "STARTED")] == []'
