# mgictl policy explain and test: golden texts, the expectations beside the example policies, and
# expectations that are not met. Nothing needs to run.
source "$(dirname "$0")/lib.sh"
e2e_begin
EXAMPLES=$ROOT/policy/examples
printf 'From: Anna <anna@hr.example.ch>\nX-Internal: 1\nSubject: =?UTF-8?Q?Re=3A_L=C3=B6hne?=\n\nbody\n' >"$WORK/mail.eml"

explains()
{
    "$MGICTL" policy explain --policy "$EXAMPLES/$1.json" "${@:2}" >"$WORK/found" 2>&1 || fail "explain: $(cat "$WORK/found")"
    diff -u "$WORK/golden" "$WORK/found" || fail "explain $*"
}

cat >"$WORK/golden" <<'GOLDEN'
to hans@example.org: route by rule human resources, after DATA
    rule suffix: no
      recipient: no, "hans@example.org"
    rule tag: no
      subject contains: no, "Re: Löhne"
    rule human resources: yes
      sender: yes, "eva@hr.example.ch"
  over route incamail: the mail exchangers of im.post.ch
  TLS required, verified against public, names *.incamail.com, im.post.ch, organization Post CH AG; client certificate client
  delivered to hans@example.org.incamail.ch
  prefix_subject "<im><c><p> "
to x@y.example.incamail.ch: route by rule suffix, at RCPT
    rule suffix: yes
      recipient: yes, "x@y.example.incamail.ch"
  over route incamail: the mail exchangers of im.post.ch
  TLS required, verified against public, names *.incamail.com, im.post.ch, organization Post CH AG; client certificate client
GOLDEN
explains departments --peer exchange --from eva@hr.example.ch --rcpt hans@example.org --rcpt x@y.example.incamail.ch "$WORK/mail.eml"

cat >"$WORK/golden" <<'GOLDEN'
to hans@example.org: needs the mail, for rule tag
    rule suffix: no
      recipient: no, "hans@example.org"
    rule tag: not known before the mail
      subject contains: not known before the mail
GOLDEN
explains departments --client 10.1.0.9 --from eva@hr.example.ch --rcpt hans@example.org

cat >"$WORK/golden" <<'GOLDEN'
to anna@example.ch: reject by rule pretends, after DATA, "550 5.7.1 not from the platform"
    rule platform: no
      peer: no
    rule pretends: yes
      from_domain: yes, "im.post.ch"
      peer: no
GOLDEN
printf 'From: a@b.example, Post <swisspost@IM.post.ch>\r\n\r\n' >"$WORK/pretends.eml"
explains both-directions --flow inbound --client 203.0.113.9 --from x@example.org --rcpt anna@example.ch "$WORK/pretends.eml"

"$MGICTL" policy explain --json --policy "$EXAMPLES/departments.json" --peer exchange --from anna@example.ch \
    --rcpt a@example.org --rcpt b@example.org "$WORK/mail.eml" >"$WORK/json"
equal "an object for each recipient" 2 "$(python3 -c 'import json,sys; print(sum(json.loads(l)["outcome"] == "route" for l in sys.stdin))' <"$WORK/json")"

# fails STATUS COMMAND…: what it says ends up in $WORK/said.
fails()
{
    local found=0
    "$MGICTL" policy "${@:2}" >"$WORK/said" 2>&1 || found=$?
    equal "exit status of $*" "$1" "$found"
}
fails 64 explain --policy "$EXAMPLES/both-directions.json" --rcpt a@b.ch
must "the flows are named" grep -q 'there are: outbound inbound' "$WORK/said"
fails 64 explain --policy "$EXAMPLES/departments.json"
fails 64 explain --policy "$EXAMPLES/departments.json" --rcpt a@b.ch --peer nobody
fails 64 explain --policy "$EXAMPLES/departments.json" --rcpt a@b.ch --client localhost
fails 64 check --rcpt a@b.ch "$EXAMPLES/departments.json"
fails 66 explain --policy "$EXAMPLES/departments.json" --rcpt a@b.ch "$WORK/none.eml"
fails 66 explain --policy "$WORK/none.json" --rcpt a@b.ch

examples=("$EXAMPLES"/*.json)
for policy in "${examples[@]}"; do
    expectations=${policy%.json}.expect
    must "$(basename "$expectations")" "$MGICTL" policy test "$expectations" >"$WORK/said"
done
equal "policies with expectations" "${#examples[@]}" "$(find "$EXAMPLES" -name '*.expect' | wc -l)"

# Expectations that are not met, or are none.
expects()
{
    printf '{ "policy": "%s/departments.json", "cases": [ { "name": "x", "to": "a@example.org", %s } ] }\n' "$EXAMPLES" "$1" >"$WORK/x.expect"
    fails 65 test "$WORK/x.expect"
    must "it says why" grep -qF "$2" "$WORK/said"
}
expects '"peer": "exchange", "mail": [], "expect": { "route": "incamail" }' '"route" is "internet", expected "incamail"'
expects '"peer": "exchange", "expect": { "becomes": "x" }' '"becomes" is not there'
expects '"peer": "nobody", "expect": { "route": "incamail" }' 'the policy has no peer nobody'
expects '"mails": [], "expect": { "route": "incamail" }' 'an unknown member'
expects '"mail": "x", "expect": { "route": "incamail" }' '"mail" is a list of lines'
expects '"expect": {}' 'needs "to" and "expect"'

# Two policies over a folder of mails.
mkdir "$WORK/mails"
printf 'From: Eva <eva@hr.example.ch>\nTo: Hans <hans@example.org>, (x) lena@example.org\nCc: x@y.example.incamail.ch\nSubject: x\n\n' >"$WORK/mails/a.eml"
printf 'From: anna@example.ch\nTo: hans@example.org\nSubject: <im> x\n\n' >"$WORK/mails/b.eml"
cat >"$WORK/golden" <<'GOLDEN'
a.eml to hans@example.org:
    was route internet by rule rest
    is  route incamail by rule human resources
a.eml to lena@example.org:
    was route internet by rule rest
    is  route incamail by rule human resources
b.eml to hans@example.org:
    was route internet by rule rest
    is  route incamail by rule tag
2 mails, 4 recipients: 3 treated otherwise
GOLDEN
"$MGICTL" policy diff "$EXAMPLES/domain-rule.json" "$EXAMPLES/departments.json" --peer exchange --replay "$WORK/mails" >"$WORK/found"
diff -u "$WORK/golden" "$WORK/found" || fail "diff"
"$MGICTL" policy diff "$EXAMPLES/departments.json" "$EXAMPLES/departments.json" --peer exchange --replay "$WORK/mails" >"$WORK/found"
equal "a policy and itself" '2 mails, 4 recipients: 0 treated otherwise' "$(cat "$WORK/found")"
"$MGICTL" policy diff --json "$EXAMPLES/domain-rule.json" "$EXAMPLES/departments.json" --peer exchange --rcpt z@example.org --replay "$WORK/mails" >"$WORK/found"
equal "objects" 2 "$(python3 -c 'import json,sys; print(sum(json.loads(l)["new"]["route"] == "incamail" for l in sys.stdin))' <"$WORK/found")"
fails 64 diff "$EXAMPLES/domain-rule.json" "$EXAMPLES/departments.json"
fails 66 diff "$EXAMPLES/domain-rule.json" "$EXAMPLES/departments.json" --replay "$WORK/none"
fails 64 diff "$EXAMPLES/domain-rule.json" "$EXAMPLES/departments.json" --peer nobody --replay "$WORK/mails"
