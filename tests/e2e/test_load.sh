# 50 sessions, 5,000 mails of 5 KB, from Postfix's generator to Postfix's sink: nothing is lost,
# nothing comes twice, nothing stays in the queue.
source "$(dirname "$0")/lib.sh"
e2e_begin
SINK_PORT=$(free_port)
mkdir -m 777 "$WORK/mails"
chmod 711 "$WORK"
user=()
[ "$(id -u)" != 0 ] || user=(-u nobody)
spawn sink "$TOOLS/bin/smtp-sink" "${user[@]}" -d "$WORK/mails/%M." "127.0.0.1:$SINK_PORT" 1000
must "smtp-sink starts" wait_for 10 answers 127.0.0.1 "$SINK_PORT"
WORKERS=2
simple_policy "$SINK_PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

arrived()
{
    find "$WORK/mails" -type f | wc -l
}
queue_empty()
{
    [ "$("$MGICTL" --socket "$WORK/control" --json queue list | grep -c '"queue_id"')" = 0 ]
}
before=$(arrived)
begun=$EPOCHREALTIME
must "smtp-source has all of its mails taken" \
    "$TOOLS/bin/smtp-source" -s 50 -m 5000 -l 5120 -f from@example.ch -t to@example.org "127.0.0.1:$OUT_PORT"
taken=$EPOCHREALTIME
must "the queue gets empty" wait_for 60 queue_empty
equal "mails at the sink" $((before + 5000)) "$(arrived)"
equal "mails logged as delivered" 5000 "$(json_lines "$WORK/mgid.log" event=delivered --count)"
equal "mails cut short" 0 "$(find "$WORK/mails" -type f -size -5120c -newer "$POLICY" | wc -l)"
python3 -c "print(f'{5000 / ($taken - $begun):.0f} mails/s until the last 250')"
