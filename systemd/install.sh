#!/bin/sh
# Installs wardbeat on a Raspberry Pi (or any Debian with systemd): run as root in the checkout.
#   sudo systemd/install.sh
# Installs anew over an older version; leaves an existing /etc/wardbeat/unit.toml alone.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
[ "$(id -u)" -eq 0 ] || { echo "install.sh: must run as root: sudo $0" >&2; exit 1; }

getent passwd wardbeat >/dev/null || useradd --system --home-dir /var/lib/wardbeat --shell /usr/sbin/nologin wardbeat
[ -x /opt/wardbeat/bin/python ] || python3 -m venv /opt/wardbeat
/opt/wardbeat/bin/python -m pip install --quiet --upgrade "$here"
ln -sf /opt/wardbeat/bin/wardbeat /usr/local/bin/wardbeat

install -d -m 0750 -o root -g wardbeat /etc/wardbeat
[ -e /etc/wardbeat/unit.toml ] || install -m 0640 -o root -g wardbeat "$here/docs/unit.example.toml" /etc/wardbeat/unit.toml
install -m 0644 "$here/systemd/60-wardbeat.rules" /etc/udev/rules.d/60-wardbeat.rules
install -m 0644 "$here/systemd/wardbeat.service" /etc/systemd/system/wardbeat.service
udevadm control --reload 2>/dev/null || true
# What is plugged in already gets its group and latency now.
udevadm trigger --action=add --subsystem-match=tty --subsystem-match=usb-serial 2>/dev/null || true
systemctl daemon-reload
echo "Now write /etc/wardbeat/unit.toml, then: systemctl enable --now wardbeat"
echo "A nurse's account needs the group wardbeat to open the screen: usermod -aG wardbeat NAME"
