#!/bin/bash
# Every rule of scripts/check-symbols can fail: sound objects pass, then each breach alone is found.
set -euo pipefail

check=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../scripts/check-symbols")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0

# A source of the tree, and its object where CMake would put it.
write() { # path without .c, C source
    local folder object
    folder=$(dirname "$1")
    object=$folder/CMakeFiles/pst.dir/$(basename "$1").c.o
    mkdir -p "tree/$folder" "build/$folder/CMakeFiles/pst.dir"
    echo "$2" >"tree/$1.c"
    cc -c "tree/$1.c" -o "build/$object"
    echo "  \"command\": \"cc -o $object -c tree/$1.c\"," >>build/compile_commands.json
}

sound() {
    rm -rf tree build
    mkdir -p tree/engine/api build
    echo '[' >build/compile_commands.json
    write engine/node/top 'int node_low(void); int pst_io(void); int main(void) { return node_low() + pst_io(); }'
    write engine/node/low 'int node_low(void); int node_low(void) { return 1; }'
    write io/file 'int pst_io(void); int pst_io(void) { return 2; }'
    write engine/api/run 'int pst_run(void); int pst_run(void) { return 3; }'
    printf 'PENSTOCK {\n  global:\n    pst_run;\n};\n' >tree/engine/api/penstock.map
}

expect_breach() { # what it is, part of the message
    if "$check" build tree >output 2>&1; then
        echo "FAILED: $1: not found"
        failures=$((failures + 1))
    elif ! grep -q -- "$2" output || ! grep -q '^check-symbols: 1 breaches' output; then
        echo "FAILED: $1: expected one breach, with \"$2\", got:"
        cat output
        failures=$((failures + 1))
    else
        echo "found: $1"
    fi
    sound
}

expect_sound() { # what it is
    "$check" build tree >output 2>&1 || {
        echo "FAILED: $1 is refused:"
        cat output
        failures=$((failures + 1))
    }
    sound
}

sound
"$check" build tree >output 2>&1 || { echo 'FAILED: sound objects are refused:'; cat output; exit 1; }

write engine/node/low 'int node_low(void); int node_back(void); int node_low(void) { return node_back(); }'
write engine/node/back 'int node_low(void); int node_back(void); int node_back(void) { return node_low(); }'
expect_breach 'two files call each other' 'engine/node/back.c -> engine/node/low.c'
write engine/node/a 'int node_a(void); int node_b(void); int node_a(void) { return node_b(); }'
write engine/node/b 'int node_b(void); int node_c(void); int node_b(void) { return node_c(); }'
write engine/node/c 'int node_c(void); int node_a(void); int node_c(void) { return node_a(); }'
expect_breach 'a circle of three' 'engine/node/c.c -> engine/node/a.c'

write engine/node/more 'int pst_mine(void); int pst_mine(void) { return 1; }'
expect_breach 'pst_ on what no other folder uses' 'pst_mine is used in its folder alone'
write io/more 'int io_more(void); int io_more(void) { return 1; }'
write engine/node/user 'int io_more(void); int node_user(void); int node_user(void) { return io_more(); }'
expect_breach 'no pst_ on what another folder uses' 'io_more is used outside its folder and lacks pst_'

write io/more 'int pst_tried(void); int pst_tried(void) { return 1; }'
write tests/unit/io/more_test 'int pst_tried(void); int main(void) { return pst_tried(); }'
expect_breach 'pst_ on what only the tests of the folder use' 'pst_tried is used in its folder alone'
write io/more 'int pst_shared(void); int io_tried(void); int pst_shared(void) { return 1; } int io_tried(void) { return 1; }'
write tests/unit/node/more_test 'int pst_shared(void); int io_tried(void); int main(void) { return pst_shared() + io_tried(); }'
expect_sound 'what the tests of another folder use, with pst_ or without'
write engine/node/x 'int node_twice(void); int node_y(void); int node_twice(void) { return node_y(); }'
write engine/node/y 'int node_twice(void); int node_y(void); int node_y(void) { return node_twice(); }'
write bench/z 'int node_twice(void); int node_twice(void) { return 1; }'
expect_sound 'a name that two define'
write engine/node/more 'int pst_io(void) __attribute__((weak)); int node_more(void); int node_more(void) { return pst_io(); }'
write io/more 'int node_more(void) __attribute__((weak)); int io_more(void); int io_more(void) { return node_more(); }'
expect_breach 'a weak call' 'node_more is used outside its folder and lacks pst_'
CHECK_SYMBOLS_DEFENDED='engine/node/low engine/node/back' expect_breach 'a defended circle that is none' 'which is no arrow any more'

write io/more 'int pst_run_io(void); int pst_run_io(void) { return 1; }'
write engine/node/user 'int pst_run_io(void); int node_user(void); int node_user(void) { return pst_run_io(); }'
expect_sound 'a prefix that a name of the library has, too'
write io/more 'int pst_run_io(void); int pst_run_io(void) { return 1; }'
write engine/api/more 'int pst_run_io(void); int pst_run_api(void); int pst_run_api(void) { return pst_run_io(); }'
write engine/node/user 'int pst_run_api(void); int node_user(void); int node_user(void) { return pst_run_api(); }'
expect_breach 'a prefix of two folders' 'pst_run_ is the prefix of two folders'

rm -rf build/engine build/io
echo '[]' >build/compile_commands.json
if "$check" build tree >output 2>&1 || ! grep -q 'build first' output; then
    echo 'FAILED: a build without objects passes'
    failures=$((failures + 1))
fi

[ "$failures" -eq 0 ]
