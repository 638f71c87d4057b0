#!/usr/bin/env bash
# Makes a folder that checks and times Kerf on an x86-64 Linux machine with an NVIDIA driver and nothing of Kerf's:
# programs, the libraries they need, models for GPUs and CPUs, and run.sh.
# Usage: test/gpu/bundle.sh DIR [BUILD]   (BUILD: a built preset, default build/release)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ $# -ge 1 ] || { echo "usage: test/gpu/bundle.sh DIR [BUILD]" >&2; exit 1; }
out=$1 build=${2:-$root/build/release}
rm -rf "$out"
mkdir -p "$out"/{bin,lib}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
models=$scratch/models
ninja -C "$build" kerf-compile kerf-run kerf-bench kerf-inspect RuntimePtxContextTests RuntimePtxFaultTests >/dev/null

cp "$build"/bin/kerf-{run,bench,inspect} "$build"/test/unit/RuntimePtx{Context,Fault}Tests "$out/bin"
cp "$build"/test/runtime/fake_kernels.ptx "$out"
# What the programs load, but for what every system has.
for program in "$out"/bin/*; do
  ldd "$program" | awk '$3 ~ "^/" {print $3}'
done | sort -u | grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux-x86-64)\.so' | while read -r library; do
  cp -L "$library" "$out/lib/$(basename "$library")"
done

compile="$build/bin/kerf-compile -q"
tiny="$root/examples/models/kerf-tiny-llama"
$compile "$tiny" -o "$models/gpu" --target=sm_80,sm_86,sm_89
$compile "$tiny" -o "$models/gpu" --name tiny-f32 --compute-type=f32 --target=sm_80,sm_86,sm_89
$compile "$tiny" -o "$models/cpu" --variants=avx2
$compile "$tiny" -o "$models/cpu" --name tiny-f32 --compute-type=f32 --variants=avx2
# The shape of a 1B decoder, whose weights are zeros here and numbers once run.sh has filled them in.
python3 "$here/shape.py" "$scratch/checkpoint"
$compile "$scratch/checkpoint" -o "$scratch/model" --name decoder-1b --target=sm_80,sm_86,sm_89
find "$scratch" -name '*.h' -delete
tar -C "$scratch/model" -czf "$out/decoder-1b.tgz" .
# Packages of one target hold the same weights: a window that spans them keeps them once.
tar -C "$scratch" -c models | xz -3 --lzma2=preset=3,dict=64MiB > "$out/models.tar.xz"
head -c 40000 "$root/examples/texts/heldout.txt" > "$out/text.txt"
cp "$here"/{run.sh,fill.py,peer.py} "$out"
du -sh "$out" | awk '{print "bundle: " $2 ", " $1}'
