"""Stops kerf-compile with a signal at moments drawn at random over the whole compilation, into an empty directory and into
one that holds another compilation of the model. Says whether ever a file was missing, half, or older than its siblings.

interrupt.py [--seed N] SIGNAL MOMENTS COMMAND... (COMMAND's last argument is the output directory)

The moments are drawn from the seed, which is printed first; how far the compilation is then depends on the machine.
"""
import argparse
import fcntl
import hashlib
import os
import random
import shutil
import signal
import subprocess
import time

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=random.randrange(2**32))
parser.add_argument("signal", choices=["SIGINT", "SIGTERM", "SIGKILL"])
parser.add_argument("moments", type=int)
parser.add_argument("command", nargs=argparse.REMAINDER)
arguments = parser.parse_args()
number, moments, command, seed = getattr(signal, arguments.signal), arguments.moments, arguments.command, arguments.seed
output = command[-1]
older = output + ".older"
draw = random.Random(seed)
# Another run in the same directory, of a second suite perhaps, would look like half a compilation.
lock = open(output + ".lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    raise SystemExit(f"{output}: another run compiles there") from None
print(f"seed {seed}", flush=True)


# A build that replaces the program meanwhile makes other files: that must not look like half ones.
def program():
    found = os.stat(shutil.which(command[0]))
    return found.st_ino, found.st_mtime_ns, found.st_size


tested = program()


def contents(directory):
    if not os.path.isdir(directory):
        return {}
    return {name: hashlib.sha256(open(os.path.join(directory, name), "rb").read()).hexdigest()
            for name in os.listdir(directory)}


# Runs the command until `delay`, into a directory that is made like `before`; gives its status and what is there then.
def run(delay, before=None, extra=()):
    shutil.rmtree(output, ignore_errors=True)
    if before:
        shutil.copytree(before, output)
    # lit ignores SIGINT, and what is ignored stays so in children.
    process = subprocess.Popen([*command[:-2], *extra, *command[-2:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        process.wait()
    if program() != tested:
        raise SystemExit(f"{command[0]} was replaced while it was tested: test it again")
    return process.returncode, contents(output)


status, old = run(None, extra=["--compute-type=f32"])
assert status == 0 and len(old) == 3, (status, old)
shutil.rmtree(older, ignore_errors=True)
shutil.move(output, older)
start = time.monotonic()
status, new = run(None)
total = time.monotonic() - start
assert status == 0 and len(new) == 3 and all(new[name] != old[name] for name in new), (status, new)

stopped = 0
for moment in range(moments):
    # Naming happens at the end: half of the moments lie in the last part.
    part = draw.uniform(0, 1.1) if moment % 2 else draw.uniform(0.7, 1.1)
    before = older if moment % 4 < 2 else None
    start = time.monotonic()
    status, found = run(part * total, before)
    elapsed = time.monotonic() - start
    where = f"seed {seed}, moment {moment} at {part:.3f} of {total:.2f} s, status {status}: {sorted(found)}"
    stopped += status == -number
    assert status in (0, -number), where
    final = {name: digest for name, digest in found.items() if not name.startswith(".")}
    if number == signal.SIGKILL:
        # The three renames are one after the other, and SIGKILL can fall between them: then each file is whole, old or new,
        # and the build id tells that they do not belong together.
        for name, digest in final.items():
            assert digest == new[name] or before and digest == old[name], (name, where)
    else:
        assert final == found, ("temporary files stayed", where)
        assert final in (new, old if before else {}), where
    if status == 0:
        assert final == new, where
        # The machine may have less to do than when the whole was timed.
        total = min(total, elapsed)
    # What was left behind, temporary files too, is in nobody's way.
    if moment % 4 == 3:
        subprocess.run(command, check=True)
        assert {name: found for name, found in contents(output).items() if not name.startswith(".")} == new, where
print(f"stopped {'some' if stopped >= moments / 4 else ''} {stopped} of {moments}, never half")
