# queue export and import: mails leave as files and come back with envelope, content and schedule;
# what is no mail, or was tampered with, is refused.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
DEAD=$(free_port)
RETRY_FIRST=10m RETRY_MAX=20m write_policy <<JSON
  "routes": { "dead": { "hosts": ["127.0.0.1:$DEAD"] }, "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow '{ "name": "tagged", "when": { "recipient": "*@tagged.example" }, "prefix_subject": "<im><c> ", "priority": "high", "route": "dead" }, { "name": "all", "route": "dead" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
ctl()
{
    "$MGICTL" --socket "$WORK/control" "$@"
}
must "mgictl reaches it" wait_for 5 ctl status
mails()
{
    ctl --json queue list "$@" >"$WORK/queue"
    json_lines "$WORK/queue" end=true --print mails
}
has()
{
    local n=$1
    shift
    [ "$(mails "$@")" = "$n" ]
}
python3 - "$E2E" "$OUT_PORT" <<'MAILS'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
for n, (to, body) in enumerate([
        (["small@example.org"], b"x\r\n"), (["large@example.org"], b"0123456789\xc3\xa9\r\n.dot\r\n" * 40000),
        (["a@example.org", "b@tagged.example"], b"..two dots\r\n")]):
    code, lines = s.content(f"from{n}@example.ch", to, b"Subject: x\r\n\r\n" + body)
    assert code == 250, lines
MAILS
must "three mails wait" wait_for 5 has 3 --reason refused
ctl queue hold --sender from0@example.ch >"$WORK/text"
mails >"$WORK/text"
cp "$WORK/queue" "$WORK/before"

mkdir "$WORK/out"
must "export" ctl queue export "$WORK/out" 2>"$WORK/text"
must "it says how many" grep -q '^3 mails exported' "$WORK/text"
equal "files" 3 "$(find "$WORK/out" -name '*.mail' | wc -l)"
must "as a stream" ctl queue export - >"$WORK/stream" 2>"$WORK/text"
equal "the same" "$(cat "$WORK"/out/*.mail | sha256sum)" "$(sha256sum <"$WORK/stream")"
must_not "nothing is written over" ctl queue export "$WORK/out" 2>"$WORK/text"
must "delete" ctl queue delete --all >"$WORK/text"
equal "gone" 0 "$(mails)"

must "import" ctl queue import "$WORK/stream" >"$WORK/text"
equal "all are back" 3 "$(mails)"
python3 - "$WORK/before" "$WORK/queue" <<'SAME'
import json, sys
def read(path):
    mails = [json.loads(line) for line in open(path)]
    mails = {m["sender"]: m for m in mails if m.get("type") == "mail"}
    for m in mails.values():
        del m["queue_id"]
        m.pop("flags", None)
        for r in m["recipients"]:
            r.pop("delay_reason", None)
    return mails
before, after = read(sys.argv[1]), read(sys.argv[2])
assert before == after, (before, after)
assert after["from0@example.ch"]["queue_name"] == "hold"
SAME
stop "$MGID_PID"
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
must "they were stored" wait_for 5 has 3

# ---- what must not come in
printf 'no mail\n' >"$WORK/bad"
must_not "no mail" ctl queue import "$WORK/bad" >"$WORK/text" 2>&1
for change in 's/"sender":"[^"]*"/"sender":"a b@c d"/' 's/"route":"dead"/"route":""/' 's/"flow":"outbound"/"flow":"inbound"/'; do
    head -n 1 "$WORK/stream" | sed "$change" >"$WORK/bad"
    must_not "$change" ctl queue import "$WORK/bad" >"$WORK/text" 2>&1
done
{ head -n 1 "$WORK/stream" | sed 's/"message_size":[0-9]*/"message_size":12/'; printf 'Bare: lf\n\nx\n\n'; } >"$WORK/bad"
must_not "lines without CRLF" ctl queue import "$WORK/bad" >"$WORK/text" 2>&1
must "it says why" grep -q CRLF "$WORK/text"
equal "nothing came of it" 3 "$(mails)"

# ---- and they can be delivered
must "redirect" ctl queue redirect --all --to sink >"$WORK/text"
must "release" wait_for 5 ctl queue release --all
must "they go out" wait_for 10 has 0
python3 - "$WORK" <<'CONTENT'
import glob, hashlib, json, sys
work = sys.argv[1]
wanted = {}
for path in glob.glob(work + "/out/*.mail"):
    line, rest = open(path, "rb").read().split(b"\n", 1)
    mail = json.loads(line)
    assert len(rest) == mail["message_size"] + 1, path
    wanted[mail["sender"]] = rest[:-1]
got = [json.loads(line) for line in open(work + "/sink.log")]
got = [m for m in got if m.get("event") == "mail"]
assert len(got) == 4, got
for m in got:
    content = open(m["file"], "rb").read()
    if m["recipients"] == ["b@tagged.example"]:
        assert b"Subject: <im><c> x\r\n" in content, content
        content = content.replace(b"Subject: <im><c> x", b"Subject: x")
    assert content == wanted[m["from"]], m
CONTENT
