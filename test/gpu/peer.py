"""The 1B decoder of shape.py in PyTorch: one token through torch.compile in a CUDA graph, and a prompt through cuBLAS
and SDPA. Prints CSV: what, tokens a second (median of rounds, least, greatest)."""
import statistics
import time

import torch
import torch.nn.functional as F

hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary = 2048, 16, 32, 8, 64, 8192, 128256
torch.manual_seed(0)
torch.set_grad_enabled(False)


def weight(*shape):
    return (torch.randn(*shape, device="cuda") * 0.02).bfloat16()


embedding = weight(vocabulary, hidden)
weights = [
    {
        "qkv": weight((heads + 2 * kv_heads) * head_dim, hidden),
        "o": weight(hidden, heads * head_dim),
        "gate_up": weight(2 * intermediate, hidden),
        "down": weight(hidden, intermediate),
        "norms": (weight(hidden), weight(hidden)),
    }
    for _ in range(layers)
]
final_norm = weight(hidden)
frequencies = 1 / 500000.0 ** (torch.arange(0, head_dim, 2, device="cuda").float() / head_dim)


def rotate(x, cos, sin):
    low, high = x.float().chunk(2, -1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1).to(x.dtype)


def forward(ids, positions, keys, values, mask):
    """ids [T]; the caches are [layer][1][kv head][position][feature]; mask [1][1][T][positions] or None: causal."""
    x = embedding[ids]
    angles = positions.float()[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    for layer, w in enumerate(weights):
        normed = F.rms_norm(x, (hidden,), w["norms"][0], 1e-5)
        q, k, v = (normed @ w["qkv"].T).view(-1, heads + 2 * kv_heads, head_dim).transpose(0, 1).split(
            [heads, kv_heads, kv_heads]
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        keys[layer][0].index_copy_(1, positions, k)
        values[layer][0].index_copy_(1, positions, v)
        seen = (keys[layer], values[layer]) if mask is not None else (k[None], v[None])
        attended = F.scaled_dot_product_attention(q[None], *seen, attn_mask=mask, is_causal=mask is None, enable_gqa=True)
        x = x + attended[0].transpose(0, 1).reshape(-1, heads * head_dim) @ w["o"].T
        normed = F.rms_norm(x, (hidden,), w["norms"][1], 1e-5)
        gate, up = (normed @ w["gate_up"].T).chunk(2, -1)
        x = x + (F.silu(gate) * up) @ w["down"].T
    return (F.rms_norm(x[-1:], (hidden,), final_norm, 1e-5) @ embedding.T).float().argmax(-1)


def rounds(run, tokens, count):
    run()
    speeds = []
    for _ in range(count):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        speeds.append(tokens / (time.perf_counter() - begin))
    return f"{statistics.median(speeds):.1f},{min(speeds):.1f},{max(speeds):.1f}"


def decode(context):
    cache = lambda: torch.zeros(layers, 1, kv_heads, context, head_dim, device="cuda", dtype=torch.bfloat16)
    keys, values = cache(), cache()
    ids, position = torch.zeros(1, device="cuda", dtype=torch.long), torch.zeros(1, device="cuda", dtype=torch.long)
    places = torch.arange(context, device="cuda")

    def step():
        ids.copy_(compiled(ids, position, keys, values, (places <= position)[None, None, None]))
        position.add_(1)

    compiled = torch.compile(forward, mode="max-autotune-no-cudagraphs", dynamic=False)
    position.fill_(context - 80)
    for _ in range(3):
        step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def run():
        position.fill_(context - 64)
        for _ in range(64):
            graph.replay()
            ids.item()  # A token is read before the next one, as a program that streams does.

    return rounds(run, 64, 7)


def prefill(tokens):
    cache = lambda: torch.zeros(layers, 1, kv_heads, tokens, head_dim, device="cuda", dtype=torch.bfloat16)
    keys, values = cache(), cache()
    ids, positions = torch.randint(vocabulary, (tokens,), device="cuda"), torch.arange(tokens, device="cuda")
    compiled = torch.compile(forward, dynamic=False)
    return rounds(lambda: compiled(ids, positions, keys, values, None), tokens, 7)


print("what,tokens/s,least,greatest", flush=True)
print(f"PyTorch {torch.__version__} prefill 2048,{prefill(2048)}", flush=True)
print(f"PyTorch {torch.__version__} decode to 192,{decode(192)}", flush=True)
print(f"PyTorch {torch.__version__} decode to 2080,{decode(2080)}", flush=True)
