"""check_cli_docs.py FOLDER PROGRAM…: every option and command in a program's --help is in its man page and completions."""
import os
import re
import subprocess
import sys


def help_of(program, *command):
    return subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=True).stdout


def options(text):
    for line in text.splitlines():
        if re.match(r"\s+-", line):
            yield from re.findall(r"(?:^\s+|,)(--?[A-Za-z][\w-]*)", line.split("<")[0].split("=")[0][:60])


folder, programs, failed, count = sys.argv[1], sys.argv[2:], False, 0
for program in programs:
    name = os.path.basename(program)
    text = help_of(program)
    section = text.split("Subcommands:\n")[1] if "Subcommands:\n" in text else ""
    commands = re.findall(r"^  (\w+)", section, re.MULTILINE)
    wanted = set(options(text)).union(commands, *(options(help_of(program, command)) for command in commands))
    for path in (f"man/{name}.1", f"bash/{name}", f"zsh/_{name}"):
        page = open(os.path.join(folder, path), encoding="utf-8").read().replace("\\-", "-")
        page = re.sub(r"\\f[BIR]", "", page)  # fonts
        if path.startswith("man"):
            page = page.lower() + page
        missing = sorted(x for x in wanted if not re.search(r"(?<![\w-])" + re.escape(x) + r"(?![\w-])", page))
        if missing:
            failed = True
            print(f"{path} lacks {' '.join(missing)}")
    count += len(wanted)
print(f"{count} options and commands of {len(programs)} programs")
sys.exit(failed)
