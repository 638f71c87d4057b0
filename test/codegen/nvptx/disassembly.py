"""Compares how Cubin.cpp decodes instructions with NVIDIA's disassembler (nvdisasm, in the package nvidia-cuda-nvdisasm):
disassembly.py NVDISASM CUBIN... Prints each mnemonic of what is counted, and ends with 1 where one is decoded wrongly."""
import re
import subprocess
import sys

operations = {0x118: "NOP", 0x03C: "HMMA", 0x03B: "LDSM", 0x181: "LDG", 0x186: "STG", 0x184: "LDS", 0x188: "STS", 0x1AE: "LDGSTS"}
sizes = ["U8", "S8", "U16", "S16", "", "64", "128"]
accesses = {"LDG", "STG", "LDS", "STS"}
seen, wrong = {}, 0
for cubin in sys.argv[2:]:
    text = subprocess.run([sys.argv[1], "-hex", "-c", cubin], capture_output=True, text=True, check=True).stdout
    # An instruction, its low 8 bytes behind it, its high 8 bytes on the next line.
    pattern = r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)[^\n]*/\* 0x([0-9a-f]{16}) \*/\s*/\* 0x([0-9a-f]{16}) \*/"
    for mnemonic, low, high in re.findall(pattern, text):
        name, *parts = mnemonic.split(".")
        decoded = operations.get(int(low, 16) & 0x1FF)
        size = sizes[(int(high, 16) >> 9) & 7] if name in accesses else ""
        told = next((part for part in parts if part in sizes[:4] + sizes[5:]), "") if name in accesses else ""
        right = (decoded == name or (decoded is None and name not in operations.values())) and size == told
        wrong += not right
        if decoded or not right:
            key = f"{name} {told}".strip() + ("" if right else f", decoded as {decoded} {size}")
            seen[key] = seen.get(key, 0) + 1
for key, count in sorted(seen.items()):
    print(f"{count:8} {key}")
sys.exit(1 if wrong else 0)
