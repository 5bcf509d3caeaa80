#!/bin/bash
# --before-command and --after-command: what they are told, when they run, and what their failure means;
# one that does not end is killed with its children.
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
mkdir "$disk/tree"
random_bytes 100000 >"$disk/tree/file"
back_up=("$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --json)

told() { # NAME: what the after command was told
    sed -n "s/^PENSTOCK_BACKUP_$1=//p" "$memory/env"
}

# both run, in order; the source exists by what the first one does; output goes to stderr alone
mv "$disk/tree" "$disk/elsewhere"
expect_exit 0 "${back_up[@]}" --before-command "echo spoken; mv '$disk/elsewhere' '$disk/tree'" \
    --after-command "env >'$memory/env'"
expect_json '.[-1].message_type == "summary"'
expect_message '^spoken$'
[ "$(told EXIT_CODE) $(told NUMBER) $(told SOURCE_BYTES) $(told TO)" = "0 1 100000 $disk/to" ] || fail "told: $(cat "$memory/env")"
[ "$(told UID)" = "$(jq -r 'select(.message_type == "summary").uid' "$memory/out")" ] || fail 'another uid'

# a failure before: no backup, and nothing after
rm "$memory/env"
expect_exit 1 "${back_up[@]}" --before-command 'exit 7' --after-command "env >'$memory/env'"
expect_message 'no backup was made: --before-command has failed: exit 7: exit code 7'
expect_absent "$memory/env" "$disk/to/BACKUP-2"

# a failure of the backup: after runs, and is told of no backup
expect_exit 1 "$penstock" backup --source "dir:$disk/none" --to "$disk/to" --after-command "env >'$memory/env'"
[ "$(told EXIT_CODE)/$(told NUMBER)/$(told UID)" = 1// ] || fail "told: $(cat "$memory/env")"

# in a command of another backup, it is told of its own
expect_exit 1 env PENSTOCK_BACKUP_EXIT_CODE=0 PENSTOCK_BACKUP_NUMBER=7 PENSTOCK_BACKUP_TO=/ \
    "$penstock" backup --source "dir:$disk/none" --to "$disk/to" \
    --before-command "env >'$memory/before'" --after-command "echo \"\$PENSTOCK_BACKUP_EXIT_CODE\" >'$memory/code'; env >'$memory/env'"
[ "$(cat "$memory/code") $(told EXIT_CODE)/$(told NUMBER)/$(told TO)" = "1 1//$disk/to" ] || fail "told: $(cat "$memory/env")"
! grep -q 'PENSTOCK_BACKUP_[^T]' "$memory/before" || fail "told before: $(cat "$memory/before")"

# a failure after: the backup stays
expect_exit 3 "${back_up[@]}" --after-command 'kill -9 $$'
expect_message '--after-command has failed: .*: ended by signal 9'
[ -d "$disk/to/BACKUP-2" ] || fail 'the backup has gone'

# what a command has started may clean up, though its shell ends at once
for limit in 200ms 2s 20s; do # more than once where the host gives it no time
    expect_exit 1 "${back_up[@]}" --command-limit "$limit" \
        --before-command "sh -c 'trap \"echo clean >$memory/clean; exit\" TERM; sleep 1000 & wait' & sleep 1000"
    expect_message 'timed out after (0.2|2|20) s, and was killed'
    [ ! -e "$memory/clean" ] || break
done
[ -e "$memory/clean" ] || fail 'a child had no time to clean up'

# what does not end is killed, children that ignore SIGTERM included
for limit in 200ms 2s 20s; do
    expect_exit 1 "${back_up[@]}" --command-limit "$limit" \
        --before-command "sh -c 'trap \"\" TERM; sleep 1000; :' & echo \$! \$\$ >'$memory/pids'; trap '' TERM; sleep 1000; :"
    expect_message '--before-command has failed: .*timed out'
    [ ! -s "$memory/pids" ] || break
done
runs() { # PID; one that has ended may wait for its new parent
    [ -e "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}
none_runs() {
    ! runs "$child" && ! runs "$shell"
}
read -r child shell <"$memory/pids"
wait_until none_runs
expect_absent "$disk/to/BACKUP-3"

# whoever starts it may not care for children of its own
# shellcheck disable=SC2016 # perl's
expect_exit 0 perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' "${back_up[@]}" --before-command true --after-command true
