#!/bin/bash
# shm_eal_test.sh PROGRAM: reserves a few hugepages for the time of the test.
set -euo pipefail

pages=/proc/sys/vm/nr_hugepages
wanted=32
if [ "$(id -u)" -ne 0 ]; then
    echo 'skipped: only root can reserve hugepages'
    exit 77
fi
before=$(cat "$pages")
trap 'echo "$before" >"$pages"' EXIT
echo $((before + wanted)) >"$pages"
now=$(cat "$pages")
if [ "$now" -lt $((before + wanted)) ]; then
    echo "skipped: of $wanted hugepages the kernel gives $((now - before))"
    exit 77
fi
"$1"
