#!/bin/bash
# Bad input to backup: each case has its exit code, a message that names the culprit and says what
# to do, and leaves nothing behind.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

source_tree=$disk/tree

# refuses CODE PATTERN ARGUMENT…: a backup of $source_tree to $disk/to with these arguments.
refuses() {
    local code=$1 pattern=$2
    shift 2
    expect_exit "$code" "$penstock" backup --source "dir:$source_tree" --to "$disk/to" "$@"
    expect_message "^penstock: error: .*$pattern"
    expect_absent "$disk/to"
}

numbers() {
    local value
    for value in 0 257 99999999999999999999 abc -1 1.5 '' '1 ' 0x2; do
        refuses 2 '--ldms.*(1 to 256|needs a value)' "--ldms=$value"
    done
    for value in 0 4294967296 abc -1 ''; do refuses 2 '--number' "--number=$value"; done
    for value in 1 1K 63K 17M 1E 99999999999999999999999G huge ''; do
        refuses 2 '--chunk.*(64K|needs a value)' "--chunk=$value"
    done
    refuses 2 'multiple of 4K' --chunk 65K
    for value in 0 1 129 x; do refuses 2 '--depth.*2 to 128' --depth "$value"; done
    refuses 2 'direct maybe: give auto, on or off' --direct maybe
    for value in 9999 x 1-0 0,,1 ','; do refuses '1 2' 'cpu' --ldm-cpus "$value"; done
    refuses '1 2' 'cpu' --hub-cpu x
    # The environment is held to the same.
    PENSTOCK_LDMS=abc refuses 2 'PENSTOCK_LDMS'
    PENSTOCK_DEPTH=1000 refuses 2 'PENSTOCK_DEPTH'
}

# The ends of each range of --help: whatever comes of it, the process does not crash.
extremes() {
    local option least most value tsan count=0
    while read -r option least most; do
        [ "$option" != --ldms ] || continue
        for value in "$least" "$most"; do
            tsan=${TSAN_OPTIONS-}
            # on a slow machine that gives up on a thread, which then is left behind
            [ "$option" != --start-limit ] || tsan="$tsan report_thread_leaks=0"
            expect_exit '0 1 2' env TSAN_OPTIONS="$tsan" "$penstock" backup --source synthetic:rows=1 --to "$disk/extreme" "$option" "$value"
            count=$((count + 1))
        done
    done < <("$penstock" backup --help | sed -En '/^  (--[a-z-]+) .*/{s//\1/;h}; /.*\(from ([^ ]+) to ([^ ;]+);.*/{s//\1 \2/;H;g;s/\n/ /p}')
    [ "$count" -ge 24 ] || fail "$count ends of ranges in --help"
    expect_exit 0 "$penstock" backup --source synthetic:rows=1 --to "$disk/extreme" --stall-limit 100ms --stall-warning 1d
    rm -r "$disk/extreme"
    refuses 2 '256 LDMs with [0-9]+ MiB of buffers each would take more than .*fewer --ldms' --ldms 256 --chunk 16M --depth 128
}

words() {
    expect_exit 2 "$penstock"
    expect_message 'no command is given; .*--help'
    expect_exit 2 "$penstock" bakcup
    expect_message 'unknown command "bakcup"; did you mean backup\?'
    expect_exit 2 "$penstock" xyzzy
    expect_message 'unknown command "xyzzy".*--help'
    expect_exit 2 "$penstock" --frobnicate
    expect_message 'unknown option "--frobnicate"'
    refuses 2 '--ldm=2|--ldm|did you mean --ldms' --lmds 2
    refuses 2 'did you mean --single-threaded' --single-thread
    refuses 2 'frobnicate' --frobnicate
    refuses 2 '-x' -x
    refuses 2 '--json' --json=maybe
    refuses 2 'unexpected|takes no|argument' stray
    refuses 2 '--ldms' --ldms
    refuses 2 '--ldms' --ldms 1 --ldms 2
    expect_exit 2 "$penstock" backup --to "$disk/to"
    expect_message '--source'
    expect_exit 2 "$penstock" backup --source "dir:$source_tree"
    expect_message '--to'
    expect_exit 2 "$penstock" verify
    expect_message '--from'
    expect_exit 2 "$penstock" restore --from "$disk"
    expect_message '--target'
    expect_exit 2 "$penstock" list --from ''
    expect_message '--from'
    expect_exit 2 "$penstock" verify --from "$disk" 1 2
}

configurations() {
    local ini=$memory/a.ini text bytes
    text=$(printf '[backup]\nsource = dir:%s\nto = %s' "$source_tree" "$disk/to")
    printf '%s\0more\n' "$text" >"$ini"
    expect_exit 2 "$penstock" backup --config "$ini"
    expect_message "$ini: it is not text: it has a byte 0"
    expect_exit 2 "$penstock" backup --config "$disk"
    expect_message "$disk: Is a directory"
    head -c 1100000 /dev/zero | tr '\0' '#' >"$ini"
    expect_exit 2 "$penstock" backup --config "$ini"
    expect_message "$ini: File too large"
    expect_absent "$disk/to"
    # Of a pipe, and as editors of other systems write it.
    expect_exit 0 "$penstock" backup --config <(echo "$text")
    for bytes in UTF-16 UTF-32; do
        echo "$text" | iconv -t "$bytes" >"$ini"
        expect_exit 0 "$penstock" backup --config "$ini"
    done
    { printf '\xef\xbb\xbf' && echo "$text"; } | sed 's/$/\r/' >"$ini"
    expect_exit 0 "$penstock" backup --config "$ini"
    rm -r "$disk/to"
}

sources() {
    local spec
    for spec in plain '' : dir: nothing:x =dir:/ "bad name=dir:$source_tree" ..=dir:/tmp synthetic: \
        synthetic:rows synthetic:rows=-1 synthetic:rows=1,rows=2 synthetic:rows=1,colour=red \
        synthetic:rows=99999999999999999999,row-bytes=9; do
        expect_exit 2 "$penstock" backup --source "$spec" --to "$disk/to"
        expect_message 'source'
        expect_absent "$disk/to"
    done
    # Whatever cannot be made for a node is named.
    expect_exit 1 "$penstock" node --cluster "bad-$$" --id 1 --socket "$memory/bad" --fabric-dir "$memory/fabric" --source synthetic:rows=1 --to "$disk/none/1"
    expect_message "$disk/none/1: cannot be made: No such file" 'node 1 cannot start: No such file or directory; the error before this one says what failed'
    expect_exit 1 "$penstock" backup --source "dir:$disk/missing" --to "$disk/to"
    expect_message "$disk/missing.*No such file"
    expect_absent "$disk/to"
    expect_exit '1 2' "$penstock" backup --source dir:/dev/null --to "$disk/to"
    expect_message '/dev/null'
    expect_absent "$disk/to"
    local many=() i
    for i in {1..300}; do many+=(--source "s$i=synthetic:rows=1"); done
    expect_exit 2 "$penstock" backup "${many[@]}" --to "$disk/to"
    expect_message '--source'
    expect_absent "$disk/to"
}

unreadable_source() {
    mkdir "$memory/closed"
    chmod 700 "$memory" && chmod 755 "$memory"
    echo secret >"$memory/closed/file"
    echo secret >"$memory/closed-file"
    chmod 0 "$memory/closed" "$memory/closed-file"
    mkdir -m 777 "$memory/open"
    local name
    for name in closed closed-file closed/file; do
        expect_exit 1 as_ordinary_user "$penstock" backup --source "dir:$memory/$name" --to "$memory/open/to"
        expect_message "$memory/$name.*Permission denied"
        expect_absent "$memory/open/to"
    done
    chmod 700 "$memory/closed"
}

# The source itself is refused; what lies below it is left out of the backup.
target_inside_source() {
    ln -s "$source_tree" "$disk/alias"
    local before to
    before=$(names_below "$source_tree")
    for to in "$source_tree" "$disk/alias" "$source_tree/sub/.." "$source_tree/."; do
        expect_exit 2 "$penstock" backup --source "dir:$source_tree" --to "$to"
        expect_message 'is source tree itself.*choose'
        expect_exit 2 "$penstock" backup --source "dir:$disk/alias" --to "$to"
        expect_names "$source_tree" "$before"
    done
    mkdir -p "$source_tree/backups"
    ln -s "$source_tree/backups" "$disk/shortcut"
    local number=0
    for to in "$source_tree/backups" "$disk/shortcut" "$disk/alias/backups" "$source_tree/sub/../backups/."; do
        number=$((number + 1))
        expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$to"
        expect_message 'the backup directory in it is left out: "backups"'
        expect_exit 0 "$penstock" restore --from "$to" --target "$disk/of-inside"
        expect_absent "$disk/of-inside/backups/BACKUP-1"
        [ -d "$disk/of-inside/backups" ] || fail 'the backup directory itself is not in the backup'
        [ -d "$source_tree/backups/BACKUP-$number" ] || fail "no BACKUP-$number"
        rm -r "$disk/of-inside"
    done
    expect_exit 0 "$penstock" backup --source "dir:$disk/alias" --to "$source_tree/new"
    expect_exit 0 "$penstock" restore --from "$source_tree/new" --target "$disk/of-inside"
    expect_absent "$disk/of-inside/new/BACKUP-1"
    rm -r "$disk/of-inside" "$source_tree/new" "$source_tree/backups"
    if is_root && mkdir -p "$source_tree/backups/below" "$disk/bound" &&
        mount --bind "$source_tree/backups" "$disk/bound" 2>/dev/null; then
        mounted+=("$disk/bound")
        for to in "$disk/bound" "$disk/bound/below"; do
            expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$to"
            expect_message 'the backup directory in it is left out: "backups'
        done
        umount "$disk/bound"
        rm -r "$source_tree/backups"
    fi
    # Beside it is not inside it.
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$source_tree-beside"
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$source_tree/../up"
}

bad_targets() {
    echo file >"$disk/file"
    expect_exit 1 "$penstock" backup --source "dir:$source_tree" --to "$disk/file"
    expect_message "$disk/file.*directory"
    expect_exit 1 "$penstock" backup --source "dir:$source_tree" --to "$disk/file/below"
    expect_message "$disk/file"
    expect_exit 1 "$penstock" backup --source "dir:$source_tree" --to "$disk/missing/to"
    expect_message "$disk/missing.*(No such|parent)"
    expect_absent "$disk/missing"
    ln -s "$disk/missing" "$disk/dangling"
    expect_exit 1 "$penstock" backup --source "dir:$source_tree" --to "$disk/dangling"
    expect_absent "$disk/missing"
    expect_exit 1 "$penstock" backup --source "dir:$source_tree" --to "$disk/$(printf 'x%.0s' {1..300})"
    # tmpfs has O_DIRECT since Linux 6.6.
    expect_exit '0 1' "$penstock" backup --source "dir:$source_tree" --to "$memory/to" --direct on
    if [ "$status" -eq 1 ]; then
        expect_message 'O_DIRECT'
        expect_absent "$memory/to"
    fi
    mkdir -m 755 "$memory/not-yours"
    if is_root; then
        expect_exit 1 as_ordinary_user "$penstock" backup --source synthetic:rows=1 --to "$memory/not-yours"
        expect_message "$memory/not-yours.*Permission denied"
        expect_exit 1 as_ordinary_user "$penstock" backup --source synthetic:rows=1 --to "$memory/not-yours/to"
        expect_message "$memory/not-yours/to.*Permission denied"
        expect_names "$memory/not-yours" ''
    fi
}

same_number_twice() {
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/numbers" --number 3
    local before
    before=$(names_below "$disk/numbers")
    expect_exit 1 "$penstock" backup --source "dir:$source_tree" --to "$disk/numbers" --number 3
    expect_message 'a backup of that number exists|BACKUP-3'
    expect_names "$disk/numbers" "$before"
    expect_exit 0 "$penstock" verify --from "$disk/numbers" 3
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/numbers"
    expect_output '^backup 4 is complete'
    # Numbers below are free, and the highest has no next.
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/numbers" --number 1
    expect_exit 2 "$penstock" backup --source "dir:$source_tree" --to "$disk/numbers" --number 4294967295
    expect_message '--number: 4294967295 is out of range; give a whole number from 1 to 4000000000'
    mkdir "$disk/numbers/BACKUP-4294967295" "$disk/numbers/BACKUP-4294967294"
    touch "$disk/numbers/BACKUP-4294967295/mine" "$disk/numbers/BACKUP-4294967294/mine"
    expect_exit 1 "$penstock" backup --source "dir:$source_tree" --to "$disk/numbers"
    expect_message 'the highest backup number there is, is taken; give --number, such as --number 5,'
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/numbers" --number 5
    mkdir -p "$disk/alone/BACKUP-4294967295"
    touch "$disk/alone/BACKUP-4294967295/mine"
    expect_exit 1 "$penstock" backup --source "dir:$source_tree" --to "$disk/alone"
    expect_message 'such as --number 1,'
    # One request does not use the numbers up.
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/far" --number 4000000000
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/far"
    expect_output '^backup 4000000001 is complete'
}

# What others keep in the directory stays as it is.
foreign_files() {
    mkdir -p "$disk/shared/BACKUP-5/BACKUP-5-PART-1-OF-1" "$disk/shared/BACKUP-x"
    echo mine >"$disk/shared/notes"
    echo mine >"$disk/shared/BACKUP-6"
    echo mine >"$disk/shared/BACKUP-5/notes"
    echo mine >"$disk/shared/BACKUP-5/BACKUP-5-PART-1-OF-1/BACKUP-5.1.data"
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/shared"
    [ "$(cat "$disk/shared/notes" "$disk/shared/BACKUP-6" "$disk/shared/BACKUP-5/notes" \
        "$disk/shared/BACKUP-5/BACKUP-5-PART-1-OF-1/BACKUP-5.1.data" | sort -u)" = mine ] ||
        fail 'a file of others is gone'
    expect_exit 0 "$penstock" verify --from "$disk/shared"
}

# limited FLAG VALUE COMMAND…: under a limit of the shell's ulimit.
limited() {
    (
        ulimit -c 0 "$1" "$2"
        unset ASAN_OPTIONS # LeakSanitizer would wait for ever for a report that it has no descriptor for
        shift 2
        "$@"
    )
}

limits() {
    expect_exit 1 limited -f 1000 "$penstock" backup --source synthetic:rows=20000 --to "$disk/limited"
    expect_message "$disk/limited: no backup was made: .*File too large; raise .*ulimit -f"
    expect_absent "$disk/limited"
    expect_exit 0 "$penstock" backup --source synthetic:rows=20000 --to "$disk/limited"
    expect_exit 1 limited -f 1000 "$penstock" restore --from "$disk/limited" --target "$disk/limited-target"
    expect_message 'rows: File too large'
    expect_absent "$disk/limited-target"
    local files
    for files in 6 8 10 12 14 16 18 20; do
        expect_exit '0 1' limited -n "$files" "$penstock" backup --source synthetic:rows=1 --to "$disk/files" --ldms 2
        if [ "$status" -eq 1 ]; then
            expect_message 'Too many open files; raise .*ulimit -n'
            expect_absent "$disk/files"
        else
            rm -r "$disk/files"
        fi
    done
}

# Taken away while it is written to: exit 1, no crash, and no wait.
vanishing_target() {
    "$penstock" backup --source synthetic:rows=400000 --to "$memory/vanishing" >/dev/null 2>"$memory/err" &
    local child=$!
    until compgen -G "$memory/vanishing/BACKUP-1/*/*.data" >/dev/null; do
        kill -0 "$child" || fail 'the backup ended early'
    done
    kill -STOP "$child"
    rm -r "$memory/vanishing"
    kill -CONT "$child"
    status=0
    wait "$child" || status=$?
    [ "$status" -eq 1 ] || fail "exit $status, not 1"
    expect_message 'vanishing: no backup was made: .*No such file or directory'
    expect_absent "$memory/vanishing"
}

two_at_once() {
    "$penstock" backup --source synthetic:rows=2000000 --to "$memory/busy" --depth 2 >/dev/null 2>&1 &
    local child=$!
    until compgen -G "$memory/busy/BACKUP-1/*/*.data" >/dev/null; do
        kill -0 "$child" || fail 'the first backup ended early'
        sleep 0.01
    done
    kill -STOP "$child"
    expect_exit 11 "$penstock" backup --source synthetic:rows=1 --to "$memory/busy"
    expect_message 'another process is backing up into it; wait' 'another backup is running'
    # It stands still, but it is not given up.
    expect_exit 0 "$penstock" list --from "$memory/busy"
    expect_output '^ +1 +running +it is being written now'
    expect_exit 10 "$penstock" verify --from "$memory/busy"
    expect_exit 0 "$penstock" show --from "$memory/busy" 1
    expect_output '^backup 1: running: it is being written now'
    if command -v jq >/dev/null; then
        expect_exit 0 "$penstock" list --from "$memory/busy" --json
        expect_json '.[0].state == "incomplete" and .[0].running'
    fi
    mkdir "$disk/given-up"
    cp -a "$memory/busy/." "$disk/given-up"
    expect_exit 0 "$penstock" list --from "$disk/given-up"
    expect_output '^ +1 +incomplete +.*never completed'
    kill -CONT "$child"
    kill -TERM "$child"
    wait "$child" || true
    expect_exit 0 "$penstock" backup --source synthetic:rows=1 --to "$memory/busy"
}

make_small_tree "$source_tree"
numbers
extremes
words
configurations
sources
unreadable_source
target_inside_source
bad_targets
same_number_twice
foreign_files
limits
vanishing_target
two_at_once
