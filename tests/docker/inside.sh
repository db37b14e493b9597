#!/bin/sh
# Runs in fresh mount, PID and network namespaces, as root: makes of ROOT what compose makes of a container, and uses it.
# Argument: ROOT. Lines of the standard input: the board's command, the daemon's, and the health check of each.
set -eu
root=$1
read -r board
read -r daemon
read -r board_health
read -r daemon_health

ip link set lo up
ip address add 172.17.0.2/32 dev lo       # what the engine's bridge would be: in `allow`
ip address add 203.0.113.5/32 dev lo      # and somebody who is not
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o uid=1000,gid=1000,mode=0750 tmpfs "$root/run/ocdsup"
mount -o remount,bind,ro "$root"          # read_only: true

# user 1000, cap_drop: [ALL], no-new-privileges
inside() {
    chroot "$root" setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- \
        env -C /var/lib/ocdsup -i PATH=/opt/ocdsup/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 \
        OCDSUP_CONFIG=/etc/ocdsup/simulated.yaml HOME=/var/lib/ocdsup "$@"
}
connect() { # from which address: prints what the GDB port says to a first packet
    inside python3 -c '
import socket, sys
sock = socket.create_connection(("172.17.0.2", 3333), timeout=20, source_address=(sys.argv[1], 0))
try:
    sock.sendall(b"+$?#3f")
    print(sys.argv[1], sock.recv(1) or "cut")
except ConnectionError:
    print(sys.argv[1], "cut")' "$1"
}

healthy() { # whether a health check passes: in words, since the commands of the image and of the compose file are words
    # shellcheck disable=SC2086
    if inside $1 >/dev/null 2>&1; then echo yes; else echo no; fi
}
becomes_healthy() {
    tries=0
    until [ "$(healthy "$2")" = yes ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || { echo "$1 was never healthy"; exit 1; }
        sleep 0.1
    done
    echo "$1 healthy"
}

echo "before: $(healthy "$board_health") $(healthy "$daemon_health")"
# shellcheck disable=SC2086
inside $board & board_pid=$!
# shellcheck disable=SC2086
inside $daemon & daemon_pid=$!
becomes_healthy board "$board_health"
becomes_healthy daemon "$daemon_health"
inside ocdsup wait simulated --timeout 60s
connect 172.17.0.2
connect 203.0.113.5
if inside touch /etc/written 2>/dev/null; then echo "the file system can be written"; exit 1; fi
grep -H CapBnd "/proc/$(pgrep -x openocd)/status" | sed 's/.*status://'
kill -TERM "$(pgrep -P "$daemon_pid" -f 'ocdsup run' || echo "$daemon_pid")"
wait "$daemon_pid" && echo "ended with 0"
echo "after: $(healthy "$board_health") $(healthy "$daemon_health")"
pgrep -x openocd && { echo "OpenOCD was left behind"; exit 1; }
kill -TERM "$board_pid"
wait "$board_pid" || true
