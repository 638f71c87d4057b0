"""Compares what a program writes with test/goldens/text: check_texts.py GOLDENS COMMAND... (then prompt and 128)."""
import pathlib
import subprocess
import sys

goldens = sorted(pathlib.Path(sys.argv[1]).glob("*.prompt.txt"))
for prompt in goldens:
    command = sys.argv[2:] + [prompt.read_bytes(), b"128"]
    written = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    expected = pathlib.Path(str(prompt).replace("prompt", "output")).read_bytes()
    # The example ends its text with a line end of its own.
    assert written == expected + b"\n", (prompt.name, written, expected)
print(len(goldens), "texts are the same")
