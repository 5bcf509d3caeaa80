# shellcheck shell=bash
# Shared by the integration tests, which source it:
#
#   <name>_test.sh PENSTOCK FOLDER
#
# PENSTOCK is the binary, FOLDER lies on a disk and is where the test may make a scratch folder.
# Sets $penstock, $disk (scratch on a disk) and $memory (scratch on tmpfs); both go at the end.
set -euo pipefail

test_name=$(basename "$0" .sh)
: "${2:?usage: $test_name.sh PENSTOCK FOLDER}"
mkdir -p "$2"
disk=$(mktemp -d "$2/$test_name.XXXXXX")
memory=$(mktemp -d "/dev/shm/penstock-$test_name.XXXXXX")
chmod 755 "$disk" "$memory"
# What sanitizers report (but UBSan, on stderr), wherever a process has its stderr; none of it is expected.
reports=$memory/reports
mkdir -m 1777 "$reports"
for name in ASAN_OPTIONS TSAN_OPTIONS; do export "$name=${!name-}:log_path=$reports/report"; done
mounted=()

# A test that takes longer hangs: says what each program of it waits for, and ends them all. Programs are
# known by the environment that they were started with, and this shell by its number.
hang_s=600
say_where_it_hangs() {
    local process thread never
    unset ASAN_OPTIONS TSAN_OPTIONS # by which it would be one of them
    exec {never}<> <(:)
    read -r -t "$hang_s" -u "$never" || true
    echo "FAILED: $test_name hangs: it has run for $hang_s s"
    for process in $$ $(programs); do
        echo "process $process: $(tr '\0' ' ' <"/proc/$process/cmdline")"
        for thread in "/proc/$process/task"/*; do
            (cd "$thread" && tail -n 20 comm wchan syscall stack)
        done
        [ "$process" = $$ ] || gdb -p "$process" -batch -ex 'thread apply all bt' 2>&1 | tail -n 200
    done || true
    programs | xargs kill -KILL || true # the shell, if it waits for one, says which command that was
    read -r -t 2 -u "$never" || true
    kill -KILL $$
    programs | xargs kill -KILL
    rm -rf "$disk" "$memory"
}
programs() {
    grep -ls -- "$reports" /proc/[0-9]*/environ | cut -d/ -f3
}

leave() { # [COMMAND]: run once nothing runs any more
    local folder child reported
    kill -KILL "$watcher" 2>/dev/null || true
    # What still runs would go on writing into what is removed.
    for child in $(jobs -p); do kill -KILL "$child" 2>/dev/null || true; done
    wait
    for folder in "${mounted[@]}"; do umount -l "$folder" 2>/dev/null || true; done
    "$@"
    chmod -R u+rwX "$disk" "$memory" 2>/dev/null || true
    reported=$(cat "$reports"/* 2>/dev/null) || true
    rm -rf "$disk" "$memory"
    [ -z "$reported" ] || { echo "FAILED: a sanitizer reports: $reported" >&2; exit 1; }
}
watcher=$({ [ -n "${PENSTOCK_FULL:-}" ] || say_where_it_hangs; } >&2 & echo $!)
trap leave EXIT

# A copy that every user may run, wherever the build lies, with its module beside it as in the build.
penstock=$memory/usr/bin/penstock
install -D -m 755 "$1" "$penstock"
build=$(realpath "$(dirname "$1")/..")
module=$(find "$build"/lib* -name net.so)
install -D -m 644 "$module" "$memory/usr/${module#"$build/"}"

export LC_ALL=C TZ=UTC
# shellcheck disable=SC2034 # used by the tests
is_full=${PENSTOCK_FULL:-}
unset "${!PENSTOCK_@}" 2>/dev/null || true
export PENSTOCK_START_LIMIT=2m # what a busy host and a sanitizer make of a thread's start is no fault
export PENSTOCK_TRUST_AFTER=2s # the files of tests are young, and but for those of mapped_test no program maps them

fail() {
    echo "FAILED: $*" >&2
    if [ -s "$memory/err" ]; then sed 's/^/  stderr: /' "$memory/err" | head -n 20 >&2; fi
    if [ -s "$memory/out" ]; then sed 's/^/  stdout: /' "$memory/out" | head -n 20 >&2; fi
    exit 1
}

# The same, with the logs of what runs beside the test.
fail_with_logs() {
    tail -n 20 "$memory"/*.log >&2 2>/dev/null || true
    fail "$*"
}

# wait_until COMMAND…: it succeeds, within two minutes and more where the host is slow or stands still: which is no
# fault of anybody's.
wait_until() {
    for _ in {1..2400}; do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.05
    done
    fail_with_logs "not within two minutes: $*"
}

skip() {
    echo "skipped: $*"
    exit 77
}

# expect_exit CODES COMMAND…: runs it; stdout in $memory/out, stderr in $memory/err, exit code in
# $status. CODES: the ones that will do, such as "0 3".
expect_exit() {
    local codes=$1
    shift
    status=0
    "$@" >"$memory/out" 2>"$memory/err" </dev/null || status=$?
    [[ " $codes " == *" $status "* ]] || fail "$* : exit $status, not $codes"
}

# flip FILE OFFSET: changes one bit, whatever the byte was.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N1 "$1")
    # shellcheck disable=SC2059 # an octal escape
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$1" conv=notrunc bs=1 seek="$2" status=none
}

# expect_message PATTERN…: each extended regular expression is found in the last stderr.
expect_message() {
    local pattern
    for pattern; do
        grep -Eq -- "$pattern" "$memory/err" || fail "no message like: $pattern"
    done
}

# expect_output PATTERN…: the same of the last stdout.
expect_output() {
    local pattern
    for pattern; do
        grep -Eq -- "$pattern" "$memory/out" || fail "no output like: $pattern"
    done
}

# expect_described FILE: each line is a record that docs/json.md describes, and as it does.
expect_described() {
    local folder wrong
    folder=$(dirname "${BASH_SOURCE[0]}")
    wrong=$(jq -r --rawfile doc "$folder/../../docs/json.md" -f "$folder/json_schema.jq" "$1") || fail "no JSON in $1"
    [ -z "$wrong" ] || fail "not as docs/json.md has it: $(head -n 5 <<<"$wrong")"
}

# expect_json FILTER: each line of the last stdout is one JSON value, and the list of them all
# passes the jq filter; docs/json.md describes them.
expect_json() {
    [ "$(jq -c . "$memory/out" 2>/dev/null | wc -l)" = "$(wc -l <"$memory/out")" ] ||
        fail "not one JSON value on each line"
    expect_described "$memory/out"
    jq -es "$1" "$memory/out" >/dev/null || fail "not so in the JSON: $1"
}

# expect_absent PATH…: nothing of that name, not even a dangling link.
expect_absent() {
    local path
    for path; do
        if [ -e "$path" ] || [ -L "$path" ]; then fail "left behind: $path"; fi
    done
}

# All names below a folder, sorted.
names_below() {
    (cd "$1" && find . -mindepth 1 -print0 | sort -z | tr '\0' '\n')
}

# make_too_deep FOLDER: in it, directories too deep for one path, which a backup can only warn of. $deep is
# the first.
make_too_deep() {
    local name
    name=$(printf 'd%.0s' {1..200})
    # shellcheck disable=SC2034 # of whoever calls
    deep=$1/$name
    (cd "$1" && for _ in {1..24}; do mkdir "$name" && cd "$name"; done)
}

# expect_names FOLDER NAMES: what is below it is what names_below said earlier.
expect_names() {
    local now
    now=$(names_below "$1")
    [ "$now" = "$2" ] || fail "$1 was to hold [$2] and holds [$now]"
}

# Every object: name, type, mode, owner, mtime, link target, number of links; of what is no
# directory the size too. --no-owners leaves the owners out.
listing() {
    local owners='%U:%G'
    [ "${2:-}" != --no-owners ] || owners='-'
    (
        cd "$1"
        find . -type d -printf "%p|%y|%m|$owners|%T@\\0" \
            -o -printf "%p|%y|%m|$owners|%T@|%s|%n|%l\\0" | sort -z | tr '\0\n' '\n?'
    )
}

# For each file with several names: its names but the first, each with the first.
hard_links() {
    local -A first=()
    local inode name
    while IFS=' ' read -r -d '' inode name; do
        if [ -n "${first[$inode]+set}" ]; then
            printf '%q = %q\n' "$name" "${first[$inode]}"
        else
            first[$inode]=$name
        fi
    done < <(cd "$1" && find . ! -type d -links +1 -printf '%p %i\0' | sort -z |
        while IFS= read -r -d '' line; do printf '%s %s\0' "${line##* }" "${line% *}"; done)
}

# compare_trees A B [--no-owners]: same objects, metadata, contents, hard links; no holes filled.
compare_trees() {
    diff <(listing "$1" "${3:-}") <(listing "$2" "${3:-}") >&2 || fail "$2 is listed unlike $1"
    diff <(hard_links "$1") <(hard_links "$2") >&2 || fail "$2 has other hard links than $1"
    diff -r --no-dereference "$1" "$2" >&2 || fail "$2 has other contents than $1"
    compare_blocks "$1" "$2"
}

# No file takes more than 256 KiB more than its original: holes are holes still.
compare_blocks() {
    local sizes name
    while IFS= read -r -d '' name; do
        mapfile -t sizes < <(stat -c %b "$1/$name" "$2/$name")
        [ "${sizes[1]}" -le $((sizes[0] + 512)) ] ||
            fail "$2/$name takes ${sizes[1]} blocks, its original ${sizes[0]}"
    done < <(cd "$1" && find . -type f -size +1024k -print0)
}

# Bytes that no two calls with other seeds share, as fast as a disk.
random_bytes() { # COUNT
    head -c "$1" /dev/urandom
}

# make_tree DIRECTORY FILES LARGE: a new directory of so many files of 20 KB, and one of LARGE MiB.
make_tree() {
    mkdir "$1"
    local i
    for ((i = 1; i <= $2; i++)); do random_bytes 20000 >"$1/$i"; done
    random_bytes $(($3 << 20)) >"$1/large"
}

# A small tree that shows whether a restore is right.
make_small_tree() {
    mkdir -p "$1/sub/deeper"
    printf 'hello\n' >"$1/hello"
    : >"$1/empty"
    random_bytes 300000 >"$1/sub/random"
    ln -s ../hello "$1/sub/deeper/link"
    ln "$1/hello" "$1/sub/hello-again"
    touch -d '2001-02-03 04:05:06.123456789' "$1/hello"
    chmod 640 "$1/sub/random"
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# Runs a command as a user without rights: by setpriv for root, else as who we are.
as_ordinary_user() {
    if is_root; then
        setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
    else
        "$@"
    fi
}
