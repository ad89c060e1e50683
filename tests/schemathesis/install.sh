#!/bin/sh
# Installs schemathesis into target/schemathesis, from which the story of the interface's schema takes it. Runs
# again only when the pinned versions change. Needs python3 with venv (Debian: python3-venv).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/../../target}/schemathesis
mkdir -p "$target"
if ! cmp -s "$here/requirements.txt" "$target/requirements.txt"; then
    rm -rf "$target/venv"
    python3 -m venv "$target/venv"
    "$target/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$target/requirements.txt"
fi
