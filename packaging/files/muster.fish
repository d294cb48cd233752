# fish completion for muster. commands='serve setup install uninstall start stop restart status backup restore seal-key doctor demo simulate version help'
for command in serve setup install uninstall start stop restart status backup restore seal-key doctor demo simulate version help
	complete -c muster -n '__fish_use_subcommand' -f -a $command
end
