#!/bin/sh
# Unpacks Debian's syslog-ng and the libraries that it needs below target/syslog-ng, since the package
# cannot be installed beside rsyslog. Needs no root; needs package lists (apt-get update).
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
into=${CARGO_TARGET_DIR:-$root/target}/syslog-ng
if [ -x "$into/usr/sbin/syslog-ng" ]; then
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -q syslog-ng-core libivykis0 libjson-c5 libnet1 libwrap0 libpcre3 >/dev/null
mkdir -p "$into.new"
for package in ./*.deb; do
    dpkg -x "$package" "$into.new"
done
# Some libraries live in /lib, which is /usr/lib on the system that they are unpacked on.
if [ -d "$into.new/lib" ]; then
    cp -a "$into.new/lib/." "$into.new/usr/lib/"
fi
rm -rf "$into"
mv "$into.new" "$into"
