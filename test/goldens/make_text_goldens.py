#!/usr/bin/env python3
"""Makes the references for the bundled model, examples/models/kerf-tiny-llama, with transformers.

text/NN.prompt.txt, NN.output.txt   the prompt and what greedy decoding in f32 adds to it in 128 tokens, as raw bytes
text/NN.ids.txt                     three lines of numbers: ids of the prompt, ids generated, and for each of those the
                                    margin, its logit less the second best
forced/excerpt.txt                  a passage of the held-out text
forced/golden.safetensors           what f32 says of it under teacher forcing:
    ids          i64 [T]      the passage with the begin token
    top_ids      i32 [T, K]   at each position the K most probable next tokens, most probable first
    top_logprobs f32 [T, K]   their log-probabilities (natural)
    nll          f32 [T - 1]  minus the log-probability of the token that follows
    perplexity   f64 [1]      exp of the mean of nll

Weights are the checkpoint's bf16, widened. No margin of a kept prompt is below 1e-3, far more than the order of f32
sums moves a logit here (printed), and f64 generates the same: greedy text is a fact about the model and not about a
summation order.

    python make_text_goldens.py            # rewrites text/ and forced/
    python make_text_goldens.py --check    # compares what is there with what transformers computes now
"""

import argparse
import math
import os
import pathlib
import shutil

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODEL = ROOT / "examples/models/kerf-tiny-llama"
HELDOUT = ROOT / "examples/texts/heldout.txt"
TOKENS = 128
KEPT = 12
MARGIN = 1e-3
DISTINCT = 16  # a text of fewer different tokens is not kept
EXCERPT_TOKENS = 300
TOP = 128

# Candidates: text, or a passage of the held-out text as (start in 24ths of its lines, lines). Passages are most of
# them: after a few words of its own a model this small soon repeats itself, and a loop survives many a mistake.
PROMPTS = [
    "ERROR: ",
    "hack\n n.\n\n",
    "    if (x < 0) {\n        return -1;\n    }\n",
    "NAME\n    git-commit - Record changes to the repository\n\nSYNOPSIS\n",
    "The secret code of lantern is 48213.\nThe words of the wise are as goads. The secret code of lantern is",
    "naïve café — “quoted text”, 日本 and 🙂:",
    " ",
    (0, 6),
    (1, 12),
    (8, 6),
    (13, 12),
    (16, 6),
    (18, 25),
    (12, 6),
    (3, 50),
    (11, 50),
    (6, 25),
    (2, 25),
]


def load(dtype, attention="eager"):
    return AutoModelForCausalLM.from_pretrained(MODEL, dtype=dtype, attn_implementation=attention).eval()


def decode_greedily(model, ids):
    """The ids generated after `ids` and the margin of each."""
    generated, margins = [], []
    cache = transformers.DynamicCache(config=model.config)
    step = torch.tensor([ids])
    with torch.inference_mode():
        for _ in range(TOKENS):
            logits = model(step, past_key_values=cache, use_cache=True).logits[0, -1]
            best = logits.topk(2)
            generated.append(int(best.indices[0]))
            margins.append(float(best.values[0] - best.values[1]))
            step = best.indices[None, :1]
    return generated, margins


def force(model, ids):
    """Log-probabilities of every next token at each position."""
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].double().log_softmax(-1)


def lumped_kl(top_ids, top_logprobs, logprobs):
    """KL divergence of two distributions in which all tokens but the stored ones count as one token.

    Never more than the true divergence (data processing inequality); it needs only what the golden stores.
    """
    reference = top_logprobs.double()
    other = logprobs.gather(1, top_ids.long())
    rest = (1 - reference.exp().sum(1)).clamp_min(1e-12)
    other_rest = (1 - other.exp().sum(1)).clamp_min(1e-12)
    return (reference.exp() * (reference - other)).sum(1) + rest * (rest.log() - other_rest.log())


def pick_excerpt(tokenizer):
    """From a line's start in the middle of the held-out text, whole lines, at least EXCERPT_TOKENS tokens."""
    lines = HELDOUT.read_text(encoding="utf-8").splitlines(keepends=True)
    start = len(lines) // 2
    for end in range(start + 1, len(lines)):
        text = "".join(lines[start:end])
        if len(tokenizer(text).input_ids) >= EXCERPT_TOKENS:
            return text
    raise SystemExit(f"{HELDOUT} must hold {EXCERPT_TOKENS} tokens after its middle, got fewer")


def numbers(values, form="{}"):
    return " ".join(form.format(value) for value in values) + "\n"


def make_texts(model, exact, tokenizer):
    folder = HERE / "text"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    kept, least = 0, math.inf
    lines = HELDOUT.read_text(encoding="utf-8").splitlines(keepends=True)
    for prompt in PROMPTS:
        if isinstance(prompt, tuple):
            start = len(lines) * prompt[0] // 24
            prompt = "".join(lines[start : start + prompt[1]])
        ids = tokenizer(prompt).input_ids
        generated, margins = decode_greedily(model, ids)
        output = tokenizer.decode(generated, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        reason = None
        if min(margins) < MARGIN:
            reason = f"a margin of {min(margins):.1e}"
        elif model.config.eos_token_id in generated:
            reason = "it ends early"
        elif "\ufffd" in output:
            reason = "its output is cut inside a character"
        elif len(set(generated)) < DISTINCT:
            reason = f"only {len(set(generated))} different tokens"
        if reason:
            print(f"dropped {prompt[:40]!r}: {reason}")
            continue
        assert decode_greedily(exact, ids)[0] == generated, f"{prompt!r}: f64 generates other tokens"
        name = f"{kept:02}"
        (folder / f"{name}.prompt.txt").write_bytes(prompt.encode())
        (folder / f"{name}.output.txt").write_bytes(output.encode())
        (folder / f"{name}.ids.txt").write_text(
            numbers(ids) + numbers(generated) + numbers(margins, "{:.6g}"), encoding="ascii"
        )
        print(
            f"{name} {prompt[:40]!r}: {len(ids)} tokens, {len(set(generated))} different generated, "
            f"least margin {min(margins):.2e}"
        )
        kept, least = kept + 1, min(least, min(margins))
        if kept == KEPT:
            print(f"least margin of all: {least:.2e}")
            return
    raise SystemExit(f"{KEPT} prompts must have margins of at least {MARGIN}, got {kept}; add candidates to PROMPTS")


def make_forced(model, exact, tokenizer):
    folder = HERE / "forced"
    folder.mkdir(exist_ok=True)
    text = pick_excerpt(tokenizer)
    ids = tokenizer(text).input_ids
    (folder / "excerpt.txt").write_bytes(text.encode())
    logprobs = force(model, ids)
    top = logprobs.topk(TOP, dim=1)
    nll = -logprobs[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    golden = {
        "ids": torch.tensor(ids),
        "top_ids": top.indices.int().contiguous(),
        "top_logprobs": top.values.float().contiguous(),
        "nll": nll.float().contiguous(),
        "perplexity": nll.mean().exp()[None],
    }
    save_file(golden, folder / "golden.safetensors")
    print(f"excerpt: {len(ids)} tokens, perplexity {float(golden['perplexity']):.4f}")

    # A yardstick for the bounds of the tests: what another order of sums, and bf16 arithmetic, do to these numbers.
    for name, other in (("f64", exact), ("bf16", load(torch.bfloat16)), ("bf16, sdpa", load(torch.bfloat16, "sdpa"))):
        their = force(other, ids)
        kl = (logprobs.exp() * (logprobs - their)).sum(1)
        lumped = lumped_kl(golden["top_ids"], golden["top_logprobs"], their)
        agree = float((their.argmax(1) == logprobs.argmax(1)).double().mean())
        perplexity = float((-their[:-1].gather(1, torch.tensor(ids[1:])[:, None])).mean().exp())
        print(
            f"  {name} against f32: KL mean {float(kl.mean()):.2e} (of the stored part {float(lumped.mean()):.2e}), "
            f"largest {float(kl.max()):.2e}, log-probabilities of the stored tokens within "
            f"{float((logprobs - their).gather(1, top.indices).abs().max()):.2e}, "
            f"top-1 agreement {agree:.4f}, perplexity {perplexity:.4f}"
        )


def check(model, tokenizer):
    for path in sorted((HERE / "text").glob("*.ids.txt")):
        ids, generated, _ = path.read_text(encoding="ascii").splitlines()
        name = path.name.split(".")[0]
        prompt = (HERE / "text" / f"{name}.prompt.txt").read_bytes().decode()
        assert tokenizer(prompt).input_ids == [int(i) for i in ids.split()], f"{name}: other ids of the prompt"
        assert decode_greedily(model, tokenizer(prompt).input_ids)[0] == [int(i) for i in generated.split()], name
    golden = load_file(HERE / "forced/golden.safetensors")
    assert tokenizer((HERE / "forced/excerpt.txt").read_bytes().decode()).input_ids == golden["ids"].tolist()
    logprobs = force(model, golden["ids"].tolist())
    error = float((logprobs.gather(1, golden["top_ids"].long()) - golden["top_logprobs"]).abs().max())
    assert error < 1e-3, f"the stored log-probabilities are {error:.2e} from those of transformers"
    print(f"all texts are the same; log-probabilities are within {error:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tokenizer, model = AutoTokenizer.from_pretrained(MODEL), load(torch.float32)
    if arguments.check:
        check(model, tokenizer)
        return
    exact = load(torch.float64)
    make_texts(model, exact, tokenizer)
    make_forced(model, exact, tokenizer)


if __name__ == "__main__":
    main()
