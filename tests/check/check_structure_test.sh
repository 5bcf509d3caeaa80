#!/bin/bash
# Every rule of scripts/check-structure can fail: a sound tree passes, then each breach alone is found.
set -euo pipefail

check=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../scripts/check-structure")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0
format=$(dirname "$check")/../.clang-format

write() { # path, lines; a .c file gets its sign
    mkdir -p "tree/$(dirname "$1")"
    case $1 in
    *.c) printf '%s\n' '/* A file. */' "${@:2}" >"tree/$1" ;;
    *) printf '%s\n' "${@:2}" >"tree/$1" ;;
    esac
}

sound_tree() {
    rm -rf tree
    mkdir tree
    cp "$format" tree/.clang-format
    write engine/base/a.h '#ifndef A_H' '#define A_H' '#endif'
    write engine/include/penstock/p.h '#include "penstock/q.h"'
    write engine/include/penstock/q.h ''
    write engine/base/e.c '#include "penstock/p.h"'
    write engine/protocol/signal.h '#include "engine/base/a.h"'
    write net/n.c '#include <rte_ring.h>' '' '#include "engine/protocol/signal.h"'
    write io/i.c '#include <liburing.h>'
    write numa/m.c '#include <numa.h>' '#include <numaif.h>'
    write engine/format/f.c '#include <xxhash.h>'
    write engine/cli/c.c '#include "engine/base/a.h"'
    write tests/t.c '#include <liburing.h>' '' '#include "engine/base/a.h"'
    write scripts/s '#!/bin/bash' 'set -euo pipefail' 'true'
    chmod +x tree/scripts/s
}

archive_of() { # C source
    echo "$1" >protocol.c
    cc -c protocol.c -o protocol.o
    rm -f libpst_protocol.a
    ar rcs libpst_protocol.a protocol.o
}

pure='#include <assert.h>
#include <string.h>
int other(int);
int other(int x) { assert(x); return x; }
int step(void *a, void *b, unsigned long n) { memmove(a, b, n); return other(memcmp(a, b, n)); }'

run_check() {
    "$check" --archive libpst_protocol.a --compile-commands commands.json tree >output 2>&1
}

expect_breach() { # what it is, part of the message
    if run_check; then
        echo "FAILED: $1: not found"
        failures=$((failures + 1))
    elif [ "$(grep -c -- "$2" output)" -ne 1 ] || ! grep -q '^check-structure: 1 breaches' output; then
        echo "FAILED: $1: expected one breach, with \"$2\", got:"
        cat output
        failures=$((failures + 1))
    else
        echo "found: $1"
    fi
    sound_tree
    archive_of "$pure"
    echo '[]' >commands.json
}

sound_tree
archive_of "$pure"
echo '[]' >commands.json
run_check || { echo "FAILED: a sound tree is refused:"; cat output; exit 1; }

write engine/protocol/p.c '#include "io/i.h"'
write io/i.h ''
expect_breach 'engine/protocol includes io/' 'engine/protocol may not include io/i.h'
write io/up.c '#include "engine/node/n.h"'
write engine/node/n.h ''
expect_breach 'io/ includes engine/node/' 'io may not include engine/node/n.h'
write net/more.c '#include "engine/protocol/step.h"'
write engine/protocol/step.h ''
expect_breach 'net/ includes more of the protocol than signals' 'net may not include engine/protocol/step.h'
write net/more.c '#include "net/shm/x.h"'
write net/shm/x.h ''
expect_breach 'net/ includes a fabric' 'net may not include net/shm/x.h'
write engine/source/s.c '#include "engine/source/dir/d.h"'
write engine/source/dir/d.h ''
expect_breach 'what all sources share includes one' 'engine/source may not include engine/source/dir/d.h'
write bench/b.c '#include "engine/node/n.h"' '#include "net/shm/y.h"'
write engine/node/n.h ''
write net/shm/y.h ''
run_check || { echo "FAILED: a bench that includes a room of the engine is refused"; cat output; failures=$((failures + 1)); }
write engine/include/penstock/p.h '#include "engine/base/a.h"'
expect_breach 'a public header includes the engine' 'engine/include/penstock may not include engine/base/a.h'
write engine/cli/d.c '#include "io/i.h"'
write io/i.h ''
expect_breach 'engine/cli includes io/' 'engine/cli may not include io/i.h'
for room in engine/node engine/pipeline engine/restore engine/source engine/format; do
    write engine/cli/d.c "#include \"$room/h.h\""
    write "$room/h.h" ''
    expect_breach "engine/cli includes $room/" "engine/cli may not include $room/h.h"
done
write engine/new/new.c '#include "engine/base/a.h"'
expect_breach 'a folder that is in no table' 'does not know the folder engine/new'
write engine/base/b.c '#include "a.h"'
expect_breach 'an include beside the file' 'is not a path from the root'
for header in rte_ring.h liburing.h liburing/io_uring.h numa.h numaif.h xxhash.h xxh_x86dispatch.h lmdb.h jansson.h ini_configobj.h; do
    write engine/node/x.c "#include <$header>"
    expect_breach "<$header> elsewhere" "<$header> belongs to"
done

archive_of 'int puts(const char *); int step(void); int step(void) { return puts("x"); }'
expect_breach 'the protocol prints' 'calls puts'
archive_of 'void *malloc(unsigned long); void *step(void); void *step(void) { return malloc(1); }'
expect_breach 'the protocol allocates' 'calls malloc'

mapfile -t body < <(yes '    x++;' | head -n 69)
write engine/base/long.c 'int f(int x)' '{' "${body[@]:2}" '    return x;' '}'
run_check || { echo "FAILED: a function of 70 lines is refused"; cat output; failures=$((failures + 1)); }
write engine/base/long.c 'int f(int x)' '{' "${body[@]:1}" '    return x;' '}'
expect_breach 'a function of 71 lines' 'long.c:3: a function of 71 lines'

mapfile -t body < <(yes 'int x;' | head -n 510)
write engine/protocol/bare.c "${body[@]}"
expect_breach 'a protocol without assertions' '0 assertions in'
mapfile -t asserted < <(yes '_Static_assert(1, "");' | head -n 18)
write engine/protocol/bare.c "${body[@]}" "${asserted[@]}"
run_check || { echo "FAILED: a protocol with 3 assertions for each 100 lines is refused"; cat output; failures=$((failures + 1)); }
write engine/protocol/bare.c "${body[@]}" "${asserted[@]:4}"
expect_breach 'a protocol with fewer assertions' '14 assertions in'

for word in 'TO''DO' 'FIX''ME' 'X''XX'; do
    write docs/d.md "a $word b"
    expect_breach "$word" "docs/d.md:1:$word"
done
write docs/d.md 'see /ho''me/someone/file'
expect_breach 'a path of a machine' "somebody's machine"

write engine/node/x.c '#include "engine/repository/layout.h"'
write engine/repository/layout.h ''
expect_breach "the repository's names elsewhere" 'layout.h is private to engine/repository'
write engine/repository/m2.c 'const char *a = "BACKUP-%u";'
run_check || { echo "FAILED: the repository's own names are refused"; cat output; failures=$((failures + 1)); }
write engine/restore/m3.c 'const char *a = "BACKUP-%u";'
expect_breach 'a name in the backup directory elsewhere' 'a name in the backup directory'
for name in '%u.manifest' '%u.mark' '%u.manifest.tmp' '.BACKUP-%u'; do
    write engine/restore/m3.c "const char *a = \"$name\";"
    expect_breach "$name elsewhere" 'a name in the backup directory'
done

mapfile -t body < <(yes 'int x;' | head -n 599)
write engine/base/much.c "${body[@]}"
run_check || { echo "FAILED: a file of 600 lines is refused"; cat output; failures=$((failures + 1)); }
write engine/base/much.c "${body[@]}" 'int y;'
expect_breach 'a file of 601 lines' 'much.c: 601 lines'
write engine/format/a.h '#ifndef F_H' '#define F_H' '#endif'
expect_breach 'a name that another file has' 'has the name of engine/base/a.h'
write engine/base/b.c 'struct s {' '    int x;' '};'
write io/j.c 'struct s {' '    int y;' '};'
expect_breach 'a tag of two folders' 'struct s is also one of engine/base'
write engine/base/b.c 'struct s {' '    int x;' '};'
write bench/j.c 'struct s {' '    int y;' '};'
write engine/include/penstock/a.h ''
run_check || { echo "FAILED: a tag of the bench, or a public header's name, is refused"; cat output; failures=$((failures + 1)); }
sound_tree
printf 'int x;\n' >tree/engine/base/b.c
expect_breach 'a file without a sign' 'does not begin with a comment'
printf '/*\n%s */\nint x;\n' "$(yes ' * more' | head -n 7)"$'\n' >tree/engine/base/b.c
expect_breach 'a sign of seven lines' '7 lines: 6 are the limit'
write engine/base/b.c '#include "engine/base/a.h"' '' '#include <stdio.h>'
expect_breach 'a standard header after one of the project' 'b.c:4: includes stand in the order'
write engine/source/lmdb/b.c '#include <lmdb.h>' '' '#include <stdio.h>'
expect_breach 'a standard header after an outside one' 'b.c:4: includes stand in the order'
write engine/base/b.h ''
write engine/base/b.c '#include <stdio.h>' '' '#include "engine/base/b.h"'
expect_breach "a file's own header after a standard one" 'b.c:4: includes stand in the order'
write engine/base/b.c 'int f(int *p)' '{' '    if (p == NULL)' '        return 1;' '    return 0;' '}'
expect_breach 'a pointer compared with NULL' 'asked as p or !p'
write engine/base/b.c 'int f(int error)' '{' '    return error < 0;' '}'
expect_breach 'an error compared with 0' 'an error is 0 or negative'
write engine/base/b.c 'int f(void)' '{' '    const int x = 1;' '    return x;' '}'
expect_breach 'a const scalar' 'carries no const'
write engine/base/b.c 'int f(int state)' '{' '    return state >= OPEN;' '}'
expect_breach 'an order of states' 'have no order'
for call in 'chmod("x", 0)' 'chown("x", 0, 0)' 'lchown("x", 0, 0)' 'fchmodat(1, "x", 0, 0)' 'utimes("x", 0)' \
    'lutimes("x", 0)' 'futimesat(1, "x", 0)' 'fchownat(1, "x", 0, 0, 0)' 'utimensat(1, "x", 0, 0)'; do
    write io/b.c "int f(void)" '{' "    return $call;" '}'
    expect_breach "$call" 'b.c:4:.*use io/inode.h'
done
write io/inode.c 'int f(void)' '{' '    return chmod("/proc/self/fd/1", 0);' '}'
write io/b.c '/* as chown(2) does */' 'int f(void)' '{' '    return fchmod(1, 0) + fchownat(1, "", 0, 0, 0) + utimensat(1, "", 0, 0);' '}'
run_check || { echo "FAILED: a descriptor's mode is refused"; cat output; failures=$((failures + 1)); }
write engine/base/h.h 'struct s {' '    uint32_t x;' '};'
expect_breach 'a header that needs another before it' 'h.h: does not compile alone'
write engine/base/b.c 'int  x;'
expect_breach 'an unformatted file' 'run clang-format'

write engine/cli/p.c $'static void p(const char *name)\n{\n    printf("%s", name);\n}'
expect_breach 'a command prints a name as it is' 'p.c:4:printf(: print by engine/cli/print.h'
write engine/base/b.c '#define NDEBUG'
expect_breach 'NDEBUG in a source' 'assertions stay on'
write CMakeLists.txt 'add_compile_definitions(-DNDEBUG)'
expect_breach 'NDEBUG in the build' 'assertions stay on'
echo '[{"command": "cc -DNDEBUG"}]' >commands.json
expect_breach 'NDEBUG in a command line' 'assertions stay on'

# shellcheck disable=SC2016
write scripts/s '#!/bin/bash' 'set -euo pipefail' 'echo $1'
chmod +x tree/scripts/s
expect_breach 'a script that shellcheck blames' 'SC2086'
write scripts/s '#!/bin/bash' 'true'
chmod +x tree/scripts/s
expect_breach 'a script that goes on after errors' 'lacks set -euo pipefail'
chmod -x tree/scripts/s
expect_breach 'a script that cannot be run' 'is not executable'

[ "$failures" -eq 0 ]
