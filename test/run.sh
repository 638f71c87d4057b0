#!/usr/bin/env bash
# Sets up, builds and runs all tests; the last line says how many passed, failed and were skipped.
# Usage: test/run.sh [preset]   (release, debug or asan; release if not given)
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
build=build/$preset
results=$build/test/results.xml

tools/setup.sh
cmake --preset "$preset"
cmake --build --preset "$preset"
rm -f "$results"
# A failing test fails this command; the count below says which way it went.
cmake --build --preset "$preset" --target check-kerf || true

python3 - "$results" <<'PYTHON'
import sys
import xml.etree.ElementTree as xml
# Not lit's JSON report: it leaves out the tests of GoogleTest programs that skipped themselves.
try:
    tests = list(xml.parse(sys.argv[1]).iter("testcase"))
except (OSError, xml.ParseError) as error:
    print("no test results:", error, file=sys.stderr)
    tests = []
failed = [test for test in tests if test.find("failure") is not None]
skipped = [test for test in tests if test.find("skipped") is not None]
for test in failed:
    print("failed:", test.get("classname"), test.get("name"))
print(f"{len(tests) - len(failed) - len(skipped)} passed, {len(failed)} failed, {len(skipped)} skipped")
sys.exit(1 if failed or len(tests) == len(skipped) else 0)
PYTHON
