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


def forward(ids, positions, keys, values, prompt):
    """ids [T]; the caches are [layer][1][kv head][position][feature]. Of a prompt the rows see those before them, else
    the one row sees the whole caches: no mask, which would keep SDPA from its fastest kernels."""
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
        seen = (k[None], v[None]) if prompt else (keys[layer], values[layer])
        attended = F.scaled_dot_product_attention(q[None], *seen, is_causal=prompt, enable_gqa=True)
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
    """64 tokens that end where the sequence has `context`: a graph for each length, whose caches are cut to it."""
    cache = lambda: torch.zeros(layers, 1, kv_heads, context, head_dim, device="cuda", dtype=torch.bfloat16)
    keys, values = cache(), cache()
    ids = torch.zeros(1, device="cuda", dtype=torch.long)
    compiled = torch.compile(forward, mode="max-autotune-no-cudagraphs", dynamic=False)

    def step(length, position):
        seen = keys[:, :, :, :length], values[:, :, :, :length]
        for each in seen:
            torch._dynamo.mark_dynamic(each, 3)
        ids.copy_(compiled(ids, position, *seen, False))

    graphs, pool = [], torch.cuda.graph_pool_handle()
    for length in range(context - 63, context + 1):
        position = torch.full((1,), length - 1, device="cuda")
        for _ in range(0 if graphs else 3):
            step(length, position)
        graphs.append((torch.cuda.CUDAGraph(), position))
        with torch.cuda.graph(graphs[-1][0], pool=pool):
            step(length, position)

    def run():
        for graph, _ in graphs:
            graph.replay()
            ids.item()  # A token is read before the next one, as a program that streams does.

    return rounds(run, 64, 7)


def prefill(tokens):
    cache = lambda: torch.zeros(layers, 1, kv_heads, tokens, head_dim, device="cuda", dtype=torch.bfloat16)
    keys, values = cache(), cache()
    ids, positions = torch.randint(vocabulary, (tokens,), device="cuda"), torch.arange(tokens, device="cuda")
    compiled = torch.compile(forward, dynamic=False)
    return rounds(lambda: compiled(ids, positions, keys, values, True), tokens, 7)


print("what,tokens/s,least,greatest", flush=True)
print(f"PyTorch {torch.__version__} prefill 2048,{prefill(2048)}", flush=True)
print(f"PyTorch {torch.__version__} decode to 192,{decode(192)}", flush=True)
print(f"PyTorch {torch.__version__} decode to 2080,{decode(2080)}", flush=True)
