#!/usr/bin/env python3
"""Makes tiny random encoders and the vectors that transformers and PyTorch compute from them in f32.

Each directory under encoders/ is a checkpoint as published ones are, with the files of sentence-transformers where the
case has them, and golden.safetensors beside it: ids_N (i64) and, for each pooling that is tested, <pooling>_N (f32, one
vector). As in make_model_goldens.py, which this leans on, they hide nothing, and the script proves it.

    python make_encoder_goldens.py            # rewrites encoders/
    python make_encoder_goldens.py --check    # compares what is there with what is computed now
"""

import math
import pathlib
import shutil
import tempfile

import torch
import transformers
from make_model_goldens import DTYPES, PRECISION, SENSITIVITY, distance, run, write_json
from safetensors.torch import load_file, save_file

FOLDER = pathlib.Path(__file__).resolve().parent / "encoders"
POOLINGS = {
    "mean": lambda rows: rows.mean(0),
    "first": lambda rows: rows[0],
    "last": lambda rows: rows[-1],
    "max": lambda rows: rows.max(0).values,
}
WORDS = (
    "the a of and to in is it that was for on are with as he be at one have this from or had by but some what there we "
    "can out other were all your when up use word how said an each she which do their time if will way cat dog tree"
).split()
MODES = {"mean": "pooling_mode_mean_tokens", "first": "pooling_mode_cls_token"}


class Case:
    """One checkpoint. `pooling` is what the files of sentence-transformers say; None where there are none."""

    def __init__(self, name, seed, pooling, normalize=False, dtype="float32", form=4, hidden=30, heads=5,
                 intermediate=46, layers=3, vocab=131, context=64, eps=0.2, prefix="", activation="gelu",
                 prompts=(1, 7, 45, 20), tokenizer=False):  # fmt: skip
        self.name, self.seed, self.pooling, self.normalize, self.dtype = name, seed, pooling, normalize, dtype
        self.form, self.hidden, self.heads, self.intermediate, self.layers = form, hidden, heads, intermediate, layers
        self.vocab, self.context, self.eps, self.prefix, self.activation = vocab, context, eps, prefix, activation
        self.prompts, self.tokenizer = prompts, tokenizer

    def poolings(self):
        return [self.pooling] if self.pooling else list(POOLINGS)


CASES = [
    Case("bert-mean", 1, "mean", normalize=True, tokenizer=True),
    Case("bert-cls", 2, "first", dtype="bfloat16", form=5, hidden=36, heads=3, prefix="bert."),
    Case("bert-bare", 3, None, dtype="float16", hidden=24, heads=2, intermediate=50, activation="gelu_new"),
]


def make_config(case):
    config = {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": case.activation,
        "hidden_dropout_prob": 0.1,
        "hidden_size": case.hidden,
        "initializer_range": 0.02,
        "intermediate_size": case.intermediate,
        "layer_norm_eps": case.eps,
        "max_position_embeddings": case.context,
        "model_type": "bert",
        "num_attention_heads": case.heads,
        "num_hidden_layers": case.layers,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": case.vocab,
    }
    if case.form == 4:
        config |= {"gradient_checkpointing": False, "position_embedding_type": "absolute"}
        config |= {"torch_dtype": case.dtype, "transformers_version": "4.8.2"}
    else:
        config |= {"add_cross_attention": False, "classifier_dropout": None, "dtype": case.dtype, "is_decoder": False}
        config |= {"tie_word_embeddings": True, "transformers_version": transformers.__version__}
    return dict(sorted(config.items()))


def make_weights(case):
    """Gains away from one, biases away from zero, and projections so large that attention is far from uniform."""
    generator = torch.Generator().manual_seed(case.seed)
    weights = {}

    def away_from(centre, width):
        values = torch.rand(width, generator=generator) * 0.5 + 0.25
        return centre + values * torch.where(torch.rand(width, generator=generator) < 0.5, -1.0, 1.0)

    def norm(name):
        weights[case.prefix + name + ".weight"] = away_from(1.0, case.hidden)
        weights[case.prefix + name + ".bias"] = away_from(0.0, case.hidden)

    def linear(name, rows, columns, gain):
        weights[case.prefix + name + ".weight"] = torch.randn(rows, columns, generator=generator) * gain / math.sqrt(columns)
        weights[case.prefix + name + ".bias"] = away_from(0.0, rows)

    def table(name, rows):
        weights[case.prefix + name + ".weight"] = torch.randn(rows, case.hidden, generator=generator) * 0.5

    table("embeddings.word_embeddings", case.vocab)
    table("embeddings.position_embeddings", case.context)
    table("embeddings.token_type_embeddings", 2)
    norm("embeddings.LayerNorm")
    for layer in range(case.layers):
        block = f"encoder.layer.{layer}."
        for part, gain in (("query", 2.5), ("key", 2.5), ("value", 1.5)):
            linear(block + "attention.self." + part, case.hidden, case.hidden, gain)
        linear(block + "attention.output.dense", case.hidden, case.hidden, 2.0)
        norm(block + "attention.output.LayerNorm")
        linear(block + "intermediate.dense", case.intermediate, case.hidden, 1.0)
        linear(block + "output.dense", case.hidden, case.intermediate, 2.0)
        norm(block + "output.LayerNorm")
    weights = {name: value.to(DTYPES[case.dtype]).contiguous() for name, value in weights.items()}
    if not case.prefix:
        # What older checkpoints have besides: unused by a vector of pooled rows.
        weights["embeddings.position_ids"] = torch.arange(case.context)[None]
        weights["pooler.dense.weight"] = torch.ones(case.hidden, case.hidden, dtype=DTYPES[case.dtype])
        weights["pooler.dense.bias"] = torch.ones(case.hidden, dtype=DTYPES[case.dtype])
    return weights


def make_prompts(case):
    generator = torch.Generator().manual_seed(2000 + case.seed)
    return [torch.randint(0, case.vocab, (length,), generator=generator) for length in case.prompts]


def make_tokenizer(case):
    """WordPiece of letters, digits and a few words, lower case, with [CLS] and [SEP] around a text."""
    pieces = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [str(d) for d in range(10)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + pieces + ["##" + piece for piece in pieces]
    tokens += [word for word in WORDS if len(word) > 1][: case.vocab - len(tokens)]
    assert len(tokens) == len(set(tokens)) == case.vocab
    frame = [{"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]")]
    special = {name: {"id": name, "ids": [tokens.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": token} | added for i, token in enumerate(tokens[:5])],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True},  # fmt: skip
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [frame[0], {"Sequence": {"id": "A", "type_id": 0}}, frame[1]],
            "pair": [frame[0], {"Sequence": {"id": "A", "type_id": 0}}, frame[1]],
            "special_tokens": special,
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: i for i, token in enumerate(tokens)},
        },
    }


def write_checkpoint(folder, case, config, weights):
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    if case.tokenizer:
        write_json(folder / "tokenizer.json", make_tokenizer(case))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if not case.pooling:
        return
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + [("2_Normalize", "Normalize")] * case.normalize
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = {mode: mode == MODES[case.pooling] for mode in MODES.values()}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": case.hidden} | modes)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 50, "do_lower_case": False})


def compute_vectors(folder, case, prompts, dtype=torch.float32):
    """The vectors of each prompt, by pooling; refuses a tensor that transformers misses."""
    model, info = transformers.BertModel.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", add_pooling_layer=False, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["mismatched_keys"], f"{case.name}: {info}"
    model.eval()
    vectors = {}
    with torch.inference_mode():
        for i, prompt in enumerate(prompts):
            rows = model(prompt[None]).last_hidden_state[0]
            for pooling in case.poolings():
                vector = POOLINGS[pooling](rows)
                vectors[f"{pooling}_{i}"] = vector / vector.norm() if case.normalize else vector
    return vectors


def effect(got, want):
    return distance(list(got.values()), list(want.values()))


def changes(config, weights):
    """Each number, bias, gain and matrix that the vectors must depend on, changed."""
    yield "layer_norm_eps", config | {"layer_norm_eps": config["layer_norm_eps"] / 100}, weights
    yield "hidden_act", config | {"hidden_act": "silu"}, weights
    for name, value in weights.items():
        changed = value.clone()
        # A softmax does not see what is added to all scores of a row.
        if "pooler" in name or "position_ids" in name or name.endswith("key.bias"):
            continue
        if name.endswith(".bias"):
            changed.zero_()
        elif value.dim() == 1:
            changed.fill_(1.0)
        elif "word_embeddings" not in name:
            changed[0, :] = 0
            changed[:, -1] = 0
        yield name, config, weights | {name: changed}


def prove(case, config, weights, prompts, vectors, report):
    """Asserts that the vectors depend on everything that they should, and returns the error of f32."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "checkpoint"
        for name, changed_config, changed in changes(config, weights):
            if "word_embeddings" in name:
                continue
            write_checkpoint(folder, case, changed_config, changed)
            moved = effect(compute_vectors(folder, case, prompts), vectors)
            if report:
                print(f"  {name}: {moved:.3g}")
            assert moved > SENSITIVITY, f"{case.name}: a change of {name} moves the vectors by only {moved:.3g}"
        write_checkpoint(folder, case, config, weights)
        error = effect(vectors, compute_vectors(folder, case, prompts, torch.float64))
    assert error < PRECISION, f"{case.name}: f32 is {error:.3g} from f64"
    return error


def make(case, report):
    config, weights, prompts = make_config(case), make_weights(case), make_prompts(case)
    folder = FOLDER / case.name
    if folder.exists():
        shutil.rmtree(folder)
    write_checkpoint(folder, case, config, weights)
    vectors = compute_vectors(folder, case, prompts)
    error = prove(case, config, weights, prompts, vectors, report)
    golden = {f"ids_{i}": ids for i, ids in enumerate(prompts)} | {k: v.clone() for k, v in vectors.items()}
    save_file(golden, folder / "golden.safetensors")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{case.name}: {size} bytes, f32 is {error:.1e} from f64", flush=True)
    return size


def check(case):
    golden = load_file(FOLDER / case.name / "golden.safetensors")
    prompts = [golden[f"ids_{i}"] for i in range(len(case.prompts))]
    vectors = compute_vectors(FOLDER / case.name, case, prompts)
    error = effect({name: golden[name] for name in vectors}, vectors)
    print(f"{case.name}: {error:.1e} from transformers {transformers.__version__}", flush=True)
    assert error < PRECISION, f"{case.name}: the stored vectors are {error:.3g} from those of transformers"


if __name__ == "__main__":
    run(CASES, make, check, __doc__)
