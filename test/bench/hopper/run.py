"""Runs the probes on the GPU: each kernel is compared with PyTorch in f32, then timed beside cuBLAS and SDPA in turns.

Times are medians over rounds of graph replays whose launches rotate among inputs of more than twice the L2; `x peer`
is the peer's time over ours in the same round (above 1: ours is faster), with its least and greatest value.
Usage: run.py [ceilings] [gemm] [small] [attention] [cache] [product] [w4] [chain]
"""

import ctypes
import os
import statistics
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

here = os.path.dirname(os.path.abspath(__file__))
driver = ctypes.CDLL("libcuda.so.1")
torch.cuda.init()
torch.zeros(1, device="cuda")
torch.manual_seed(int(os.environ.get("SEED", "1")))
ROUNDS, L2 = 7, 60 << 20


def check(status, what):
    if status:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(text))
        raise RuntimeError(f"{what}: {text.value.decode() if text.value else status}")


class Attribute(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int), ("pad", ctypes.c_int), ("value", ctypes.c_uint * 16)]


class Config(ctypes.Structure):
    _fields_ = [("grid", ctypes.c_uint * 3), ("block", ctypes.c_uint * 3), ("shared", ctypes.c_uint),
                ("stream", ctypes.c_void_p), ("attributes", ctypes.c_void_p), ("count", ctypes.c_uint)]


class TensorMap:
    """Rows of `columns` bf16 at `tensor`, read in boxes of `box_rows` x 64, swizzled by 128 bytes."""

    def __init__(self, tensor, box_rows):
        rows, columns = tensor.shape
        self.tensor, self.buffer = tensor, ctypes.create_string_buffer(128 + 64)
        self.address = (ctypes.addressof(self.buffer) + 63) & ~63
        check(driver.cuTensorMapEncodeTiled(
            ctypes.c_void_p(self.address), 9, 2, ctypes.c_void_p(tensor.data_ptr()),
            (ctypes.c_uint64 * 2)(columns, rows), (ctypes.c_uint64 * 1)(columns * 2), (ctypes.c_uint * 2)(64, box_rows),
            (ctypes.c_uint * 2)(1, 1), 0, 3, 3, 0), "cuTensorMapEncodeTiled")


class Kernel:
    def __init__(self, file, name, threads, shared=0, cluster=1, overlap=False):
        image = open(os.path.join(here, file), "rb").read() + b"\0"
        module, self.function = ctypes.c_void_p(), ctypes.c_void_p()
        check(driver.cuModuleLoadData(ctypes.byref(module), image), f"load {file}")
        check(driver.cuModuleGetFunction(ctypes.byref(self.function), module, name.encode()), name)
        if shared > 48 << 10:
            check(driver.cuFuncSetAttribute(self.function, 8, shared), "shared memory")
        attributes = []
        if cluster > 1:
            attributes.append(Attribute(4, 0, (ctypes.c_uint * 16)(cluster, 1, 1)))
        if overlap:
            attributes.append(Attribute(6, 0, (ctypes.c_uint * 16)(1)))
        self.attributes = (Attribute * max(1, len(attributes)))(*attributes)
        self.threads, self.shared, self.count, self.name = threads, shared, len(attributes), file

    def __call__(self, grid, *arguments):
        values = [ctypes.c_void_p(a.data_ptr()) if torch.is_tensor(a) else a for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(
            *[v.address if isinstance(v, TensorMap) else ctypes.addressof(v) for v in values])
        config = Config((ctypes.c_uint * 3)(grid, 1, 1), (ctypes.c_uint * 3)(self.threads, 1, 1), self.shared,
                        torch.cuda.current_stream().cuda_stream, ctypes.addressof(self.attributes), self.count)
        check(driver.cuLaunchKernelEx(ctypes.byref(config), self.function, pointers, None), self.name)


u32, f32 = ctypes.c_uint, ctypes.c_float


def normal(*shape, scale=1.0):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16).mul_(scale)


def error(out, reference):
    return (torch.linalg.vector_norm(out.float() - reference) / torch.linalg.vector_norm(reference)).item()


class Timed:
    """A function of the index of a set of inputs, as a graph of `launches` calls."""

    def __init__(self, run, launches):
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for i in range(2):
                run(i)
            stream.synchronize()
        self.graph, self.launches = torch.cuda.CUDAGraph(), launches
        with torch.cuda.graph(self.graph):
            for i in range(launches):
                run(i)

    def __call__(self):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        self.graph.replay()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) * 1e3 / self.launches


def compare(title, peer, ours, launches, rate, unit):
    """`ours`: (name, run, error). Prints a line for the peer and one for each of ours."""
    entries = [("peer", Timed(peer, launches))]
    for name, run, _ in ours:
        entries.append((name, Timed(run, launches)))
    times = {name: [] for name, _ in entries}
    for timed in entries:
        timed[1]()
    for _ in range(ROUNDS):
        for name, timed in entries:
            times[name].append(timed())
    base = times["peer"]
    print(f"{title:30} {'peer':34} {statistics.median(base):9.2f} us {rate / statistics.median(base):8.1f} {unit}")
    for name, _, wrong in ours:
        ratios = [p / t for p, t in zip(base, times[name])]
        middle = statistics.median(times[name])
        print(f"{title:30} {name:34} {middle:9.2f} us {rate / middle:8.1f} {unit}"
              f"  x peer {statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
              f"  error {wrong:.1e}{'' if wrong < 5e-3 else ' WRONG'}", flush=True)


def sm90(bn, persist, cluster, pending, staged):
    stages = (227 * 1024 - 8 * 16 * 144 - 256) // ((128 + bn) * 128)
    kernel = Kernel(f"gemm_sm90-{bn}-{persist}-{cluster}-{pending}-{staged}.cubin", "gemm", 384,
                    stages * ((128 + bn) * 128 + 16) + 8 * 16 * 144, cluster)
    sms = torch.cuda.get_device_properties(0).multi_processor_count

    def make(a, b, out):
        (m, k), n = a.shape, b.shape[0]
        maps = TensorMap(a, 128), TensorMap(b, bn // cluster)
        tiles = -(-m // (128 * cluster)) * -(-n // bn) * cluster
        grid = min(tiles, sms // cluster * cluster) if persist else tiles
        return lambda: kernel(grid, *maps, out, u32(m), u32(n), u32(k))

    return kernel.name[:-6], make


def small(tokens, rows, split, blocks):
    stages = min(8, 220 * 1024 // blocks // (128 * (tokens + rows)))
    ring = stages * (128 * (tokens + rows) + 16)
    kernel = Kernel(f"gemm_small_sm90-{tokens}-{rows}-{split}-{stages}-{blocks}.cubin", "gemm", rows * 2 + 32,
                    max(ring, tokens * (rows + 4) * 4), split)

    def make(a, b, out):
        (m, k), n = a.shape, b.shape[0]
        maps = TensorMap(b, rows), TensorMap(a, tokens)
        return lambda: kernel(n // rows * split, *maps, out, u32(m), u32(n), u32(k))

    return kernel.name[:-6], make


def sm80(bm, bn, bk, stages, wm, wn, blocks, suffix="cubin"):
    kernel = Kernel(f"gemm_sm80-{bm}-{bn}-{bk}-{stages}-{wm}-{wn}-{blocks}.{suffix}", "gemm", wm * wn * 32,
                    stages * (bm + bn) * bk * 2)

    def make(a, b, out):
        (m, k), n = a.shape, b.shape[0]
        return lambda: kernel(-(-m // bm) * -(-n // bn), a, b, out, u32(m), u32(n), u32(k))

    return kernel.name, make


def gemm(shapes, kernels):
    for m, n, k in shapes:
        sets = max(2, -(-2 * L2 // ((m * k + n * k + m * n) * 2)))
        data = [(normal(m, k), normal(n, k), torch.empty(m, n, device="cuda", dtype=torch.bfloat16))
                for _ in range(sets)]
        reference = data[0][0].float() @ data[0][1].float().T
        ours = []
        for name, make in kernels:
            runs = [make(*d) for d in data]
            data[0][2].fill_(float("nan"))
            runs[0]()
            torch.cuda.synchronize()
            ours.append((name, lambda i, runs=runs: runs[i % len(runs)](), error(data[0][2], reference)))
        flops = 2e-6 * m * n * k
        launches = max(sets, min(96, int(4000 / (flops / 600)) + 1))
        def peer(i):
            a, b, out = data[i % sets]
            torch.matmul(a, b.T, out=out)

        compare(f"{m}x{n}x{k}", peer, ours, launches, flops, "TFLOP/s")
        del data, ours


LLAMA = [(6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336)]


def run_gemm():
    kernels = [sm90(bn, 1, cluster, 1, 1) for bn in (256, 192, 128) for cluster in (1, 2)]
    steps = [sm80(128, 256, 32, 4, 2, 4, 1), sm90(256, 0, 1, 0, 0), sm90(256, 1, 1, 0, 0), sm90(256, 1, 1, 1, 0)]
    gemm([(8192, 8192, 8192), (4096, 4096, 4096)], steps + kernels)
    gemm([(m, n, k) for m in (256, 512, 1024, 2048, 8192) for n, k in LLAMA], kernels)
    gemm([(8000, 6144, 4096), (333, 1024, 512), (32768, 384, 384), (32768, 1536, 384), (32768, 1024, 1024)], kernels)


def run_small():
    for tokens in (16, 64, 128):
        kernels = [sm80(16, 128, 64, 6, 1, 4, 3)] if tokens == 16 else []
        kernels += [small(tokens, *v) for v in [(64, 1, 2), (64, 2, 2), (64, 4, 2), (128, 1, 1), (128, 2, 1),
                                                (128, 4, 1), (128, 8, 1)]]
        gemm([(m, n, k) for m in {tokens, tokens - 11} for n, k in LLAMA], kernels)


def run_attention():
    for causal in (0, 1):
        kernels = []
        for overlap in (0, 1):
            file = f"attention_sm90-{causal}-{overlap}.cubin"
            kernels.append((file[:-6], Kernel(file, "attention", 384, 5 * 32768 + 128)))
        for batch, heads, kv, length in [(16, 16, 16, 1024), (4, 16, 16, 4096), (2, 16, 16, 8192), (1, 32, 8, 16384)]:
            data = []
            for _ in range(2):
                q, k, v = [normal(batch * length, h * 128) for h in (heads, kv, kv)]
                data.append((q, k, v, torch.empty_like(q)))

            def split(t, h):
                return t.view(batch, length, h, 128).transpose(1, 2)

            def sdpa(i, backend):
                q, k, v, _ = data[i % 2]
                with sdpa_kernel(backend):
                    return F.scaled_dot_product_attention(split(q, heads), split(k, kv), split(v, kv),
                                                          is_causal=bool(causal), enable_gqa=heads != kv)

            q, k, v, out = data[0]
            # In f32, a few heads at a time.
            reference = torch.empty(batch, length, heads, 128, device="cuda")
            for b in range(batch):
                for h in range(heads):
                    g = h // (heads // kv)
                    rows = slice(b * length, (b + 1) * length)
                    one = [t[rows, j * 128:(j + 1) * 128].float() for t, j in ((q, h), (k, g), (v, g))]
                    s = one[0] @ one[1].T / 128**0.5
                    if causal:
                        s.masked_fill_(torch.ones_like(s, dtype=torch.bool).triu_(1), float("-inf"))
                    reference[b, :, h] = torch.softmax(s, -1) @ one[2]
            ours = []
            for name, kernel in kernels:
                def run(i, kernel=kernel):
                    q, k, v, out = data[i % 2]
                    maps = TensorMap(q, 128), TensorMap(k, 128), TensorMap(v, 128)
                    kernel(batch * heads * length // 128, *maps, out, u32(batch), u32(heads), u32(kv), u32(length),
                           f32(1.4426950408889634 / 128**0.5))
                out.fill_(float("nan"))
                run(0)
                torch.cuda.synchronize()
                ours.append((name, run, error(out.view(reference.shape), reference)))
            del reference
            flops = 4e-6 * batch * heads * length * length * 128 / (2 if causal else 1)
            compare(f"{batch}x{heads}/{kv}x{length} causal {causal}", lambda i: sdpa(i, SDPBackend.CUDNN_ATTENTION),
                    ours, 16, flops, "TFLOP/s")


def run_cache():
    """One token for each sequence over a cache in pages, in any order; PyTorch's over rows one after another."""
    kernel = Kernel("attention_decode-2.cubin", "attention", 128)
    sms = torch.cuda.get_device_properties(0).multi_processor_count
    for batch, heads, kv, length in [(1, 32, 8, 2048), (1, 32, 8, 32768), (8, 32, 8, 4096), (64, 32, 8, 2048),
                                     (256, 32, 8, 500), (16, 32, 32, 2048), (16, 64, 8, 8000)]:
        pages = -(-length // 64)
        sets = max(2, -(-3 * L2 // (batch * kv * length * 512)))
        data = []
        for _ in range(sets):
            k, v = normal(batch * pages, kv, 64, 128), normal(batch * pages, kv, 64, 128)
            table = torch.randperm(batch * pages, device="cuda").view(batch, pages).int()
            rows = [t[table.long()].transpose(1, 2).reshape(batch, kv, pages * 64, 128)[:, :, :length].contiguous()
                    for t in (k, v)]
            q = normal(batch, heads, 1, 128)
            data.append((q, k, v, table, rows, torch.empty_like(q)))
        lengths = torch.full((batch,), length, device="cuda", dtype=torch.int32)
        q, (k, v) = data[0][0].float(), [t.float().repeat_interleave(heads // kv, 1) for t in data[0][4]]
        reference = torch.softmax(q @ k.transpose(2, 3) / 128**0.5, -1) @ v
        del q, k, v

        def sdpa(i, backend):
            q, _, _, _, (k, v), _ = data[i % sets]
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(q, k, v, enable_gqa=heads != kv)

        peers = []
        for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
            try:
                sdpa(0, backend)
                peers.append(("peer " + backend.name.lower(), lambda i, b=backend: sdpa(i, b), 0.0))
            except RuntimeError:
                print(backend.name, "does not take one query of", heads, "heads over", kv)
        ours = peers[1:2]
        most = max(1, min(pages, 64, sms * 2 // (batch * kv)))
        for splits in sorted({most, max(1, most // 2)}):
            parts = torch.empty(batch * heads * splits * 130, device="cuda")
            arrived = torch.zeros(batch * kv, device="cuda", dtype=torch.int32)

            def run(i, splits=splits, parts=parts, arrived=arrived):
                q, k, v, table, _, out = data[i % sets]
                kernel(batch * kv * splits, q, k, v, table, lengths, out, parts, arrived, u32(heads), u32(kv),
                       u32(pages), u32(splits), f32(1.4426950408889634 / 128**0.5))
            for _ in range(2):  # the counters are back at zero after the first
                data[0][5].fill_(float("nan"))
                run(0)
                torch.cuda.synchronize()
            ours.append((f"attention_decode, {splits} parts", run, error(data[0][5], reference)))
        compare(f"cache {batch}x{heads}/{kv}x{length}", peers[0][1], ours, max(sets, 32), batch * kv * length * 512e-3,
                "GB/s")
        del data, ours


DECODE = [(1, 4, 8, 4), (2, 4, 8, 2), (2, 2, 8, 4), (4, 2, 8, 2), (4, 1, 8, 4), (2, 4, 16, 1), (2, 2, 16, 2),
          (4, 2, 16, 1), (1, 8, 16, 1), (1, 4, 16, 2), (2, 2, 4, 8)]


def decode(name, variant, overlap):
    rows, unroll, warps, blocks = variant
    file = f"decode-{rows}-{unroll}-{warps}-{blocks}-{overlap}.cubin"
    longest = 14336 if name == "product" else 8192  # of the vectors that lie in shared memory
    return Kernel(file, name, warps * 32, longest * 2, overlap=bool(overlap) and name == "product")


def run_product():
    for n, k in LLAMA + [(2048, 2048), (16384, 2048), (2048, 8192), (128256, 2048)]:
        sets = max(2, -(-3 * L2 // (n * k * 2)))
        data = [(normal(n, k, scale=k**-0.5), normal(k), torch.empty(n, device="cuda", dtype=torch.bfloat16))
                for _ in range(sets)]
        reference = data[0][0].float() @ data[0][1].float()
        ours = [("peer F.linear", lambda i: F.linear(data[i % sets][1][None], data[i % sets][0]), 0.0)]
        for variant in DECODE:
            kernel = decode("product", variant, 0)

            def run(i, kernel=kernel, each=variant[0] * variant[2]):
                w, x, y = data[i % sets]
                kernel(-(-n // each), w, x, y, u32(n), u32(k))
            data[0][2].fill_(float("nan"))
            run(0)
            torch.cuda.synchronize()
            ours.append(("product " + "-".join(map(str, variant)), run, error(data[0][2], reference)))
        compare(f"1x{n}x{k}", lambda i: torch.mv(data[i % sets][0], data[i % sets][1], out=data[i % sets][2]), ours,
                max(sets, 32), n * k * 2e-3, "GB/s")


def run_w4():
    """4-bit weights against cuBLAS on the same matrix in bf16, and against PyTorch's own 4-bit product."""
    for m in (1, 4):
        for n, k in LLAMA + [(2048, 2048), (16384, 2048), (2048, 8192), (128256, 2048)]:
            sets = max(2, -(-3 * L2 // (n * k // 2)))
            data = []
            for _ in range(sets):
                q = torch.randint(0, 16, (n, k), device="cuda", dtype=torch.int32)
                s = (torch.rand(n, k // 128, device="cuda") + 0.5).mul_(k**-0.5 / 5).bfloat16()
                x = normal(m, k)
                bits = q.view(n // 16, 2, 8, k // 64, 4, 4, 2, 2)  # h g block t j p e; nibble h + 2p, upper half for e
                packed = torch.zeros(n // 16, 8, k // 64, 4, 4, device="cuda", dtype=torch.int32)
                for h in range(2):
                    for p in range(2):
                        for e in range(2):
                            packed |= bits[:, h, :, :, :, :, p, e] << (4 * (h + 2 * p) + 16 * e)
                packed = packed.permute(0, 2, 1, 3, 4).contiguous()
                scales = s.view(n // 16, 2, 8, k // 512, 4).permute(0, 3, 2, 1, 4).contiguous()
                if not data:
                    w = ((q - 8).float().view(n, k // 128, 128) * s.float()[:, :, None]).view(n, k)
                    reference = x.float() @ w.T
                    dense = [w.bfloat16()]
                    zeros = torch.zeros_like(s)
                    theirs = q.clone()
                data.append((packed, scales, x, torch.empty(m, n, device="cuda", dtype=torch.bfloat16)))
                del q, bits
            dense += [dense[0].clone() for _ in range(max(1, -(-3 * L2 // (n * k * 2)) - 1))]
            ours = []
            try:
                nibbles = (theirs[:, ::2] << 4 | theirs[:, 1::2]).to(torch.uint8)
                tile = torch.ops.aten._convert_weight_to_int4pack(nibbles, 8)
                tiles = [tile.clone() for _ in range(sets)]
                grid = torch.stack([s.T.contiguous(), zeros.T.contiguous()], -1).contiguous()
                product = torch.ops.aten._weight_int4pack_mm
                ours.append(("peer int4", lambda i: product(data[i % sets][2], tiles[i % sets], 128, grid), 0.0))
                ours[0][1](0)
            except Exception as e:
                print("no int4 peer:", repr(e)[:150])
                ours = []
            for warps, blocks in [(4, 4), (8, 2), (16, 1)]:
                kernel = Kernel(f"decode_w4-{warps}-{blocks}-0.cubin", "product", warps * 32,
                                m * (k * 2 + 16) + warps * 512)

                def run(i, kernel=kernel):
                    packed, scales, x, y = data[i % sets]
                    kernel(n // 16, packed, scales, x, y, u32(m), u32(n), u32(k))
                data[0][3].fill_(float("nan"))
                run(0)
                torch.cuda.synchronize()
                ours.append((f"w4 {warps}-{blocks}", run, error(data[0][3], reference)))
            compare(f"w4 {m}x{n}x{k}", lambda i: F.linear(data[i % sets][2], dense[i % len(dense)]), ours,
                    max(sets, 32), n * k * (0.5 + 2 / 128) * 1e-3, "GB/s")
            del data, dense, ours


def run_chain():
    """The products of a 1B decoder (16 layers, hidden 2048, feed-forward 8192, vocabulary 128256) one after another."""
    sizes = [(3072, 2048), (2048, 2048), (16384, 2048), (2048, 8192)] * 16 + [(128256, 2048)]
    weights = [normal(n, k, scale=k**-0.5) for n, k in sizes]
    x = normal(2048)
    outs = [torch.empty(n, device="cuda", dtype=torch.bfloat16) for n, _ in sizes]
    ins = [x] + [out[:k] for out, (_, k) in zip(outs, sizes[1:])]

    def peer(_):
        for w, i, o in zip(weights, ins, outs):
            torch.mv(w, i, out=o)

    value = x
    for w, (_, k) in zip(weights, sizes):
        value = (w.float() @ value[:k].float()).bfloat16()
    reference, ours = value.float(), []
    table = torch.tensor([[w.data_ptr(), i.data_ptr(), o.data_ptr(), n | k << 32]
                          for w, i, o, (n, k) in zip(weights, ins, outs, sizes)], dtype=torch.int64).cuda()
    arrived = torch.zeros(1, device="cuda", dtype=torch.int32)
    sms = torch.cuda.get_device_properties(0).multi_processor_count
    ours.append(["peer F.linear", lambda _: [F.linear(i[None], w) for w, i in zip(weights, ins)]])
    for variant in DECODE:
        for overlap in (0, 1):
            kernel = decode("product", variant, overlap)

            def run(_, kernel=kernel, each=variant[0] * variant[2]):
                for w, i, o, (n, k) in zip(weights, ins, outs, sizes):
                    kernel(-(-n // each), w, i, o, u32(n), u32(k))
            ours.append([f"{'overlapped' if overlap else 'launches'} " + "-".join(map(str, variant)), run])
            kernel = decode("chain", variant, overlap)

            fit = ctypes.c_int()
            check(driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(ctypes.byref(fit), kernel.function, kernel.threads,
                                                                     ctypes.c_size_t(kernel.shared)), "occupancy")

            # Blocks wait for each other: all must fit.
            def run(_, kernel=kernel, blocks=sms * min(variant[3], fit.value)):
                arrived.zero_()
                kernel(blocks, table, u32(len(sizes)), arrived)
            ours.append([f"one launch{' prefetch' if overlap else ''} " + "-".join(map(str, variant)), run])
    for entry in ours:
        outs[-1].fill_(float("nan"))
        (peer if entry[0].startswith("peer") else entry[1])(0)
        torch.cuda.synchronize()
        entry.append(error(outs[-1], reference) / 8)  # 65 roundings to bf16 in a row
    compare("1B products", peer, ours, 4, sum(n * k for n, k in sizes) * 2e-3, "GB/s")


def ceilings():
    a = torch.empty(4 << 30, device="cuda", dtype=torch.uint8).random_(0, 255).view(torch.int64)
    read = Timed(lambda i: torch.sum(a), 2)
    print(f"reading (torch.sum of 4 GiB): {4.295e3 / statistics.median(read() for _ in range(5)):.2f} TB/s", flush=True)


print(torch.cuda.get_device_name(0), "| PyTorch", torch.__version__, flush=True)
torch.backends.cuda.matmul.allow_tf32 = False
for part in sys.argv[1:] or ["ceilings", "gemm", "small", "attention", "cache", "product", "w4", "chain"]:
    try:
        {"ceilings": ceilings, "gemm": run_gemm, "small": run_small, "attention": run_attention, "product": run_product,
         "cache": run_cache, "w4": run_w4, "chain": run_chain}[part]()
    except Exception as e:
        print(part, "failed:", repr(e), flush=True)
