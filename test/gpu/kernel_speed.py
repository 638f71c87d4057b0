"""Kerf's kernels at the shapes of a 1B decoder, beside cuBLAS and PyTorch's SDPA where PyTorch sees a GPU.

kernel_speed.py FOLDER: runs the benchmarks in FOLDER (kerf-compile --dump-kernels-to, built) that suit the GPU, writes
kernel-speed.csv and prints it as a table. Medians; weights and KV pages come from memory, not from the L2 cache, on both
sides (gpu_benchmark.h, peer_kernels.py). KERF_BUNDLE_TINY=1 shrinks it to what the emulator does in seconds.
"""
import csv
import os
import re
import subprocess
import sys

folder = sys.argv[1]
tiny = os.environ.get("KERF_BUNDLE_TINY") == "1"
rows_of_products = [1, 9] if tiny else [1, 8, 32, 128, 2048]
decodes = [(1, 70), (2, 70)] if tiny else [(s, c) for s in (1, 32) for c in (2048, 8192)]
prompt = 20 if tiny else 2048
# Heads, heads of keys, features of a head: as shape.py has them.
heads, kv_heads, head_dim = 32, 8, 64
limits = ["--seconds=0", "--launches=1", "--copies=1"] if tiny else []


def variant():
    """The variant that the runtime would take on this GPU; KERF_BUNDLE_VARIANT names another."""
    if named := os.environ.get("KERF_BUNDLE_VARIANT"):
        return named
    try:
        query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
        capability = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        capability = "8.0"
    major, minor = map(int, capability.split("."))
    return {(8, 0): "sm_80", (8, 6): "sm_86", (8, 7): "sm_86", (8, 9): "sm_89"}.get((major, minor), "compute_80")


def run(program, *step):
    """The median in us, GB/s and TFLOP/s, and what was loaded."""
    command = [os.path.join(folder, program), *step, *limits]
    done = subprocess.run(command, capture_output=True, text=True)
    figures = re.search(r"median ([0-9.]+) us .* ([0-9.]+) GB/s, ([0-9.]+) TFLOP/s", done.stdout)
    if done.returncode != 0 or not figures:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}kernel_speed.py: the benchmark must print its speed")
    best = re.search(r"best ([0-9.]+) us", done.stdout)
    loaded = re.search(r"^(.*), (cubin|PTX), launches:", done.stdout, re.MULTILINE)
    # Rates are those of the best run.
    share = float(best[1]) / float(figures[1]) if float(figures[1]) else 1
    return float(figures[1]), float(figures[2]) * share, float(figures[3]) * share, loaded[1] + ", " + loaded[2]


def shapes(name):
    """What to run of a kernel: shape, options of the step, and the peer's function with its arguments."""
    product = re.match(r"(gated_)?linear_.*_k(\d+)_n(\d+)", name)
    append = re.match(r"linear_rope_append_.*_k(\d+)_q(\d+)_\w+_h(\d+)_d(\d+)", name)
    if product or append:
        if product:
            k, n = int(product[2]), int(product[3]) * (2 if product[1] else 1)
        else:
            k, queries, keys, size = map(int, append.groups())
            n = (queries + 2 * keys) * size
        if tiny and n > 100000:
            return
        for rows in rows_of_products:
            # Each row of a sequence of its own, so that as many want logits.
            yield f"{rows}x{n}x{k}", [f"--tokens={rows}", f"--sequences={rows}"], ("product", rows, n, k)
    elif re.match(r"attention_(?!merge)", name):
        for sequences, keys in decodes:
            options = [f"--tokens={sequences}", f"--sequences={sequences}", f"--context={keys - 1}"]
            yield f"decode {sequences}x{keys}", options, ("decode", sequences, keys, heads, kv_heads, head_dim)
        yield f"prompt {prompt}", [f"--tokens={prompt}", "--sequences=1"], ("prompt", prompt, heads, kv_heads, head_dim)


peer = None
try:
    import torch

    if torch.cuda.is_available():
        import peer_kernels as peer
except ImportError:
    pass

suffix = "." + variant()
programs = sorted(f[:-2] for f in os.listdir(folder) if f.endswith(suffix + ".c"))
if not programs:
    sys.exit(f"kernel_speed.py: {folder} must hold benchmarks of {suffix[1:]}, got none")
table = [["kernel", "shape", "kerf us", "GB/s", "TFLOP/s", "peer us", "peer over kerf", "peer"]]
device = None
for program in programs:
    for shape, step, (kind, *sizes) in shapes(program):
        us, bandwidth, rate, device = run(program, *step)
        row = [program[: -len(suffix)], shape, f"{us:.2f}", f"{bandwidth:.0f}", f"{rate:.2f}", "", "", ""]
        if peer:
            peer_us, name = getattr(peer, kind)(*sizes)
            row[5:] = [f"{peer_us:.2f}", f"{peer_us / us:.2f}", name]
        table.append(row)
print(f"{device}, variant {suffix[1:]}, " + (f"PyTorch {torch.__version__}" if peer else "no PyTorch with a GPU: Kerf alone"))
with open("kernel-speed.csv", "w", newline="") as file:
    csv.writer(file).writerows(table)
widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
for row in table:
    print("  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))))
