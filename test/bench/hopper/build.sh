#!/usr/bin/env bash
# Compiles every variant of the probes to a cubin through LLVM's NVPTX backend and ptxas. Usage: build.sh FOLDER
# The folder, with run.py in it, is all that the machine with the GPU needs.
set -euo pipefail
cd "$(dirname "$0")"
out=$1
mkdir -p "$out"
rm -f "$out"/*
cp run.py "$out"

# compile FILE ARCH PTX NAME=VALUE...: FOLDER/FILE-VALUE-VALUE….{ptx,cubin}
compile() {
  local file=$1 arch=$2 ptx=$3 name=$1 defines=()
  shift 3
  for define; do
    defines+=("-D$define")
    name+=-${define#*=}
  done
  clang++-22 -x cuda --cuda-device-only --cuda-gpu-arch="$arch" -nocudainc -nocudalib -Wno-unknown-cuda-version \
    -Xclang -target-feature -Xclang "+ptx$ptx" -O3 -S "${defines[@]}" -o "$out/$name.ptx" "$file.cu"
  local report
  report=$(ptxas -v -arch="${arch/sm_80/sm_90}" -o "$out/$name.cubin" "$out/$name.ptx" 2>&1)
  printf '%s\n' "$report" | awk -v name="$name" '
    /spill stores/ { spills = $5 + $9 }
    /Used/ { registers = $5 }
    /C75/ { warned = " WARNING " $0 }
    END { printf "%-36s %3d registers, %d bytes spilled%s\n", name, registers, spills, warned }'
}

for variant in "256 0 1 0 0" "256 1 1 0 0" "256 1 1 1 0" "256 1 1 1 1" "256 1 2 1 1" "192 1 1 1 1" "192 1 2 1 1" \
    "128 1 1 1 1" "128 1 2 1 1"; do
  read -r bn persist cluster pending staged <<<"$variant"
  compile gemm_sm90 sm_90a 87 BN="$bn" PERSIST="$persist" CLUSTER="$cluster" PENDING="$pending" STAGED="$staged"
done
for tokens in 16 64 128; do
  for variant in "64 1 2" "64 2 2" "64 4 2" "128 1 1" "128 2 1" "128 4 1" "128 8 1"; do
    read -r rows split blocks <<<"$variant"
    stages=$((220 * 1024 / blocks / (128 * (tokens + rows))))
    compile gemm_small_sm90 sm_90a 87 TOKENS="$tokens" ROWS="$rows" SPLIT="$split" \
      STAGES=$((stages > 8 ? 8 : stages)) BLOCKS="$blocks"
  done
done
for variant in "128 256 32 4 2 4 1" "16 128 64 6 1 4 3"; do
  read -r bm bn bk stages wm wn blocks <<<"$variant"
  compile gemm_sm80 sm_80 80 BM="$bm" BN="$bn" BK="$bk" STAGES="$stages" WM="$wm" WN="$wn" MINBLOCKS="$blocks"
done
for causal in 0 1; do
  for overlap in 0 1; do
    compile attention_sm90 sm_90a 87 CAUSAL="$causal" OVERLAP="$overlap"
  done
done
compile attention_decode sm_90 87 BLOCKS=2
for variant in "1 4 8 4" "2 4 8 2" "2 2 8 4" "4 2 8 2" "4 1 8 4" "2 4 16 1" "2 2 16 2" "4 2 16 1" "1 8 16 1" \
    "1 4 16 2" "2 2 4 8"; do
  read -r rows unroll warps blocks <<<"$variant"
  for overlap in 0 1; do
    compile decode sm_90 87 ROWS="$rows" UNROLL="$unroll" WARPS="$warps" BLOCKS="$blocks" OVERLAP="$overlap"
  done
done
for variant in "4 4" "8 2" "16 1"; do
  read -r warps blocks <<<"$variant"
  compile decode_w4 sm_90 87 WARPS="$warps" BLOCKS="$blocks" OVERLAP=0
done
