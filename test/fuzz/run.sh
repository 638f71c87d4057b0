#!/usr/bin/env bash
# Runs fuzz targets one after another and reports executions, coverage and findings; fails if there are any.
# Usage: test/fuzz/run.sh [SECONDS] [TARGET…]       new inputs for so long (20) for each target (all)
#        test/fuzz/run.sh --runs N [TARGET…]        N inputs, the same for the same code
# What is learned stays in build/asan/corpus for the next run by seconds; the input of a finding in build/asan/findings.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" = --runs ]; then
  # Values that comparisons see are addresses too, and weights by entropy count time.
  kind=fixed limits=(-seed=1 -runs="${2:?how many?}" -use_cmp=0 -entropic=0 -timeout=60)
  shift 2
else
  kind=corpus limits=(-max_total_time="${1:-20}" -timeout=10)
  shift || true
fi
build=${KERF_FUZZ_BUILD:-build/asan}
targets=("$@")
[ ${#targets[@]} -gt 0 ] || for source in test/fuzz/*.cpp; do targets+=("$(basename "$source" .cpp)"); done
for target in "${targets[@]}"; do
  [ -x "$build/bin/kerf-fuzz-$target" ] || {
    echo "kerf-fuzz-$target is not built: cmake --preset asan && cmake --build --preset asan --target kerf-fuzzers" >&2
    exit 2
  }
done

failed=0
printf '%-12s %12s %8s %22s %15s %9s\n' target executions '1/s' 'edges covered' inputs findings
for target in "${targets[@]}"; do
  corpus=$build/$kind/$target findings=$build/findings/$target log=$build/$target.log
  [ $kind = corpus ] || rm -rf "$corpus"
  mkdir -p "$corpus" "$findings"
  options=("${limits[@]}" -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix="$findings/")
  [ ! -f "test/fuzz/$target.dict" ] || options+=(-dict="test/fuzz/$target.dict")
  found=0
  "$build/bin/kerf-fuzz-$target" "${options[@]}" "$corpus" "test/fuzz/corpus/$target" >"$log" 2>&1 || found=1
  awk -v target="$target" -v found="$found" '
    function after(word,   i) { for (i = 1; i < NF; ++i) if ($i == word) return $(i + 1); return "?" }
    / cov: / { last = after("cov:"); corpus = after("corp:"); if (first == "") first = last }
    /stat::number_of_executed_units/ { runs = $2 }
    /stat::average_exec_per_sec/ { rate = $2 }
    END { printf "%-12s %12s %8s %22s %15s %9s\n", target, runs, rate, first " to " last, corpus, found ? "1" : "0" }' "$log"
  if [ "$found" = 1 ]; then
    failed=1
    grep -E 'must hold|ERROR:|runtime error|Test unit written|SUMMARY|Base64' "$log" | sed 's/^/    /' | head -8
  fi
done
exit $failed
