#!/usr/bin/env bash
# Checks and times Kerf on this machine's GPU. Usage: run.sh [--only STAGE,…]
#   runtime   the runtime's tests with kernels of their own
#   kernels   every kind of kernel on operands that were kept with what came out, from cubins and from PTX
#   models    whole models against the same ones on the CPU: texts, and how far predictions are from each other
#   kernel-speed  kernels at the shapes of a 1B decoder, beside cuBLAS and SDPA where PyTorch is there; kernel-speed.csv
#   speed     tokens a second, and where the time goes
#   peer      the same decoder in PyTorch, compiled and in a CUDA graph, where PyTorch is there
# KERF_CUDA_DRIVER names another driver, e.g. Kerf's emulator (which takes hours for the last two stages).
set -uo pipefail
cd "$(dirname "$0")"
export LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
stages=$(cat stages)
case ${1:-} in
  "") ;;
  --only)
    for stage in $(tr , ' ' <<<"${2:?--only needs stages}"); do
      [[ ",$stages," == *",$stage,"* ]] || { echo "--only must name stages of $stages, got '$stage'" >&2; exit 2; }
    done
    stages=$2
    ;;
  *) echo "usage: run.sh [--only STAGE,…], got '$1'" >&2 && exit 2 ;;
esac
failed=0
report() { # NAME STATUS
  [ "$2" -eq 0 ] && echo "PASS $1" || { echo "FAIL $1"; failed=1; }
}
unpack() { python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$@"; } # ARCHIVE FOLDER
wants() { [[ ",$stages," == *",$1,"* ]]; }
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version --format=csv,noheader

if wants runtime; then
  for program in bin/RuntimePtx*Tests; do
    KERF_CUDA_DRIVER=${KERF_CUDA_DRIVER:-libcuda.so.1} KERF_TEST_PTX=fake_kernels.ptx timeout 300 "$program" --gtest_brief=1
    report "runtime $(basename "$program")" $?
  done
fi

if wants kernels; then
  [ -d cases ] || unpack cases.tar.xz .
  for options in "" --ptx; do
    timeout 145 bin/kerf-play-cases cases $options > "kernels${options#-}.txt"
    status=$?
    grep -v ^PASS "kernels${options#-}.txt"
    report "kernels ${options:-from cubins where there are some} (all lines: kernels${options#-}.txt)" $status
  done
fi

if wants models; then
  [ -d models ] || unpack models.tar.xz .
  for model in tiny-bf16 tiny-f32; do
    for prompt in "In the beginning" "The function returns" "It is"; do
      diff <(bin/kerf-run generate -q models/cpu/$model.kerf -p "$prompt" -n 24) \
        <(bin/kerf-run generate -q models/gpu/$model.kerf -p "$prompt" -n 24)
      report "models $model '$prompt': text equals the CPU's" $?
    done
    bin/kerf-run compare -q models/cpu/$model.kerf models/gpu/$model.kerf --text text.txt ${KERF_BUNDLE_TOKENS:+-n $KERF_BUNDLE_TOKENS} |
      tee compare.txt
    # Predictions of two orders of summation in bf16 lie about 2e-5 nats apart, in f32 far less.
    awk '/KL/ {for (i = 1; i < NF; ++i) if ($i == "mean") mean = $(i + 1)} END {exit !(mean ~ /^[0-9]/ && mean + 0 < 2e-4)}' compare.txt
    report "models $model: mean KL below 2e-4" $?
  done
fi

if wants kernel-speed; then
  [ -d kernels ] || unpack kernels.tar.xz .
  timeout 290 python3 kernel_speed.py kernels
  report "kernel-speed" $?
fi

if wants speed; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  unpack decoder-1b.tar.xz "$work" && python3 fill.py "$work/decoder-1b.kerf"
  report "speed: weights" $?
  for options in "--prompt-tokens 128 --gen-tokens 64 --repeat 7" "--prompt-tokens 2048 --gen-tokens 32 --repeat 5 --per-kernel" \
    "--prompt-tokens 128 --gen-tokens 32 --sequences 8 --repeat 5" "--prompt-tokens 512 --gen-tokens 16 --sequences 32 --repeat 3"; do
    timeout 200 bin/kerf-bench "$work/decoder-1b.kerf" $options
    report "speed $options" $?
  done
fi

if wants peer && python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
  timeout 290 python3 peer.py
  report peer $?
fi
exit $failed
