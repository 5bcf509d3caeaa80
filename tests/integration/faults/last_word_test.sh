#!/bin/bash
# A node that is told to stop in a backup, and whose hub is held up just before it passes the master's last word on:
# the client, at another node, hears it all the same.
#
#   last_word_test.sh PENSTOCK_FAULTS FOLDER
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=../lib.sh disable=SC2154
source "$here/../lib.sh"
# shellcheck source=../nodes.sh
source "$here/../nodes.sh"

mkdir "$disk/tree"
random_bytes 20000000 >"$disk/tree/one"
declare -A process=()
for node in 1 2; do
    mkdir "$memory/faults$node"
    PENSTOCK_FAULTS=$memory/faults$node "$penstock" node --cluster "word-$$" --fabric-dir "$memory/fabric" --id "$node" --nodes 1-2 \
        --socket "$memory/$node.socket" --source "dir:$disk/tree" --to "$disk/to$node" --ldms 1 --pace 1M 2>"$memory/$node.log" &
    process[$node]=$!
done
for node in 1 2; do wait_until sees_live "$node" 2; done

"$penstock" backup --node "$memory/2.socket" >"$memory/out" 2>"$memory/err" &
client=$!
wait_until sees 1 '.ldms[0].source_bytes > 0'
echo 'delay 2 1500' >"$memory/faults1/after.CLEANUP_BACKUP_CONF" # when both nodes have cleaned up
kill -TERM "${process[1]}"
status=0
wait "$client" || status=$?
[ -e "$memory/faults1/after.CLEANUP_BACKUP_CONF.hit" ] || fail_with_logs 'the hub was not held up'
[ "$status" -eq 1 ] || fail_with_logs "the client of a master that stops exits with $status"
expect_message 'node 1 is being stopped'
wait "${process[1]}" || fail_with_logs "node 1 ends with $?"
kill -TERM "${process[2]}"
wait "${process[2]}" || fail_with_logs "node 2 ends with $?"
