#!/bin/sh
# Installs the published Mapepire clients into target/foreign, from which the tests take them. Runs again only
# when the pinned versions change. Needs python3 with venv (Debian: python3-venv) and Node.js with npm.
# The Python client itself needs no Kerberos headers at the pinned version; where a later one builds gssapi,
# libkrb5-dev and gcc are needed too.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/../../../target}/foreign
mkdir -p "$target/node"
if ! cmp -s "$here/python/requirements.txt" "$target/requirements.txt"; then
    rm -rf "$target/venv"
    python3 -m venv "$target/venv"
    "$target/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/python/requirements.txt"
    cp "$here/python/requirements.txt" "$target/requirements.txt"
fi
if ! cmp -s "$here/node/package-lock.json" "$target/node/installed-lock.json"; then
    cp "$here/node/package.json" "$here/node/package-lock.json" "$target/node/"
    (cd "$target/node" && npm ci --ignore-scripts --no-audit --no-fund --silent)
    cp "$here/node/package-lock.json" "$target/node/installed-lock.json"
fi
