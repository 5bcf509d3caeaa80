#!/bin/bash
# The example configuration starts a node; and what two nodes log in their lives is a line for each
# event and nothing else, with its level for the journal, or its name elsewhere.
#
#   log_test.sh PENSTOCK FOLDER EXAMPLE_INI
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
unset PENSTOCK_FAILURE

# The example, at a place of this test's and without the environment that nobody has.
sed -e "s|/run/penstock|$memory|" -e "s|/srv/accounts/files|$disk/files|" -e "s|/var/backups|$disk|" \
    -e '/^source = lmdb:/d' -e "s/^cluster = .*/cluster = log-$$/" "$3" >"$memory/1.ini"
mkdir "$disk/files"
random_bytes 300000 >"$disk/files/one"

is_up() {
    "$penstock" status --node "$memory/1.socket"
}

start_first() { # as systemd does: stderr is the journal, and the journal is told so
    : >"$memory/1.log"
    # shellcheck disable=SC2094 # its name, not what it holds
    JOURNAL_STREAM=$(stat -c %d:%i "$memory/1.log") "$penstock" node --config "$memory/1.ini" 2>>"$memory/1.log" &
    one=$!
    wait_until is_up
}

start_second() { # a terminal, say, that was opened from a service
    JOURNAL_STREAM=$(stat -c %d:%i "$memory/1.log") PENSTOCK_ID=2 "$penstock" node --config "$memory/1.ini" \
        --socket "$memory/2.socket" 2>>"$memory/2.log" &
    two=$!
    wait_until sees_live 1 2
    wait_until sees_live 2 2
}

stop() { # PID
    kill -TERM "$1"
    wait "$1" || fail "a node ends with $?"
}

# expect_log NODE PATTERN…: its whole log, a line for each pattern, in whatever order.
expect_log() {
    local pattern file=$memory/$1.log
    for pattern in "${@:2}"; do
        [ "$(grep -Ec -- "^$pattern\$" "$file")" -eq 1 ] || { cat "$file" >&2; fail "node $1 does not log once: $pattern"; }
    done
    [ "$(wc -l <"$file")" -eq $(($# - 1)) ] || { cat "$file" >&2; fail "node $1 logs more than $(($# - 1)) lines"; }
}

touch "$memory/2.log"
start_first
start_second
expect_exit 0 "$penstock" backup --node "$memory/2.socket"
stop "$two"
expect_exit 1 "$penstock" backup --node "$memory/1.socket"
stop "$one"

uid='backup 1 \(uid [0-9a-f]{32}\):'
settings="2 LDMs, chunk 1M, depth 8, compress auto; freeze wait 10s, hold 2s; failure 450ms; socket $memory/[12].socket; fabric \
$memory/fabric; backups to $disk/penstock; sources files=dir:$disk/files"
time='20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z'
rings='rings between nodes lie in normal pages: no 2 MiB hugepage is free'
rings_said=()
if grep -q "$rings" "$memory/1.log"; then rings_said=("<6>$rings"); fi
expect_log 1 "<6>node 1 of cluster log-$$ \(id [0-9a-f]{8}\) is up: nodes 1-2; $settings" "${rings_said[@]}" \
    '<6>node 2: joined, with 2 LDMs' "<6>$uid started by node 1" \
    "<6>$uid complete: [0-9]+ bytes read and [0-9]+ written here, in [0-9.]+ s" \
    '<4>node 2: gone: .*' '<4>no backup was made: .*a node of the cluster is missing' '<6>node 1 stops'
expect_log 2 "$time penstock: node 2 of cluster log-$$ \(id [0-9a-f]{8}\) is up: nodes 1-2; $settings" \
    "${rings_said[@]/#<6>/$time penstock: }" "$time penstock: node 1: joined, with 2 LDMs" "$time penstock: $uid started by node 1" \
    "$time penstock: $uid complete: [0-9]+ bytes read and [0-9]+ written here, in [0-9.]+ s" "$time penstock: node 2 stops"
