"""Makes a root directory of kerf-run, a model and the shared libraries that they need, and names those libraries.

minimal_root.py ROOT PREFIX MODEL-DIRECTORY
"""
import pathlib
import re
import shutil
import subprocess
import sys

root, prefix, model = (pathlib.Path(argument) for argument in sys.argv[1:])
for folder in ["bin", "lib", "model", "tmp"]:
    (root / folder).mkdir(parents=True)
shutil.copy(prefix / "bin" / "kerf-run", root / "bin")
objects = [prefix / "bin" / "kerf-run"]
for file in model.iterdir():
    shutil.copy(file, root / "model")
    if file.suffix == ".so":
        objects.append(file)

names = set()
for binary in objects:
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True).stdout
    for name, path in re.findall(r"^\s*(\S+)(?: => (\S+))? \(0x", listed, re.MULTILINE):
        path = path or (name if name.startswith("/") else "")
        if not path:
            continue  # the kernel's own
        # Where the loader looks inside: the interpreter by its path, what the program brought beside it, the rest in /lib.
        inside = root / name.lstrip("/") if name.startswith("/") else root / "lib" / name
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, inside)
        names.add(pathlib.Path(name).name)
for name in sorted(names):
    print("needs", re.sub(r"\.so.*", "", name))
