#!/bin/bash
# What a node says in metrics: promtool finds nothing to complain of, the numbers are those of the backups
# that were made, and a Prometheus that scrapes the node has them too.
#
#   metrics_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
command -v promtool >/dev/null || fail 'promtool is missing: run scripts/install-deps test'

make_tree "$disk/tree" 10 1
loopback=127.$((64 + $$ / 256 % 64)).$(($$ % 256)).1 # no other process of the suite has it
"$penstock" node --cluster "metrics-$$" --id 1 --nodes 1-2 --socket "$memory/1.socket" --ldms 2 --to "$disk/to" \
    --source "dir:$disk/tree" --fabric-dir "$memory/fabric" \
    --metrics "$loopback:9420" 2>>"$memory/1.log" &
wait_until sees_live 1 1

# read_metrics FILE: the metrics, in both formats, of which promtool checks the one that it reads.
read_metrics() {
    expect_exit 0 "$penstock" metrics --node "$memory/1.socket" --format prometheus
    promtool check metrics <"$memory/out" >"$memory/complaints" 2>&1 || fail "promtool: $(cat "$memory/complaints")"
    [ ! -s "$memory/complaints" ] || fail "promtool: $(cat "$memory/complaints")"
    expect_exit 0 "$penstock" metrics --node "$memory/1.socket"
    [ "$(tail -n 1 "$memory/out")" = '# EOF' ] || fail 'OpenMetrics end in EOF'
    cp "$memory/out" "$1"
}

# value FILE NAME [LABELS]: of the one sample whose labels have these after cluster and node.
value() {
    awk -v name="$2{cluster=\"metrics-$$\",node=\"1\"${3:+,}${3:-}}" '$1 == name { print $2; n++ } END { exit n != 1 }' "$1" ||
        fail "not one $2{${3:-}}"
}

expect_value() { # WANTED FILE NAME [LABELS]
    local found
    found=$(value "${@:2}")
    [ "$found" = "$1" ] || fail "$3{${4:-}} is $found, not $1"
}

a_new_node_has_made_nothing() {
    read_metrics "$memory/new"
    expect_value 0 "$memory/new" penstock_backups_total 'outcome="complete"'
    expect_value 1 "$memory/new" penstock_peer_state 'peer="2",state="missing"'
    ! grep -q last_success "$memory/new" || fail 'a success before the first backup'
}

a_success_shows() {
    expect_exit 3 "$penstock" backup --node "$memory/1.socket" --allow-missing
    read_metrics "$memory/success"
    expect_value 1 "$memory/success" penstock_backups_total 'outcome="partial"'
    expect_value $((200000 + (1 << 20))) "$memory/success" penstock_backup_source_bytes_total
    expect_value 1 "$memory/success" penstock_backup_last_success_number
    local ended now
    ended=$(value "$memory/success" penstock_backup_last_success_timestamp_seconds)
    now=$(date +%s)
    [ $((now - ${ended%.*})) -lt 600 ] || fail "the success of now is of $ended"
}

a_failure_takes_no_success_away() {
    mv "$disk/tree" "$disk/elsewhere"
    expect_exit 1 "$penstock" backup --node "$memory/1.socket" --allow-missing
    mv "$disk/elsewhere" "$disk/tree"
    read_metrics "$memory/failure"
    expect_value 1 "$memory/failure" penstock_backups_total 'outcome="aborted"'
    expect_value 2 "$memory/failure" penstock_backup_last_failure_error_code # ENOENT
    expect_value 1 "$memory/failure" penstock_backups_total 'outcome="partial"'
    expect_value 1 "$memory/failure" penstock_backup_last_success_number
}

counters_never_go_back() {
    local name before
    while read -r name before; do
        after=$(awk -v name="$name" '$1 == name { print $2 }' "$memory/failure")
        awk -v a="$before" -v b="$after" 'BEGIN { exit !(b >= a) }' || fail "$name went from $before to $after"
    done < <(grep -E '^[a-z_]+_total\{' "$memory/success")
}

# request PORT HEADER…: the answer to what these lines ask for, its head and its body.
request() {
    local port=$1
    shift
    exec 3<>"/dev/tcp/$loopback/$port"
    { printf '%s\r\n' "$@" "Host: $loopback" 'Connection: close' && printf '\r\n'; } >&3
    timeout 120 cat <&3 >"$memory/out" || fail "no answer to $1"
    exec 3<&- 3>&-
    tr -d '\r' <"$memory/out" >"$memory/answer"
}

expect_answer() { # LINE…: each is one of the answer
    local line
    for line; do
        grep -qxF -- "$line" "$memory/answer" || fail "not in the answer: $line"
    done
}

http_answers() {
    request 9420 'GET /metrics HTTP/1.1' 'Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5'
    expect_answer 'HTTP/1.1 200 OK' 'Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8' '# EOF' \
        "penstock_backups_total{cluster=\"metrics-$$\",node=\"1\",outcome=\"partial\"} 1"
    request 9420 'GET /metrics HTTP/1.1'
    expect_answer 'HTTP/1.1 200 OK' 'Content-Type: text/plain; version=0.0.4; charset=utf-8' '# TYPE penstock_backups_total counter'
    sed '1,/^$/d' "$memory/answer" | promtool check metrics >"$memory/complaints" 2>&1 || fail "promtool: $(cat "$memory/complaints")"
    request 9420 'GET / HTTP/1.1'
    expect_answer 'HTTP/1.1 404 Not Found'
    request 9420 'DELETE /metrics HTTP/1.1'
    expect_answer 'HTTP/1.1 405 Method Not Allowed'
    request 9420 'POST /metrics HTTP/1.1' 'Content-Length: 0'
    expect_answer 'HTTP/1.1 405 Method Not Allowed'
}

query() { # PROMQL: the value of the one series
    promtool query instant "http://$loopback:9090" "$1" 2>/dev/null | sed -n 's/.* => \([^ ]*\) @.*/\1/p'
}

has_value() { # WANTED PROMQL
    [ "$(query "$2")" = "$1" ]
}

prometheus_scrapes() {
    cat >"$memory/prometheus.yml" <<END
global: {scrape_interval: 200ms, scrape_timeout: 200ms}
scrape_configs: [{job_name: penstock, static_configs: [{targets: ["$loopback:9420"]}]}]
END
    promtool check config "$memory/prometheus.yml" >"$memory/out" 2>&1 || fail 'the configuration is wrong'
    prometheus --config.file="$memory/prometheus.yml" --storage.tsdb.path="$disk/tsdb" \
        --web.listen-address="$loopback:9090" 2>"$memory/prometheus.log" &
    wait_until has_value 1 'up{job="penstock"}'
    wait_until has_value 1 'penstock_backups_total{outcome="aborted"}'
    wait_until has_value $((200000 + (1 << 20))) penstock_backup_source_bytes_total
    ! grep -E 'level=(warn|error)' "$memory/prometheus.log" || fail 'Prometheus complains'
}

# All that is asked for in the rules and the dashboard is printed, and all that is printed is described.
names_are_the_same_everywhere() {
    local docs name
    docs=$(dirname "${BASH_SOURCE[0]}")/../../../docs
    grep -oE '^penstock_[a-z_]+' "$memory/failure" | sort -u >"$memory/printed"
    while read -r name; do
        grep -qx "$name" "$memory/printed" || fail "docs/metrics asks for $name, which no node prints"
    done < <(grep -ohE 'penstock_[a-z_]+' "$docs/metrics/alerts.yml" "$docs/metrics/dashboard.json" | sort -u | grep -v '^penstock_run_')
    while read -r name; do
        grep -qF "\`$name\`" "$docs/metrics.md" || fail "docs/metrics.md lacks $name"
    done <"$memory/printed"
}

# Each question of the dashboard is one that Prometheus understands.
the_dashboard_asks_well() {
    local docs expression asked=0
    docs=$(dirname "${BASH_SOURCE[0]}")/../../../docs
    while read -r expression; do
        expression=${expression//\$cluster/.*}
        promtool query instant "http://$loopback:9090" "${expression//\$__rate_interval/5m}" >"$memory/out" 2>&1 || fail "the dashboard asks: $expression"
        asked=$((asked + 1))
    done < <(jq -r '.panels[].targets[].expr' "$docs/metrics/dashboard.json")
    [ "$asked" -ge 10 ] || fail "the dashboard asks $asked questions"
}

loopback_unless_told() {
    expect_exit 2 "$penstock" node --cluster c --id 1 --socket "$memory/2.socket" --to "$disk/to" --source "dir:$disk/tree" --metrics localhost:80 --check-config
    expect_message '--metrics localhost:80: give PORT or ADDRESS:PORT'
    expect_exit 11 "$penstock" node --cluster c --id 1 --socket "$memory/2.socket" --to "$disk/to2" --source "dir:$disk/tree" --metrics "$loopback:9420"
    expect_message "--metrics $loopback:9420: .*in use"
}

# A port that the kernel chose is in the log alone.
the_log_has_the_port() {
    local log=$memory/zero.log url node
    "$penstock" node --cluster "zero-$$" --fabric-dir "$memory/zero" --id 1 --socket "$memory/zero.socket" --to "$disk/to0" \
        --source "dir:$disk/tree" --metrics 0 2>"$log" &
    node=$!
    wait_until grep -q 'metrics are served at' "$log"
    url=$(sed -n 's|.*metrics are served at http://127\.0\.0\.1:\([1-9][0-9]*\)/metrics$|\1|p' "$log")
    [ -n "$url" ] || fail "no port in: $(cat "$log")"
    exec 3<>"/dev/tcp/127.0.0.1/$url"
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
    grep -q "^penstock_build_info{cluster=\"zero-$$\"" <&3 || fail "nothing is served at port $url"
    exec 3>&-
    kill -TERM "$node"
    wait "$node"
}

a_new_node_has_made_nothing
a_success_shows
a_failure_takes_no_success_away
counters_never_go_back
names_are_the_same_everywhere
http_answers
prometheus_scrapes
the_dashboard_asks_well
loopback_unless_told
the_log_has_the_port
expect_exit 2 "$penstock" metrics --node "$memory/1.socket" --format json
expect_exit 1 "$penstock" metrics --node "$memory/none"
