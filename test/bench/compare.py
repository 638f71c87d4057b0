#!/usr/bin/env python3
"""Measures a model compiled by Kerf beside PyTorch and the machine's read bandwidth, and prints ratios with their spread.

Every round measures each combination of type and threads once: bandwidth, Kerf, PyTorch, bandwidth. A ratio is taken
within one round, so that a slow minute of the machine falls on both sides of it.

    compare.py CHECKPOINT --kerf bf16=OUT/NAME.kerf --kerf f32=OUT32/NAME.kerf --bin build/release/bin --rounds 5
"""

import argparse
import json
import os
import statistics
import subprocess

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM

from torch_peer import DTYPES, measure


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="directory with config.json and the weights")
    parser.add_argument("--kerf", action="append", required=True, metavar="TYPE=MODEL.kerf",
                        help="a compiled package and the type that PyTorch computes in beside it; repeatable")
    parser.add_argument("--bin", default="build/release/bin", help="directory of kerf-bench and kerf-read-bandwidth")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, comma-separated")
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    arguments = parser.parse_args()
    arguments.kerf = dict(entry.split("=", 1) for entry in arguments.kerf)
    arguments.threads = [int(count) for count in arguments.threads.split(",")]
    return arguments


def run_json(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bandwidth(arguments, threads):
    result = run_json([f"{arguments.bin}/kerf-read-bandwidth", f"--threads={threads}", "--runs=3", "--json"])
    return result["results"][0]["median_gb_s"]


def kerf(arguments, name, threads):
    result = run_json([f"{arguments.bin}/kerf-bench", arguments.kerf[name], f"--threads={threads}", "--repeat=1",
                       f"--prompt-tokens={arguments.prefill}", f"--gen-tokens={arguments.decode}", "--json"])
    run = result["runs"][0]
    return {"variant": result["variant"], "bytes": result["weight_bytes"],
            "prefill": run["prefill"]["tokens_per_second"], "decode": run["decode"]["tokens_per_second"]}


def cell(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def main():
    arguments = parse_arguments()
    models = {name: AutoModelForCausalLM.from_pretrained(arguments.checkpoint, dtype=DTYPES[name],
                                                         attn_implementation="sdpa").eval()
              for name in arguments.kerf}
    vocabulary = next(iter(models.values())).config.vocab_size
    prompt = torch.randint(0, vocabulary, (1, arguments.prefill), generator=torch.Generator().manual_seed(1))
    combinations = [(name, count) for name in arguments.kerf for count in arguments.threads]
    samples = {combination: [] for combination in combinations}
    for turn in range(arguments.rounds + 1):
        for name, count in combinations:
            before = bandwidth(arguments, count)
            ours = kerf(arguments, name, count)
            torch.set_num_threads(count)
            prefill, decode = measure(models[name], prompt, arguments.decode)
            after = bandwidth(arguments, count)
            if turn > 0:
                samples[name, count].append(dict(ours, bandwidth=(before + after) / 2,
                                                 torch_prefill=arguments.prefill / prefill,
                                                 torch_decode=arguments.decode / decode))

    print(f"load average {os.getloadavg()[0]:.2f}; medians (least–greatest) of {arguments.rounds} rounds\n")
    print("| type | threads | variant | prefill tokens/s | over PyTorch | decode tokens/s | over PyTorch | "
          "weights read GB/s | read bandwidth GB/s | share |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, count in combinations:
        rows = samples[name, count]
        read = [row["decode"] * row["bytes"] / 1e9 for row in rows]
        print(f"| {name} | {count} | {rows[0]['variant']} | {cell([row['prefill'] for row in rows], 0)} "
              f"| {cell([row['prefill'] / row['torch_prefill'] for row in rows])} "
              f"| {cell([row['decode'] for row in rows], 1)} "
              f"| {cell([row['decode'] / row['torch_decode'] for row in rows])} "
              f"| {cell(read, 1)} | {cell([row['bandwidth'] for row in rows], 1)} "
              f"| {cell([rate / row['bandwidth'] for rate, row in zip(read, rows)])} |")
    for name in arguments.kerf:
        if {1, 2} <= set(arguments.threads):
            scaling = [two["prefill"] / one["prefill"] for one, two in zip(samples[name, 1], samples[name, 2])]
            print(f"\nprefill {name}, two threads over one: {cell(scaling)}")


if __name__ == "__main__":
    main()
