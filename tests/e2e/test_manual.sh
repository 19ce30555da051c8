# Man pages and shell completions: mandoc has nothing to say about the pages, they tell what mgid,
# mgictl and the schema tell, and each shell offers the commands and options that mgictl has.
source "$(dirname "$0")/lib.sh"
peers_begin manual
SHARE=$BUILD/share
DOC=$BUILD/bench/mgidoc

for page in man8/mgid.8 man8/mgictl.8 man5/mgid-policy.5; do
    mandoc -Tlint -Wall "$SHARE/man/$page" >"$WORK/lint" || :
    # The pages refer to each other before they are installed.
    equal "lint of $page" "" "$(grep -v 'referenced manual not found' "$WORK/lint" || :)"
    mandoc -Tutf8 -O width=200 "$SHARE/man/$page" | sed 's/.\x08//g' >"$WORK/$(basename "$page").txt"
done
equal "the page is made of the tables" "$("$DOC" man | sha256sum)" "$(sha256sum <"$SHARE/man/man8/mgictl.8")"

# tells PAGE WORD…: the page has each.
tells()
{
    local page=$1 word
    shift
    for word in "$@"; do
        must "$page tells of $word" grep -qF -- "$word" "$WORK/$page.txt"
    done
}
mapfile -t commands < <("$MGICTL" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\( [a-z]\+\)\?\).*/\1/p')
((${#commands[@]} >= 4)) || fail "mgictl --help lists commands"
options=()
for command in "${commands[@]}"; do
    # shellcheck disable=SC2086 # a command of two words
    mapfile -t -O "${#options[@]}" options < <("$MGICTL" $command --help | grep -oE '^  --[a-z-]+' | tr -d ' ')
    # shellcheck disable=SC2086
    "$MGICTL" $command --help >"$WORK/help"
    must "the help of $command has an example" grep -q '^Example' "$WORK/help"
done
tells mgictl.8 "${commands[@]}" "${options[@]}"
mapfile -t letters < <("$MGID" -h | grep -oE '^  -[a-zA-Z]' | tr -d ' ')
tells mgid.8 "${letters[@]}"
mapfile -t keys < <(python3 - "$ROOT/policy/schema.json" <<'KEYS'
import json, sys
for definition in json.load(open(sys.argv[1]))["$defs"].values():
    print("\n".join(k for k in definition.get("properties", {}) if not k.startswith("$")))
KEYS
)
((${#keys[@]} > 40)) || fail "the schema has keys"
tells mgid-policy.5 "${keys[@]}"

# offers SHELL LINE WORD…: the completion of the line offers each word.
complete_bash()
{
    bash -c 'source "$1"; read -ra COMP_WORDS <<<"$2"
        [[ $2 != *" " ]] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _mgictl; printf "%s\n" "${COMPREPLY[@]}"' \
        _ "$SHARE/bash-completion/completions/mgictl" "$1"
}
complete_fish()
{
    HOME=$WORK XDG_CONFIG_HOME=$WORK fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
        "$SHARE/fish/vendor_completions.d/mgictl.fish" "$1" | cut -f 1
}
complete_zsh()
{
    zsh -f "$E2E/complete.zsh" "$SHARE/zsh/site-functions" "$1"
}
offers()
{
    local shell=$1 line=$2 word
    shift 2
    "complete_$shell" "$line" >"$WORK/offered" 2>"$WORK/offered.err" || fail "$shell completes: $(cat "$WORK/offered.err")"
    for word in "$@"; do
        must "$shell offers $word after \"$line\": $(tr '\n' ' ' <"$WORK/offered")" grep -qx -- "$word" "$WORK/offered"
    done
}
for shell in bash fish zsh; do
    must "$shell is here" command -v "$shell"
    offers "$shell" "mgictl " policy status queue reload
    offers "$shell" "mgictl que" queue
    offers "$shell" "mgictl queue " list
    offers "$shell" "mgictl queue list --" --limit --json
    offers "$shell" "mgictl policy " check
    (cd "$ROOT/policy/examples" && offers "$shell" "mgictl policy check domain" domain-rule.json)
done
