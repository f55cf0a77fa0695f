"""Parses PowerShell scripts by the grammar of tree-sitter, where there is no PowerShell:  python3 tests/windows/parse.py FILE…

Names each place that the grammar does not read; status 1 where there is one.
"""

import re
import sys

import tree_sitter
import tree_sitter_powershell

# The grammar does not know from what a class inherits, nor what its constructor hands on.
UNKNOWN = [rb"(?m)^(?P<kept>class \w+) : [\w.]+", rb"(?m)^(?P<kept> *\w+\([^)]*\)) : base\([^)]*\)"]


def blanked(found):
    kept = found["kept"]
    return kept + b" " * (len(found[0]) - len(kept))


def faults(node):
    if node.is_error or node.is_missing:
        yield node
    else:
        for child in node.children:
            yield from faults(child)


def main(files):
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
    # What cannot be read is found.
    probe = parser.parse(b"function A { if (1 { }\n")
    assert any(faults(probe.root_node)), "the parser takes anything"
    found = False
    for file in files:
        with open(file, "rb") as script:
            text = script.read()
        for pattern in UNKNOWN:
            text = re.sub(pattern, blanked, text)
        for fault in faults(parser.parse(text).root_node):
            found = True
            print(f"{file}, line {fault.start_point.row + 1}: it cannot be read from `{fault.text[:40].decode()}` on")
    return int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
