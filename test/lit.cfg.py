# How lit runs Kerf's FileCheck tests. What depends on the build comes from lit.site.cfg.py, which CMake writes.
import os
import re
import shutil
import subprocess

import lit.formats

config.name = "Kerf"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "bench", "goldens"]
config.test_source_root = os.path.join(config.kerf_source, "test")
config.test_exec_root = os.path.join(config.kerf_build, "test")

# FileCheck, not, split-file and the like.
config.environment["PATH"] = os.pathsep.join([config.llvm_tools, config.environment.get("PATH", "")])
for name in ["ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "KERF_CUDA_DRIVER"]:
    if name in os.environ:
        config.environment[name] = os.environ[name]

config.substitutions.append(("%{source}", config.kerf_source))
config.substitutions.append(("%{build}", config.kerf_build))

# Tools are named by their path, so that an installed Kerf is never tested by accident. A tool that this build has is
# also a feature.
for tool in config.kerf_tool_names.split(";"):
    path = os.path.join(config.kerf_tools, tool)
    config.substitutions.append((r"(?<![-.\w/])" + re.escape(tool) + r"(?![-.\w/])", path))
    if os.path.exists(path):
        config.available_features.add(tool)
if "kerf-opt" not in config.available_features:  # a build of the runtime alone
    config.suffixes.remove(".mlir")

# Only a build for fuzzing has what these run.
if not any(feature.startswith("kerf-fuzz-") for feature in config.available_features):
    config.excludes.append("fuzz")

# Unsupported with it: what loads libkerf.so into a program without the sanitizer, what repeats for long what other tests
# do once, and what spends its time in kernels, which no sanitizer sees.
if config.kerf_sanitize:
    config.available_features.add("sanitizer")

# What the machine has beyond the build: a test that requires a missing feature is skipped.
def has_cpu_flag(flag):
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
            return any(line.startswith("flags") and flag in line.split() for line in cpuinfo)
    except OSError:
        return False


for feature, flag in [("avx2", "avx2"), ("avx512_bf16", "avx512_bf16"), ("amx", "amx_bf16")]:
    if has_cpu_flag(flag):
        config.available_features.add(feature)
ptxas = shutil.which("ptxas")
if ptxas:
    config.available_features.add("ptxas")
    config.substitutions.append((r"(?<![-.\w/])ptxas(?![-.\w/])", ptxas))


if shutil.which("zsh"):
    config.available_features.add("zsh")


# What only root may do: change the root directory, mount a small disk.
def succeeds(*command):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


if succeeds("chroot", "/", "true"):
    config.available_features.add("chroot")
if succeeds("unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/tmp"):
    config.available_features.add("mount")
