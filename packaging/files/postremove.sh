#!/bin/sh
# Data and keys are never deleted by a package: without them no device could ever be released.
set -e
case "$1" in upgrade | 1) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
if [ -d /var/lib/muster ]; then
	echo "Muster is removed. This stays, for you to keep or delete: /var/lib/muster (everything it knows, encrypted) and /etc/muster (settings and seal key)."
fi
