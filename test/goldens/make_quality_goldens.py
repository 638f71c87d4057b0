#!/usr/bin/env python3
"""Makes the references for kerf-run perplexity and kerf-run compare, with transformers on the bundled model.

quality/golden.json:
    tokens       how many tokens of examples/texts/heldout.txt, without its begin token
    perplexity   list, by window and stride: nats of every window, in f32
    compare      f32 against the model rounded where Kerf's compute type bf16 rounds (docs/import.md): what linear
                 layers read, rotated queries and keys, values. Sums stay in f32.

The windows, the statistics and their errors are written here again, from docs/quality.md; percentiles are exact.

    python make_quality_goldens.py            # rewrites quality/
    python make_quality_goldens.py --check    # compares what is there with what transformers computes now
"""

import argparse
import json
import math
import os
import pathlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM
from transformers.models.llama import modeling_llama

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODEL = ROOT / "examples/models/kerf-tiny-llama"
HELDOUT = ROOT / "examples/texts/heldout.txt"
TOKENS = 2048
CASES = [(256, 255), (256, 100), (64, 63)]
COMPARED = (256, 255)
BLOCK = 512
BEGIN = 0


def windows(ids, window, stride):
    """(ids with the begin token, index of the first that is scored) of every window."""
    body, covered, start = window - 1, 0, 0
    while covered < len(ids):
        end = min(start + body, len(ids))
        yield [BEGIN] + ids[start:end], 1 + covered - start
        covered, start = end, start + stride


def log_probabilities(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].double().log_softmax(-1).numpy()


def with_error(by_window):
    """Mean over tokens and its standard error from blocks of whole windows with at least BLOCK tokens."""
    blocks, pending = [], []
    for values in by_window:
        pending.extend(values)
        if len(pending) >= BLOCK:
            blocks.append(pending)
            pending = []
    if pending:
        blocks.append(pending)
    count = sum(map(len, blocks))
    mean = sum(map(sum, blocks)) / count
    squares = sum((sum(block) - mean * len(block)) ** 2 for block in blocks)
    return mean, math.sqrt(squares * len(blocks) / (len(blocks) - 1)) / count


def round_like_kerf(model):
    bf16 = lambda x: x.to(torch.bfloat16).to(torch.float32)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(lambda _, args: (bf16(args[0]),))
            if name.endswith("v_proj"):
                module.register_forward_hook(lambda _, __, out: bf16(out))
    rotate = modeling_llama.apply_rotary_pos_emb
    modeling_llama.apply_rotary_pos_emb = lambda *args, **kw: tuple(bf16(x) for x in rotate(*args, **kw))


def make():
    ids = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    ids = ids.encode(HELDOUT.read_text(encoding="utf-8"), add_special_tokens=False).ids[:TOKENS]
    load = lambda: AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
    exact = load()
    cases, p = [], []
    for window, stride in CASES:
        nlls = []
        for seen, first in windows(ids, window, stride):
            rows = log_probabilities(exact, seen)
            nlls.append([-rows[i - 1, seen[i]] for i in range(first, len(seen))])
            if (window, stride) == COMPARED:
                p.append(rows)
        mean, error = with_error(nlls)
        cases.append({"window": window, "stride": stride, "scored_tokens": sum(map(len, nlls)),
                      "perplexity": math.exp(mean), "perplexity_error": math.exp(mean) * error,
                      "nats": [round(sum(values), 4) for values in nlls]})

    rounded = load()
    round_like_kerf(rounded)
    kl, same, ratio, nll_b = [], [], [], []
    for (seen, first), rows in zip(windows(ids, *COMPARED), p):
        q = log_probabilities(rounded, seen)
        at = slice(first - 1, len(seen) - 1)
        kl.append((np.exp(rows[at]) * (rows[at] - q[at])).sum(-1).tolist())
        same.append((rows[at].argmax(-1) == q[at].argmax(-1)).astype(float).tolist())
        nll_b.append([-q[i - 1, seen[i]] for i in range(first, len(seen))])
        ratio.append([rows[i - 1, seen[i]] - q[i - 1, seen[i]] for i in range(first, len(seen))])
    flat = sorted(x for values in kl for x in values)
    difference, difference_error = with_error(ratio)
    result = {"window": COMPARED[0], "stride": COMPARED[1], "scored_tokens": len(flat),
              "kl_median": flat[int(0.5 * (len(flat) - 1))], "kl_p99": flat[int(0.99 * (len(flat) - 1))],
              "kl_max": flat[-1], "perplexity_b": math.exp(with_error(nll_b)[0]),
              "perplexity_ratio": math.exp(difference),
              "perplexity_ratio_error": math.exp(difference) * difference_error}
    result["kl_mean"], result["kl_mean_error"] = with_error(kl)
    result["top1_agreement"], result["top1_agreement_error"] = with_error(same)
    return {"tokens": TOKENS, "perplexity": cases, "compare": result}


def differs(a, b):
    if isinstance(a, dict):
        return a.keys() != b.keys() or any(differs(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) != len(b) or any(map(differs, a, b))
    return not math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    path = HERE / "quality/golden.json"
    if parser.parse_args().check:
        raise SystemExit("quality/golden.json differs" if differs(json.loads(path.read_text()), make()) else 0)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(make(), indent=1) + "\n")


if __name__ == "__main__":
    main()
