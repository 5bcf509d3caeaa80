#!/bin/bash
# shm_eal_test.sh PROGRAM: reserves a few hugepages for the time of the test.
set -euo pipefail

if [ "$(id -u)" -ne 0 ]; then
    echo 'skipped: only root can reserve hugepages'
    exit 77
fi
# shellcheck source=../../hugepages.sh disable=SC1091
source "$(dirname "${BASH_SOURCE[0]}")/../../hugepages.sh"
trap put_back_hugepages EXIT
reserve_hugepages 32
"$1"
