"""Stops kerf-compile with a signal at many moments; says whether a final name ever appeared without its two siblings.

interrupt.py SIGNAL DIRECTORY COMMAND... (COMMAND's last argument is the output directory)
"""
import os
import signal
import shutil
import subprocess
import sys
import time

number, command = getattr(signal, sys.argv[1]), sys.argv[2:]
output = command[-1]


def run(delay):
    shutil.rmtree(output, ignore_errors=True)
    # lit ignores SIGINT, and what is ignored stays so in children.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        process.wait()
    names = sorted(os.listdir(output)) if os.path.isdir(output) else []
    return process.returncode, names


start = time.monotonic()
status, whole = run(None)
total = time.monotonic() - start
assert status == 0 and len(whole) == 3, (status, whole)
stopped = 0
# Packaging and naming happen at the end: most of the moments lie there.
moments = [0.02, 0.4] + [0.7 + 0.06 * i for i in range(6)]
for part in moments:
    status, names = run(part * total)
    final = [name for name in names if not name.startswith(".")]
    # The three renames are one after the other; only SIGKILL can fall between them, and then some files are there, whole.
    if number != signal.SIGKILL:
        assert final in ([], whole), (part, status, names)
        assert names == final, ("temporary files stayed", part, status, names)
    if status == -number:
        stopped += 1
    else:
        assert status == 0 and names == whole, (part, status, names)
print(f"stopped {'some' if stopped >= 2 else stopped}, never half")
