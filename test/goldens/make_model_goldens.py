#!/usr/bin/env python3
"""Makes tiny random checkpoints and the logits that transformers computes from them in f32.

Each directory under models/ is a checkpoint as published ones are (config.json, generation_config.json and safetensors;
no tokenizer: prompts are ids) with golden.safetensors beside it: ids_N (i64) and logits_N (f32, one row for each token)
of a few prompts. The checkpoints hide nothing: no bias is zero, no gain is one, heads share keys and values, sizes are
odd, and the longest prompt passes the original context of the rope variant and many windows. The script itself proves
that the logits depend on each of these (`--report` prints by how much) and that f32 suffices for the tolerance of the
tests.

    python make_model_goldens.py            # rewrites models/
    python make_model_goldens.py --check    # compares what is there with what transformers computes now
"""

import argparse
import copy
import json
import math
import os
import pathlib
import shutil
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

FOLDER = pathlib.Path(__file__).resolve().parent / "models"
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
SENSITIVITY = 1e-2  # what a change of any one parameter must do to the logits, relative
PRECISION = 5e-6  # how far f32 may be from f64, relative: the tests allow 1e-4

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 6.0,
    "low_freq_factor": 1.25,
    "high_freq_factor": 3.5,
    "original_max_position_embeddings": 32,
}
# The defaults, 32 rotations and 1, differ from other choices only from an original context of 32 * 2 pi.
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}
YARN_BETAS = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 0.8,
    "beta_slow": 0.1,
}
YARN_TUNED = {
    "rope_type": "yarn",
    "factor": 3.0,
    "original_max_position_embeddings": 24,
    "beta_fast": 3.5,
    "beta_slow": 0.4,
    "attention_factor": 1.3,
    "truncate": False,
}
YARN_MSCALE = YARN_BETAS | {"mscale": 2.5, "mscale_all_dim": 0.5}


class Case:
    """One checkpoint. `form` is the major version of transformers whose config.json is written."""

    def __init__(self, name, seed, arch="llama", dtype="float32", form=4, rope=None, theta=100.0, layers=3, hidden=36,
                 intermediate=52, heads=6, kv_heads=2, head_dim=10, vocab=131, tied=True, eps=0.02, bias=False,
                 mlp_bias=False, shards=1, eos=1, context=64, prompts=(1, 7, 45), window=None, full_layers=0,
                 layer_types=None, extra=None):  # fmt: skip
        self.name, self.seed, self.arch, self.dtype, self.form, self.rope = name, seed, arch, dtype, form, rope or {}
        self.theta, self.layers, self.hidden, self.intermediate = theta, layers, hidden, intermediate
        self.heads, self.kv_heads, self.head_dim, self.vocab = heads, kv_heads, head_dim, vocab
        self.tied, self.eps, self.bias, self.mlp_bias, self.shards = tied, eps, bias, mlp_bias, shards
        self.eos, self.context, self.prompts, self.extra = eos, context, prompts, extra or {}
        # Layers from `full_layers` on see through the window, or those that layer_types ("fs…") calls sliding.
        self.window, self.full_layers, self.layer_types = window, full_layers, layer_types


CASES = [
    Case("llama-f32", 1, hidden=30, intermediate=46),
    Case("llama-bf16", 2, dtype="bfloat16", hidden=45, heads=9, kv_heads=3, head_dim=8, vocab=127, eos=[1, 126]),
    Case("llama-f16", 3, dtype="float16", heads=4, kv_heads=1, head_dim=18, layers=4, tied=False),
    Case("llama-no-head-dim", 4, dtype="bfloat16", hidden=42, heads=3, kv_heads=1, head_dim=None),
    Case("llama-linear", 5, dtype="bfloat16", rope={"type": "linear", "factor": 2.5}),
    Case("llama-llama3", 6, rope=LLAMA3, hidden=30, intermediate=46),
    Case("llama-yarn", 7, rope=YARN, theta=20.0, hidden=30, intermediate=46, vocab=61, context=1024,
         prompts=(1, 7, 271)),  # fmt: skip
    Case("llama-yarn-mscale", 8, dtype="bfloat16", rope=YARN_MSCALE, head_dim=14),
    Case("llama-bias", 9, dtype="float16", bias=True, mlp_bias=True, tied=False),
    Case("llama-v5", 10, dtype="bfloat16", form=5),
    Case("llama-v5-llama3", 11, dtype="bfloat16", form=5, rope=LLAMA3, tied=False),
    Case("llama-v5-yarn", 12, dtype="float16", form=5, rope=YARN_TUNED, head_dim=14),
    Case("llama-sharded", 13, dtype="bfloat16", layers=4, hidden=44, intermediate=42, heads=4, shards=3, tied=False),
    Case("qwen2", 14, arch="qwen2", hidden=30, intermediate=46, heads=3, kv_heads=1, head_dim=None, vocab=137),
    Case("qwen2-v5", 15, arch="qwen2", dtype="bfloat16", form=5, hidden=40, heads=4, head_dim=None, tied=False,
         eos=[3, 1]),  # fmt: skip
    Case("qwen3", 16, arch="qwen3", dtype="bfloat16", vocab=139),
    Case("qwen3-v5-bias", 17, arch="qwen3", dtype="float16", form=5, bias=True, tied=False, rope=YARN_BETAS,
         head_dim=14),  # fmt: skip
    Case("mistral", 18, arch="mistral", dtype="bfloat16", head_dim=None, tied=False, window=5),
    Case("mistral-v5", 19, arch="mistral", form=5, hidden=30, intermediate=46, window=17),
    Case("ministral-v5", 20, arch="ministral", dtype="bfloat16", form=5, window=6, layer_types="sfs"),
    Case("qwen2-window", 21, arch="qwen2", dtype="bfloat16", hidden=40, heads=4, head_dim=None, window=9,
         full_layers=1),  # fmt: skip
    Case("qwen3-v5-window", 22, arch="qwen3", dtype="bfloat16", form=5, tied=False, window=4, layer_types="fsf"),
    Case("gpt2", 18, arch="gpt2", hidden=30, heads=5, intermediate=None, eps=0.05),
    Case("gpt2-bf16", 19, arch="gpt2", dtype="bfloat16", form=5, hidden=36, heads=3, intermediate=46, tied=False,
         extra={"activation_function": "relu", "scale_attn_by_inverse_layer_idx": True}),  # fmt: skip
]


def make_gpt2_config(case):
    """The same for GPT-2, whose keys have other names."""
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": 0,
        "embd_pdrop": 0.1,
        "eos_token_id": case.eos,
        "initializer_range": 0.02,
        "layer_norm_epsilon": case.eps,
        "model_type": "gpt2",
        "n_embd": case.hidden,
        "n_head": case.heads,
        "n_layer": case.layers,
        "n_positions": case.context,
        "resid_pdrop": 0.1,
        "vocab_size": case.vocab,
    } | case.extra
    if case.intermediate is not None:
        config["n_inner"] = case.intermediate
    if not case.tied:
        config["tie_word_embeddings"] = False
    if case.form == 4:
        config |= {"n_ctx": case.context, "torch_dtype": case.dtype, "transformers_version": "4.55.0"}
    else:
        config |= {"dtype": case.dtype, "n_inner": case.intermediate, "reorder_and_upcast_attn": False}
        config |= {"transformers_version": transformers.__version__}
    return dict(sorted(config.items()))


def make_config(case):
    """config.json in the form that transformers 4 or 5 writes for a published model."""
    if case.arch == "gpt2":
        return make_gpt2_config(case)
    config = {
        "architectures": [case.arch.capitalize() + "ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": case.eos,
        "hidden_act": "silu",
        "hidden_size": case.hidden,
        "initializer_range": 0.02,
        "intermediate_size": case.intermediate,
        "max_position_embeddings": case.context,
        "model_type": case.arch,
        "num_attention_heads": case.heads,
        "num_hidden_layers": case.layers,
        "num_key_value_heads": case.kv_heads,
        "rms_norm_eps": case.eps,
        "tie_word_embeddings": case.tied,
        "use_cache": True,
        "vocab_size": case.vocab,
    }
    if case.head_dim is not None:
        config["head_dim"] = case.head_dim
    if case.arch in ("llama", "qwen3"):
        config["attention_bias"] = case.bias
    if case.arch == "llama":
        config |= {"mlp_bias": case.mlp_bias, "pretraining_tp": 1}
    else:
        config["sliding_window"] = case.window
    if case.arch in ("qwen2", "qwen3"):
        full_layers = case.layers if case.window is None else case.full_layers
        config |= {"use_sliding_window": case.window is not None, "max_window_layers": full_layers}
    if case.form == 4:
        config |= {"rope_theta": case.theta, "rope_scaling": case.rope or None, "torch_dtype": case.dtype}
        config["transformers_version"] = "4.55.0"
    else:
        config |= {"rope_parameters": {"rope_type": "default"} | case.rope | {"rope_theta": case.theta}}
        config |= {"dtype": case.dtype, "pad_token_id": None, "transformers_version": transformers.__version__}
        if case.arch in ("qwen2", "qwen3") and not case.layer_types:
            config["layer_types"] = ["full_attention"] * case.layers
    if case.layer_types:
        config["layer_types"] = [{"f": "full_attention", "s": "sliding_attention"}[kind] for kind in case.layer_types]
    return dict(sorted(config.items()))


def make_weights(case):
    """Gains away from one, biases away from zero, and projections so large that attention is far from uniform."""
    generator = torch.Generator().manual_seed(case.seed)
    head_dim = case.head_dim or case.hidden // case.heads
    weights = {}

    def away_from(centre, width):
        values = torch.rand(width, generator=generator) * 0.5 + 0.25
        return centre + values * torch.where(torch.rand(width, generator=generator) < 0.5, -1.0, 1.0)

    def linear(name, rows, columns, bias, gain):
        weights[name + ".weight"] = torch.randn(rows, columns, generator=generator) * gain / math.sqrt(columns)
        if bias:
            weights[name + ".bias"] = away_from(0.0, rows)

    def norm(name):
        weights[name + ".weight"] = away_from(1.0, case.hidden)
        weights[name + ".bias"] = away_from(0.0, case.hidden)

    def transposed(name, rows, columns, gain):
        weights[name + ".weight"] = torch.randn(rows, columns, generator=generator) * gain / math.sqrt(rows)
        weights[name + ".bias"] = away_from(0.0, columns)

    if case.arch == "gpt2":
        # The first case is saved without its head, hence without the prefix.
        prefix = "" if case.form == 4 else "transformer."
        inner = case.intermediate or 4 * case.hidden
        weights[prefix + "wte.weight"] = torch.randn(case.vocab, case.hidden, generator=generator) * 0.3
        weights[prefix + "wpe.weight"] = torch.randn(case.context, case.hidden, generator=generator) * 0.3
        for layer in range(case.layers):
            block = f"{prefix}h.{layer}."
            norm(block + "ln_1")
            transposed(block + "attn.c_attn", case.hidden, 3 * case.hidden, 1.2)
            transposed(block + "attn.c_proj", case.hidden, case.hidden, 1.0)
            norm(block + "ln_2")
            transposed(block + "mlp.c_fc", case.hidden, inner, 1.0)
            transposed(block + "mlp.c_proj", inner, case.hidden, 1.0)
        norm(prefix + "ln_f")
        if not case.tied:
            weights["lm_head.weight"] = torch.randn(case.vocab, case.hidden, generator=generator) * 0.3
        return {name: value.to(DTYPES[case.dtype]).contiguous() for name, value in weights.items()}

    weights["model.embed_tokens.weight"] = torch.randn(case.vocab, case.hidden, generator=generator) * 0.3
    qkv_bias = case.bias or case.arch == "qwen2"
    for layer in range(case.layers):
        prefix = f"model.layers.{layer}."
        weights[prefix + "input_layernorm.weight"] = away_from(1.0, case.hidden)
        linear(prefix + "self_attn.q_proj", case.heads * head_dim, case.hidden, qkv_bias, 1.2)
        linear(prefix + "self_attn.k_proj", case.kv_heads * head_dim, case.hidden, qkv_bias, 1.2)
        linear(prefix + "self_attn.v_proj", case.kv_heads * head_dim, case.hidden, qkv_bias, 1.0)
        linear(prefix + "self_attn.o_proj", case.hidden, case.heads * head_dim, case.bias, 1.0)
        if case.arch == "qwen3":
            weights[prefix + "self_attn.q_norm.weight"] = away_from(1.2, head_dim)
            weights[prefix + "self_attn.k_norm.weight"] = away_from(1.2, head_dim)
        weights[prefix + "post_attention_layernorm.weight"] = away_from(1.0, case.hidden)
        linear(prefix + "mlp.gate_proj", case.intermediate, case.hidden, case.mlp_bias, 1.0)
        linear(prefix + "mlp.up_proj", case.intermediate, case.hidden, case.mlp_bias, 1.0)
        linear(prefix + "mlp.down_proj", case.hidden, case.intermediate, case.mlp_bias, 1.0)
    weights["model.norm.weight"] = away_from(1.0, case.hidden)
    if not case.tied:
        weights["lm_head.weight"] = torch.randn(case.vocab, case.hidden, generator=generator) * 0.3
    return {name: value.to(DTYPES[case.dtype]).contiguous() for name, value in weights.items()}


def make_prompts(case):
    generator = torch.Generator().manual_seed(1000 + case.seed)
    return [torch.randint(0, case.vocab, (length,), generator=generator) for length in case.prompts]


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_checkpoint(folder, case, config, weights):
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    generation = {"bos_token_id": 0, "eos_token_id": case.eos, "transformers_version": config["transformers_version"]}
    write_json(folder / "generation_config.json", {"_from_model_config": True} | generation)
    if case.shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    # Round-robin, so that one layer's tensors lie in several files.
    shards = [{} for _ in range(case.shards)]
    for index, name in enumerate(weights):
        shards[index % case.shards][name] = weights[name]
    files = [f"model-{i + 1:05}-of-{case.shards:05}.safetensors" for i in range(case.shards)]
    for file, shard in zip(files, shards):
        save_file(shard, folder / file, metadata={"format": "pt"})
    total = sum(value.numel() * value.element_size() for value in weights.values())
    places = {name: file for file, shard in zip(files, shards) for name in shard}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    write_json(folder / "model.safetensors.index.json", index)


def compute_logits(folder, prompts, dtype=torch.float32):
    """What transformers makes of the directory; refuses a tensor it did not find or did not want."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", output_loading_info=True
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], f"{folder.name}: {kind}: {sorted(info[kind])}"
    model.eval()
    with torch.inference_mode():
        return [model(prompt[None]).logits[0] for prompt in prompts]


def distance(logits, reference):
    """The largest error over the prompts, each relative in the 2-norm."""
    return max(float((a.double() - b.double()).norm() / b.double().norm()) for a, b in zip(logits, reference))


def changed_configs(config):
    """Each number of the config that the logits must depend on, changed."""
    if config["model_type"] == "gpt2":
        yield "layer_norm_epsilon", config | {"layer_norm_epsilon": config["layer_norm_epsilon"] / 100}
        yield "activation_function", config | {"activation_function": "silu"}
        for key, default in {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}.items():
            yield key, config | {key: not config.get(key, default)}
        return
    yield "rms_norm_eps", config | {"rms_norm_eps": config["rms_norm_eps"] / 100}
    rope_key = "rope_parameters" if "rope_parameters" in config else "rope_scaling"
    if rope_key == "rope_scaling":
        yield "rope_theta", config | {"rope_theta": config["rope_theta"] * 2}
    for key, value in (config[rope_key] or {}).items():
        changed = copy.deepcopy(config)
        if key in ("rope_type", "type"):
            if value == "default":
                continue
            changed[rope_key] = {"rope_type": "default"}
            if "rope_theta" in config[rope_key]:
                changed[rope_key]["rope_theta"] = config[rope_key]["rope_theta"]
        elif key == "truncate":
            changed[rope_key][key] = not value
        else:
            changed[rope_key][key] = type(value)(value * (0.5 if key == "high_freq_factor" else 2))
        yield key, changed
    if config.get("sliding_window"):
        for change in (-1, 1):
            yield "sliding_window", config | {"sliding_window": config["sliding_window"] + change}
    for index, kind in enumerate(config.get("layer_types", []) if config.get("sliding_window") else []):
        types = list(config["layer_types"])
        types[index] = "full_attention" if kind == "sliding_attention" else "sliding_attention"
        yield f"layer_types[{index}]", config | {"layer_types": types}
    if config.get("use_sliding_window") and "layer_types" not in config:
        for change in (-1, 1):
            yield "max_window_layers", config | {"max_window_layers": config["max_window_layers"] + change}
    if (config[rope_key] or {}).get("rope_type") == "yarn":
        for key, other in {"attention_factor": 1.0, "beta_fast": 4.0, "beta_slow": 0.25}.items():
            if key not in config[rope_key]:
                changed = copy.deepcopy(config)
                changed[rope_key][key] = other
                yield "implied " + key, changed


def changed_weights(weights):
    """Each bias set to zero and each gain to one; each other matrix without its last row and column.

    A softmax does not see what is added to all scores of a row: a key's bias counts only because rope turns it.
    """
    for name, value in weights.items():
        changed = value.clone()
        if name.endswith("c_attn.bias"):
            # The middle third is the keys', which nothing turns.
            changed[: len(value) // 3] = 0
        elif name.endswith(".bias"):
            changed.zero_()
        elif value.dim() == 1:
            changed.fill_(1.0)
        elif name.endswith(("_proj.weight", "c_attn.weight", "c_fc.weight", "wpe.weight")):
            changed[-1, :] = 0
            changed[:, -1] = 0
        else:
            continue
        yield name, weights | {name: changed}


def prove(case, config, weights, prompts, logits, report):
    """Asserts that the logits depend on everything that they should, and returns the error of f32."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch) / "checkpoint"
        changes = [(name, changed, weights) for name, changed in changed_configs(config)]
        changes += [(name, config, changed) for name, changed in changed_weights(weights)]
        for name, changed_config, changed in changes:
            write_checkpoint(scratch, case, changed_config, changed)
            effect = distance(compute_logits(scratch, prompts), logits)
            if report:
                print(f"  {name}: {effect:.3g}")
            assert effect > SENSITIVITY, f"{case.name}: a change of {name} moves the logits by only {effect:.3g}"
        write_checkpoint(scratch, case, config, weights)
        error = distance(logits, compute_logits(scratch, prompts, torch.float64))
    assert error < PRECISION, f"{case.name}: f32 is {error:.3g} from f64"
    everything = torch.cat(logits)
    deviation = float(everything.std())
    assert 0.7 < deviation < 4.0, f"{case.name}: logits have a deviation of {deviation:.3g}"
    return error, deviation


def make(case, report):
    config, weights, prompts = make_config(case), make_weights(case), make_prompts(case)
    folder = FOLDER / case.name
    if folder.exists():
        shutil.rmtree(folder)
    write_checkpoint(folder, case, config, weights)
    logits = compute_logits(folder, prompts)
    error, deviation = prove(case, config, weights, prompts, logits, report)
    golden = {f"ids_{i}": ids for i, ids in enumerate(prompts)}
    golden |= {f"logits_{i}": values.contiguous() for i, values in enumerate(logits)}
    save_file(golden, folder / "golden.safetensors")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{case.name}: {size} bytes, logits deviate by {deviation:.2f}, f32 is {error:.1e} from f64", flush=True)
    return size


def check(case):
    folder = FOLDER / case.name
    golden = load_file(folder / "golden.safetensors")
    prompts = [golden[f"ids_{i}"] for i in range(len(case.prompts))]
    error = distance(compute_logits(folder, prompts), [golden[f"logits_{i}"] for i in range(len(case.prompts))])
    print(f"{case.name}: {error:.1e} from transformers {transformers.__version__}", flush=True)
    assert error < PRECISION, f"{case.name}: the stored logits are {error:.3g} from those of transformers"


def run(cases, make, check, doc):
    """Makes or checks the cases that the command line asks for."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    parser.add_argument("--report", action="store_true", help="print the effect of each change")
    parser.add_argument("--only", help="names of checkpoints, comma-separated")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    names = [case.name for case in cases]
    chosen = arguments.only.split(",") if arguments.only else names
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"--only must name checkpoints among {', '.join(names)}, got {', '.join(unknown)}")
    cases = [case for case in cases if case.name in chosen]
    if arguments.check:
        for case in cases:
            check(case)
    else:
        print(f"{sum(make(case, arguments.report) for case in cases)} bytes in all")


if __name__ == "__main__":
    run(CASES, make, check, __doc__)
