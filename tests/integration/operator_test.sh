#!/bin/bash
# An operator without a plan: sources change, backups with all kinds of options are made, killed, pinned, pruned,
# copied and moved, in any order, by a seed. Whatever was reported as made, and was not pruned since, is restored as
# the source was then; what was killed is that or does not exist.
#
#   operator_test.sh PENSTOCK FOLDER [SEED [STEPS]]
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=lib.sh disable=SC2154
source "$here/lib.sh"
seed=${3:-1}
steps=${4:-$([ -n "$is_full" ] && echo 600 || echo 60)}
RANDOM=$seed

head -c 1000 /dev/zero | openssl enc -aes-128-ctr -nosalt -pass pass:1 >"$memory/bytes" 2>/dev/null || fail 'openssl enc does not work'
[ "$(stat -c %s "$memory/bytes")" = 1000 ] || fail 'openssl enc does not work'
tree=$disk/tree
home=$disk/home # where backups are made
away=$disk/away # where some of them are moved
mkdir "$tree" "$home" "$away" "$disk/was"
"$penstock" keygen "$memory/key" 2>/dev/null
"$penstock" keygen --pair "$memory/pair" >/dev/null
from=(--from "$home" --from "$away")
keys=(--key-file "$memory/key" --key-file "$memory/pair")
declare -A pinned
done_count=0 killed=0 adopted=0 pruned=0

log() { echo "$*" >>"$memory/history"; }
give_up() {
    tail -n 40 "$memory/history" >&2
    fail "seed $seed: $*"
}
chance() { ((RANDOM % 100 < $1)); }
# In a subshell, which a part of a pipeline is too, RANDOM would begin anew: what is drawn for one is drawn before it.
# One of them, in $picked.
pick() { # WORD…
    local words=("$@")
    picked=${words[RANDOM % ${#words[@]}]}
}
one_of() { awk -v n="$1" '{ all[NR] = $0 } END { if (NR) print all[n % NR + 1] }'; } # NUMBER: a line
pick_kept() { # in $number, or nothing
    local draw=$RANDOM
    number=$(kept | one_of "$draw")
}
bytes() { openssl enc -aes-128-ctr -nosalt -pass "pass:$salt" -in /dev/zero 2>/dev/null | head -c "$1" || true; }

# ---- the source ----

change() {
    local file size name=$tree/d$((RANDOM % 4))/f$((RANDOM % 30)) draw=$RANDOM at=$RANDOM
    salt=$RANDOM$RANDOM
    file=$(find "$tree" -type f | sort | one_of "$draw")
    mkdir -p "${name%/*}"
    pick new large append edit shrink rewrite same remove rename link sparse symlink touch swap
    case $picked in
    new) bytes $((RANDOM % 9000)) >"$name" ;;
    large) bytes $((1000000 + RANDOM * 50)) >"$tree/large$((RANDOM % 3))" ;;
    append) [ -z "$file" ] || bytes $((RANDOM % 70000)) >>"$file" ;;
    edit) # a block somewhere in it
        size=$([ -z "$file" ] || stat -c %s "$file")
        [ "${size:-0}" -lt 9000 ] ||
            bytes 4096 | dd of="$file" conv=notrunc bs=4096 seek=$((at % (size / 4096))) status=none
        ;;
    shrink) [ -z "$file" ] || truncate -s $(($(stat -c %s "$file") / 2)) "$file" ;;
    rewrite)
        size=$([ -z "$file" ] || stat -c %s "$file")
        [ -z "$file" ] || bytes "$size" >"$file"
        ;;
    same) # other bytes, of the same length and time
        if [ -n "$file" ]; then
            touch -r "$file" "$memory/stamp"
            bytes "$(stat -c %s "$file")" >"$memory/other"
            cat "$memory/other" >"$file"
            touch -r "$memory/stamp" "$file"
        fi
        ;;
    remove) [ -z "$file" ] || rm "$file" ;;
    rename) [ -z "$file" ] || mv "$file" "$name" 2>/dev/null || true ;;
    link) [ -z "$file" ] || ln -f "$file" "$tree/link$((RANDOM % 5))" 2>/dev/null || true ;;
    sparse) truncate -s $((RANDOM * 200)) "$name" && bytes 5000 | dd of="$name" conv=notrunc bs=1 seek=$((at * 9)) status=none ;;
    symlink) ln -sfn "d$((RANDOM % 4))/f$((RANDOM % 30))" "$tree/symlink$((RANDOM % 3))" ;;
    touch) [ -z "$file" ] || touch -d "@$((1500000000 + RANDOM))" "$file" ;;
    swap) # another file of the same name, length and time
        if [ -n "$file" ]; then
            bytes "$(stat -c %s "$file")" >"$tree/.swap"
            touch -r "$file" "$tree/.swap"
            mv "$tree/.swap" "$file"
        fi
        ;;
    esac
}

# Names, kinds, modes, sizes, times, targets and link counts of a tree, and its contents.
record_of() { # DIRECTORY
    (
        cd "$1" || exit
        find . -mindepth 1 -type d -printf '%P %m\n' -o -type l -printf '%P -> %l\n' -o -printf '%P %m %s %n %T@\n' | sort
        find . -type f -print0 | sort -z | xargs -0r sha256sum
    )
}

# ---- backups ----

uid_of() { # DIRECTORY NUMBER STATE: of the backup that is there, if it is in this state
    "$penstock" list --from "$1" "${keys[@]}" --json 2>/dev/null </dev/null |
        jq -r "select(.number == $2 and .state == \"$3\") | .uid // .backup_uid" | head -n 1
}
kept() { find "$disk/was" -name '*.uid' -printf '%f\n' | sed 's/\.uid$//' | sort -n; } # backups, by number
place_of() { [ -d "$home/BACKUP-$1" ] && echo "$home" || echo "$away"; }

back_up() { # KILL: kill it some time on the way
    local number options=() status=0
    next=$((next + 1))
    pick 1 2 3
    options+=(--number "$next" --ldms "$picked")
    pick 64K 256K
    options+=(--chunk "$picked")
    pick none none lz4 zstd auto
    options+=(--compress "$picked")
    if chance 85; then
        pick 0 0 4
        options+=(--base auto --full-every "$picked")
        chance 20 && options+=(--rehash)
    fi
    pick 20M 40M 80M
    [ "$1" = no ] || options+=(--pace "$picked")
    chance 20 && options+=(--verify)
    chance 20 && options+=(--single-threaded)
    case $seals in
    key) options+=(--key-file "$memory/key") ;;
    public) options+=(--recipient "$memory/pair.pub") ;;
    esac
    log "backup ${options[*]}"
    "$penstock" backup --source "data=dir:$tree" --to "$home" "${options[@]}" >"$memory/out" 2>"$memory/err" </dev/null &
    if [ "$1" = kill ]; then
        sleep "0.$((RANDOM % 2))$((RANDOM % 10))"
        kill -KILL $! 2>/dev/null || true
    fi
    { wait $!; } 2>/dev/null || status=$?
    number=$next
    if [ "$status" = 0 ]; then
        done_count=$((done_count + 1))
    elif [ "$status" = 137 ]; then
        killed=$((killed + 1))
        log "  killed"
        [ -n "$(uid_of "$home" "$number" complete)" ] || return 0
    else
        give_up "a backup ends with $status"
    fi
    if grep -q 'are whole in it' "$memory/err"; then adopted=$((adopted + 1)); fi
    record_of "$tree" >"$disk/was/$number.record"
    uid_of "$home" "$number" complete >"$disk/was/$number.uid"
    [ -s "$disk/was/$number.uid" ] || give_up "backup $number is not listed as complete"
}

check() { # NUMBER
    local uid
    uid=$(cat "$disk/was/$1.uid")
    rm -rf "$disk/back"
    "$penstock" restore --from "$(place_of "$1")" "${from[@]}" "${keys[@]}" --target "$disk/back" "$uid" \
        >"$memory/out" 2>"$memory/err" </dev/null || give_up "backup $1 is not restored: exit $?"
    record_of "$disk/back" >"$memory/record"
    diff "$disk/was/$1.record" "$memory/record" >"$memory/out" || give_up "backup $1 is restored as another one"
}

complete() { # backups, by number
    "$penstock" list "${from[@]}" "${keys[@]}" --json 2>/dev/null </dev/null | jq -r 'select(.state == "complete").number' | sort -n
}

# What a prune has left must be what it says that it keeps: those that are gone are no longer expected.
prune() {
    local number before after gone rule last=''
    before=$(kept)
    if chance 50; then
        rule=("--keep-last" "$((RANDOM % 6 + 2))")
        last=$(complete | tail -n "${rule[1]}")
    else
        rule=()
        for number in $before; do ((${#rule[@]})) || { chance 25 && rule=("$(cat "$disk/was/$number.uid")"); }; done
        ((${#rule[@]})) || return 0
    fi
    log "prune ${rule[*]}"
    if chance 20; then
        "$penstock" prune "${from[@]}" "${keys[@]}" "${rule[@]}" >"$memory/out" 2>"$memory/err" </dev/null &
        sleep "0.00$((RANDOM % 10))"
        kill -KILL $! 2>/dev/null || true
        { wait $!; } 2>/dev/null || true
        log '  killed, perhaps'
    else
        expect_exit '0 1' "$penstock" prune "${from[@]}" "${keys[@]}" "${rule[@]}"
    fi
    after=$(complete)
    gone=$(comm -23 <(sort <<<"$before") <(sort <<<"$after"))
    for number in $gone; do
        [ -z "${pinned[$number]:-}" ] || give_up "prune removed $number, which is pinned"
        ! grep -qx "$number" <<<"$last" || give_up "prune removed $number, which is of the last ${rule[1]}"
        [ "${rule[0]}" = --keep-last ] || [ "$(cat "$disk/was/$number.uid")" = "${rule[0]}" ] || give_up "prune removed $number too"
        rm "$disk/was/$number".*
        pruned=$((pruned + 1))
    done
}

pin() {
    local number
    pick_kept
    [ -n "$number" ] || return 0
    if [ -n "${pinned[$number]:-}" ]; then
        log "unpin $number"
        expect_exit 0 "$penstock" unpin "${from[@]}" "$(cat "$disk/was/$number.uid")"
        unset "pinned[$number]"
    else
        log "pin $number"
        expect_exit 0 "$penstock" pin "${from[@]}" "$(cat "$disk/was/$number.uid")"
        pinned[$number]=1
    fi
}

move() {
    local number
    pick_kept
    [ -n "$number" ] && [ -d "$home/BACKUP-$number" ] || return 0
    log "move $number"
    cp -a "$home/BACKUP-$number" "$away/"
    rm -rf "${home:?}/BACKUP-$number"
}

next=0
seals=no
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do change; done
for ((step = 1; step <= steps; step++)); do
    case $((RANDOM % 20)) in
    [0-6]) back_up no ;;
    [7-9])
        salt=$RANDOM
        bytes 4000000 >"$tree/large$((RANDOM % 3))"
        back_up kill
        ;;
    1[0-3]) for ((i = RANDOM % 6; i >= 0; i--)); do change; done ;;
    14) chance 50 && sleep 2.1 ;; # a base knows what is older as unchanged
    15) prune ;;
    16) pin ;;
    17) chance 40 && move ;;
    18)
        pick "$seals" no no key public # what was sealed and cut off is not referred to
        seals=$picked
        ;;
    19) pick_kept && [ -z "$number" ] || check "$number" ;;
    esac || true
done
for number in $(kept); do check "$number"; done
((steps < 60 || (done_count > 0 && killed > 0))) || give_up "$done_count backups made, $killed killed"
((steps < 60)) || [ "$(kept | wc -l)" -gt 0 ] || give_up 'no backup is left'
[ "$(kept | wc -l)" = 0 ] || expect_exit 0 "$penstock" verify "${from[@]}" "${keys[@]}"
echo "seed $seed: $steps steps, $done_count backups made, $killed killed, $adopted referred to what was cut off, $pruned pruned, $(kept | wc -l) restored"
