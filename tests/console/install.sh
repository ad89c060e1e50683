#!/bin/sh
# Installs what drives the browser of the console's stories, beside them; again only when the lock file changes. Chromium is
# Debian's. Needs Node.js with npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! cmp -s "$here/package-lock.json" "$here/node_modules/installed-lock.json"; then
    (cd "$here" && npm ci --ignore-scripts --no-audit --no-fund --silent)
    cp "$here/package-lock.json" "$here/node_modules/installed-lock.json"
fi
