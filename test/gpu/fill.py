"""Fills the weights of a package that are all zeros with normal numbers of 0.02 in bf16: fill.py MODEL.kerf"""
import os
import random
import struct
import sys

path = sys.argv[1]
size = os.path.getsize(path)
# One block of numbers, again and again from another place: enough that no product is of zeros.
random.seed(0)
block = bytearray()
for _ in range(1 << 18):
    block += struct.pack("<f", random.gauss(0, 0.02))[2:]
block *= 8
with open(path, "r+b") as file:
    # The manifest ends where the last page of it that is not zero does.
    head = file.read(1 << 20)
    begin = max(page for page in range(0, len(head), 4096) if any(head[page : page + 4096])) + 4096
    file.seek(begin)
    while file.tell() < size:
        start = 2 * random.randrange(1 << 16)
        file.write(block[start : start + size - file.tell()])
