"""A checkpoint for a config.json: every tensor it calls for, all holes, so that it reads as zeros and takes no disk.

sparse_checkpoint.py CONFIG-DIRECTORY OUTPUT-DIRECTORY [TOKENIZER-DIRECTORY]
"""
import json
import os
import shutil
import struct
import sys

config_directory, output = sys.argv[1:3]
os.makedirs(output)
for name in ["config.json", "modules.json", "1_Pooling", "sentence_bert_config.json"]:
    path = os.path.join(config_directory, name)
    if os.path.isdir(path):
        shutil.copytree(path, os.path.join(output, name))
    elif os.path.exists(path):
        shutil.copy(path, output)
with open(os.path.join(config_directory, "config.json"), encoding="utf-8") as file:
    config = json.load(file)

kind = config["architectures"][0]
dtype = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}[config.get("torch_dtype") or config.get("dtype", "float32")]


def gpt2_shapes():
    hidden, layers = config["n_embd"], config["n_layer"]
    wide = config.get("n_inner") or 4 * hidden
    shapes = {"wte.weight": [config["vocab_size"], hidden], "wpe.weight": [config["n_positions"], hidden]}
    for norm in ["ln_f"] + [f"h.{layer}.{norm}" for layer in range(layers) for norm in ("ln_1", "ln_2")]:
        shapes |= {norm + ".weight": [hidden], norm + ".bias": [hidden]}
    for layer in range(layers):
        for name, rows, columns in [("attn.c_attn", hidden, 3 * hidden), ("attn.c_proj", hidden, hidden),
                                    ("mlp.c_fc", hidden, wide), ("mlp.c_proj", wide, hidden)]:
            shapes |= {f"h.{layer}.{name}.weight": [rows, columns], f"h.{layer}.{name}.bias": [columns]}
        # The causal mask, as published checkpoints have it.
        shapes[f"h.{layer}.attn.bias"] = [1, 1, config["n_positions"], config["n_positions"]]
    return shapes


def bert_shapes():
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    tables = {"word": "vocab_size", "position": "max_position_embeddings", "token_type": "type_vocab_size"}
    shapes = {f"embeddings.{name}_embeddings.weight": [config[size], hidden] for name, size in tables.items()}
    linears, norms = [], ["embeddings.LayerNorm"]
    for layer in range(config["num_hidden_layers"]):
        part = f"encoder.layer.{layer}."
        linears += [(f"{part}attention.self.{name}", hidden, hidden) for name in ("query", "key", "value")]
        linears += [(part + "attention.output.dense", hidden, hidden), (part + "intermediate.dense", wide, hidden),
                    (part + "output.dense", hidden, wide)]
        norms += [part + "attention.output.LayerNorm", part + "output.LayerNorm"]
    for name, rows, columns in linears + [("pooler.dense", hidden, hidden)]:
        shapes |= {name + ".weight": [rows, columns], name + ".bias": [rows]}
    for name in norms:
        shapes |= {name + ".weight": [hidden], name + ".bias": [hidden]}
    return shapes


def llama_shapes():
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head = config.get("head_dim") or hidden // heads
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], hidden], "model.norm.weight": [hidden]}
    if not config.get("tie_word_embeddings", False):
        shapes["lm_head.weight"] = [config["vocab_size"], hidden]
    for layer in range(config["num_hidden_layers"]):
        part = f"model.layers.{layer}."
        shapes[part + "input_layernorm.weight"] = [hidden]
        shapes[part + "post_attention_layernorm.weight"] = [hidden]
        for name, rows, columns in [("q", heads * head, hidden), ("k", kv_heads * head, hidden),
                                    ("v", kv_heads * head, hidden), ("o", hidden, heads * head)]:
            shapes[f"{part}self_attn.{name}_proj.weight"] = [rows, columns]
            if kind == "Qwen2ForCausalLM" and name != "o":
                shapes[f"{part}self_attn.{name}_proj.bias"] = [rows]
        if kind == "Qwen3ForCausalLM":
            shapes[part + "self_attn.q_norm.weight"] = [head]
            shapes[part + "self_attn.k_norm.weight"] = [head]
        for name, rows, columns in [("gate", wide, hidden), ("up", wide, hidden), ("down", hidden, wide)]:
            shapes[f"{part}mlp.{name}_proj.weight"] = [rows, columns]
    return shapes


shapes = {"GPT2LMHeadModel": gpt2_shapes, "BertModel": bert_shapes}.get(kind, llama_shapes)()
header, offset = {}, 0
for name, shape in shapes.items():
    size = {"BF16": 2, "F16": 2, "F32": 4}[dtype]
    for extent in shape:
        size *= extent
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
    offset += size
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(os.path.join(output, "model.safetensors"), "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    file.truncate(8 + len(text) + offset)
if len(sys.argv) > 3:
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]:
        shutil.copy(os.path.join(sys.argv[3], name), output)
