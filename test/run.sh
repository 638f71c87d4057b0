#!/usr/bin/env bash
# Sets up, builds and runs all tests; the last line says how many passed, failed and were skipped.
# Usage: test/run.sh [preset...]   (release, debug, asan, tsan; release if none is given; counts are added up)
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- release

tools/setup.sh
for preset; do
  cmake --preset "$preset"
  cmake --build --preset "$preset"
  rm -f "build/$preset/test/results.xml"
  # A failing test fails this command; the count below says which way it went.
  cmake --build --preset "$preset" --target check-kerf || true
done

python3 - "$@" <<'PYTHON'
import sys
import xml.etree.ElementTree as xml
passed = failed = skipped = 0
whole = True
for preset in sys.argv[1:]:
    # Not lit's JSON report: it leaves out the tests of GoogleTest programs that skipped themselves.
    try:
        tests = list(xml.parse(f"build/{preset}/test/results.xml").iter("testcase"))
    except (OSError, xml.ParseError) as error:
        print(f"{preset}: no test results:", error, file=sys.stderr)
        tests = []
    failures = [test for test in tests if test.find("failure") is not None]
    skips = len([test for test in tests if test.find("skipped") is not None])
    for test in failures:
        print(f"{preset}: failed:", test.get("classname"), test.get("name"))
    if len(sys.argv) > 2:
        print(f"{preset}: {len(tests) - len(failures) - skips} passed, {len(failures)} failed, {skips} skipped")
    whole = whole and len(tests) > skips
    passed, failed, skipped = passed + len(tests) - len(failures) - skips, failed + len(failures), skipped + skips
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(0 if whole and not failed else 1)
PYTHON
