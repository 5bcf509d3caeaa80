#!/bin/bash
# SIGINT, SIGTERM and SIGHUP at any moment: exit 130 and nothing is left; or the work was done already.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rounds=12
[ -z "$is_full" ] || rounds=300
# Of /proc/PID/status: SIGINT and SIGTERM have handlers.
handles='SigCgt:\s*[0-9a-f]*[4-7c-f][0-9a-f]{2}[2367abef]$'

# A shell has what it starts in the background ignore SIGINT, and that stays so: not here. For "&".
asynchronous() { # COMMAND…
    exec env --default-signal=INT -- "$@"
}

# interrupt_after SIGNAL SECONDS COMMAND…: sends the signal that long after the command is ready
# for it. Exit code in $status.
interrupt_after() {
    local signal=$1 seconds=$2
    shift 2
    asynchronous "$@" >"$memory/out" 2>"$memory/err" &
    local child=$!
    until [ "/proc/$child/exe" -ef "$penstock" ] && grep -Eq "$handles" "/proc/$child/status" 2>/dev/null; do
        kill -0 "$child" 2>/dev/null || break
    done
    [ "$seconds" = 0 ] || sleep "$seconds"
    kill "-$signal" "$child" 2>/dev/null || true
    status=0
    wait "$child" || status=$?
}

# A random time below $limit_ms, and a signal. What a command took once, with a cold cache or a busy
# disk, says little of the next time: the limit follows what came of the last one.
random_moment() {
    local ms=$((RANDOM % limit_ms))
    moment=$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))
    local signals=(INT TERM HUP)
    signal=${signals[RANDOM % 3]}
    [ "$ms" -gt 0 ] || moment=0
}

adapt_limit() {
    if [ "$status" -eq 130 ]; then
        limit_ms=$((limit_ms * 4 / 3 + 1))
    else
        limit_ms=$(((limit_ms + 1) / 2))
    fi
}

milliseconds_of() { # COMMAND…
    local began=${EPOCHREALTIME/./}
    expect_exit 0 "$@"
    echo $(((${EPOCHREALTIME/./} - began) / 1000 + 20))
}

interrupted_backups() {
    local before limit_ms i stopped=0
    local backup=("$penstock" backup --source "dir:$disk/tree" --source synthetic:rows=50000 --to "$disk/to")
    limit_ms=$(milliseconds_of "${backup[@]}")
    before=$(names_below "$disk/to")
    for ((i = 1; i <= rounds; i++)); do
        random_moment
        interrupt_after "$signal" "$moment" "${backup[@]}" --ldms $((i % 4 + 1))
        adapt_limit
        if [ "$status" -eq 130 ]; then
            stopped=$((stopped + 1))
            expect_message 'interrupted; nothing of the backup is left'
        else
            [ "$status" -eq 0 ] || fail "SIG$signal after $moment s: exit $status"
            expect_exit 0 "$penstock" verify --from "$disk/to"
            rm -r "$disk/to/BACKUP-2"
        fi
        expect_names "$disk/to" "$before"
    done
    echo "$stopped of $rounds backups were interrupted"
    # At once, and the directory was new.
    interrupt_after INT 0 "$penstock" backup --source synthetic:rows=2000000 --to "$disk/new"
    [ "$status" -eq 130 ] || fail "at once: exit $status"
    expect_absent "$disk/new"
    # Two at once are one, and the second of two ends it at once; the next backup cleans up. Which it
    # was is the process's word: a busy host may keep two at once apart.
    asynchronous "$penstock" backup --source synthetic:rows=2000000 --to "$disk/new" >"$memory/out" 2>"$memory/err" &
    local child=$!
    until [ -d "$disk/new" ]; do kill -0 "$child" || fail 'the backup ended early'; done
    kill -INT "$child"
    kill -TERM "$child" 2>/dev/null || true
    status=0
    wait "$child" || status=$?
    [ "$status" -eq 130 ] || [ "$status" -eq 143 ] || fail "two signals: exit $status"
    grep -q 'interrupted again' "$memory/err" || expect_absent "$disk/new"
    expect_exit 0 "$penstock" backup --source synthetic:rows=1 --to "$disk/new"
    [ "$(ls "$disk/new")" = BACKUP-1 ] || fail 'the next backup did not clean up'
    rm -r "$disk/new"
    # Ignored by the parent: a Ctrl-C of the script is not its own.
    (
        trap '' INT
        exec "$penstock" backup --source synthetic:rows=200000 --to "$disk/new" >"$memory/out" 2>"$memory/err"
    ) &
    child=$!
    until [ -d "$disk/new" ]; do kill -0 "$child" || fail 'the backup ended early'; done
    kill -INT "$child" 2>/dev/null || true
    wait "$child" || fail "SIGINT that was ignored: exit $?"
    rm -r "$disk/new"
    expect_exit 0 "${backup[@]}"
    expect_exit 0 "$penstock" verify --from "$disk/to"
    [ "$stopped" -gt 0 ] || fail 'no backup was interrupted'
}

interrupted_json() {
    interrupt_after TERM 0.02 "$penstock" backup --source synthetic:rows=2000000 --to "$memory/json" --json
    [ "$status" -eq 130 ] || fail "exit $status"
    expect_json '.[-1] | .message_type == "exit_error" and .code == 130'
    expect_absent "$memory/json"
}

interrupted_restores() {
    local limit_ms i stopped=0 options
    local restore=("$penstock" restore --from "$disk/to" --target "$disk/target/new")
    mkdir "$disk/target"
    limit_ms=$(milliseconds_of "${restore[@]}")
    for ((i = 1; i <= rounds; i++)); do
        rm -rf "$disk/target/new"
        options=(--ldms $((i % 3 + 1)))
        [ $((i % 2)) -eq 0 ] || mkdir "$disk/target/new"
        random_moment
        interrupt_after "$signal" "$moment" "${restore[@]}" "${options[@]}"
        adapt_limit
        [ "$status" -eq 130 ] || [ "$status" -eq 0 ] || fail "SIG$signal after $moment s: exit $status"
        if [ "$status" -eq 130 ]; then
            stopped=$((stopped + 1))
            expect_message 'interrupted; '
            [ $((i % 2)) -eq 0 ] || rmdir "$disk/target/new" || fail 'an empty target was touched'
            expect_names "$disk/target" ''
        else
            compare_trees "$disk/tree" "$disk/target/new/tree"
        fi
    done
    echo "$stopped of $rounds restores were interrupted"
    rm -rf "$disk/target/new"
    expect_exit 0 "${restore[@]}"
    compare_trees "$disk/tree" "$disk/target/new/tree"
    [ "$stopped" -gt 0 ] || fail 'no restore was interrupted'
}

interrupted_verifies() {
    local limit_ms i stopped=0 before
    before=$(names_below "$disk/to")
    limit_ms=$(milliseconds_of "$penstock" verify --from "$disk/to")
    for ((i = 1; i <= rounds; i++)); do
        random_moment
        interrupt_after "$signal" "$moment" "$penstock" verify --from "$disk/to" --ldms $((i % 3 + 1))
        adapt_limit
        [ "$status" -eq 130 ] || [ "$status" -eq 0 ] || fail "SIG$signal after $moment s: exit $status"
        [ "$status" -eq 0 ] || stopped=$((stopped + 1))
        expect_names "$disk/to" "$before"
    done
    echo "$stopped of $rounds verifications were interrupted"
    [ "$stopped" -gt 0 ] || fail 'no verification was interrupted'
}

make_tree "$disk/tree" 300 100
interrupted_backups
interrupted_json
interrupted_restores
interrupted_verifies
