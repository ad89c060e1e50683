#!/bin/sh
# Installs the OpAMP clients that others published into target/foreign-opamp, from which the story takes them. Runs
# again only when the pinned versions change. Needs python3 with venv (Debian: python3-venv) and Node.js with npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/../../target}/foreign-opamp
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
