# complete.zsh FUNCTIONS LINE: what zsh would offer behind the line, a word a line. A zsh of its own
# is asked in a pseudo terminal; its own function for adding matches prints those that fit.
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D
compadd() {
    if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)* ]]; then builtin compadd \"\$@\"; return; fi
    local -a hits; builtin compadd -O hits \"\$@\"; print -rl -- \"\" OFFER\${^hits}
    builtin compadd \"\$@\"
}
finish() { print -r -- THE-END }; zle -C offer complete-word _main_complete; bindkey '^I' offer; zle -N finish; bindkey '^G' finish; print READY-\$((1+1))"
zpty -r z ready '*READY-2*'
zpty -w -n z "$2"$'\t'
zpty -w -n z $'\a'
zpty -r z text '*THE-END*'
zpty -d z
print -r -- "${text//$'\r'/}" | sed -n 's/^OFFER\(..*\)/\1/p'
