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

write io/more 'int pst_run_io(void); int pst_run_io(void) { return 1; }'
write engine/node/user 'int pst_run_io(void); int node_user(void); int node_user(void) { return pst_run_io(); }'
expect_breach 'a prefix of two folders' 'pst_run_ is the prefix of two folders'

rm -rf build/engine build/io
echo '[]' >build/compile_commands.json
if "$check" build tree >output 2>&1 || ! grep -q 'build first' output; then
    echo 'FAILED: a build without objects passes'
    failures=$((failures + 1))
fi

[ "$failures" -eq 0 ]
