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
import re
import shutil
import sys
import xml.etree.ElementTree as xml
passed = failed = skipped = 0
whole = True


# Tests of what ptxas makes of kernels have its name in their suite's or their own, or lit says that they lack it. Builds
# with a sanitizer and of the runtime alone do not have them: lit then gives no reason, or that they lack something else.
def misses_ptxas(test):
    skip = test.find("skipped")
    message = "" if skip is None else skip.get("message", "")
    if skip is None or "sanitizer" in message or message == "Unsupported configuration":
        return False
    lacks = message.startswith("Missing required feature")
    named = [message] if lacks else [test.get("classname").rsplit("/", 1)[-1], test.get("name"), message]
    return re.search("ptxas", " ".join(named), re.IGNORECASE) is not None


for preset in sys.argv[1:]:
    # Not lit's JSON report: it leaves out the tests of GoogleTest programs that skipped themselves.
    try:
        tests = list(xml.parse(f"build/{preset}/test/results.xml").iter("testcase"))
    except (OSError, xml.ParseError) as error:
        print(f"{preset}: no test results:", error, file=sys.stderr)
        tests = []
    ptxas = [test for test in tests if misses_ptxas(test)]
    for test in ptxas:
        why = "failed: skipped with ptxas on PATH:" if shutil.which("ptxas") else "skipped, ptxas is not on PATH:"
        print(f"{preset}: {why}", test.get("classname"), test.get("name"))
    failures = [test for test in tests if test.find("failure") is not None]
    for test in failures:
        print(f"{preset}: failed:", test.get("classname"), test.get("name"))
    if shutil.which("ptxas"):
        failures += ptxas
    skips = len([test for test in tests if test.find("skipped") is not None and test not in failures])
    if len(sys.argv) > 2:
        print(f"{preset}: {len(tests) - len(failures) - skips} passed, {len(failures)} failed, {skips} skipped")
    whole = whole and len(tests) > skips
    passed, failed, skipped = passed + len(tests) - len(failures) - skips, failed + len(failures), skipped + skips
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(0 if whole and not failed else 1)
PYTHON
