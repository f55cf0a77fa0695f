#!/usr/bin/env python3
"""Counts the instructions of the core's work under valgrind, and compares them with those that are kept in `counts.json`.

Time is not compared: it depends on the machine and on who else uses it. The same program on the same input runs the same
instructions. They depend on the compiler and on what valgrind's processor has (AVX2, but no SHA-NI and no AVX-512), so that both are
kept with the counts, and where they are others nothing is compared.

    python3 tests/instructions/check.py PROGRAM [--bless]

`--bless` keeps what was counted. More than 3 % above what is kept is FOUND, and so is more than 10 % below: keep the better one.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

KEPT = pathlib.Path(__file__).with_name("counts.json")
WORSE, BETTER = 1.03, 0.90
BLESS = "PORTCULLIS_BLESS=--bless tests/run instructions"


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def count(program, name):
    """The instructions within `portcullis_measured`."""
    with tempfile.NamedTemporaryFile() as file:
        output(
            "valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*portcullis_measured*",
            f"--callgrind-out-file={file.name}", program, name,
        )
        found = re.search(r"^(?:totals|summary): (\d+)", pathlib.Path(file.name).read_text(), re.MULTILINE)
        return int(found[1])


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--bless"]):
        sys.exit(f"tests/instructions/check.py: wrong arguments {sys.argv[1:]}: PROGRAM [--bless]; to keep new counts: {BLESS}")
    program = sys.argv[1]
    # Under valgrind: it is what its processor has that counts.
    names = output("valgrind", "--tool=none", "--quiet", program).splitlines()
    compiler = output("rustc", "--version").strip()
    counts = {name: count(program, name) for name in names}
    if "--bless" in sys.argv:
        kept = {"compiler": compiler, "counts": counts}
        KEPT.write_text(json.dumps(kept, indent=2) + "\n")
        print(f"kept in {KEPT}: commit it")
    kept = json.loads(KEPT.read_text())
    print("| work | instructions | kept | ratio |\n| --- | ---: | ---: | ---: |")
    for name, found in counts.items():
        before = kept["counts"].get(name)
        print(f"| {name} | {found:,} | {f'{before:,}' if before else '–'} | {f'{found / before:.3f}' if before else '–'} |")
    if kept["compiler"] != compiler:
        print(f"SKIPPED: counted with {compiler}, kept of {kept['compiler']}: another compiler gives other instructions; to keep those of this one: {BLESS}")
        return
    if kept["counts"].keys() != counts.keys():
        print(f"FOUND: other work is kept than was counted (another processor, or new work: {BLESS})")
        sys.exit(1)
    verdicts = [verdict(name, found, kept["counts"][name]) for name, found in counts.items()]
    print("\n".join(verdicts))
    sys.exit(any(line.startswith("FOUND") for line in verdicts))


def verdict(name, found, before):
    if found == 0:
        return f"FOUND: {name}: nothing was counted"
    if found > before * WORSE:
        return f"FOUND: {name}: {found / before - 1:.1%} more instructions; where that is meant: {BLESS}"
    if found < before * BETTER:
        return f"FOUND: {name}: {1 - found / before:.1%} fewer instructions; keep the better count: {BLESS}"
    return f"ok: {name}"


if __name__ == "__main__":
    main()
