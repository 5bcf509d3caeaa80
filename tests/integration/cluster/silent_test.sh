#!/bin/bash
# A node whose process is stopped: who asks it something is not kept waiting for ever, and a backup that is
# silent for a while, of a node that lives, is seen through.
#
#   silent_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

mkdir "$disk/files"
random_bytes 100000 >"$disk/files/one"
# The freeze of the second backup takes longer than a client waits for a sign.
"$penstock" node --cluster "silent-$$" --fabric-dir "$memory/fabric" --id 1 --nodes 1 --socket "$memory/1.socket" \
    --source "dir:$disk/files" --to "$disk/backups" --freeze-wait 60s \
    --freeze-command "[ ! -e $memory/slow ] || sleep 12" --thaw-command : --thaw-at cut 2>"$memory/1.log" &
node=$!
wait_until sees_live 1 1
expect_exit 0 "$penstock" backup --node "$memory/1.socket"

touch "$memory/slow"
expect_exit 0 "$penstock" backup --node "$memory/1.socket"
rm "$memory/slow"

silent='the node does not answer: its process hangs, is stopped'
ends() { # CODE NAME COMMAND…: within two minutes, with that message
    local code=$1 name=$2 status=0
    shift 2
    timeout 120 "$penstock" "$@" --node "$memory/1.socket" >"$memory/out-$name" 2>"$memory/err-$name" || status=$?
    [ "$status" = "$code" ] || fail_with_logs "$name: exit code $status, not $code: $(cat "$memory/err-$name")"
    grep -q "$silent" "$memory/err-$name" || fail_with_logs "$name: $(cat "$memory/err-$name")"
}
kill -STOP "$node"
asked=()
ends 1 status status & asked+=($!)
ends 1 metrics metrics & asked+=($!)
ends 1 events events & asked+=($!)
ends 4 pace pace max & asked+=($!)
ends 4 abort abort 01234567 & asked+=($!) # of no backup: the one below is to be made
ends 4 backup backup & asked+=($!)
for child in "${asked[@]}"; do
    wait "$child" || { kill -CONT "$node"; fail 'a client waited for ever, or ended otherwise'; }
done
kill -CONT "$node"

# the last one was asked for, and is there
asked_for() {
    [ "$("$penstock" list --from "$disk/backups" --json | jq -s '[.[] | select(.message_type == "backup")] | length')" = 3 ]
}
wait_until asked_for
kill -TERM "$node"
wait "$node" || fail "the node ends with $?"
