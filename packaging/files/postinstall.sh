#!/bin/sh
# After unpacking, first time and upgrade: user, directories, settings and key where they are absent; then the service.
set -e
case "$1" in abort-upgrade | abort-remove | abort-deconfigure) exit 0 ;; esac
/usr/bin/muster install --packaged
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl enable muster.service >/dev/null 2>&1
	/usr/bin/muster restart || true
else
	echo "systemd does not run this machine, so Muster was not started."
fi
