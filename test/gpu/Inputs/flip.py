"""Changes bits of the f32 at the end of a file: flip.py FILE BITS"""
import sys

with open(sys.argv[1], "r+b") as file:
    file.seek(-4, 2)
    bits = int.from_bytes(file.read(4), "little") ^ int(sys.argv[2])
    file.seek(-4, 2)
    file.write(bits.to_bytes(4, "little"))
