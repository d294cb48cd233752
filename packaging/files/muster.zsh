#compdef muster
local commands='serve setup install uninstall start stop restart status backup restore seal-key doctor demo simulate version help'
if (( CURRENT == 2 )); then
	compadd -- ${=commands}
elif [[ $words[CURRENT] == -* ]]; then
	compadd -- ${(f)"$(muster $words[2] -h 2>/dev/null | sed -n 's/^  -\([a-z-]*\).*/--\1/p')"}
else
	_files
fi
