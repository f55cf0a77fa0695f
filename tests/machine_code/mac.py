"""What the check has to know of HMAC-SHA256 to follow it: which functions it is, and what is public of the memory that they are given."""

import re

from values import CONSTANTS, PUBLIC, holding
from x86_64 import DETECTION

FUNCTIONS = re.compile(r"crypto::mac::|secret::stack::|^sha2::sha256|Sha256VarCore")
ROOTS = re.compile(r"crypto::mac::MacKey::(tag|verify)$")
# Those that the work is done by, each with how many instructions it has at least.
LEAST = {
    r"crypto::mac::MacKey::tag$": 10,
    r"crypto::mac::MacKey::verify$": 50,
    r"crypto::mac::finish$": 100,
    r"sha2::sha256::soft::.*compress$": 1000,
    r"sha2::sha256::x86_sha::compress$": 100,
}

# How full the buffer of a hash is, its last byte says: as many bytes as were given to it.
BUFFER = holding((63, 1, PUBLIC))
KNOWN = {
    # The hash; the parts of the message, a list of pointers and lengths.
    r"crypto::mac::finish$": {"rdi": BUFFER, "rsi": CONSTANTS},
    # What the function that it runs apart was given: a reference to the key, which is a pointer itself, and to the parts, with their
    # number, and where the tag is to be.
    r"secret::stack::apart$": {"rdi": holding((0, 8, CONSTANTS), (8, 8, PUBLIC), (16, 8, PUBLIC), (24, 8, PUBLIC))},
    r"::(buffered|by_early_end|by_fullness)$": {"rdi": BUFFER},
}
# They change a state of SHA-256 and nothing else, as their signatures say.
WRITES = {
    r"^sha2::sha256::compress256$": {"rdi": 32},
    r"Sha256VarCore.*Drop.*::drop$": {"rdi": 32},
}


def functions(program, library):
    """The MAC's functions: all that its roots get to. `program` makes a program of some."""
    candidates = program([one for one in library if FUNCTIONS.search(one.name) and not DETECTION.search(one.name)])
    roots = [symbol for symbol, one in candidates.functions.items() if ROOTS.search(one.name)]
    return list({one.symbol: one for root in roots for one in candidates.reached(root)}.values())
