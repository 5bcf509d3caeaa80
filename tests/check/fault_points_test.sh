#!/bin/bash
# Only the test build has fault points: neither the program nor the library knows anything of them.
#   fault_points_test.sh BUILD_FOLDER PENSTOCK_FAULTS
set -euo pipefail

has_points() {
    nm "$1" | grep pst_fault_point >/dev/null || grep PENSTOCK_FAULTS "$1" >/dev/null
}

has_points "$2" || { echo "$2 has no fault points"; exit 1; }
for program in "$1"/bin/penstock "$1"/lib/libpenstock.so "$1"/lib/libpenstock.a; do
    test -s "$program"
    ! has_points "$program" || { echo "$program has fault points"; exit 1; }
done
