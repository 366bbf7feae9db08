#!/usr/bin/env bash
# The viewer's page: types, lint, unit tests, and that web/dist is what web/src builds (page); the page as a user meets
# it (browser); the same, and the pictures that README.md and docs/viewer.md show, written to docs/images (shots).
#
#   tests/viewer.sh page|browser|shots SOURCE_FOLDER BUILD_FOLDER
#
# Exit 77: Node, web/node_modules or Chromium is missing, and the line says which.
set -euo pipefail
what=$1 source=$(cd "$2" && pwd) build=$(cd "$3" && pwd)
skip() { printf 'skipped: %s\n' "$1"; exit 77; }
command -v node >/dev/null || skip "there is no Node (scripts/bootstrap installs it)"
[ -f "$source/web/node_modules/.package-lock.json" ] || skip "web/node_modules is missing or incomplete: cd web && npm ci"
cd "$source/web"
case $what in
  page)
    npm run --silent check
    npm run --silent test
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    npx --no-install vite build --logLevel error --outDir "$out/dist" --emptyOutDir
    diff -rq "$out/dist" dist || { echo "web/dist is not what web/src builds: cd web && npm run build"; exit 1; }
    ;;
  browser | shots)
    if [ "$what" = shots ]; then export COVARY_SHOTS=$source/docs/images; fi
    COVARY_CHROMIUM=${COVARY_CHROMIUM:-$(command -v chromium || command -v chromium-browser || true)}
    [ -n "$COVARY_CHROMIUM" ] || skip "there is no Chromium (scripts/bootstrap installs it)"
    export COVARY_CHROMIUM COVARY_BUILD=$build GOMP_SPINCOUNT=0
    node --test --test-reporter=spec tests/browser.mjs
    ;;
esac
