#!/bin/bash
# Who ends a command while it waits for a passphrase ends what was to give it, too, and the exit code
# says so; the terminal is as it was.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ends_with() { # CODE SIGNAL SECONDS COMMAND…: there is no terminal; SECONDS tells sleeps apart
    local code=$1 number=$2 seconds=$3 process found=0
    shift 3
    setsid "$@" --passphrase-command "sleep $seconds; echo x" 2>"$memory/err" >"$memory/out" </dev/null &
    process=$!
    wait_until pgrep -xf "sleep $seconds"
    kill "-$number" "$process"
    timeout 120 tail --pid="$process" -f /dev/null || { pkill -xf "sleep $seconds"; fail "$* does not end"; }
    wait "$process" || found=$?
    [ "$found" -eq "$code" ] || fail "$* ends with $found"
    ! pgrep -xf "sleep $seconds" || fail 'the command for the passphrase is still there'
}
at_prompt() { # CODE KEYS COMMAND…: at a terminal
    local code=$1 keys=$2 process found=0
    shift 2
    rm -f "$memory/typed" "$memory/shown"
    mkfifo "$memory/typed"
    script -qefc "$(printf '%q ' "$@" --passphrase-prompt); echo code \$?; stty -a" /dev/null <"$memory/typed" >"$memory/shown" &
    process=$!
    exec 8>"$memory/typed"
    wait_until grep -q 'Passphrase: ' "$memory/shown"
    printf '%b' "$keys" >&8
    wait "$process" || found=$?
    exec 8>&-
    grep -q "code $code" "$memory/shown" || fail "$* at a terminal: $(cat "$memory/shown")"
    grep -qE '(^|[ ;])echo( |;|$)' "$memory/shown" || fail "the terminal shows nothing any more: $(cat "$memory/shown")"
}
has_open() { # PID FILE
    [ -n "$(find "/proc/$1/fd" -lname "$2")" ]
}
passphrase='correct Wolframite battery'
(umask 077 && echo "$passphrase" >"$disk/passphrase")
mkdir "$disk/tree"
echo Wolframite >"$disk/tree/file"
makes=(backup --source "dir:$disk/tree" --to "$disk/phrase") reads=(--from "$disk/phrase")
expect_exit 0 "$penstock" "${makes[@]}" --passphrase-file "$disk/passphrase"
# who has keys leaves no core file
ulimit -S -c "$(ulimit -H -c)"
expect_exit 0 "$penstock" verify "${reads[@]}" --passphrase-command "cp /proc/\$PPID/limits $memory; cat $disk/passphrase"
grep -q '^Max core file size  *0 ' "$memory/limits" || fail "a core file would have keys: $(grep core "$memory/limits")"
seconds=$((1000000 + $$ * 10))
ends_with 130 TERM $((seconds + 1)) "$penstock" "${makes[@]}"
expect_message 'interrupted'
ends_with 130 HUP $((seconds + 2)) "$penstock" "${makes[@]}"
ends_with 130 TERM $((seconds + 3)) "$penstock" verify "${reads[@]}"
ends_with 130 TERM $((seconds + 4)) "$penstock" restore "${reads[@]}" --target "$disk/none-target"
ends_with 143 TERM $((seconds + 5)) "$penstock" list "${reads[@]}"
for _ in {1..4}; do # two threads could take the signal
    ends_with 130 TERM $((seconds + 6)) "$penstock" verify "${reads[@]}" --newer-than-verified
    ends_with 130 TERM $((seconds + 7)) "$penstock" mount "${reads[@]}" "$disk/tree"
done
# One that prints without end is killed, with what it has started; a line or two more than the passphrase are no harm.
expect_exit 2 setsid -w timeout -k 1 20 "$penstock" verify "${reads[@]}" --passphrase-command "sleep $seconds & yes"
expect_message 'passphrase command: it printed more than a MiB, and was killed'
! pgrep -xf "sleep $seconds" || fail 'what the command has started is still there'
expect_exit 0 "$penstock" verify "${reads[@]}" --passphrase-command "cat $disk/passphrase; yes | head -c 900000"
if command -v script >/dev/null; then
    for command in list verify "restore --target $disk/none-target" 'key list'; do
        # shellcheck disable=SC2086 # words of their own
        at_prompt 130 'half\003' "$penstock" $command "${reads[@]}"
    done
    at_prompt 130 'half\003' "$penstock" "${makes[@]}"
    at_prompt 0 "$passphrase\n" "$penstock" verify "${reads[@]}"
fi
# A pipe: its line is enough, though whoever wrote it has not closed it; and waiting for one that nobody writes ends.
mkfifo "$memory/pipe"
exec 9<>"$memory/pipe"
echo "$passphrase" >&9
expect_exit 0 timeout -k 1 120 "$penstock" verify "${reads[@]}" --passphrase-file "$memory/pipe"
exec 9>&-
"$penstock" verify "${reads[@]}" --passphrase-file "$memory/pipe" 2>"$memory/err" >"$memory/out" </dev/null &
process=$! found=0
wait_until has_open "$process" "$memory/pipe"
kill -TERM "$process"
wait_until eval "! kill -0 $process"
wait "$process" || found=$?
[ "$found" -eq 130 ] || fail "waiting for a pipe ends with $found"
# A signal that asks for the progress alone does not end it.
"$penstock" verify "${reads[@]}" --passphrase-file "$memory/pipe" 2>"$memory/err" >"$memory/out" </dev/null &
process=$!
wait_until has_open "$process" "$memory/pipe"
kill -USR1 "$process"
sleep 0.2
timeout 120 tee "$memory/pipe" <"$disk/passphrase" >/dev/null || fail "SIGUSR1 ends it: $(cat "$memory/err")"
wait "$process" || fail "after SIGUSR1: $(cat "$memory/err")"
expect_exit 0 "$penstock" verify "${reads[@]}" --passphrase-file <(echo "$passphrase")
[ ! -e "$disk/phrase/BACKUP-2" ] || fail 'a backup was made without its passphrase'
