#!/bin/sh
# Runs once in the machine, as root, from the archive: installs the wheel as an administrator would, then checks.
set -eu
ip link set lo up 2>/dev/null || true
cat > /etc/pip.conf <<'CONF'
[global]
no-index = true
find-links = /payload/wheels
disable-pip-version-check = true
CONF
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
python3 -m venv /opt/ocdsup
/opt/ocdsup/bin/pip install --quiet "$(echo /payload/ocdsup-*.whl)[sim]"
ln -s /opt/ocdsup/bin/ocdsup /usr/local/bin/ocdsup
exec /opt/ocdsup/bin/python /payload/guest.py
