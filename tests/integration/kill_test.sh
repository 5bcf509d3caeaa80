#!/bin/bash
# SIGKILL at any moment: what list calls complete passes verify; the next backup sweeps what was
# left; a restore's target is whole or not there, and running it again works.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rounds=10
[ -z "$is_full" ] || rounds=300

milliseconds_of() { # COMMAND…
    local began=${EPOCHREALTIME/./}
    expect_exit 0 "$@"
    echo $(((${EPOCHREALTIME/./} - began) / 1000 + 20))
}

# kill_in_time COMMAND…: kills it at a random moment below $limit_ms; exit code in $status. The limit
# shrinks where the command was quicker: on a busy host the run it was taken from may have been slow.
kill_in_time() {
    local ms=$((RANDOM % limit_ms))
    "$@" >"$memory/out" 2>"$memory/err" &
    local child=$!
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
    kill -KILL "$child" 2>/dev/null || true
    status=0
    { wait "$child"; } 2>/dev/null || status=$?
    [ "$status" -eq 137 ] || [ "$status" -eq 0 ] || fail "killed after $ms ms: exit $status"
    [ "$status" -eq 137 ] || limit_ms=$((limit_ms * 4 / 5 + 10))
}

# go_on I WANTED ROUNDS: there are rounds left, or what is wanted was not seen yet and may be.
go_on() {
    [ "$1" -le "$3" ] || { [ "$2" -eq 0 ] && [ "$1" -le $((20 * $3)) ]; }
}

verify_what_is_complete() {
    local number
    for number in $("$penstock" list --from "$disk/to" --json | jq 'select(.state == "complete").number'); do
        expect_exit 0 "$penstock" verify --from "$disk/to" "$number"
    done
    [ -z "$("$penstock" list --from "$disk/to" --json | jq 'select(.state == "damaged" or .state == "newer")')" ] ||
        fail "$("$penstock" list --from "$disk/to")"
}

killed_backups() {
    local limit_ms i=0 killed=0 left=0 complete
    local backup=("$penstock" backup --source "dir:$disk/tree" --to "$disk/to")
    limit_ms=$(milliseconds_of "${backup[@]}" --number 1)
    while go_on $((++i)) "$left" "$rounds"; do
        kill_in_time "${backup[@]}" --ldms $((i % 4 + 1))
        [ "$status" -eq 0 ] || killed=$((killed + 1))
        verify_what_is_complete
        complete=$("$penstock" list --from "$disk/to" --json | jq -c 'select(.state == "complete").number')
        [ "$complete" = "$(find "$disk/to" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | sed s/BACKUP-//)" ] ||
            left=$((left + 1))
        # The next one sweeps: all that is there then is complete.
        expect_exit 0 "$penstock" backup --source synthetic:rows=10 --to "$disk/to"
        expect_exit 0 "$penstock" list --from "$disk/to"
        ! grep -q incomplete "$memory/out" || fail 'not swept by the next backup'
        [ -z "$(find "$disk/to" -name '.*.tmp')" ] || fail 'a temporary file was not swept'
        find "$disk/to" -mindepth 1 -maxdepth 1 ! -name BACKUP-1 -exec rm -r {} +
    done
    echo "$killed of $((i - 1)) backups were killed, $left left something to sweep"
    [ "$left" -gt 0 ] || fail 'no backup left anything to sweep'
    expect_exit 0 "$penstock" verify --from "$disk/to"
}

# restore_again COMMAND…: one that was killed between the mode of its directory and its name has left what
# cannot be told from somebody else's, so the next one says what to do.
restore_again() {
    ! "$@" >"$memory/out" 2>"$memory/err" || return 0
    grep -q 'killed when all was in it, or be somebody else.s: look at it, then rename it to new' "$memory/err" ||
        fail "$*: $(cat "$memory/err")"
    mv "$disk/target"/.new.penstock-* "$disk/target/new"
}

killed_restores() {
    local limit_ms i=0 killed=0
    local restore=("$penstock" restore --from "$disk/to" --target "$disk/target/new")
    mkdir "$disk/target"
    limit_ms=$(milliseconds_of "${restore[@]}")
    while go_on $((++i)) "$killed" "$rounds"; do
        rm -rf "$disk/target/new"
        kill_in_time "${restore[@]}" --ldms $((i % 3 + 1))
        if [ -e "$disk/target/new" ]; then
            compare_trees "$disk/tree" "$disk/target/new" # it had its name already: it is whole
        else
            [ "$status" -eq 137 ] || fail 'restored, but the target is absent'
            killed=$((killed + 1))
            restore_again "${restore[@]}"
            compare_trees "$disk/tree" "$disk/target/new"
        fi
        expect_names "$disk/target" "$(cd "$disk/target" && find ./new -print0 | sort -z | tr '\0' '\n')"
    done
    echo "$killed of $((i - 1)) restores were killed"
    [ "$killed" -gt 0 ] || fail 'no restore was killed'
}

# In place (--force into what is not empty): a marker stays, running it again resumes.
killed_restores_in_place() {
    local limit_ms i=0 resumed=0
    local restore=("$penstock" restore --from "$disk/to" --target "$disk/place")
    mkdir "$disk/place"
    limit_ms=$(milliseconds_of "${restore[@]}")
    while go_on $((++i)) "$resumed" $((rounds / 2)); do
        rm -rf "$disk/place"
        mkdir "$disk/place"
        echo kept >"$disk/place/kept"
        kill_in_time "${restore[@]}" --force
        if [ "$(find "$disk/place" -name '.penstock*' | wc -l)" -gt 0 ]; then
            expect_exit 0 "${restore[@]}" # the marker says that it is ours: no --force
            resumed=$((resumed + 1))
        else
            expect_exit 0 "${restore[@]}" --force
        fi
        [ "$(cat "$disk/place/kept")" = kept ] || fail 'a file that the backup has not is gone'
        rm "$disk/place/kept"
        touch -d "@$(stat -c %.9Y "$disk/tree")" "$disk/place"
        compare_trees "$disk/tree" "$disk/place"
    done
    echo "$resumed restores in place were resumed"
    [ "$resumed" -gt 0 ] || fail 'no restore in place was resumed'
}

make_tree "$disk/tree" 200 40
killed_backups
killed_restores
killed_restores_in_place
