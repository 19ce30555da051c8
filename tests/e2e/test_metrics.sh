# Metrics and health: every counter of every worker is there from the start, a mail counts, promtool
# and a real Prometheus accept what is said, and the dashboard's and the alerts' queries find it.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
METRICS_PORT=$(free_port)
write_policy <<JSON
  "metrics": { "listen": "127.0.0.1:$METRICS_PORT" },
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "sink" }'),
    "inbound": { "listen": ["127.0.0.1:$IN_PORT"], "domains": ["example.ch"], "workers": 2,
                 "rules": [ { "name": "all", "route": "sink" } ] } }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT" "$IN_PORT"
URL=http://127.0.0.1:$METRICS_PORT

# asked WANTED PATH [curl option…]: the status of the answer.
asked()
{
    local wanted=$1 path=$2
    shift 2
    equal "status of $path" "$wanted" "$(curl -s -o "$WORK/body" -w '%{http_code}' "$@" "$URL$path")"
}
ready()
{
    curl -sf "$URL/readyz" >/dev/null
}
must "it gets ready" wait_for 10 ready
asked 200 /healthz
asked 200 /readyz --head
asked 404 /
asked 404 /metrics/x
asked 405 /metrics -d x=1
asked 405 /metrics -X DELETE
head -c 100000 /dev/zero | tr '\0' a >"$WORK/long"
must_not "no answer to what is too long" curl -s -f -o /dev/null "$URL/$(head -c 60000 "$WORK/long")"
asked 200 /metrics
must "Prometheus' own check" promtool check metrics <"$WORK/body"

mapfile -t counters < <(sed -n 's/^COUNTER(\([a-z_]*\), \([a-z]*\),.*/\1 \2/p' "$ROOT/engine/counters/counters.def")
((${#counters[@]} > 30)) || fail "counters.def has counters"
for counter in "${counters[@]}"; do
    read -r name kind <<<"$counter"
    name=mgid_${name/_microseconds/_seconds}
    [ "$kind" != counter ] || name=${name}_total
    for labels in 'flow="outbound",worker="0"' 'flow="inbound",worker="0"' 'flow="inbound",worker="1"'; do
        must "$name is there" grep -q "^$name{$labels} [0-9.]*\$" "$WORK/body"
    done
done

for name in $(sed -n 's/^HISTOGRAM(\([a-z_]*\),.*/\1/p' "$ROOT/engine/counters/histograms.def"); do
    must "$name is there" grep -q "^mgid_${name}_bucket{flow=\"inbound\",worker=\"1\",le=\"+Inf\"} 0\$" "$WORK/body"
done

send_mail boss@example.ch hans@example.org test || fail "a mail is taken"
must "it arrives" wait_for 10 sink_has sink hans@example.org
counted()
{
    curl -s "$URL/metrics" >"$WORK/body"
    grep -q '^mgid_delivery_seconds_count{flow="outbound",worker="0"} 1$' "$WORK/body" &&
        grep -q '^mgid_mail_bytes_bucket{flow="outbound",worker="0",le="2048"} 1$' "$WORK/body" &&
        grep -q '^mgid_commit_seconds_count{flow="outbound",worker="0"} 1$' "$WORK/body" &&
        grep -q '^mgid_mails_accepted_total{flow="outbound",worker="0"} 1$' "$WORK/body" &&
        grep -q '^mgid_deliveries_ok_total{flow="outbound",worker="0"} 1$' "$WORK/body"
}
must "it counts" wait_for 5 counted

# Many at once, and those that say nothing, keep nobody from asking again.
cat >"$WORK/crowd.py" <<'CROWD'
import socket, sys
crowd = [socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) for _ in range(40)]
for s in crowd[:10]:
    s.sendall(b"\xff\xfe\r\n\r\n")
for s in crowd:
    s.close()
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
assert b"200 OK" in s.makefile("rb").read()
CROWD
must "a crowd passes" python3 "$WORK/crowd.py" "$METRICS_PORT"

# Control starts again and gets the socket again.
kill -KILL "$(role_pids control)"
must "a new control serves" wait_for 10 ready

# A real Prometheus, with our rules; the dashboard is what its generator makes.
RULES=$ROOT/deploy/prometheus/mgid.rules.yml
for alert in $(sed -n 's/^ *- alert: //p' "$RULES"); do
    must "the run-book tells of $alert" grep -q "^## $alert\$" "$ROOT/deploy/RUNBOOK.md"
done
must "the rules are sound" promtool check rules "$RULES"
cp "$ROOT/deploy/grafana/make.py" "$WORK/"
must "the dashboard is made" python3 "$WORK/make.py"
must "it is the one that is there" cmp "$WORK/mgid.json" "$ROOT/deploy/grafana/mgid.json"
PROMETHEUS_PORT=$(free_port)
cat >"$WORK/prometheus.yml" <<YML
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [ "$RULES" ]
scrape_configs:
  - job_name: mgid
    static_configs: [ { targets: [ "127.0.0.1:$METRICS_PORT" ] } ]
YML
spawn prometheus prometheus --config.file="$WORK/prometheus.yml" --storage.tsdb.path="$WORK/tsdb" \
    --web.listen-address="127.0.0.1:$PROMETHEUS_PORT" --log.level=warn
cat >"$WORK/queries.py" <<'QUERIES'
import json, re, sys, time, urllib.parse, urllib.request
port, dashboard, rules = sys.argv[1:]


def ask(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def query(expression):
    return ask("query?query=" + urllib.parse.quote(expression))["result"]


for _ in range(150):
    try:
        if query("mgid_mails_accepted_total") and query("rate(mgid_mails_accepted_total[5m])"):
            break
    except OSError:
        pass
    time.sleep(0.1)
known = set(ask("label/__name__/values"))
expressions = [t["expr"] for panel in json.load(open(dashboard))["panels"] for t in panel["targets"]]
groups = ask("rules")["groups"]
alerts = groups[0]["rules"]
assert len(alerts) == open(rules).read().count("- alert:"), alerts
for expression in expressions + [rule["query"] for rule in alerts]:
    names = set(re.findall(r"\bmgid_[a-z_]+", expression))
    assert names <= known, (expression, names - known)
    query(expression)
for expression in expressions:
    assert query(expression) or "/" in expression or "quantile" in expression, f"finds nothing: {expression}"
assert all(rule["health"] != "err" for rule in alerts), alerts
QUERIES
must "dashboard and rules find their series" python3 "$WORK/queries.py" "$PROMETHEUS_PORT" \
    "$ROOT/deploy/grafana/mgid.json" "$RULES"
