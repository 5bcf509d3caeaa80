#!/bin/bash
# The closing lines of scripts/test: sums, what failed, and a skip or an empty run is never a success.
set -euo pipefail

sum=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../scripts/sum-tests")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

suite() { # file, tests, failures, disabled, skipped
    printf '<?xml version="1.0"?>\n<testsuite name="x"\n\ttests="%s"\n\tfailures="%s"\n\tdisabled="%s"\n\tskipped="%s"\n\t>\n\t<testcase name="tests=&quot;9&quot;"/>\n</testsuite>\n' "${@:2}" >"$1"
}

expect() { # status, line, arguments
    local status=0 line
    line=$("$sum" "${@:3}") || status=$?
    [ "$status" = "$1" ] && [ "$line" = "$2" ] && return
    echo "sum-tests ${*:3}: expected \"$2\" and $1, got \"$line\" and $status"
    exit 1
}

suite good 7 0 0 0
suite mixed 10 2 1 3
suite skips 4 0 0 4
suite empty 0 0 0 0
suite unstarted 3 0 0 2
sed -i 's|<testcase.*|&\n<skipped message="Unable to find executable: a"/>|' unstarted
expect 0 '7 passed, 0 failed, 0 skipped' good
expect 0 '7 passed, 0 failed, 4 skipped' good skips
expect 1 '11 passed, 2 failed, 4 skipped' good mixed
expect 1 '0 passed, 0 failed, 4 skipped' skips
expect 1 '0 passed, 0 failed, 0 skipped' empty
expect 1 '0 passed, 0 failed, 0 skipped'
expect 1 '7 passed, 1 failed, 0 skipped' --failed 1 good
expect 1 '8 passed, 1 failed, 1 skipped' good unstarted
expect 0 '14 passed, 0 failed, 0 skipped' --failed 0 good good

# How a failed test's output ended is told before that line, and what says FAILED in it, wherever it does.
cat >CTestTestfile.cmake <<'EOF'
add_test(good "sh" "-c" "echo FAILED: not this one")
add_test(bad "sh" "-c" "echo 'FAILED: & <b> \"c\" &lt;'; seq -f 'line %g.' 50; echo FAILED: last; exit 1")
add_test(missing "/nonexistent/program")
EOF
ctest --output-junit "$PWD/told" >/dev/null 2>&1 && exit 1
"$sum" told >said && exit 1
sed -i 's/after [0-9.e-]* s$/after a while/' said
diff - said <<EOF
== told: bad failed after a while
  FAILED: & <b> "c" &lt;
$(seq -f '  line %g.' 12 50)
  FAILED: last
== told: missing failed after a while
  Unable to find executable: /nonexistent/program
== told: bad failed after a while
== told: missing failed after a while
1 passed, 2 failed, 0 skipped
EOF
