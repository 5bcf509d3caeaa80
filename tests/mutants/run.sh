#!/bin/bash
# run.sh check|run SOURCE [NAME]: the mutants of the lists beside it: one line of the product, made
# wrong. `check`: each is of exactly one line of SOURCE. `run` puts one after the other into a copy
# of SOURCE, in SOURCE/build/mutants, builds it, and runs the tests meant for it: a mutant that they
# pass has survived. NAME: a regular expression for "FILE: NAME" of those to be run. How a list is
# written: docs/testing.md.
set -euo pipefail
what=$1 source=$(realpath "$2") only=${3:-}
lists=$(dirname "$(realpath "$0")")
work=$source/build/mutants
tree=$work/tree build=$work/build

# The mutants of all lists, one a line: name, file, tests, anchor, old, new, why it survives.
read_lists() {
    awk -v FS='\n' -v OFS='\t' '
        function wrong(text) { printf "%s:%d: %s\n", FILENAME, FNR, text >"/dev/stderr"; status = 1; exit }
        function bare(text) { sub(/^ */, "", text); return text }
        function end() {
            if (name == "") return
            if (!has_old || !has_new || file == "" || tests == "") wrong("before it: \"" name "\" is not whole")
            print name, file, tests, anchor, old, new, reason
            name = anchor = old = new = reason = ""; has_old = has_new = 0
        }
        FNR == 1 { end(); file = tests = "" }
        /\t/ { wrong("a tab") }
        /^#/ { next }
        /^$/ { end(); next }
        /^file / { file = substr($0, 6); next }
        /^tests / { tests = substr($0, 7); next }
        /^@ / { anchor = substr($0, 3); next }
        /^- / { old = bare(substr($0, 3)); has_old = 1; next }
        /^\+ / { new = bare(substr($0, 3)); has_new = 1; next }
        /^survives: / { reason = substr($0, 11); next }
        { if (name != "") wrong("neither name, file, tests, @, -, + nor survives:"); name = $0 }
        END { if (!status) end(); exit status }
    ' "$lists"/*.list
}

# mutate FILE ANCHOR OLD NEW: prints FILE with OLD made NEW: in the one line that has OLD, or in the
# first from the one line on that has ANCHOR.
mutate() {
    ANCHOR=$2 OLD=$3 NEW=$4 awk '
        BEGIN { anchor = ENVIRON["ANCHOR"]; old = ENVIRON["OLD"]; is_open = anchor == "" }
        anchor != "" && index($0, anchor) { anchors++; is_open = 1 }
        is_open && (anchor == "" || !hits) && (at = index($0, old)) {
            hits++
            $0 = substr($0, 1, at - 1) ENVIRON["NEW"] substr($0, at + length(old))
        }
        { print }
        END { exit hits == 1 && (anchor == "" || anchors == 1) ? 0 : 3 }
    ' "$1"
}

check() {
    local name file tests anchor old new reason failed=0 count=0 names=''
    while IFS=$'\x1f' read -r name file tests anchor old new reason; do
        count=$((count + 1))
        names+=$name$'\n'
        [ -f "$source/$file" ] || { echo "$name: $file is not there"; failed=1; continue; }
        mutate "$source/$file" "$anchor" "$old" "$new" >/dev/null ||
            { echo "$name: not one line of $file, but none or several: $old"; failed=1; }
        : "$tests$reason"
    done < <(read_lists | tr '\t' '\037')
    [ -z "$(sort <<<"$names" | uniq -d)" ] || { echo "mutants of one name: $(sort <<<"$names" | uniq -d)"; failed=1; }
    echo "$count mutants"
    [ "$failed" -eq 0 ] && [ "$count" -ge 100 ]
}

# Only files that differ are copied: what was built of the others is kept.
copy_tree() {
    mkdir -p "$tree"
    (cd "$source" && find . \( -path ./build -o -path ./.git \) -prune -o -type f -print0) |
        while IFS= read -r -d '' path; do
            cmp -s "$source/$path" "$tree/$path" || { mkdir -p "$tree/${path%/*}" && cp "$source/$path" "$tree/$path"; }
        done
    (cd "$tree" && find . -type f -print0) |
        while IFS= read -r -d '' path; do
            [ -e "$source/$path" ] || rm "$tree/$path"
        done
}

# Warnings are no errors here: a mutant may leave something unused.
configure() {
    local launcher=''
    command -v ccache >/dev/null && launcher=ccache
    cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER_LAUNCHER="$launcher" \
        -Wno-dev --log-level=ERROR >/dev/null
}

# The programs that the tests of a regular expression run, as targets.
targets_of() {
    ctest --test-dir "$build" --show-only=json-v1 -LE '^full$' -R "$1" | jq -r '.tests[].command[]?' | sort -u |
        sed -n "s|^$build/||p" | while read -r path; do
            if ninja -C "$build" -t query "$path" >/dev/null 2>&1; then echo "$path"; fi
        done
}

build_for() {
    # shellcheck disable=SC2046 # one word for each target
    ninja -C "$build" -j2 $(targets_of "$1") >"$work/build.log" 2>&1
}

# run_tests TESTS SECONDS: what takes longer hangs. A test's own limit can be an hour, and ctest's
# option is not for those.
run_tests() {
    timeout --kill-after 10 "$2" ctest --test-dir "$build" -LE '^full$' -R "$1" --stop-on-failure -j2 --no-tests=error \
        >"$work/tests.log" 2>&1
}

# The tests pass without a mutant: else what kills one would mean nothing. Sets limit_s of each
# expression for tests.
declare -A limit_s
prove_tests() {
    local tests began
    # ctest knows the command of a test only when its program is there
    ninja -C "$build" -j2 >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log"; exit 1; }
    while read -r tests; do
        build_for "$tests" || { tail -n 30 "$work/build.log"; exit 1; }
        began=$SECONDS
        run_tests "$tests" 600 || run_tests "$tests" 600 || { tail -n 30 "$work/tests.log"; exit 1; }
        limit_s[$tests]=$((5 * (SECONDS - began) + 20))
    done < <(chosen | cut -f3 | sort -u)
}

# Those whose "FILE: NAME" the regular expression matches.
chosen() {
    ONLY=$only awk -F '\t' '($2 ": " $1) ~ ENVIRON["ONLY"]' < <(read_lists)
}

# Sets verdict. The original is back afterwards.
try() {
    local file=$1 tests=$2 anchor=$3 old=$4 new=$5
    mutate "$source/$file" "$anchor" "$old" "$new" >"$tree/$file" || { verdict='not of one line'; return; }
    if ! build_for "$tests"; then
        verdict='does not build'
    elif run_tests "$tests" "${limit_s[$tests]}"; then
        verdict=SURVIVED
    else
        verdict=killed
    fi
    cp "$source/$file" "$tree/$file"
}

run() {
    local name file tests anchor old new reason killed=0 survived=0 explained=0 broken=0
    copy_tree
    configure
    prove_tests
    while IFS=$'\x1f' read -r name file tests anchor old new reason; do
        try "$file" "$tests" "$anchor" "$old" "$new"
        case $verdict in
        killed) killed=$((killed + 1)) ;;
        SURVIVED)
            survived=$((survived + 1))
            [ -z "$reason" ] || { explained=$((explained + 1)); verdict="survived: $reason"; }
            ;;
        *) broken=$((broken + 1)) ;;
        esac
        echo "$file: $name: $verdict"
    done < <(chosen | tr '\t' '\037')
    local all=$((killed + survived + broken))
    echo "$all mutants: $killed killed, $survived survived, of these $explained explained; $broken broken"
    [ "$broken" -eq 0 ] && [ "$survived" -eq "$explained" ] && [ $((killed * 100)) -ge $((all * 95)) ]
}

case $what in
check) check ;;
run) run ;;
*) echo 'usage: run.sh check|run SOURCE [NAME]' >&2; exit 2 ;;
esac
