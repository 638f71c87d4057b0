#!/usr/bin/env python3
"""Measures PyTorch on a checkpoint, as the peer that Kerf's own speed is stated against.

A prefill of 512 tokens (logits of the last row only, as a server would ask) and greedy decoding of 64 tokens behind
it, with transformers' KV cache, for each type and number of threads. The repeats are interleaved: every round measures
each combination once, so that a slow minute of the machine falls on all of them. Prints one JSON object.

    python torch_peer.py CHECKPOINT --dtype bf16,f32 --threads 1,2 --repeats 5
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from transformers import AutoModelForCausalLM, DynamicCache

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="directory with config.json and the weights")
    parser.add_argument("--dtype", default="bf16,f32", help="types, comma-separated: bf16, f16, f32")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, comma-separated")
    parser.add_argument("--prefill", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--decode", type=int, default=64, help="tokens decoded after it")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "eager"])
    arguments = parser.parse_args()
    arguments.dtype = arguments.dtype.split(",")
    for name in arguments.dtype:
        if name not in DTYPES:
            parser.error(f"--dtype must be of {', '.join(DTYPES)}, got {name}")
    try:
        arguments.threads = [int(count) for count in arguments.threads.split(",")]
    except ValueError:
        parser.error(f"--threads must be numbers separated by commas, got {arguments.threads}")
    if min(arguments.threads + [arguments.prefill, arguments.decode, arguments.repeats]) < 1:
        parser.error("--threads, --prefill, --decode and --repeats must be at least 1")
    return arguments


def measure(model, prompt, decode):
    """Seconds of the prefill and of `decode` steps of one token."""
    with torch.inference_mode():
        cache = DynamicCache(config=model.config)
        start = time.perf_counter()
        logits = model(prompt, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        token = logits[:, -1].argmax(-1, keepdim=True)
        prefilled = time.perf_counter()
        for _ in range(decode):
            logits = model(token, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            token = logits[:, -1].argmax(-1, keepdim=True)
        return prefilled - start, time.perf_counter() - prefilled


def spread(speeds):
    return {"median": round(statistics.median(speeds), 2), "min": round(min(speeds), 2), "max": round(max(speeds), 2)}


def main():
    arguments = parse_arguments()
    models = {}
    for name in arguments.dtype:
        models[name] = AutoModelForCausalLM.from_pretrained(
            arguments.checkpoint, dtype=DTYPES[name], attn_implementation=arguments.attention
        ).eval()
    vocabulary = next(iter(models.values())).config.vocab_size
    generator = torch.Generator().manual_seed(1)
    prompt = torch.randint(0, vocabulary, (1, arguments.prefill), generator=generator)

    combinations = [(name, count) for name in arguments.dtype for count in arguments.threads]
    prefill = {combination: [] for combination in combinations}
    decode = {combination: [] for combination in combinations}
    for repeat in range(arguments.repeats + 1):
        for name, count in combinations:
            torch.set_num_threads(count)
            prefill_seconds, decode_seconds = measure(models[name], prompt, arguments.decode)
            if repeat > 0:
                prefill[name, count].append(arguments.prefill / prefill_seconds)
                decode[name, count].append(arguments.decode / decode_seconds)

    results = [
        {
            "dtype": name,
            "threads": count,
            "prefill_tokens_per_s": spread(prefill[name, count]),
            "decode_tokens_per_s": spread(decode[name, count]),
        }
        for name, count in combinations
    ]
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "attention": arguments.attention,
                "cpu_capability": torch.backends.cpu.get_cpu_capability(),
                "prefill": arguments.prefill,
                "decode": arguments.decode,
                "repeats": arguments.repeats,
                "load_average": os.getloadavg(),
                "results": results,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
