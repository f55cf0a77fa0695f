"""Reads what objdump prints of an object or an archive, into functions and instructions."""

import re
import subprocess
from dataclasses import dataclass, field

HEADER = re.compile(r"^[0-9a-f]+ <(.+)>:$")
LINE = re.compile(r"^ *([0-9a-f]+):\t(.*)$")
PREFIXES = {"data16", "cs", "ds", "notrack", "bnd", "lock", "rep", "repz", "repnz"}


@dataclass
class Instruction:
    at: int
    name: str
    operands: list
    prefixes: set
    text: str
    # The symbol that the linker is to put in, if any.
    symbol: str | None


@dataclass
class Function:
    symbol: str
    name: str
    instructions: list = field(default_factory=list)


def path(symbol):
    """`a::b::c` of a mangled symbol, whichever of Rust's two manglings it is in: both write each name after its length."""
    parts, at = [], 0
    symbol = symbol.removeprefix(".text.").removeprefix("unlikely.").split(".llvm.")[0]
    if not symbol.startswith(("_ZN", "_R")):
        return symbol
    while at < len(symbol):
        digits = re.match(r"[1-9][0-9]*", symbol[at:])
        if not digits:
            at += 1
            continue
        at += digits.end()
        # The newer mangling puts an underscore before a name that begins like a number.
        start = at + (symbol[at : at + 1] == "_" and symbol.startswith("_R"))
        part = symbol[start : start + int(digits[0])]
        at = start + int(digits[0])
        if not re.fullmatch(r"h[0-9a-f]{16}", part):
            parts.append(part)
    return "::".join(parts)


def operands(text):
    """The operands of an instruction: split at the commas that stand in no brackets."""
    found, depth, begin = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            found.append(text[begin:at].strip())
            begin = at + 1
    return found + [text[begin:].strip()] if text.strip() else []


def functions(file, objdump="objdump"):
    """All functions of an object or an archive."""
    printed = subprocess.run(
        [objdump, "--disassemble", "--reloc", "--wide", "--no-show-raw-insn", file],
        check=True, capture_output=True, text=True,
    ).stdout
    found = []
    for line in printed.splitlines():
        if header := HEADER.match(line):
            found.append(Function(header[1], path(header[1])))
        elif (match := LINE.match(line)) and found:
            instruction = parse(int(match[1], 16), match[2])
            if instruction:
                found[-1].instructions.append(instruction)
    # The pieces that only name a place in a function.
    return [function for function in found if function.instructions]


def parse(at, text):
    """One instruction; none where a line is but filling."""
    symbol = None
    if relocation := re.search(r"\t[0-9a-f]+: R_\S+\t(\S+)", text):
        symbol = re.sub(r"[+-]0x[0-9a-f]+$", "", relocation[1])
        text = text[: relocation.start()]
    shown = text = text.split(" # ")[0].split("\t//")[0].strip()
    words, prefixes = text.split(None, 1), set()
    while words and words[0] in PREFIXES:
        prefixes.add(words[0])
        words = words[1].split(None, 1) if len(words) > 1 else []
    if not words:
        return None
    rest = re.sub(r"<.*>", "", words[1]) if len(words) > 1 else ""
    return Instruction(at, words[0], operands(rest), prefixes, shown, symbol)
