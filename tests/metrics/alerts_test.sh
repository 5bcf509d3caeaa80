#!/bin/bash
# The alert rules of docs/metrics are ones that Prometheus takes, and fire when they are to.
#
#   alerts_test.sh FOLDER: for what it writes
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
rules=$(realpath "$here/../../docs/metrics/alerts.yml")
command -v promtool >/dev/null || { echo 'promtool is missing: run scripts/install-deps test'; exit 1; }
mkdir -p "$1"
sed "s|\[ALERTS\]|[$rules]|" "$here/alerts_test.yml" >"$1/alerts_test.yml"
promtool check rules "$rules"
promtool test rules "$1/alerts_test.yml"
# No rule without a case in which it fires.
while read -r name; do
    grep -A3 "alertname: $name\$" "$here/alerts_test.yml" | grep -q 'exp_labels:' || { echo "no test in which $name fires"; exit 1; }
done < <(sed -n 's/^ *- alert: //p' "$rules")
