"""Prints all that a program depends on that was compiled against Kerf's public headers: declarations, enumerators, macros,
sizes and offsets of structs, and the symbols that libkerf.so exports.

api.py INCLUDE_DIRECTORY LIBRARY
"""
import re
import subprocess
import sys

include, library = sys.argv[1:]
headers = ["kerf/abi.h", "kerf/kerf.h", "kerf/names.h"]
source = "".join(f'#include "{header}"\n' for header in headers)


def clang(*options):
    command = ["clang-22", "-x", "c", "-std=c11", "-I", include, *options, "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


# Declarations as the compiler sees them: no comments, no line breaks of ours. Static functions are no interface.
print("== declarations")
own, text = False, []
for line in clang("-E").splitlines():
    marker = re.match(r'# \d+ "([^"]*)"', line)
    if marker:
        own = any(marker[1].endswith(header) for header in headers)
    elif own:
        text.append(line)
flat = re.sub(r"__attribute__\s*\(\(.*?\)\)\)", "", " ".join(text))
depth, start = 0, 0
for at, character in enumerate(flat):
    depth += (character == "{") - (character == "}")
    ends_function = character == "}" and depth == 0 and re.match(r"\s*static inline", flat[start:])
    if depth == 0 and (character == ";" or ends_function):
        declaration = re.sub(r"\s+", " ", flat[start : at + 1]).strip()
        start = at + 1
        if not ends_function and declaration != ";":
            print(declaration)

print("== macros")
for line in sorted(clang("-E", "-dM").splitlines()):
    if re.match(r"#define KERF_(?!\w+_H\b|API\b)", line):  # neither guards nor the attribute
        print(line)

print("== layouts: offset | field")
layouts = {}
for block in clang("-fsyntax-only", "-Xclang", "-fdump-record-layouts-complete").split("*** Dumping AST Record Layout"):
    lines = [line.rstrip() for line in block.splitlines() if "|" in line]
    if lines and "struct kerf_" in lines[0]:
        layouts[lines[0].split("struct ")[1]] = lines
for name in sorted(layouts):
    print("\n".join(layouts[name]))

print("== exported symbols")
command = ["nm", "-D", "--defined-only", "--format=posix", library]
symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout
print("\n".join(sorted(line.split()[0] for line in symbols.splitlines())))
