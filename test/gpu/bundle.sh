#!/usr/bin/env bash
# Makes a folder that checks and times Kerf on an x86-64 Linux machine with an NVIDIA driver and nothing of Kerf's:
# programs, the libraries they need, kept runs of kernels (test/codegen/kernels/GpuCase.h), models for GPUs and CPUs, and
# run.sh.
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
kernel_tests="KerfAppendTest KerfAttentionTest KerfGpuLinearTest KerfGpuSampleTest KerfRowKernelsTest"
ninja -C "$build" kerf-compile kerf-run kerf-bench kerf-inspect kerf-play-cases RuntimePtxContextTests \
  RuntimePtxFaultTests $kernel_tests >/dev/null

cp "$build"/bin/kerf-{run,bench,inspect,play-cases} "$build"/test/unit/RuntimePtx{Context,Fault}Tests "$out/bin"
strip "$out"/bin/*
cp "$build"/test/runtime/fake_kernels.ptx "$out"
# What the programs load, but for what every system has.
for program in "$out"/bin/*; do
  ldd "$program" | awk '$3 ~ "^/" {print $3}'
done | sort -u | grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux-x86-64)\.so' | while read -r library; do
  cp -L "$library" "$out/lib/$(basename "$library")"
done

# Runs of the kernel tests on the emulator. What is left out has no kernel, head size or piece of a row that the rest has
# not: the folder stays small.
mkdir "$scratch/cases"
for test in $kernel_tests; do
  env -u KERF_CUDA_DRIVER KERF_RECORD_CASES="$scratch/cases" "$build/test/unit/$test" --gtest_brief=1 \
    --gtest_filter='*sm_80*-*LongRowsInSteps*:*PageBoundaries*:*RandomShapes*:*EqualsTheRuntime*' >"$scratch/log" || { cat "$scratch/log"; exit 1; }
done
find "$scratch/cases" -name '*.case' -size +700k -delete
# Machine code beside the PTX: of the oldest GPUs that run it, and, where this ptxas knows them, of Hopper's.
if command -v ptxas >/dev/null; then
  for gpu in sm_80 sm_90; do
    ptxas --help | grep "'$gpu'" >/dev/null || continue
    find "$scratch/cases" -name '*.ptx' | xargs -P "$(nproc)" -I{} sh -c 'ptxas -O3 -arch=$1 "$2" -o "${2%.ptx}.$1.cubin"' sh $gpu {}
  done
else
  echo "no ptxas on PATH: kernels are in the folder as PTX alone"
fi
# One dictionary over all of them: their PTX and operands are much alike.
tar -C "$scratch" --sort=name -c cases | xz --lzma2=preset=6,dict=128MiB > "$out/cases.tar.xz"

compile="$build/bin/kerf-compile -q"
tiny="$root/examples/models/kerf-tiny-llama"
$compile "$tiny" -o "$models/gpu" --target=sm_80,sm_86,sm_89
$compile "$tiny" -o "$models/gpu" --name tiny-f32 --compute-type=f32 --target=sm_80,sm_86,sm_89
$compile "$tiny" -o "$models/cpu" --variants=avx2
$compile "$tiny" -o "$models/cpu" --name tiny-f32 --compute-type=f32 --variants=avx2
# The shape of a 1B decoder, whose weights are zeros here and numbers once run.sh has filled them in.
python3 "$here/shape.py" "$scratch/checkpoint"
$compile "$scratch/checkpoint" -o "$scratch/model" --name decoder-1b --target=sm_80,sm_86,sm_89
# Its kernels by themselves, as programs.
$compile "$scratch/checkpoint" --name decoder-1b --target=sm_80,sm_86,sm_89 --compile-to=kernels -o /dev/null \
  --dump-kernels-to="$scratch/kernels"
(cd "$scratch/kernels" && for source in *.c; do cc -O2 -s "$source" -ldl -o "${source%.c}"; done)
rm "$scratch"/kernels/*.mlir "$scratch"/kernels/*.ll
tar -C "$scratch" --sort=name -c kernels | xz -6 > "$out/kernels.tar.xz"
find "$scratch" -name '*.h' -delete
tar -C "$scratch/model" --sparse -c . | xz -6 > "$out/decoder-1b.tar.xz"
# Packages of one target hold the same weights: a window that spans them keeps them once. Most are of 16 bits.
tar -C "$scratch" -c models | xz --lzma2=preset=6,dict=64MiB,lp=1,lc=3,pb=1 > "$out/models.tar.xz"
head -c 40000 "$root/examples/texts/heldout.txt" > "$out/text.txt"
cp "$here"/{run.sh,fill.py,peer.py,kernel_speed.py,peer_kernels.py} "$out"
du -sb "$out" | awk '{printf "bundle: %s, %.1f MiB\n", $2, $1 / 1048576}'
