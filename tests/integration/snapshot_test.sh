#!/bin/bash
# --freeze-command and --thaw-command: what is read, when they run and what they are told; whatever a
# command does, and however the backup ends, what was frozen is thawed.
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tree=$disk/tree snap=$disk/snap calls=$memory/calls
mkdir "$tree"
random_bytes 100000 >"$tree/file"
echo old >"$tree/state"
back_up=("$penstock" backup --source "dir:$tree" --to "$memory/to" --ldms 1 --json)
copy="cp -a $tree $snap; echo new >$tree/state; echo $snap"
remove="rm -r $snap; echo thaw >>$calls"
thaw="echo thaw >>$calls"

thawed() { # TIMES since the last call; each thaw command here counts itself
    local times=0
    [ ! -e "$calls" ] || times=$(wc -l <"$calls")
    rm -f "$calls"
    [ "$times" = "$1" ] || fail "thawed $times times, not $1"
}

restored() { # FILE: of the newest backup
    rm -rf "$disk/restored"
    expect_exit 0 "$penstock" restore --from "$memory/to" --target "$disk/restored"
    cat "$disk/restored/$1"
}

# fails PATTERN OPTION…: no backup, for that reason in the message and in the JSON, and one thaw for
# each freeze
fails() {
    local pattern=$1 backups
    shift
    backups=$(ls "$memory/to")
    expect_exit 1 "${back_up[@]}" "$@"
    expect_message "$pattern"
    expect_json ".[-1].message_type == \"exit_error\" and .[-1].code == 1 and (.[-1].message | test(\"--freeze-command\"))"
    [ "$(ls "$memory/to")" = "$backups" ] || fail "there is a backup: $(ls "$memory/to")"
}

# a snapshot is read in the source's place, and is there until then; paths are the source's
expect_exit 0 "${back_up[@]}" --freeze-command "env >$memory/told1; $copy" --thaw-command "env >$memory/told2; $remove"
expect_json '.[-1].sources[0].details | .type == "dir" and .snapshot and .frozen_ns > 0 and (has("left_frozen") | not)'
thawed 1
expect_absent "$snap"
[ "$(restored state)" = old ] || fail 'not the snapshot was read'
expect_exit 0 "$penstock" show --from "$memory/to" --json
jq -es --arg path "$tree" '[.. | objects | .path? // empty] | index($path)' "$memory/out" >/dev/null || fail "not the source's path: $(cat "$memory/out")"
told() { # FILE
    sed -n 's/^PENSTOCK_BACKUP_GCI=[1-9][0-9]*$/GCI/p; s/^PENSTOCK_BACKUP_//p' "$1" | grep -v ^GCI= | sort | tr '\n' ' '
}
[ "$(told "$memory/told1")" = "PATH=$tree SOURCE=tree " ] || fail "told: $(told "$memory/told1")"
[ "$(told "$memory/told2")" = "GCI PATH=$tree SNAPSHOT=$snap SOURCE=tree " ] || fail "told: $(told "$memory/told2")"

# nothing is printed: the source itself is read, and thawed after that; or before, at the cut
add="echo x >$tree/added; $thaw"
expect_exit 0 "${back_up[@]}" --freeze-command : --thaw-command "$add"
expect_json '.[-1].sources[0].details.snapshot == false'
thawed 1
[ -z "$(restored added 2>/dev/null || true)" ] || fail 'thawed before it was read'
rm "$tree/added"
expect_exit 0 "${back_up[@]}" --freeze-command : --thaw-command "$add" --thaw-at cut
thawed 1
[ "$(restored added)" = x ] || fail 'thawed after it was read'
rm "$tree/added"

# it may close its output before it ends, and leave something running, which goes with the thaw
began=${EPOCHREALTIME%.*}
expect_exit 0 "${back_up[@]}" --freeze-command 'exec >&-; sleep 0.3' --thaw-command "$thaw"
expect_exit 0 "${back_up[@]}" --freeze-command "sleep 1000 & echo \$! >$memory/left" --thaw-command "kill -0 \$(cat $memory/left) && $thaw"
[ $((${EPOCHREALTIME%.*} - began)) -lt 100 ] || fail 'waited for what was left running'
thawed 2
gone() { # PID
    [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}
wait_until gone "$(cat "$memory/left")"

expect_exit 1 "${back_up[@]}" --freeze-command "sleep 1000 & echo \$! >$memory/left; exit 7" --thaw-command "kill -0 \$(cat $memory/left) && $thaw"
thawed 1
wait_until gone "$(cat "$memory/left")"

# what it prints must be a path like the source's
fails 'it printed what is no absolute path' --freeze-command 'echo snap' --thaw-command "$thaw"
fails 'it printed more than one line' --freeze-command "echo created; echo $tree" --thaw-command "$thaw"
fails 'it printed more than a path' --freeze-command 'head -c 500000 /dev/zero | tr "\0" /' --thaw-command "$thaw"
fails '--freeze-command has failed: .*printed more than a MiB, and was killed' \
    --freeze-command "sleep 1000 & echo \$! >$memory/left; yes /" --thaw-command "$thaw"
wait_until gone "$(cat "$memory/left")"
fails 'printed the path "/none": No such file' --freeze-command 'echo /none' --thaw-command "$thaw"
fails 'it is no snapshot of the source' --freeze-command "echo $tree/file" --thaw-command "$thaw"
fails 'printed the path "/proc": ' --freeze-command 'echo /proc' --thaw-command "$thaw"
# where a snapshot was to be mounted, and was not
mkdir "$disk/mount-point"
fails 'it is empty, and the source is not' --freeze-command "echo $disk/mount-point" --thaw-command "$thaw"
thawed 8

# one that fails, or does not end, fails the backup; what is left of it is killed
fails '--freeze-command has failed: exit 7: exit code 7' --freeze-command 'exit 7' --thaw-command "$thaw"
thawed 1
fails '--freeze-command has failed: .*timed out' --freeze-wait 200ms --thaw-command "$thaw" \
    --freeze-command "sh -c 'trap \"\" TERM; sleep 1000; :' & echo \$! >$memory/left; trap '' TERM; sleep 1000; :"
thawed 3
wait_until gone "$(cat "$memory/left")"

# a thaw that fails is no secret, and takes no backup with it
expect_exit 3 "${back_up[@]}" --freeze-command : --thaw-command 'exit 9'
expect_message 'error: source tree: --thaw-command has failed, .* undo it by hand: exit 9: exit code 9'
expect_json '(.[-1] | .message_type == "exit_error" and .code == 3 and (.message | test("is complete, but --thaw-command has failed for 1 source")))
    and any(.[]; .sources[0].details.left_frozen?)'
restored state >/dev/null
fails '--thaw-command has failed, .* exit code 9' --freeze-command 'exit 7' --thaw-command 'exit 9'
expect_json '.[-1].message | test("exit code 7.*--thaw-command has failed")'

# nor is it forgotten when a later try succeeds
once() { # COMMAND ID: it runs in the first call alone
    echo "[ -e $memory/once$2 ] || { touch $memory/once$2; $1; }"
}
expect_exit 3 "${back_up[@]}" --freeze-wait 2s --freeze-command "$(once 'sleep 1000' 1)" --thaw-command "$(once 'exit 9' 2)"
expect_json 'any(.[]; .sources[0].details.left_frozen?)'

# neither runs without a backup, nor for nothing
expect_exit 0 "$penstock" backup --source "dir:$tree" --to "$memory/to" --dry-run --freeze-command "$thaw" --thaw-command "$thaw"
thawed 0
expect_exit 2 "${back_up[@]}" --thaw-command :
expect_exit 2 "${back_up[@]}" --freeze-command : --thaw-at noon
expect_exit 2 "${back_up[@]}" --freeze-command : --request-limit 20s
expect_exit 2 "$penstock" backup --source synthetic:rows=1 --to "$memory/to" --freeze-command :
expect_message 'the freeze command is for dir: sources'

# a file system that stays frozen cannot take the backup
expect_exit 1 "$penstock" backup --source "dir:$tree" --to "$disk/to" --freeze-command : --thaw-command "$thaw"
expect_message 'the backup is to be written to the same one'
thawed 1
expect_exit 0 "$penstock" backup --source "dir:$tree" --to "$disk/to" --freeze-command : --thaw-command "$thaw" --thaw-at cut
expect_exit 0 "$penstock" backup --source "dir:$tree" --to "$disk/to" --freeze-command "$copy" --thaw-command "$remove"
thawed 2

# the command is run for each source, and all are of one cut; other kinds are left alone
mkdir "$disk/second"
expect_exit 0 "${back_up[@]}" --source "dir:$disk/second" --source synthetic:rows=10 --thaw-command "$thaw" \
    --freeze-command "case \$PENSTOCK_BACKUP_SOURCE in tree) mkdir $snap; touch $snap/of-tree; echo $snap ;; esac"
thawed 2
rm -r "$snap"
[ -z "$(restored tree/of-tree)" ] || fail 'another file'
expect_exit 1 "${back_up[@]}" --source "dir:$disk/second" --thaw-command "$thaw" --freeze-command "case \$PENSTOCK_BACKUP_SOURCE in tree) exit 1; esac"
thawed 2

# the backup directory in a snapshot of the source is not backed up either
inside=("$penstock" backup --source "dir:$tree" --to "$tree/to" --json)
expect_exit 0 "${inside[@]}"
expect_exit 0 "${inside[@]}" --freeze-command "cp -a $tree $snap; echo $snap" --thaw-command "$remove"
thawed 1
expect_exit 0 "$penstock" restore --from "$tree/to" --target "$disk/restored2"
[ "$(ls -A "$disk/restored2/to")" = '' ] || fail 'a backup is in the backup'
rm -r "$tree/to"

# killed while it reads, or while the command runs: the guard thaws
slow=("${back_up[@]}" --pace 1M --source "synthetic:rows=1000000,row-bytes=100")
started() {
    [ -e "$memory/frozen" ]
}
to_thaw=$thaw
run_killed() { # SIGNAL OPTION…
    rm -f "$memory/frozen"
    "${slow[@]}" --thaw-command "$to_thaw" "${@:2}" >"$memory/out" 2>"$memory/err" &
    victim=$!
    wait_until started
    kill "-$1" "$victim"
}
ended() {
    status=0
    { wait "$victim"; } 2>/dev/null || status=$?
}
run_killed KILL --freeze-command "touch $memory/frozen"
ended
wait_until [ -s "$calls" ]
thawed 1
run_killed KILL --freeze-command "echo \$\$ >$memory/left; touch $memory/frozen; sleep 1000"
ended
wait_until [ -s "$calls" ]
thawed 1
wait_until gone "$(cat "$memory/left")"
expect_message "the backup's process is gone: --thaw-command runs now"

# the guard alone is killed: that is said, another one takes its place, and whichever is left thaws
kill_guard() {
    wait_until [ -s "$memory/guard" ]
    kill -KILL "$(cat "$memory/guard")"
    wait_until grep -q 'was killed; another one has taken its place' "$memory/err"
}
for end in KILL TERM; do
    rm -f "$memory/guard"
    run_killed CONT --freeze-command "touch $memory/frozen; echo \$PPID >$memory/guard"
    kill_guard
    kill "-$end" "$victim"
    ended
    wait_until [ -s "$calls" ]
    thawed 1
done
[ "$status" = 130 ] || fail "interrupted, it ends with $status"

# nor is the thaw command ended with it, by those that end all that belongs to it
to_thaw="kill -TERM \$\$; kill -HUP 0; $thaw"
run_killed KILL --freeze-command "touch $memory/frozen"
to_thaw=$thaw
ended
wait_until [ -s "$calls" ]
thawed 1

# nobody reads what the commands print then
mkfifo "$memory/pipe"
tail -f "$memory/pipe" >/dev/null &
reader=$!
rm -f "$memory/frozen"
"${slow[@]}" --freeze-command "touch $memory/frozen" --thaw-command "echo gone >&2; echo gone; $thaw" >"$memory/out" 2>"$memory/pipe" &
victim=$!
wait_until started
kill -KILL "$reader"
wait "$reader" || true
kill -KILL "$victim"
ended
wait_until [ -s "$calls" ]
thawed 1

# a guard that is killed is replaced
rm -f "$memory/frozen"
run_killed CONT --freeze-command "echo \$PPID >$memory/guard; touch $memory/frozen"
kill -KILL "$(cat "$memory/guard")"
kill -TERM "$victim"
ended
[ "$status" = 130 ] || fail "interrupted: exit $status"
thawed 1

# interrupted once, in order; twice, by the guard
run_killed TERM --freeze-command "touch $memory/frozen"
ended
[ "$status" = 130 ] || fail "interrupted: exit $status"
thawed 1
run_killed TERM --freeze-command "touch $memory/frozen; sleep 1000" --freeze-wait 1s
ended
[ "$status" = 130 ] || fail "interrupted: exit $status"
wait_until [ -s "$calls" ]
thawed 1
run_killed TERM --freeze-command "touch $memory/frozen; sleep 1000" --freeze-wait 60s
sleep 0.6
kill -TERM "$victim"
ended
wait_until [ -s "$calls" ]
thawed 1
