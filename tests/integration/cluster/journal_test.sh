#!/bin/bash
# What a real journal has of backups and nodes whose stderr it is: each event with its MESSAGE_ID and fields. The
# journal is systemd's own, started here with a /run that nobody else sees.
set -euo pipefail
if [ -z "${JOURNAL_TEST_INSIDE:-}" ]; then
    [ "$(id -u)" -eq 0 ] || { echo 'skipped: not root'; exit 77; }
    unshare -m true 2>/dev/null || { echo 'skipped: no mounts of its own are allowed here'; exit 77; }
    JOURNAL_TEST_INSIDE=1 exec unshare -m --propagation private "$0" "$@"
fi
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald 2>"$memory/journald.log" &
wait_until test -S /run/systemd/journal/stdout

# Before a command: it is as a unit's process, whose stderr and stdout are the journal.
# shellcheck disable=SC2016 # the inner shell's
unit=(systemd-cat bash -euc 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"' -)

# id_of EVENT: its MESSAGE_ID, as operations.md has it.
id_of() {
    sed -nE "s/^\\| $1 \\| \`([0-9a-f]{32})\`.*/\\1/p" "$(dirname "${BASH_SOURCE[0]}")/../../../docs/operations.md"
}

has() { # EVENT COUNT JQ_FILTER: so many entries, and the filter holds for each
    journalctl --sync
    journalctl -D /run/log/journal -q -o json MESSAGE_ID="$(id_of "$1")" >"$memory/out"
    jq -es "length == $2 and all($3)" "$memory/out"
}

expect_event() { # EVENT COUNT JQ_FILTER
    has "$@" >/dev/null || fail "not $2 of $1 with $3"
}

make_tree "$disk/tree" 20 5

# Runs that end.
"${unit[@]}" "$penstock" backup --source "dir:$disk/tree" --to "$disk/own" --ldms 1
uid=$("$penstock" list --from "$disk/own" --json | jq -r .uid)
expect_event BACKUP_COMPLETE 1 ".PENSTOCK_BACKUP == \"1\" and .PENSTOCK_UID == \"$uid\" and .PRIORITY == \"6\" and
    .SYSLOG_IDENTIFIER == \"penstock\" and .MESSAGE == \"backup 1 is complete\""
if "${unit[@]}" "$penstock" backup --source "dir:$disk/none" --to "$disk/own"; then fail 'a source that is not there is backed up'; fi
expect_event BACKUP_FAILED 1 '.PRIORITY == "3" and (.MESSAGE | test("none"))'
"${unit[@]}" "$penstock" verify --from "$disk/own"
expect_event DAMAGE_FOUND 0 true
flip "$disk/own/BACKUP-1/BACKUP-1-PART-1-OF-1/BACKUP-1.1.data" 8300
if "${unit[@]}" "$penstock" verify --from "$disk/own"; then fail 'damage is not found'; fi
expect_event DAMAGE_FOUND 1 '.PENSTOCK_BACKUP == "1" and .PRIORITY == "3" and .PENSTOCK_ERROR == "PST_E_CORRUPT"'

# Two nodes, of which one is killed.
start() { # NODE
    "${unit[@]}" "$penstock" node --cluster "journal-$$" --fabric-dir "$memory/fabric" --id "$1" --nodes 1-2 --ldms 1 \
        --socket "$memory/$1.socket" --source "dir:$disk/tree" --to "$disk/$1" &
}
start 1
start 2
two=$!
wait_until sees_live 1 2
wait_until sees_live 2 2
"$penstock" backup --node "$memory/1.socket" >"$memory/report"
uid=$("$penstock" list --from "$disk/1" --from "$disk/2" --json | jq -r .uid)
expect_event BACKUP_STARTED 2 ".PENSTOCK_UID == \"$uid\" and .PENSTOCK_PEER == \"1\""
expect_event BACKUP_COMPLETE 3 '.PENSTOCK_BACKUP == "1"'
expect_event NODE_JOINED 2 '.PENSTOCK_PEER == "1" or .PENSTOCK_PEER == "2"'
kill -KILL "$two"
wait_until has NODE_LOST 1 '.PENSTOCK_PEER == "2" and .PRIORITY == "4"'
if "$penstock" backup --node "$memory/1.socket" >"$memory/report" 2>"$memory/err"; then fail 'a backup without node 2 is made'; fi
expect_event BACKUP_FAILED 2 '.PENSTOCK_ERROR == null or .PENSTOCK_ERROR == "PST_E_NODE_MISSING"'
