"""Writes docs/targets.md from what the tests said: targets.py build/release/test/results.xml > docs/targets.md"""
import re
import sys
import xml.etree.ElementTree as xml

# Which tests are of which op: suite and name.
ops = [
    ("kerf.embed", r"RowKernels/Embed"), ("kerf.linear", r"(Linear|GpuLinear)/(?!.*Gated)"),
    ("kerf.gated_linear", r"(Linear|GpuLinear)/(.*Gated|WithoutTensorCores)"), ("kerf.rms_norm", r"RowKernels/RmsNorm"),
    ("kerf.layer_norm", r"RowKernels/LayerNorm"), ("kerf.activation", r"RowKernels/Activations"),
    ("kerf.gate", r"RowKernels/Gate"), ("kerf.add", r"RowKernels/Add"), ("kerf.rope_table", r"RowKernels/RopeTable"),
    ("kerf.rope", r"RowKernels/Rope(?!Table)"), ("kerf.kv_append", r"Append/KvAppend"),
    ("kerf.rope_append", r"Append/RopeAppend"), ("kerf.linear_rope_append", r"GpuAppend/"),
    ("kerf.attention", r"Attention/(?!Merge)"),
    ("kerf.attention_merge", r"Attention/Merge"), ("kerf.select", r"RowKernels/Select"), ("kerf.pool", r"RowKernels/Pool"),
    ("drawing of tokens", r"GpuSample/"),
]
targets = ["avx2", "avx512", "avx512_bf16", "amx", "sm_80"]

results = {}
for case in xml.parse(sys.argv[1]).iter("testcase"):
    suite = case.get("classname").rsplit("/", 1)[-1]
    name, _, target = case.get("name").rpartition("/")
    state = "failed" if case.find("failure") is not None else "skipped" if case.find("skipped") is not None else "passed"
    if target in targets:
        results[f"{suite}/{name}", target] = state

print("""# Ops and targets

Generated from the tests' results by `test/codegen/kernels/targets.py`; not edited by hand. A cell is the number of tests
that passed, each over many shapes and element types against a scalar reference in f64; skipped tests are those that the
CPU cannot run. CPU: AMD EPYC (Zen 4); `amx` runs what needs no tiles, and tiles emulated. `sm_80` runs on Kerf's
[emulator](emulator.md), which also reports races, undefined values and accesses out of bounds. `compute_80` is the same PTX;
`sm_86` and `sm_89` are the same code with other tiles, which the assembler takes without spills
(`test/codegen/nvptx/ptxas_test.cpp`). `kerf.linear_rope_append` is formed for GPUs alone, and tokens are
drawn by a kernel on GPUs alone: on a CPU the runtime does it.
""")
print("| op |", " | ".join(targets), "|")
print("|---|" + "---|" * len(targets))
for op, pattern in ops:
    cells = []
    for target in targets:
        states = [state for (name, on), state in results.items() if on == target and re.match(pattern, name)]
        failed, skipped = states.count("failed"), states.count("skipped")
        text = str(states.count("passed")) if states else "none"
        cells.append(text + (f", {failed} failed" if failed else "") + (f", {skipped} skipped" if skipped else ""))
    print(f"| `{op}` |", " | ".join(cells), "|")
