#!/usr/bin/env bash
# Sets up, builds and runs all tests; the last line says how many passed, failed and were skipped.
# Usage: test/run.sh [preset]   (release, debug or asan; release if not given)
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
build=build/$preset
results=$build/test/results.json

tools/setup.sh
cmake --preset "$preset"
cmake --build --preset "$preset"
rm -f "$results"
# A failing test fails this command; the count below says which way it went.
cmake --build --preset "$preset" --target check-kerf || true

python3 - "$results" <<'PYTHON'
import collections, json, sys
kinds = {"PASS": "passed", "XFAIL": "passed", "FLAKYPASS": "passed",
         "UNSUPPORTED": "skipped", "SKIPPED": "skipped", "EXCLUDED": "skipped"}
try:
    with open(sys.argv[1], encoding="utf-8") as file:
        tests = json.load(file)["tests"]
except (OSError, ValueError) as error:
    print("no test results:", error, file=sys.stderr)
    tests = []
count = collections.Counter(kinds.get(test["code"], "failed") for test in tests)
for test in tests:
    if kinds.get(test["code"], "failed") == "failed":
        print("failed:", test["name"])
print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
sys.exit(1 if count["failed"] or not count["passed"] else 0)
PYTHON
