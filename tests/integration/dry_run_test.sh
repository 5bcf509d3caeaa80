#!/bin/bash
# backup --dry-run counts what the backup then has, estimates no less than it takes, and writes nothing.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tree=$disk/tree
make_small_tree "$tree"
make_sized_tree() {
    local i
    for i in $(seq 400); do random_bytes 700 >"$tree/sub/$i"; done
    random_bytes 5000000 >"$tree/large"
}
make_sized_tree

dry() {
    expect_exit 0 "$penstock" backup --dry-run --source "t=dir:$tree" --source synthetic:rows=500 --to "$disk/to" "$@"
}

dry --json
expect_json '.[-1].operation == "dry run" and .[-1].fits'
cp "$memory/out" "$memory/dry"
expect_absent "$disk/to"
dry --ldms 2
expect_output '^dry run: [0-9]+ objects, .* at most to be stored, .* free at '
expect_absent "$disk/to"

expect_exit 0 "$penstock" backup --source "t=dir:$tree" --source synthetic:rows=500 --to "$disk/to" --ldms 2 --json
field() { jq -s ".[-1].$2" "$1"; }
[ "$(field "$memory/dry" objects)" = "$(field "$memory/out" objects)" ] || fail 'other objects than it has'
[ "$(field "$memory/dry" source_bytes)" = "$(field "$memory/out" source_bytes)" ] || fail 'other bytes than it has'
most=$(field "$memory/dry" stored_bytes_most)
takes=$(find "$disk/to" -name '*.data' -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
[ "$most" -ge "$takes" ] || fail "estimated $most, and it takes $takes"
[ "$most" -lt $((takes * 3 / 2)) ] || fail "estimated $most, and it takes only $takes"
# beside a backup that is there, and where there is no room for a new one
names=$(names_below "$disk/to")
dry
expect_output '^it may take 0:0[1-9]: an estimate, by how fast backup 1 was read$'
# As long as that backup took, for as much; longer where there is more, be it bytes or objects.
took=$("$penstock" list --from "$disk/to" --json |
    jq '[.finished, .started] | map(sub("\\.[0-9]+Z$"; "Z") | fromdate) | .[0] - .[1]')
dry --json
expect_json ".[-1].estimated_by == 1 and .[-1].estimated_ns <= ($took + 2) * 1000000000"
once=$(field "$memory/out" estimated_ns)
for more in synthetic:rows=100000 "dir:$disk/more"; do
    [ -e "$disk/more" ] || { mkdir "$disk/more" && random_bytes 20000000 >"$disk/more/one"; }
    dry --json --source "more=$more"
    expect_json ".[-1].estimated_ns > 2 * $once"
done
expect_names "$disk/to" "$names"
# One that refers to an earlier one has not read all of it. What changed just before a backup is not referred to.
sleep 2.1
for _ in 2 3; do
    expect_exit 0 "$penstock" backup --source "t=dir:$tree" --source synthetic:rows=500 --to "$disk/to" --base auto --json
done
expect_json '.[-1].base == 2'
dry --json
expect_json '.[-1].estimated_by == 2'
# Nor does one that read no byte tell how fast bytes are read.
mkdir "$disk/empty"
expect_exit 0 "$penstock" backup --source "dir:$disk/empty" --to "$disk/to"
dry --json
expect_json '.[-1].estimated_by == 2'
expect_exit 0 "$penstock" backup --source "dir:$disk/empty" --to "$disk/only"
expect_exit 0 "$penstock" backup --dry-run --source "dir:$tree" --to "$disk/only" --json
expect_json '.[-1] | has("estimated_ns") | not'
# Nor does one that was done at once how long a hundred times as much takes.
expect_exit 0 "$penstock" backup --source "dir:$tree/sub/1" --to "$disk/only"
expect_exit 0 "$penstock" backup --dry-run --source "dir:$tree" --to "$disk/only" --json
expect_json '.[-1] | has("estimated_ns") | not'
expect_exit 0 "$penstock" backup --dry-run --source "dir:$tree/sub/1" --to "$disk/only" --json
expect_json '.[-1] | has("estimated_ns")'
# Where the backup itself could not be written, the estimate is no success either.
expect_exit 1 "$penstock" backup --dry-run --source "dir:$tree" --to "$disk/none/to"
expect_message "$disk/none/to: cannot be made: No such file"
echo file >"$disk/file"
expect_exit 1 "$penstock" backup --dry-run --source "dir:$tree" --to "$disk/file"
expect_message "$disk/file: not a directory that can be written to: Not a directory"
mkdir -m 755 "$memory/closed"
mkdir -m 777 "$memory/open"
chmod -R a+rX "$tree"
expect_exit '0 3' as_ordinary_user "$penstock" backup --dry-run --source synthetic:rows=5 --to "$memory/open/to"
# What may not be read is named, once, as the backup does.
echo hidden >"$tree/sub/closed"
random_bytes 20000000 >"$tree/sub/closed-large"
chmod 0 "$tree/sub/closed" "$tree/sub/closed-large"
for how in '' --dry-run; do
    ! is_root || expect_exit 3 as_ordinary_user "$penstock" backup $how --source "t=dir:$tree" --to "$memory/open/to" --json
    ! is_root || expect_json '.[-2].unreadable == 2 or .[-1].unreadable == 2'
done
! is_root || expect_message 'source t: sub/closed: Permission denied; its contents would not be'
rm -rf "$tree/sub/closed" "$tree/sub/closed-large" "$memory/open/to"
if is_root; then
    for to in closed closed/to; do
        expect_exit 1 as_ordinary_user "$penstock" backup --dry-run --source synthetic:rows=5 --to "$memory/$to"
        expect_message "$memory/$to: .*Permission denied"
    done
fi
expect_exit 1 "$penstock" backup --dry-run --source "dir:$disk/nothing" --to "$disk/to"
expect_exit 2 "$penstock" backup --dry-run --source "dir:$tree" --to null:
expect_exit 0 "$penstock" backup --dry-run --source "t=dir:$tree" --source synthetic:rows=500 --to "$tree/inside" --json
[ "$(field "$memory/out" objects)" = "$(field "$memory/dry" objects)" ] || fail 'a backup directory in a source counts'
expect_absent "$tree/inside"
if is_root; then
    mkdir "$disk/small"
    mount -t tmpfs -o size=1M none "$disk/small"
    mounted+=("$disk/small")
    expect_exit 1 "$penstock" backup --dry-run --source "dir:$tree" --to "$disk/small/to"
    expect_message 'it may not fit'
fi
