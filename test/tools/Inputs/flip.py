"""Flips one bit of a file: flip.py FILE OFFSET, or "weights" for a byte in the middle, where weights are."""
import os
import sys

offset = os.path.getsize(sys.argv[1]) // 2 if sys.argv[2] == "weights" else int(sys.argv[2])
with open(sys.argv[1], "r+b") as file:
    file.seek(offset)
    byte = file.read(1)[0]
    file.seek(offset)
    file.write(bytes([byte ^ 1]))
