#!/usr/bin/env bash
# Makes the stored artifact of the present ABI version, test/compatibility/stored/abi-N: a tiny model with a tiny
# tokenizer for AVX2, what it computes, and a sequence saved with it. Run it once for each version, in the change that
# raises KERF_ABI_VERSION, and never again for the same one: what is stored is what users have.
# Usage: test/compatibility/make.sh [build directory]   (build/release if not given)
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/release}
abi=$(sed -n 's/^#define KERF_ABI_VERSION \([0-9]*\)u$/\1/p' runtime/include/kerf/abi.h)
out=test/compatibility/stored/abi-$abi
if [ -e "$out" ]; then
  echo "$out is there already and stays as it is" >&2
  exit 1
fi
checkpoint=$(mktemp -d)
trap 'rm -rf "$checkpoint"' EXIT
cp test/goldens/models/qwen2/{config.json,generation_config.json,model.safetensors} "$checkpoint"
cp test/compatibility/Inputs/tokenizer.json "$checkpoint"
mkdir -p "$out"
"$build/bin/kerf-compile" --quiet --variants=avx2 "$checkpoint" -o "$out" --name stored
rm "$out/stored.h"
"$build/test/unit/RuntimeCompatibilityTests" --write "$out"
ls -l "$out"
