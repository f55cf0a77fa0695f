#!/usr/bin/env python3
"""Shows by the machine code of the cipher and of the MAC that neither an address nor a jump depends on a secret.

Every function of the kernel is followed along all its paths, and every function that a tag is made or checked by (`mac.py`). Whatever it loads is taken for a secret, but constants and what it
put on its own stack as something public. Then no secret, nor anything computed from one, may be part of an address, decide a
jump, be divided, or say how much is copied. What is taken for granted: that the function is called with pointers, lengths and
counters, that an access to an array stays within it and is indexed from its beginning, that the bulk copies of the C library do the same for all bytes,
and of the MAC what `mac.py` says: that how full the hash's buffer is, and where the message's parts are, is public.

In the same run `leaky.rs` has to be refused, function by function. Beside that: a function that uses the upper halves of the
wide registers clears them before it returns or calls another that does not use them; and no instruction of AVX stands outside the kernels, which run
only where the processor has it.

    python3 tests/machine_code/check.py CIPHER LIBRARY HASH LEAKY

(An archive or object each; CIPHER is the crate portcullis-tdes, LIBRARY portcullis-common, HASH sha2.)

Needs objdump, and Python 3's standard library.
"""

import re
import sys

import flow
import mac
import objdump
from x86_64 import DETECTION

CIPHER = re.compile(r"portcullis_tdes::(simd|kernel|circuits|schedule|wiring|word)::")
# Other crates' code that this one brings with it, which they too run only where the processor has AVX.
ELSEWHERE = re.compile(r"(^|::)(aes::backends::x86_vaes|chacha20::backends::avx|core::core_arch::x86::avx)")
BACKENDS = {
    "avx512": r"::simd::arch::avx512(::|$)",
    "avx512vl": r"::simd::arch::avx512vl(::|$)",
    "avx2": r"::simd::arch::avx2(::|$)",
    "sse2": r"::simd::arch::sse2(::|$)",
    "u64": r"::kernel::",
}
# Instructions that a kernel gets to. One that is smaller has its work done elsewhere.
LEAST = 500

LEAKY = {
    "clean": None,
    "by_table": "its address depends",
    "by_table_on_the_stack": "its address depends",
    "by_constants": "its address depends",
    "by_branch": "whether it jumps depends",
    "by_division": "its time depends",
    "by_length": "how much it writes depends",
    "by_upper_halves": "the upper halves",
    "buffered": None,
    "by_early_end": "whether it jumps depends",
    "by_fullness": "how much it writes depends",
}


class Verdict:
    """Counts and prints what was found."""

    def __init__(self):
        self.failed = 0

    def say(self, holds, what):
        print(("ok: " if holds else "FOUND: ") + what)
        self.failed += not holds


def kernels(verdict, library):
    functions = [one for one in library if CIPHER.search(one.name) and not DETECTION.search(one.name)]
    program = flow.Program(functions)
    for name, pattern in BACKENDS.items():
        reached = {one.symbol: one for root in functions if re.search(pattern, root.name) for one in program.reached(root.symbol)}
        size = sum(len(one.instructions) for one in reached.values())
        verdict.say(size >= LEAST, f"{name}: its kernel is here, {size} instructions")
    follow(verdict, program)


def macs(verdict, library):
    functions = mac.functions(flow.Program, library)
    for pattern, least in mac.LEAST.items():
        size = sum(len(one.instructions) for one in functions if re.search(pattern, one.name))
        verdict.say(size >= least, f"the MAC gets to {pattern.strip('$')}, {size} instructions")
    follow(verdict, flow.Program(functions, mac.KNOWN, mac.WRITES))


def follow(verdict, program):
    for symbol, refused in program.check().items():
        function = program.functions[symbol]
        verdict.say(not refused, f"{function.name}: {len(function.instructions)} instructions, {len(refused)} refused")
        for instruction, reason in refused[:20]:
            print(f"    {instruction.at:x}: {instruction.text}: {reason}")


def controls(verdict, leaky):
    found = {one.name.split("::")[-1]: one for one in leaky}
    for name, reason in LEAKY.items():
        if name not in found:
            verdict.say(False, f"control {name}: not compiled")
            continue
        refused = flow.Program([found[name]], mac.KNOWN).check()[found[name].symbol]
        reasons = {why for _, why in refused}
        as_it_should = any(reason in one for one in reasons) if reason else not reasons
        verdict.say(as_it_should, f"control {name}: {'; '.join(sorted(reasons)) or 'accepted'}")


def wide_instructions(verdict, library):
    """AVX begins its instructions with a `v`; its registers are `ymm` and `zmm`, its masks `k`."""
    uses = lambda one: re.match(r"v(?!er[rw]$|m)", one.name) or re.search(r"%[yz]mm|%k\d", one.text)
    wide = [function for function in library if any(uses(one) for one in function.instructions)]
    expected = lambda name: "portcullis_tdes::simd::" in name or ELSEWHERE.search(name)
    outside = [function.name for function in wide if not expected(function.name)]
    verdict.say(bool(wide), f"AVX is seen in {len(wide)} functions")
    verdict.say(not outside, f"AVX outside the kernels: {', '.join(outside) or 'none'}, of {len(library)} functions")


def main():
    cipher, library, sha2, leaky = (objdump.functions(file) for file in sys.argv[1:5])
    verdict = Verdict()
    controls(verdict, leaky)
    kernels(verdict, cipher + library)
    macs(verdict, library + sha2)
    wide_instructions(verdict, cipher + library)
    sys.exit(verdict.failed != 0)


if __name__ == "__main__":
    main()
