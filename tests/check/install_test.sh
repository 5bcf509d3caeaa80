#!/bin/bash
# What is installed runs from where it was installed.
#   install_test.sh BUILD_FOLDER
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$1" --prefix "$work" >/dev/null
"$work/bin/penstock" --help | grep '^Usage: penstock' >/dev/null
"$work/bin/penstock-bench" --help >/dev/null
"$work/sbin/penstock-setup-host" --dry-run >/dev/null
test -s "$work/share/doc/penstock/LICENSE"
test -s "$work/share/doc/penstock/docs/architecture.md"
