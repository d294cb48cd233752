#!/bin/sh
# Before the files go. On an upgrade ($1 is "upgrade", or 1 for rpm) the service goes on until the new one takes over.
set -e
case "$1" in upgrade | 1) exit 0 ;; esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now muster.service >/dev/null 2>&1 || true
fi
