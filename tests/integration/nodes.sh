# shellcheck shell=bash
# For tests that run nodes; sourced after lib.sh. The socket of node ID is $memory/ID.socket, its log
# is in $memory too.
: "${penstock:?}" "${memory:?}"
command -v jq >/dev/null || skip 'jq is missing: run scripts/install-deps test'

fail_with_logs() {
    tail -n 20 "$memory"/*.log >&2
    fail "$*"
}

# wait_until COMMAND…: it succeeds within 20 s.
wait_until() {
    for _ in {1..400}; do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.05
    done
    fail_with_logs "not within 20 s: $*"
}

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
