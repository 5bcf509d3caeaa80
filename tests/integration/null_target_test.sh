#!/bin/bash
# A backup into null: reads and checks all, keeps nothing, and leaves nothing.
#
#   null_target_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export TMPDIR=$disk/tmp
mkdir "$TMPDIR" "$disk/files"
random_bytes 5000000 >"$disk/files/large"
for i in {1..500}; do echo "$i" >"$disk/files/$i"; done

nothing_is_left() {
    [ -z "$(ls -A "$TMPDIR")" ] || fail "left: $(find "$TMPDIR")"
}

for options in '--ldms 1' '--ldms 3 --chunk 64K' '--ldms 2 --compress zstd' '--ldms 2 --single-threaded'; do
    # shellcheck disable=SC2086
    expect_exit 0 "$penstock" backup --source "dir:$disk/files" --to null: --json $options
    expect_json 'last | .message_type == "summary" and .objects == 502 and .source_bytes > 5000000'
    nothing_is_left
done
rm -r "$disk/files/large"
ln -s nowhere "$disk/files/symlink"
expect_exit 0 "$penstock" backup --source "dir:$disk/files" --source synthetic:rows=1000 --to null:
nothing_is_left

expect_exit 2 "$penstock" backup --source "dir:$disk/files" --to null: --verify
expect_message 'null: keeps nothing'
expect_exit 1 env TMPDIR="$disk/no/such" "$penstock" backup --source "dir:$disk/files" --to null:
expect_message 'set TMPDIR'
nothing_is_left

"$penstock" backup --source synthetic:rows=1000000000 --to null: --ldms 2 >"$memory/out" 2>"$memory/err" &
child=$!
until ls "$TMPDIR"/*/BACKUP-1/*PART* >"$memory/parts" 2>&1; do sleep 0.05; done
kill -TERM "$child"
status=0
wait "$child" || status=$?
[ "$status" -eq 130 ] || fail "exit $status, not 130: $(cat "$memory/err")"
nothing_is_left
