"""A roofline on paper for the kernels of a 1B decoder: the tables of docs/roofline.md.

roofline.py FOLDER OTHERS EMULATOR. FOLDER: benchmarks for sm_80 of the decoder of test/gpu/shape.py (kerf-compile
--dump-kernels-to; fused for GPUs, as for CPUs, and not; built); OTHERS: those of other_kernels.mlir; EMULATOR:
libkerf-emulator.so. Bytes and operations are the least that a dispatch needs, from the benchmark's source; instructions
are those that the emulator executes. A shape that is large for it runs with fewer rows or columns, and what a block
executes is multiplied by the blocks of the whole: all blocks of a product execute the same, and so do those of decode
attention for each sequence. docs/roofline.md says what is assumed.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

folder, others_folder, emulator = sys.argv[1:4]
classes = ["mma", "global_loads", "global_stores", "shared", "async_copies", "atomics", "integer", "float", "exchange",
           "control", "moves", "other"]


class Gpu:
    """Rates by NVIDIA's data sheets and whitepapers; mma: TFLOP/s that mma.sync is taken to reach."""

    def __init__(self, name, bandwidth, processors, clock, peak, mma):
        self.name, self.bandwidth, self.processors, self.clock = name, bandwidth * 1e12, processors, clock * 1e9
        self.peak, self.mma = peak * 1e12, mma * 1e12


gpus = [Gpu("H200", 4.8, 132, 1.755, 989, 660), Gpu("A100", 2.0, 108, 1.41, 312, 312)]


class Kernel:
    def __init__(self, pattern, folder=folder):
        (source,) = glob.glob(os.path.join(folder, pattern + ".sm_80.c"))
        self.program = source[:-2]
        text = open(source).read()
        form = lambda name: [int(x) for x in re.search(rf"\.{name} = {{{{(.*?)}}}}", text)[1].split(",")]
        self.bytes, self.operations = form("bytes"), form("operations")
        fields = r'\.function = "(.*?)".*?\.tile = (\d+), \.columns = (\d+), \.threads = (\d+)'
        self.launches = {f: (int(t), int(c), int(n)) for f, t, c, n in re.findall(fields, text)}
        self.ptx = open(self.program + ".ptx").read()

    def mnemonics(self, function):
        body = re.search(rf"\.entry {function}\(.*?\n}}\n", self.ptx, re.DOTALL)[0]
        return re.findall(r"^\s+(?:@!?%p\d+ )?([a-z][\w.:]*)[\s;]", body, re.MULTILINE)

    def counts(self, rows, sequences, context):
        """What the emulator counts: of each launch blocks and warp instructions by class, in the order of launches."""
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "counts")
            step = [f"--tokens={rows}", f"--sequences={sequences}", f"--context={context}"]
            command = [self.program, *step, "--seconds=0", "--launches=1", "--copies=1", f"--driver={emulator}"]
            environment = {**os.environ, "KERF_EMULATOR_COUNTS": path}
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            result = {}
            for line in open(path):
                function, *fields = line.split()
                # It runs twice: to warm up, and to be timed.
                result.setdefault(function, {key: int(value) for key, value in (f.split("=") for f in fields)})
            return result


class Row:
    def __init__(self, label, shape, kernel, rows, sequences=None, context=0, ran=None, stand_in=None):
        """ran: rows and sequences of what the emulator runs; stand_in: the same kernel with fewer columns."""
        sequences = sequences or rows
        self.label, self.shape = label, shape
        new = rows // sequences
        attended = sequences * sum(range(context + 1, context + new + 1))
        extents = [1, rows, sequences, sequences, 0, attended, sequences * (context + new)]
        value = lambda form: sum(c * e for c, e in zip(form, extents))
        self.bytes, self.operations = value(kernel.bytes), value(kernel.operations)
        self.scaled = bool(ran or stand_in)
        self.launches = []
        ran_rows, ran_sequences = ran or (rows, sequences)
        for function, count in (stand_in or kernel).counts(ran_rows, ran_sequences, context).items():
            if stand_in:
                other = os.path.basename(kernel.program)[:-6] + function[len(os.path.basename(stand_in.program)) - 6:]
                if kernel.mnemonics(other) != stand_in.mnemonics(function):
                    sys.exit(f"roofline.py: {other} must have the instructions of {function}")
                function = other
            blocks = count["blocks"]
            if self.scaled:
                tile, columns, _ = kernel.launches[function]
                blocks = -(-rows // tile) * columns
            self.launches.append((blocks, count["threads"], {c: count[c] / count["blocks"] for c in classes}))

    def total(self, *names):
        return round(sum(blocks * sum(each[n] for n in names) for blocks, _, each in self.launches))

    def times(self, gpu):
        """Seconds by memory, tensor cores, issue slots, shared memory and L2."""
        mma = issue = shared = copied = 0
        for blocks, threads, each in self.launches:
            # Blocks of the multiprocessor that has most.
            most = -(-blocks // gpu.processors)
            mma += most * each["mma"] * 4096 / (gpu.mma / gpu.processors)
            issued = sum(each.values()) - each["moves"]
            issue += most * issued / min(4, most * -(-threads // 32)) / gpu.clock
            if each["async_copies"]:
                shared += most * (each["async_copies"] + each["shared"]) * 512 / 128 / gpu.clock
                copied += blocks * each["async_copies"] * 512 / (5120 * gpu.clock)
        memory = self.bytes / gpu.bandwidth
        return {"memory": memory, "tensor cores": mma, "issue": issue, "shared memory": shared, "L2": copied}


product = {"q, k, v, append": "linear_rope_append_*", "output": "linear_*_k2048_n2048_residual",
           "gate, up": "gated_linear_*", "down": "linear_*_k8192_n2048_residual"}
rows = []
for label, pattern in product.items():
    kernel = Kernel(pattern)
    for n in [1, 8, 32, 2048]:
        rows.append(Row(label, n, kernel, n, ran=(256, 256) if n > 256 else None))
logits, stand_in = Kernel("linear_*_n128256"), Kernel("linear_*_k2048_n2048")
for n in [1, 8, 32]:
    rows.append(Row("logits", n, logits, n, ran=(n, n), stand_in=stand_in))
attention = Kernel("attention_*")
rows.append(Row("attention, 2048 keys", 1, attention, 1, context=2047))
rows.append(Row("attention, 2048 keys", 32, attention, 32, context=2047, ran=(9, 9)))
rows.append(Row("attention, a prompt", 2048, attention, 2048, sequences=1))
others = [("norm", "rms_norm_*", [1, 32, 2048]), ("rotate, append", "rope_append_*", [1, 32, 2048]),
          ("rotate queries", "rope_f32_bf16_*", [1, 2048]), ("append", "kv_append_*", [1, 2048]),
          ("gate", "gate_*", [1, 2048]), ("add", "add_*", [1, 2048]), ("rotary table", "rope_table_*", [1]),
          ("embed", "embed_*", [1, 2048]), ("select", "select_*", [1]), ("draw a token", "sample_*", [1])]
for label, pattern, shapes in others:
    for n in shapes:
        rows.append(Row(label, n, Kernel(pattern), n))
for label, pattern in [("f32 product", "linear_f32_f32_*_n768"), ("f32 by bf16", "linear_f32_bf16_*")]:
    kernel = Kernel(pattern, others_folder)
    for n in [1, 2048]:
        rows.append(Row(label, n, kernel, n, ran=(256, 256) if n > 256 else None))
for label, pattern in [("layer norm", "layer_norm_*"), ("activation", "activation_*"), ("merge", "attention_merge_*")]:
    for n in [1, 2048]:
        rows.append(Row(label, n, Kernel(pattern, others_folder), n))
rows.append(Row("pool, 4 texts", 2048, Kernel("pool_*", others_folder), 2048, sequences=4))


def number(x):
    """Three digits, but no more than hundredths."""
    return f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:,.0f}"


print("| kernel | rows | MB | Mop | blocks | k warp instructions | mma | loads | shared | integer | float | moves |")
print("|---|" + "---|" * 11)
for row in rows:
    every = row.total(*classes)
    share = lambda *names: f"{100 * row.total(*names) / every:.0f}"
    blocks = " + ".join(str(blocks) for blocks, _, _ in row.launches)
    shape = f"{row.shape}*" if row.scaled else row.shape
    cells = [row.label, shape, number(row.bytes / 1e6), number(row.operations / 1e6), blocks, number(every / 1e3)]
    for names in ["mma"], ["global_loads", "async_copies"], ["shared"], ["integer"], ["float"], ["moves"]:
        cells.append(share(*names))
    print("| " + " | ".join(map(str, cells)) + " |")
print()
head = "memory / tensor cores / issue / shared / L2, µs | bound | share |"
print("| kernel | rows |" + "".join(f" {gpu.name}: {head}" for gpu in gpus))
print("|---|" + "---|" * 7)
for row in rows:
    line = f"| {row.label} | {row.shape} |"
    for gpu in gpus:
        times = row.times(gpu)
        bound = max(times, key=times.get)
        limit = max(row.bytes / gpu.bandwidth, row.operations / gpu.peak)
        each = " / ".join(number(t * 1e6) if t else "–" for t in times.values())
        # A launch that waits for memory once takes a microsecond.
        is_long = times[bound] >= 1e-6
        line += f" {each} | {bound} | {limit / times[bound]:.2f} |" if is_long else f" {each} | latency | – |"
    print(line)
