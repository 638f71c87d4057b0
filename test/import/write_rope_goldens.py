#!/usr/bin/env python3
"""Writes rope.json: rope frequencies as transformers computes them.

Needs torch and transformers 5:  python3 test/import/write_rope_goldens.py > test/import/rope.json
"""
import json

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

LLAMA3 = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
CASES = {
    "default": (64, 131072, 10000.0, {"rope_type": "default"}),
    "default_large_theta": (128, 8192, 1e6, {"rope_type": "default"}),
    "linear": (64, 8192, 100000.0, {"rope_type": "linear", "factor": 2.5}),
    "llama3": (64, 131072, 500000.0, {**LLAMA3, "original_max_position_embeddings": 8192}),
    "llama3_short": (20, 128, 10000.0, {**LLAMA3, "factor": 3.0, "original_max_position_embeddings": 32}),
    "yarn": (128, 131072, 1e6, YARN),
    "yarn_untruncated": (64, 131072, 1e6, {**YARN, "truncate": False}),
    "yarn_attention_factor": (64, 131072, 1e6, {**YARN, "attention_factor": 0.75}),
    "yarn_mscale": (64, 163840, 10000.0, {**YARN, "factor": 40.0, "original_max_position_embeddings": 4096,
                                          "mscale": 0.707, "mscale_all_dim": 1.25}),
    "yarn_betas": (32, 4096, 10000.0, {**YARN, "factor": 8.0, "original_max_position_embeddings": 512,
                                       "beta_fast": 16, "beta_slow": 2}),
    "yarn_implied_factor": (32, 4096, 10000.0, {**YARN, "factor": None, "original_max_position_embeddings": 512}),
    "yarn_one_dimension_ramp": (8, 64, 10.0, {**YARN, "factor": 4.0, "original_max_position_embeddings": 16,
                                              "beta_fast": 2, "beta_slow": 2, "truncate": False}),
}

cases = []
for name, (head_dim, positions, theta, rope) in CASES.items():
    parameters = {"rope_theta": theta, **rope}
    config = LlamaConfig(hidden_size=4 * head_dim, num_attention_heads=4, head_dim=head_dim,
                         max_position_embeddings=positions, rope_parameters=dict(parameters))
    embedding = LlamaRotaryEmbedding(config)
    assert embedding.inv_freq.dtype == torch.float32
    cases.append({
        "name": name,
        "head_dim": head_dim,
        "max_position_embeddings": positions,
        "rope_parameters": parameters,
        "attention_factor": float(embedding.attention_scaling),
        "inv_freq": embedding.inv_freq.tolist(),
    })
print('{"cases": [')
print(",\n".join("  " + json.dumps(case) for case in cases))
print("]}")
