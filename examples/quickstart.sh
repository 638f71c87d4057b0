#!/usr/bin/env bash
# From a fresh clone to generated text: sets up, builds, compiles the bundled model and generates with it.
# Usage: examples/quickstart.sh [output directory]   (build/quickstart if not given)
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/quickstart}
model=examples/models/kerf-tiny-llama
bin=build/release/bin

echo "== set up and build"
tools/setup.sh
cmake --preset release
cmake --build --preset release --target kerf-compile kerf-runtime

echo "== compile $model"
"$bin/kerf-compile" "$model" -o "$out"

echo "== generate"
"$bin/kerf-run" "$out/kerf-tiny-llama.kerf" --prompt "The function returns" --max-tokens 48

echo
echo "== summary"
ls -l "$out" | awk 'NR > 1 {printf "%10d bytes  %s\n", $5, $9}'
"$bin/kerf-bench" "$out/kerf-tiny-llama.kerf" --prompt-tokens 512 --gen-tokens 64 --repeat 3
"$bin/kerf-inspect" "$out/kerf-tiny-llama.kerf"
