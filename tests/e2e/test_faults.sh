# A disk that fails in every way: errors on write, sync, creation, reading; no room, no inodes, no
# quota, read-only. What can't be stored is refused with 4xx and not delivered; what was accepted is
# delivered; and when the disk is well again, so is mgid, by itself. The disk is a file system of
# ours (tests/faults/faultfs.c) that does as it is told.
source "$(dirname "$0")/lib.sh"
FAULTFS=$BUILD/tests/faultfs
[ "$(id -u)" = 0 ] && [ -c /dev/fuse ] && [ -x "$FAULTFS" ] ||
    skip "needs root, /dev/fuse and libfuse3-dev for a file system of its own"
e2e_begin
trap unmount_and_judge EXIT
unmount_and_judge()
{
    local status=$?
    rm -f "$WORK/faults"
    stop_all
    umount -l "$WORK/disk" 2>/dev/null || : # it goes with its server, as a rule
    (exit "$status")
    e2e_judge
}
start_sink sink 127.0.0.1 --no-starttls
simple_policy "$SINK_PORT"
mkdir "$WORK/back" "$WORK/disk"
chmod 755 "$WORK"
sed -i "s,\"spool\": \"$WORK/spool\",\"spool\": \"$WORK/disk/spool\"," "$POLICY"
spawn faultfs "$FAULTFS" "$WORK/back" "$WORK/faults" "$WORK/disk"
must "the disk is mounted" wait_for 5 mountpoint -q "$WORK/disk"
must "mgid starts on it" start_mgid "$POLICY" "$OUT_PORT"

head -c 600000 /dev/zero | tr '\0' 'x' | fold -w 70 >"$WORK/large"
# mail NAME [small|large]: by swaks; its exit status.
mail()
{
    local body=()
    [ "${2:-small}" = small ] || body=(--body "@$WORK/large")
    send_mail from@example.ch "$1@example.org" "$1" --timeout 10 "${body[@]}"
}
# refused NAME SIZE FAULTS…: while the disk fails so, the mail gets 4xx; then the disk is well, and
# the next is taken, without a restart.
refused()
{
    local name=$1 size=$2
    shift 2
    printf '%s\n' "$*" >"$WORK/faults"
    must_not "a mail is taken though $*" mail "$name" "$size"
    must "the answer to $* is 4xx" grep -qE '^<\*\* +4[0-9][0-9] ' "$WORK/swaks.out"
    rm "$WORK/faults"
    wait_for 15 mail "after-$name" "$size" || fail "nothing is taken any more after $*"
    must "it arrives after $*" wait_for 15 sink_has sink "after-$name@example.org"
}
must "a mail is taken" mail first
must "it arrives" wait_for 10 sink_has sink first@example.org

# Errno of x86 and ARM: 5 EIO, 28 ENOSPC, 30 EROFS, 122 EDQUOT.
refused write-error small write=5
refused sync-error small sync=5
refused no-room small write=28 reserve=28
refused no-quota small write=122 reserve=122
refused read-only small all=30
refused large-write large write=5
refused large-sync large sync=5
refused no-inode large create=28
refused large-name large syncdir=5

# Below the watermark nothing is begun that could not be finished.
printf 'free=1000000\n' >"$WORK/faults"
low()
{
    ! mail low && grep -q '452' "$WORK/swaks.out"
}
must "452 before there is no room" wait_for 5 low
printf 'inodes=10\n' >"$WORK/faults"
must "452 before there are no inodes" wait_for 5 low
rm "$WORK/faults"
must "taken again" wait_for 5 mail room
must "arrives" wait_for 10 sink_has sink room@example.org

# What waits and can't be read for a while is not lost.
stop "$SINK_PID"
must "one that has to wait" mail waits large
must "it waits" wait_for 10 log_has event=deferred recipient=waits@example.org
printf 'read=5\n' >"$WORK/faults"
SINK_PORT_WANTED=$SINK_PORT start_sink sink 127.0.0.1 --no-starttls
sleep 1
rm "$WORK/faults"
must "it arrives when the disk can be read" wait_for 60 sink_has sink waits@example.org

# A restart finds nothing of what was refused.
kill_master
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
must "a last one" mail last
must "it arrives" wait_for 10 sink_has sink last@example.org
for name in write-error sync-error no-room no-quota read-only large-write large-sync no-inode large-name; do
    must_not "refused, and delivered: $name" sink_has sink "$name@example.org"
done
