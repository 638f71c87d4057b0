#!/usr/bin/env bash
# Makes a folder that checks and times Kerf on an x86-64 Linux machine with an NVIDIA driver and nothing of Kerf's:
# programs, the libraries they need, kept runs of kernels (test/codegen/kernels/GpuCase.h), models for GPUs and CPUs, and
# run.sh.
# Usage: test/gpu/bundle.sh [--only STAGE,…] [--built] DIR [BUILD]
#   --only    what these stages of run.sh need, and no more
#   --built   the programs are built already
#   BUILD     a preset's folder, build/release if not given
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
all=runtime,kernels,models,kernel-speed,speed,peer
stages=$all built=
usage() { sed -n 's/^# Usage: /usage: /p' "$0" >&2; exit 1; }
while [[ "${1:-}" = -* ]]; do
  case $1 in
    --only) stages=${2:?--only needs stages} && shift 2 ;;
    --built) built=1 && shift ;;
    *) usage ;;
  esac
done
[ $# -ge 1 ] || usage
for stage in ${stages//,/ }; do
  [[ ",$all," == *",$stage,"* ]] || { echo "--only must name stages of $all, got '$stage'" >&2; exit 1; }
done
wants() { [[ ",$stages," == *",$1,"* ]]; }
out=$1 build=${2:-$root/build/release}
rm -rf "$out"
mkdir -p "$out"/{bin,lib}
echo "$stages" > "$out/stages"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
kernel_tests="KerfAppendTest KerfAttentionTest KerfGpuLinearTest KerfGpuSampleTest KerfRowKernelsTest"
[ -n "$built" ] || ninja -C "$build" kerf-compile kerf-run kerf-bench kerf-inspect kerf-play-cases RuntimePtxContextTests \
  RuntimePtxFaultTests $kernel_tests >/dev/null
compile="$build/bin/kerf-compile -q"
tiny="$root/examples/models/kerf-tiny-llama"

cp "$build"/bin/kerf-{run,bench,inspect,play-cases} "$build"/test/unit/RuntimePtx{Context,Fault}Tests "$out/bin"
strip "$out"/bin/*
# What the programs load, but for what every system has.
for program in "$out"/bin/*; do
  ldd "$program" | awk '$3 ~ "^/" {print $3}'
done | sort -u | grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux-x86-64)\.so' | while read -r library; do
  cp -L "$library" "$out/lib/$(basename "$library")"
done
cp "$build"/test/runtime/fake_kernels.ptx "$out"
cp "$here"/{run.sh,fill.py,peer.py,kernel_speed.py,peer_kernels.py} "$out"

# Runs of the kernel tests on the emulator. What is left out has no kernel, head size or piece of a row that the rest has
# not: the folder stays small.
if wants kernels; then
  mkdir "$scratch/cases"
  for test in $kernel_tests; do
    env -u KERF_CUDA_DRIVER KERF_RECORD_CASES="$scratch/cases" "$build/test/unit/$test" --gtest_brief=1 \
      --gtest_filter='*sm_80*-*LongRowsInSteps*:*PageBoundaries*:*RandomShapes*:*EqualsTheRuntime*' >"$scratch/log" ||
      { cat "$scratch/log"; exit 1; }
  done
  find "$scratch/cases" -name '*.case' -size +700k -delete
  # Machine code beside the PTX: of the oldest GPUs that run it, and, where this ptxas knows them, of Hopper's.
  if command -v ptxas >/dev/null; then
    for gpu in sm_80 sm_90; do
      ptxas --help | grep "'$gpu'" >/dev/null || continue
      find "$scratch/cases" -name '*.ptx' |
        xargs -P "$(nproc)" -I{} sh -c 'ptxas -O3 -arch=$1 "$2" -o "${2%.ptx}.$1.cubin"' sh $gpu {}
    done
  else
    echo "no ptxas on PATH: kernels are in the folder as PTX alone"
  fi
  # One dictionary over all of them: their PTX and operands are much alike.
  tar -C "$scratch" --sort=name -c cases | xz --lzma2=preset=6,dict=128MiB > "$out/cases.tar.xz"
fi

if wants models; then
  models=$scratch/models
  for type in bf16 f32; do
    name=tiny-$type
    $compile "$tiny" -o "$models/gpu" --name $name --compute-type=$type --target=sm_80,sm_86,sm_89
    $compile "$tiny" -o "$models/cpu" --name $name --compute-type=$type --variants=avx2
  done
  find "$models" -name '*.h' -delete
  # Packages of one target hold the same weights: a window that spans them keeps them once. Most are of 16 bits.
  tar -C "$scratch" -c models | xz --lzma2=preset=6,dict=64MiB,lp=1,lc=3,pb=1 > "$out/models.tar.xz"
  head -c 40000 "$root/examples/texts/heldout.txt" > "$out/text.txt"
fi

# The shape of a 1B decoder, whose weights are zeros here and numbers once run.sh has filled them in.
if wants kernel-speed || wants speed; then
  python3 "$here/shape.py" "$scratch/checkpoint"
fi
if wants speed; then
  $compile "$scratch/checkpoint" -o "$scratch/model" --name decoder-1b --target=sm_80,sm_86,sm_89
  rm "$scratch"/model/*.h
  tar -C "$scratch/model" --sparse -c . | xz -6 > "$out/decoder-1b.tar.xz"
fi
# Its kernels by themselves, as programs.
if wants kernel-speed; then
  $compile "$scratch/checkpoint" --name decoder-1b --target=sm_80,sm_86,sm_89 --compile-to=kernels -o /dev/null \
    --dump-kernels-to="$scratch/kernels"
  (cd "$scratch/kernels" && for source in *.c; do cc -O2 -s "$source" -ldl -o "${source%.c}"; done)
  rm "$scratch"/kernels/*.{mlir,ll}
  tar -C "$scratch" --sort=name -c kernels | xz -6 > "$out/kernels.tar.xz"
fi
du -sb "$out" | awk '{printf "bundle: %s, %.1f MiB\n", $2, $1 / 1048576}'
