"""Writes a checkpoint in the shape of a 1B Llama decoder whose weights are a hole in the file: shape.py DIR"""
import json
import os
import struct
import sys

hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary = 2048, 16, 32, 8, 64, 8192, 128256
config = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "num_hidden_layers": layers,
    "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
    "intermediate_size": intermediate, "vocab_size": vocabulary, "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
    "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "bos_token_id": 1, "eos_token_id": 2,
}
tensors, offset = {}, 0


def add(name, *shape):
    global offset
    size = 2
    for extent in shape:
        size *= extent
    tensors[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
    offset += size


add("model.embed_tokens.weight", vocabulary, hidden)
add("model.norm.weight", hidden)
for layer in range(layers):
    prefix = f"model.layers.{layer}."
    for name in ["input_layernorm", "post_attention_layernorm"]:
        add(f"{prefix}{name}.weight", hidden)
    for name, rows in [("q", heads * head_dim), ("k", kv_heads * head_dim), ("v", kv_heads * head_dim)]:
        add(f"{prefix}self_attn.{name}_proj.weight", rows, hidden)
    add(f"{prefix}self_attn.o_proj.weight", hidden, heads * head_dim)
    for name, shape in [("gate", (intermediate, hidden)), ("up", (intermediate, hidden)), ("down", (hidden, intermediate))]:
        add(f"{prefix}mlp.{name}_proj.weight", *shape)
os.makedirs(sys.argv[1], exist_ok=True)
with open(os.path.join(sys.argv[1], "config.json"), "w") as file:
    json.dump(config, file)
header = json.dumps(tensors).encode()
header += b" " * (-len(header) % 8)
with open(os.path.join(sys.argv[1], "model.safetensors"), "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header)
    file.truncate(8 + len(header) + offset)
