#!/usr/bin/env bash
# Installs what building and testing Kerf needs on Debian 12. Safe to run twice: does nothing when all is there.
set -euo pipefail

packages=(
  build-essential ca-certificates ccache cmake git ninja-build python3
  clang-22 clang-format-22 clang-tidy-22 libclang-rt-22-dev lld-22
  libmlir-22-dev llvm-22-dev llvm-22-tools mlir-22-tools
  libzstd-dev zlib1g-dev
  flatbuffers-compiler libflatbuffers-dev
  libcli11-dev libeigen3-dev libgtest-dev libpcre2-dev libpthreadpool-dev libsimdjson-dev libutf8proc-dev
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all ${#packages[@]} packages are installed"
  exit 0
fi

install=(env DEBIAN_FRONTEND=noninteractive apt-get)
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: ${#missing[@]} packages are missing and this user is not root; ask an administrator to run:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  install=(sudo "${install[@]}")
fi
echo "setup: installing ${missing[*]}"
# Without a network the lists that are there may still do.
"${install[@]}" update -qq || echo "setup: the package lists could not be refreshed; using those that are there" >&2
if ! "${install[@]}" install -y -qq --no-install-recommends "${missing[@]}"; then
  echo "setup: apt-get could not install all of: ${missing[*]}" >&2
  echo "setup: Debian 12 with its security updates (bookworm-security) has them; see that apt's sources list both" >&2
  exit 1
fi
