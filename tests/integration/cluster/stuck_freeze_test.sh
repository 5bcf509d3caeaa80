#!/bin/bash
# A freeze or thaw command that SIGKILL does not end, for it waits in the kernel for a file system that is
# frozen: the limit is kept, the backup fails, or is complete but for its thaw, it is said what is left, and the
# node goes on.
#
#   stuck_freeze_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
is_root || skip 'mounting needs root'
command -v fsfreeze >/dev/null || skip 'fsfreeze is missing'

hung=$disk/hung
truncate -s 16M "$disk/image"
mkfs.ext4 -q "$disk/image"
mkdir "$hung"
mount -o loop "$disk/image" "$hung" 2>"$memory/err" || skip "no loop device can be mounted here: $(cat "$memory/err")"
mounted=("$hung")
fsfreeze -f "$hung" || skip 'no file system can be frozen here'
trap 'fsfreeze -u "$hung" 2>/dev/null || true; leave' EXIT

make_small_tree "$disk/tree"
"$penstock" node --cluster "stuck-$$" --id 1 --nodes 1 --fabric-dir "$memory/fabric" --socket "$memory/1.socket" --to "$memory/to" --ldms 1 \
    --source "dir:$disk/tree" --freeze-wait 1s --freeze-command ". $memory/freeze" --thaw-command ". $memory/thaw" 2>"$memory/node.log" &
runs=$!
: >"$memory/freeze"
: >"$memory/thaw"
wait_until sees_live 1 1

# backed_up CODES SECONDS SECONDS: it takes so long, at least and at most. Sets $left: the last process group that was left.
backed_up() {
    local began=$SECONDS took
    expect_exit "$1" "$penstock" backup --node "$memory/1.socket" --json
    took=$((SECONDS - began))
    if [ "$took" -lt "$2" ] || [ "$took" -gt "$3" ]; then fail_with_logs "it took $took s"; fi
    left=$(sed -n 's/.*process group \([0-9]*\) is left, which SIGKILL does not end.*/\1/p' "$memory/node.log" | tail -n 1)
}

# What is left: one process, in the state in which SIGKILL ends none.
expect_stuck() {
    local states
    states=$(pgrep -g "${left:?}" | xargs -I@ ps -o state= -p @ | grep -v Z || true)
    [ "$states" = D ] || fail_with_logs "of process group $left there is [$states]"
}

ended() {
    ! pgrep -g "$left" -r D,R,S
}

# the command itself; then, a child of it, whose parent ends; one try each
echo "echo new >$hung/file" >"$memory/freeze"
backed_up 1 1 60
expect_json '.[-1].message | test("a command that was to freeze or thaw a source has failed: tree: --freeze-command has failed: process group [0-9]+ is left")'
expect_stuck
earlier=$left
echo "sh -c 'echo new >$hung/file; :'; :" >"$memory/freeze"
backed_up 1 1 60
expect_json '.[-1].message | test("process group [0-9]+ is left")'
expect_stuck
[ "$left" != "$earlier" ] || fail 'the second is not named'
[ "$(grep -c 'source tree: --freeze-command has failed: process group [0-9]* is left' "$memory/node.log")" = 2 ] ||
    fail_with_logs 'a freeze that is stuck is tried again'

# the node goes on beside them
: >"$memory/freeze"
backed_up 0 0 60
sees 1 "$idle" >/dev/null || fail_with_logs 'an LDM is not idle'
expect_exit 0 "$penstock" verify --from "$memory/to"

# a thaw: the backup is complete, and it is said that the source is left frozen, and what else is left
echo "echo new >$hung/file" >"$memory/thaw"
backed_up 3 60 180
expect_json 'any(.message_type == "left_frozen" and .node == 1 and .source == "tree")
    and (.[-1].message | test("could not be undone and may still be in place: tree at node 1"))'
expect_stuck
grep -q 'source tree: --thaw-command has failed, .* undo it by hand: process group .* is left,' "$memory/node.log" || fail_with_logs 'the log does not say it'
: >"$memory/thaw"
backed_up 0 0 60

# a thaw that frees what is stuck in the freeze lets it end
echo "echo new >$hung/file" >"$memory/freeze"
echo "fsfreeze -u $hung" >"$memory/thaw"
backed_up 1 1 60
wait_until ended
left=$earlier
wait_until ended
fsfreeze -f "$hung"

# nor does what is left keep the node from its end
: >"$memory/thaw"
backed_up 1 1 60
kill -TERM "$runs"
wait_until test ! -e "/proc/$runs"
wait "$runs" || fail_with_logs "the node ends with $?"
expect_stuck

# a run without a node, whose command before it has a limit, too
alone=("$penstock" backup --to "$memory/to" --json --source "dir:$disk/tree")
expect_exit 1 timeout 120 "${alone[@]}" --freeze-wait 1s --freeze-command "echo new >$hung/file" --thaw-command :
expect_json '.[-1].message | test("process group [0-9]+ is left")'
expect_exit 1 timeout 120 "${alone[@]}" --command-limit 1s --before-command "echo new >$hung/file"
expect_json '.[-1].message | test("--before-command has failed: process group [0-9]+ is left.* echo new")'
