"""Times of PyTorch's kernels at the shapes that kernel_speed.py runs, in bf16: cuBLAS through torch.matmul, and the
fastest backend of scaled_dot_product_attention, without a mask. Each function gives the median in us and who it was.

Many calls are one CUDA graph, and they take turns on as many copies of weights, or of keys and values, as make up twice
the L2 cache: as gpu_benchmark.h does. A product is the product alone; Kerf's has the activation, the gate, the sum with
the residual, or rotation and KV append in it."""
import statistics

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

torch.set_grad_enabled(False)


def copies_of(size):
    """As many as make up twice the L2 cache, at most 64."""
    return min(64, 2 * torch.cuda.get_device_properties(0).L2_cache_size // size + 2)


def random(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def median_us(calls):
    """`calls` does the same with each of its copies."""
    stream = torch.cuda.Stream()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def timed(run):
        begin.record(stream)
        run()
        end.record(stream)
        end.synchronize()
        return begin.elapsed_time(end) * 1000

    with torch.cuda.stream(stream):
        for _ in range(3):
            for call in calls:
                call()
        estimate = timed(lambda: [call() for call in calls]) / len(calls)
        count = max(len(calls), min(1000, int(2000 / max(estimate, 1)) + 1))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for i in range(count):
                calls[i % len(calls)]()
        graph.replay()
        return statistics.median(timed(graph.replay) / count for _ in range(50))


def product(rows, n, k):
    """[rows][k] times [n][k] transposed."""
    x = random(rows, k)
    weights = [random(n, k) for _ in range(copies_of(2 * n * k))]
    return median_us([lambda w=w: torch.matmul(x, w.T) for w in weights]), "cuBLAS"


def fastest(queries, caches, causal):
    """Of the backends that take these shapes."""
    times = {}
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):

        def attend(keys, values):
            return scaled_dot_product_attention(queries, keys, values, is_causal=causal, enable_gqa=True)

        try:
            with sdpa_kernel(backend):
                times[backend.name] = median_us([lambda c=c: attend(*c) for c in caches])
        except RuntimeError:
            continue
    name = min(times, key=times.get)
    return times[name], name


def decode(sequences, keys, heads, kv_heads, head_dim):
    """A row of each sequence sees all of its keys: nothing is masked."""
    size = 4 * sequences * keys * kv_heads * head_dim
    caches = [[random(sequences, kv_heads, keys, head_dim) for _ in range(2)] for _ in range(copies_of(size))]
    return fastest(random(sequences, heads, 1, head_dim), caches, False)


def prompt(tokens, heads, kv_heads, head_dim):
    """Causal, by the backend's own flag."""
    size = 4 * tokens * kv_heads * head_dim
    caches = [[random(1, kv_heads, tokens, head_dim) for _ in range(2)] for _ in range(copies_of(size))]
    return fastest(random(1, heads, tokens, head_dim), caches, True)
