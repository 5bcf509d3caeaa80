#!/bin/bash
# Nothing reads the log of a node: its hub goes on, the other node keeps it, and SIGTERM ends it.
#
#   stuck_log_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

start() { # ID; stderr is the caller's
    "$penstock" node --cluster "stuck-$$" --fabric-dir "$memory/fabric" --id "$1" --nodes 1-2 \
        --socket "$memory/$1.socket" --source "dir:$disk/files" --to "$disk/backups-$1" &
}

# A pipe with a reader that never reads, full to its last page.
mkdir "$disk/files"
random_bytes 100000 >"$disk/files/one"
mkfifo "$memory/pipe"
exec 9<>"$memory/pipe"
timeout 1 dd if=/dev/zero of="$memory/pipe" bs=64K count=64 status=none || true

start 1 2>"$memory/1.log"
one=$!
start 2 2>"$memory/pipe"
two=$!
wait_until sees_live 1 2
wait_until sees_live 2 2

for _ in 1 2 3; do
    expect_exit 0 "$penstock" backup --node "$memory/1.socket"
done
sees_live 1 2 >/dev/null || fail_with_logs 'a node whose log nothing reads was declared dead'
grep -q 'gone' "$memory/1.log" && fail_with_logs 'a node whose log nothing reads was away'

kill -TERM "$two"
wait "$two" || fail "a node whose log nothing reads ends with $?"
kill -TERM "$one"
wait "$one" || fail "the other node ends with $?"
