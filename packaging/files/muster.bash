# bash completion for muster
_muster() {
	local commands='serve setup install uninstall start stop restart status backup restore seal-key doctor demo simulate version help'
	local cur=${COMP_WORDS[COMP_CWORD]}
	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W "$commands" -- "$cur"))
	elif [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$(muster "${COMP_WORDS[1]}" -h 2>/dev/null | sed -n 's/^  -\([a-z-]*\).*/--\1/p')" -- "$cur"))
	else
		COMPREPLY=($(compgen -f -- "$cur"))
	fi
}
complete -F _muster muster
