#!/usr/bin/env python3
"""Recomputes every value of the test vectors from PROTOCOL.md and KEY_EXPORT.md alone.

A stranger's peer: it shares no code with the programs and needs nothing but Python 3's standard library (SHA-256 and HMAC;
X25519, DES, AES and GCM are written out below, slowly and plainly, from their standards). It reads the JSON files beside it,
rebuilds each message byte by byte from the inputs, recomputes all that lies between them, opens the records, and refuses the
malformed frames. Not for use with real keys: nothing here runs in constant time.

    python3 proto/vectors/check.py [FILE.json ...]
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

# ---------------------------------------------------------------- ciphers


class Des:
    """DES (FIPS 46-3). Bits are numbered from 1, the most significant, as in the standard."""

    IP = [58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32,
          24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47,
          39, 31, 23, 15, 7]
    FP = [40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21,
          61, 29, 36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9,
          49, 17, 57, 25]
    E = [32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17, 16, 17, 18, 19, 20, 21, 20, 21, 22,
         23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1]
    P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25]
    PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55,
           47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4]
    PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30,
           40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32]
    SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
    S = [
        "e4d12fb83a6c5907 0f74e2d1a6cb9538 41e8d62bfc973a50 fc8249175b3ea06d",
        "f18e6b34972dc05a 3d47f28ec01a69b5 0e7ba4d158c6932f d8a13f42b67c05e9",
        "a09e63f51dc7b428 d709346a285ecbf1 d6498f30b12c5ae7 1ad069874fe3b52c",
        "7de3069a1285bc4f d8b56f03472c1ae9 a690cb7df13e5284 3f06a1d8945bc72e",
        "2c417ab6853fd0e9 eb2c47d150fa3986 421bad78f9c5630e b8c71e2d6f09a453",
        "c1af92680d34e75b af427c9561de0b38 9ef528c3704a1db6 432c95fabe17608d",
        "4b2ef08d3c975a61 d0b7491ae35c2f86 14bdc37eaf680592 6bd814a7950fe23c",
        "d2846fb1a93e50c7 1fd8a374c56b0e92 7b419ce206adf358 21e74a8dfc90356b",
    ]

    def __init__(self, key):
        def permute(value, width, table):
            return sum(((value >> (width - bit)) & 1) << (len(table) - 1 - i) for i, bit in enumerate(table))

        self.permute = permute
        self.boxes = [[int(c, 16) for c in box.replace(" ", "")] for box in self.S]
        state = permute(int.from_bytes(key, "big"), 64, self.PC1)
        c, d = state >> 28, state & 0xFFFFFFF
        self.keys = []
        for shift in self.SHIFTS:
            c, d = [((half << shift) | (half >> (28 - shift))) & 0xFFFFFFF for half in (c, d)]
            self.keys.append(permute(c << 28 | d, 56, self.PC2))

    def _run(self, block, keys):
        value = self.permute(int.from_bytes(block, "big"), 64, self.IP)
        left, right = value >> 32, value & 0xFFFFFFFF
        for key in keys:
            mixed = self.permute(right, 32, self.E) ^ key
            out = 0
            for i, box in enumerate(self.boxes):
                six = (mixed >> (42 - 6 * i)) & 0x3F
                row, column = (six >> 4 & 2) | (six & 1), six >> 1 & 0xF
                out = out << 4 | box[16 * row + column]
            left, right = right, left ^ self.permute(out, 32, self.P)
        return self.permute(right << 32 | left, 64, self.FP).to_bytes(8, "big")

    def encrypt(self, block):
        return self._run(block, self.keys)

    def decrypt(self, block):
        return self._run(block, self.keys[::-1])


class Tdes:
    """Triple DES, encrypt-decrypt-encrypt (SP 800-67r2)."""

    semiblock = 4

    def __init__(self, key):
        self.parts = [Des(key[at:at + 8]) for at in (0, 8, 16)]

    def encrypt(self, block):
        a, b, c = self.parts
        return c.encrypt(b.decrypt(a.encrypt(block)))

    def decrypt(self, block):
        a, b, c = self.parts
        return a.decrypt(b.encrypt(c.decrypt(block)))


def xtime(value):
    return (value << 1 ^ (0x11B if value & 0x80 else 0)) & 0xFF


def gf_multiply(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = xtime(a), b >> 1
    return product


def aes_sbox():
    box = []
    for value in range(256):
        inverse = next((i for i in range(256) if gf_multiply(value, i) == 1), 0)
        box.append(0x63 ^ inverse ^ rotate8(inverse, 1) ^ rotate8(inverse, 2) ^ rotate8(inverse, 3) ^ rotate8(inverse, 4))
    return box


def rotate8(value, by):
    return (value << by | value >> (8 - by)) & 0xFF


class Aes256:
    """AES with a 256-bit key (FIPS 197). The state is kept as 16 bytes, column by column."""

    semiblock = 8
    SBOX = aes_sbox()
    INVERSE = list(map(SBOX.index, range(256)))

    def __init__(self, key):
        words = [list(key[at:at + 4]) for at in range(0, 32, 4)]
        rcon = 1
        for i in range(8, 60):
            word = words[i - 1]
            if i % 8 == 0:
                word = [self.SBOX[b] for b in word[1:] + word[:1]]
                word[0] ^= rcon
                rcon = xtime(rcon)
            elif i % 8 == 4:
                word = [self.SBOX[b] for b in word]
            words.append([a ^ b for a, b in zip(words[i - 8], word)])
        self.keys = [sum(words[at:at + 4], []) for at in range(0, 60, 4)]

    @staticmethod
    def _mix(state, row):
        out = []
        for at in range(0, 16, 4):
            column = state[at:at + 4]
            out += [
                gf_multiply(column[0], row[-i % 4]) ^ gf_multiply(column[1], row[(1 - i) % 4])
                ^ gf_multiply(column[2], row[(2 - i) % 4]) ^ gf_multiply(column[3], row[(3 - i) % 4])
                for i in range(4)
            ]
        return out

    def encrypt(self, block):
        state = [a ^ b for a, b in zip(block, self.keys[0])]
        for number, key in enumerate(self.keys[1:], 1):
            state = [self.SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
            if number < 14:
                state = self._mix(state, [2, 3, 1, 1])
            state = [a ^ b for a, b in zip(state, key)]
        return bytes(state)

    def decrypt(self, block):
        state = list(block)
        for number in range(14, 0, -1):
            state = [a ^ b for a, b in zip(state, self.keys[number])]
            if number < 14:
                state = self._mix(state, [14, 11, 13, 9])
            state = [self.INVERSE[state[(i - 4 * (i % 4)) % 16]] for i in range(16)]
        return bytes(a ^ b for a, b in zip(state, self.keys[0]))


def gcm_seal(key, nonce, header, plaintext):
    """AES-256-GCM with a 96-bit nonce (SP 800-38D)."""
    cipher = Aes256(key)
    h = int.from_bytes(cipher.encrypt(bytes(16)), "big")

    def multiply(x):
        z, v = 0, h
        for bit in range(127, -1, -1):
            z ^= v if x >> bit & 1 else 0
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        return z

    def keystream(counter):
        return cipher.encrypt(nonce + counter.to_bytes(4, "big"))

    ciphertext = b"".join(
        xor(plaintext[at:at + 16], keystream(2 + at // 16)) for at in range(0, len(plaintext), 16)
    )
    pad = lambda data: data + bytes(-len(data) % 16)
    hashed = pad(header) + pad(ciphertext) + (8 * len(header)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    y = 0
    for at in range(0, len(hashed), 16):
        y = multiply(y ^ int.from_bytes(hashed[at:at + 16], "big"))
    return ciphertext, xor(y.to_bytes(16, "big"), keystream(1))


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def x25519(scalar, u):
    """RFC 7748, section 5."""
    p = 2**255 - 19
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1 = (int.from_bytes(u, "little") & (2**255 - 1)) % p
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        x2, z2 = aa * bb % p, e * (aa + 121665 * e) % p
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


BASEPOINT = bytes([9]) + bytes(31)

# ---------------------------------------------------------------- "Derivations"

TDES, AES = 1, 2
KIND_NAMES = {TDES: "3des", AES: "aes-256"}
KEY_LEN = {TDES: 24, AES: 32}
SUITES = {1: "TDES-CTR-HMAC-SHA256", 2: "AES-256-GCM"}
DEFAULT_KEY_ID = bytes([TDES]) + bytes(16)
NO_GATEWAY = bytes(16)


class Refused(Exception):
    """What a receiver answers to with an alert."""


def require(condition, why):
    if not condition:
        raise Refused(why)


def set_parity(data):
    return bytes(b & 0xFE | (bin(b >> 1).count("1") + 1) % 2 for b in data)


def is_weak_des(part):
    # A weak or semi-weak key has halves C and D that each repeat one bit, or alternate it.
    weak = {
        "0101010101010101", "fefefefefefefefe", "e0e0e0e0f1f1f1f1", "1f1f1f1f0e0e0e0e", "01fe01fe01fe01fe",
        "fe01fe01fe01fe01", "1fe01fe00ef10ef1", "e01fe01ff10ef10e", "01e001e001f101f1", "e001e001f101f101",
        "1ffe1ffe0efe0efe", "fe1ffe1ffe0efe0e", "011f011f010e010e", "1f011f010e010e01", "e0fee0fef1fef1fe",
        "fee0fee0fef1fef1",
    }
    return part.hex() in weak


def check_key(kind, key):
    require(len(key) == KEY_LEN[kind], "the key's length")
    if kind == TDES:
        parts = [key[0:8], key[8:16], key[16:24]]
        require(key == set_parity(key), "parity")
        require(len(set(parts)) == 3, "equal parts")
        require(not any(map(is_weak_des, parts)), "a weak part")
    return key


DEFAULT_KEY = set_parity(hashlib.sha256(b"portcullis default key").digest()[:24])


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def extract(salt, ikm):
    return mac(salt, ikm)


def expand(prk, info, length):
    out, block = b"", b""
    counter = 1
    while len(out) < length:
        block = mac(prk, block + info + bytes([counter]))
        out += block
        counter += 1
    return out[:length]


def expand_label(secret, purpose, kind, suite, context, length):
    label = f"portcullis v1 {purpose} {KIND_NAMES[kind]}" + (f" {SUITES[suite]}" if suite else "")
    label = label.encode()
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + bytes([len(context)]) + context
    return expand(secret, info, length)


def derive_key(out_kind, secret, purpose, kind, suite, context):
    if out_kind == AES:
        return expand_label(secret, purpose, kind, suite, context, 32)
    attempt = 0
    while True:
        extended = context + (bytes([attempt]) if attempt else b"")
        key = set_parity(expand_label(secret, purpose, kind, suite, extended, 24))
        try:
            return check_key(TDES, key)
        except Refused:
            attempt += 1


NO_SALT = bytes(32)


def wrap(kind, kek, key):
    cipher = Tdes(kek) if kind == TDES else Aes256(kek)
    semi = cipher.semiblock
    a, r = b"\xa6" * semi, [key[at:at + semi] for at in range(0, len(key), semi)]
    t = 0
    for _ in range(6):
        for i in range(len(r)):
            t += 1
            block = cipher.encrypt(a + r[i])
            a, r[i] = xor(block[:semi], t.to_bytes(semi, "big")), block[semi:]
    return a + b"".join(r)


def unwrap(kind, kek, wrapped):
    cipher = Tdes(kek) if kind == TDES else Aes256(kek)
    semi = cipher.semiblock
    a, *r = [wrapped[at:at + semi] for at in range(0, len(wrapped), semi)]
    for t in range(6 * len(r), 0, -1):
        i = (t - 1) % len(r)
        block = cipher.decrypt(xor(a, t.to_bytes(semi, "big")) + r[i])
        a, r[i] = block[:semi], block[semi:]
    require(a == b"\xa6" * semi, "the wrap's integrity check")
    return b"".join(r)


def wrapped_len(kek_kind, kind):
    return KEY_LEN[kind] + (4 if kek_kind == TDES else 8)


# ---------------------------------------------------------------- "Frames" and "Messages"


def frame(frame_type, body):
    return bytes([frame_type]) + len(body).to_bytes(2, "big") + body


class Body:
    """The body of a handshake frame, taken apart from its front."""

    def __init__(self, data, frame_type):
        require(len(data) >= 3, "no header")
        require(data[0] == frame_type, "another type")
        length = int.from_bytes(data[1:3], "big")
        require(length <= 2048 and length == len(data) - 3, "the frame's length")
        self.data = data[3:]

    def take(self, count):
        require(len(self.data) >= count, "cut short")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def key_id(self):
        key_id = self.take(17)
        require(key_id[0] in KIND_NAMES, "an unknown kind of key")
        return key_id

    def suite(self):
        suite = self.number(2)
        require(suite in SUITES, "an unknown suite")
        return suite

    def wrapped(self, key_id):
        length = self.number(1)
        require(length == wrapped_len(key_id[0], key_id[0]), "the wrap's length")
        return self.take(length)

    def end(self):
        require(not self.data, "bytes left over")


def read_message_0(data):
    body = Body(data, 0x10)
    kind = body.number(1)
    require(kind in (1, 2), "an unknown kind")
    if kind == 1:
        gateway_id = body.take(16)
        body.end()
        require(gateway_id != NO_GATEWAY, "no gateway id")
        return {"gateway_id": gateway_id}
    require(1 <= len(body.data) <= 64, "the name's length")
    try:
        name = body.data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Refused("no UTF-8") from None
    require(not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in name), "a control character")
    return {"name": name}


def read_message_1(data):
    body = Body(data, 0x11)
    require(body.number(1) == 1, "another version")
    message = {"server_id": body.take(16), "nonce": body.take(32), "share": body.take(32)}
    count = body.number(1)
    require(1 <= count <= 8, "the number of suites")
    suites = [body.suite() for _ in range(count)]
    count = body.number(1)
    require(count <= 64, "the number of key ids")
    key_ids = [body.key_id() for _ in range(count)]
    body.end()
    require(len(set(suites)) == len(suites) and len(set(key_ids)) == len(key_ids), "a repetition")
    require(DEFAULT_KEY_ID not in key_ids[:-1], "the default key before another")
    return message | {"suites": suites, "key_ids": key_ids}


def read_message_2(data):
    body = Body(data, 0x12)
    message = {"gateway_id": body.take(16), "nonce": body.take(32), "share": body.take(32), "mode": body.number(1)}
    require(message["mode"] in (0, 1), "an unknown mode")
    message |= {"key_id": body.key_id(), "suite": body.suite(), "proof": body.take(32)}
    body.end()
    default = message["mode"] == 0
    require(default == (message["gateway_id"] == NO_GATEWAY), "mode and gateway id")
    require(default == (message["key_id"] == DEFAULT_KEY_ID), "mode and key id")
    return message


def read_message_3(data, mode):
    body = Body(data, 0x13)
    key_id = body.key_id()
    require(key_id != DEFAULT_KEY_ID, "the default key")
    message = {"key_id": key_id, "wrapped_session_key": body.wrapped(key_id)}
    if mode == "default":
        message["gateway_id"] = body.take(16)
        require(message["gateway_id"] != NO_GATEWAY, "no gateway id")
        message["wrapped_master_key"] = body.wrapped(key_id)
    message["mac"] = body.take(32)
    body.end()
    return message


def read_message_4(data):
    body = Body(data, 0x14)
    tag = body.take(32)
    body.end()
    return {"mac": tag}


def read_peer_message_0(data):
    body = Body(data, 0x18)
    dialler, dialled = body.take(16), body.take(16)
    body.end()
    require(bytes(16) not in (dialler, dialled), "no instance")
    require(dialler != dialled, "an instance linked to itself")
    return {"dialler": dialler, "dialled": dialled}


# ---------------------------------------------------------------- the checks

checked = 0


def same(what, expected, actual):
    global checked
    checked += 1
    if isinstance(actual, bytes):
        actual = actual.hex()
    if expected != actual:
        raise SystemExit(f"FAILED: {what}: the vector has {expected}, PROTOCOL.md gives {actual}")


def check_handshake(name, vector):
    def at(section):
        """The section with its hexadecimal digits as bytes; the name in message 0 is text, and lists stay as they are."""
        is_hex = lambda field, value: isinstance(value, str) and field != "message_0_name"
        return {field: bytes.fromhex(v) if is_hex(field, v) else v for field, v in vector[section].items()}

    inputs, sent = at("inputs"), vector["messages"]
    kind = {v: k for k, v in KIND_NAMES.items()}[vector["key_kind"]]
    suite, default = vector["suite_number"], {"default": True, "secure": False}[vector["mode"]]
    same(f"{name}: suite", vector["suite"], SUITES[suite])
    ours = lambda section, field, value: same(f"{name}: {section}.{field}", vector[section][field], value)

    ours("inputs", "server_x25519_share", x25519(inputs["server_x25519_private"], BASEPOINT))
    ours("inputs", "gateway_x25519_share", x25519(inputs["gateway_x25519_private"], BASEPOINT))
    shared = x25519(inputs["gateway_x25519_private"], inputs["server_x25519_share"])
    assert shared == x25519(inputs["server_x25519_private"], inputs["gateway_x25519_share"])
    require(shared != bytes(32), "a degenerate share")
    same(f"{name}: x25519_shared_secret", vector["x25519_shared_secret"], shared)

    master = derive_key(kind, extract(NO_SALT, inputs["gateway_key"]), "diversify", kind, None, inputs["gateway_id"])
    prk = extract(NO_SALT, master)
    proof_prk, proof_kind = (extract(NO_SALT, DEFAULT_KEY), TDES) if default else (prk, kind)
    gateway_proof_key = expand_label(proof_prk, "gateway proof", proof_kind, None, b"", 32)
    server_proof_key = expand_label(prk, "server proof", kind, None, b"", 32)
    ours("master_key", "master_key", master)
    ours("master_key", "prk", prk)
    ours("master_key", "gateway_proof_key", gateway_proof_key)
    ours("master_key", "server_proof_key", server_proof_key)

    # Message 0
    transcript = b""
    if "message_0" in sent:
        if default:
            transcript = frame(0x10, b"\x02" + inputs["message_0_name"].encode())
        else:
            transcript = frame(0x10, b"\x01" + inputs["gateway_id"])
        ours("messages", "message_0", transcript)
        read_message_0(transcript)

    # Message 1
    key_ids = [bytes.fromhex(key_id) for key_id in inputs["offered_key_ids"]]
    message_1 = frame(0x11, b"\x01" + inputs["server_id"] + inputs["server_nonce"] + inputs["server_x25519_share"]
                      + bytes([len(inputs["offered_suites"])])
                      + b"".join(number.to_bytes(2, "big") for number in inputs["offered_suites"])
                      + bytes([len(key_ids)]) + b"".join(key_ids))
    ours("messages", "message_1", message_1)
    read_message_1(message_1)
    transcript += message_1

    # Message 2
    chosen = DEFAULT_KEY_ID if default else inputs["key_id"]
    body = ((NO_GATEWAY if default else inputs["gateway_id"]) + inputs["gateway_nonce"] + inputs["gateway_x25519_share"]
            + bytes([0 if default else 1]) + chosen + suite.to_bytes(2, "big"))
    unproved = frame(0x12, body + bytes(32))[:-32]
    digest = hashlib.sha256(transcript + unproved).digest()
    ours("transcript_hashes", "message_2_without_proof", digest)
    message_2 = unproved + mac(gateway_proof_key, digest)
    ours("messages", "message_2", message_2)
    read_message_2(message_2)
    transcript += message_2

    # Message 3
    through_2 = hashlib.sha256(transcript).digest()
    ours("transcript_hashes", "through_message_2", through_2)
    session_key = check_key(kind, inputs["session_key"])
    kek = derive_key(kind, prk, "session kek", kind, None, through_2)
    ours("master_key", "session_kek", kek)
    wrapped = wrap(kind, kek, session_key)
    ours("master_key", "wrapped_session_key", wrapped)
    assert unwrap(kind, kek, wrapped) == session_key
    body = inputs["key_id"] + bytes([len(wrapped)]) + wrapped
    if default:
        pairing_prk = extract(NO_SALT, DEFAULT_KEY + shared)
        pairing_kek = derive_key(kind, pairing_prk, "pairing kek", kind, None, through_2)
        wrapped_master = wrap(kind, pairing_kek, master)
        ours("pairing", "default_key", DEFAULT_KEY)
        ours("pairing", "prk", pairing_prk)
        ours("pairing", "pairing_kek", pairing_kek)
        ours("pairing", "wrapped_master_key", wrapped_master)
        body += inputs["gateway_id"] + bytes([len(wrapped_master)]) + wrapped_master
    unproved = frame(0x13, body + bytes(32))[:-32]
    digest = hashlib.sha256(transcript + unproved).digest()
    ours("transcript_hashes", "message_3_without_mac", digest)
    message_3 = unproved + mac(server_proof_key, digest)
    ours("messages", "message_3", message_3)
    read_message_3(message_3, vector["mode"])
    transcript += message_3

    # Key schedule and message 4
    through_3 = hashlib.sha256(transcript).digest()
    ours("transcript_hashes", "through_message_3", through_3)
    root = extract(through_3, session_key + shared)
    scheduled = lambda purpose, length: expand_label(root, purpose, kind, suite, b"", length)
    ours("key_schedule", "root", root)
    ours("key_schedule", "finished_key", scheduled("finished", 32))
    ours("key_schedule", "server_to_gateway", scheduled("server to gateway", 32))
    ours("key_schedule", "gateway_to_server", scheduled("gateway to server", 32))
    ours("key_schedule", "install_secret", scheduled("install secret", 32))
    exporter = scheduled("exporter secret", 32)
    ours("key_schedule", "exporter_secret", exporter)
    ours("key_schedule", "session_id", scheduled("session id", 8))
    message_4 = frame(0x14, mac(scheduled("finished", 32), through_3))
    ours("messages", "message_4", message_4)
    read_message_4(message_4)

    # Install
    install = at("install")
    kek = derive_key(kind, scheduled("install secret", 32), "install", kind, suite, install["new_key_id"])
    ours("install", "install_kek", kek)
    ours("install", "wrapped_master_key", wrap(kind, kek, install["new_master_key"]))

    for value in vector["call_values"]:
        check_call_value(f"{name}: secret in a call, way {value['way']}", value, exporter, kind, suite)

    for direction in ("server_to_gateway", "gateway_to_server"):
        secret = scheduled(direction.replace("_", " "), 32)
        check_records(f"{name}: {direction}", vector["records"][direction], secret, kind, suite)


def check_peer_link(name, vector):
    """ "Links between servers": every message made anew, and what either side refuses."""
    inputs = {field: bytes.fromhex(value) for field, value in vector["inputs"].items()}
    kind, suite, sent = AES, 2, [bytes.fromhex(message) for message in vector["messages"]]
    ours = lambda field, value: same(f"{name}: {field}", vector[field], value)
    message = lambda number, value: same(f"{name}: message {number}", vector["messages"][number], value)

    ends = inputs["dialler"] + inputs["dialled"]
    master = derive_key(kind, extract(NO_SALT, inputs["peer_key"]), "peer link", kind, None, ends)
    ours("master_key", master)
    prk = extract(NO_SALT, master)
    dialled_key = expand_label(prk, "dialled proof", kind, None, b"", 32)
    dialler_key = expand_label(prk, "dialler proof", kind, None, b"", 32)
    ours("dialled_proof_key", dialled_key)
    ours("dialler_proof_key", dialler_key)
    share = {end: x25519(inputs[f"{end}_x25519_private"], BASEPOINT) for end in ("dialler", "dialled")}
    shared = x25519(inputs["dialler_x25519_private"], share["dialled"])

    message_0 = frame(0x18, ends)
    message(0, message_0)
    read_peer_message_0(message_0)
    message_1 = frame(0x11, b"\x01" + inputs["server_id"] + inputs["dialler_nonce"] + share["dialler"]
                      + b"\x01" + suite.to_bytes(2, "big") + b"\x01" + inputs["key_id"])
    message(1, message_1)
    read_message_1(message_1)
    transcript = message_0 + message_1

    def proof(unproved):
        return mac(dialled_key, hashlib.sha256(transcript + unproved).digest())

    unproved = frame(0x12, inputs["dialled"] + inputs["dialled_nonce"] + share["dialled"] + b"\x01" + inputs["key_id"]
                     + suite.to_bytes(2, "big") + bytes(32))[:-32]
    message_2 = unproved + proof(unproved)
    message(2, message_2)

    def dialler_takes(data):
        read = read_message_2(data)
        require(read["mode"] == 1 and read["gateway_id"] == inputs["dialled"], "another instance")
        require(read["key_id"] == inputs["key_id"] and read["suite"] == suite, "another key or suite")
        require(read["proof"] == proof(data[:-32]), "the proof")

    dialler_takes(message_2)
    for case in vector["refused"]:
        refused(f"{name}: message 2, {case['why']}", lambda: dialler_takes(bytes.fromhex(case["frame"])))
    for case in vector["malformed"]:
        refused(f"{name}: message 0, {case['why']}", lambda: read_peer_message_0(bytes.fromhex(case["frame"])))
    transcript += message_2

    kek = derive_key(kind, prk, "peer session kek", kind, None, hashlib.sha256(transcript).digest())
    ours("session_kek", kek)
    wrapped = wrap(kind, kek, inputs["session_key"])
    unproved = frame(0x13, inputs["key_id"] + bytes([len(wrapped)]) + wrapped + bytes(32))[:-32]
    message_3 = unproved + mac(dialler_key, hashlib.sha256(transcript + unproved).digest())
    message(3, message_3)
    read_message_3(message_3, "secure")
    transcript += message_3

    through_3 = hashlib.sha256(transcript).digest()
    root = extract(through_3, inputs["session_key"] + shared)
    scheduled = lambda purpose, length: expand_label(root, purpose, kind, suite, b"", length)
    ours("root", root)
    ours("session_id", scheduled("session id", 8))
    message(4, frame(0x14, mac(scheduled("finished", 32), through_3)))
    assert len(sent) == 5
    for field, purpose in (("dialler_to_dialled", "server to gateway"), ("dialled_to_dialler", "gateway to server")):
        check_records(f"{name}: {field}", vector[field], scheduled(purpose, 32), kind, suite)


def check_call_value(name, case, exporter, kind, suite):
    """ "Secrets in calls": the keys of one value, and the value sealed anew."""
    salt, value = bytes.fromhex(case["salt"]), bytes.fromhex(case["value"])
    place = bytes([case["way"]]) + case["number"].to_bytes(4, "big") + case["call_id"].encode()
    key = derive_key(TDES if suite == 1 else AES, exporter, "call value key", kind, suite, salt)
    same(f"{name}: key", case["key"], key)
    if suite == 1:
        mac_key = expand_label(exporter, "call value mac key", kind, suite, salt, 32)
        same(f"{name}: MAC key", case["mac_key"], mac_key)
        cipher = Tdes(key)
        ciphertext = xor(value, b"".join(cipher.encrypt(n.to_bytes(8, "big")) for n in range(len(value) // 8 + 1)))
        tag = mac(mac_key, place + ciphertext)
    else:
        ciphertext, tag = gcm_seal(key, bytes(12), place, value)
    same(f"{name}: sealed", case["sealed"], salt + ciphertext + tag)


def check_records(name, direction, secret, kind, suite):
    """ "Records": the keys of each epoch, and every record sealed anew."""
    epoch = -1
    for sequence, record in enumerate(direction["records"]):
        if record["epoch"] != epoch:
            same(f"{name}: the order of epochs", record["epoch"], epoch + 1)
            if epoch >= 0:
                secret = expand_label(secret, "next", kind, suite, b"", 32)
            epoch = record["epoch"]
            values = direction["epochs"][epoch]
            same(f"{name}: traffic secret of epoch {epoch}", values["traffic_secret"], secret)
            if suite == 1:
                key = derive_key(TDES, secret, "key", kind, suite, b"")
                mac_key = expand_label(secret, "mac key", kind, suite, b"", 32)
                same(f"{name}: MAC key of epoch {epoch}", values["mac_key"], mac_key)
                cipher = Tdes(key)
                keystream = b"".join(cipher.encrypt(n.to_bytes(8, "big")) for n in range(64))
            else:
                key = derive_key(AES, secret, "key", kind, suite, b"")
                iv = expand_label(secret, "iv", kind, suite, b"", 12)
                same(f"{name}: IV of epoch {epoch}", values["iv"], iv)
            same(f"{name}: key of epoch {epoch}", values["key"], key)
        same(f"{name}: sequence number", record["sequence"], sequence)
        plaintext = bytes.fromhex(record["plaintext"])
        header = bytes.fromhex(record["record"])[:1] + (len(plaintext) + 16).to_bytes(2, "big")
        if suite == 1:
            ciphertext, keystream = xor(plaintext, keystream), keystream[len(plaintext):]
            tag = mac(mac_key, sequence.to_bytes(8, "big") + header + ciphertext)[:16]
        else:
            nonce = xor(iv, bytes(4) + sequence.to_bytes(8, "big"))
            ciphertext, tag = gcm_seal(key, nonce, header, plaintext)
        same(f"{name}: record {sequence}", record["record"], header + ciphertext + tag)
    types = [record["record"][:2] for record in direction["records"]]
    same(f"{name}: types", "20 20 21 20 22", " ".join(types))


def check_derivations(name, vector):
    same(f"{name}: default key", vector["default_key"], DEFAULT_KEY)
    same(f"{name}: default key id", vector["default_key_id"], DEFAULT_KEY_ID)
    for case in vector["identifiers"]:
        data = bytes.fromhex(case["bytes"])
        if case["what"] == "key":
            text = {TDES: "3des-", AES: "aes-"}[data[0]] + data[1:].hex()
        else:
            text = {"gateway": "gw-", "server": "sv-"}[case["what"]] + data.hex()
        same(f"{name}: identifier", case["text"], text)
    for case in vector["diversified"]:
        kind = {v: k for k, v in KIND_NAMES.items()}[case["key_kind"]]
        prk = extract(NO_SALT, bytes.fromhex(case["gateway_key"]))
        same(f"{name}: diversification, PRK", case["prk"], prk)
        key = derive_key(kind, prk, "diversify", kind, None, bytes.fromhex(case["gateway_id"]))
        same(f"{name}: diversification", case["master_key"], key)
    for case in vector["tokens"]:
        content = bytes.fromhex(case["gateway_id"] + case["key_id"] + case["enrolment_key"])
        check_key(content[16], content[33:])
        content += hashlib.sha256(content).digest()[:4]
        same(f"{name}: token", case["text"], "PCT1-" + base64.b32encode(content).decode().rstrip("="))
    for case in vector["wraps"]:
        kind = {v: k for k, v in KIND_NAMES.items()}[case["kek_kind"]]
        kek, key = bytes.fromhex(case["kek"]), bytes.fromhex(case["key"])
        same(f"{name}: wrap", case["wrapped"], wrap(kind, kek, key))
        same(f"{name}: unwrap", case["key"], unwrap(kind, kek, bytes.fromhex(case["wrapped"])))
    for case in vector["parity"]:
        same(f"{name}: parity", case["key"], set_parity(bytes.fromhex(case["bytes"])))
    for case in vector["refused_3des_keys"]:
        refused(f"{name}: {case['why']}", lambda: check_key(TDES, bytes.fromhex(case["key"])))


def der(tag, content):
    length = bytes([len(content)]) if len(content) < 128 else bytes([0x81, len(content)])
    return bytes([tag]) + length + content


def der_integer(value):
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def der_oid(text):
    first, second, *rest = map(int, text.split("."))
    out = bytes([40 * first + second])
    for number in rest:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.insert(0, number & 0x7F | 0x80)
        out += bytes(digits)
    return der(0x06, out)


def pbes2(case, derived):
    """KEY_EXPORT.md, "The export secret"."""
    salt, iv, kdf = bytes.fromhex(case["salt"]), bytes.fromhex(case["iv"]), case["kdf"]
    if kdf["name"] == "pbkdf2":
        prf = der(0x30, der_oid("1.2.840.113549.2.9") + der(0x05, b""))
        kdf = der_oid("1.2.840.113549.1.5.12") + der(0x30, der(0x04, salt) + der_integer(kdf["iterations"]) + prf)
    else:
        numbers = [2 ** kdf["log_n"], kdf["r"], kdf["p"]]
        kdf = der_oid("1.3.6.1.4.1.11591.4.11") + der(0x30, der(0x04, salt) + b"".join(map(der_integer, numbers)))
    cipher = der(0x30, der_oid("2.16.840.1.101.3.4.1.42") + der(0x04, iv))
    algorithm = der(0x30, der_oid("1.2.840.113549.1.5.13") + der(0x30, der(0x30, kdf) + cipher))
    aes, block, ciphertext = Aes256(derived), iv, b""
    padded = bytes.fromhex(case["export_secret"]) + b"\x10" * 16
    for at in range(0, len(padded), 16):
        block = aes.encrypt(xor(padded[at:at + 16], block))
        ciphertext += block
    return der(0x30, algorithm + der(0x04, ciphertext))


def check_key_export(name, cases):
    """KEY_EXPORT.md: every file written anew from its inputs."""
    for case in cases:
        what = f"{name}: {case['name']}"
        secret, kdf = bytes.fromhex(case["export_secret"]), case["kdf"]
        if kdf is None:
            derived = expand_label(extract(NO_SALT, DEFAULT_KEY), "default export secret", TDES, None, b"", 32)
            same(f"{what}: the export secret", case["export_secret"], derived)
            protection = "default"
        else:
            passphrase, salt = bytes.fromhex(case["passphrase"]), bytes.fromhex(case["salt"])
            if kdf["name"] == "pbkdf2":
                derived = hashlib.pbkdf2_hmac("sha256", passphrase, salt, kdf["iterations"], 32)
            else:
                derived = hashlib.scrypt(passphrase, salt=salt, n=2 ** kdf["log_n"], r=kdf["r"], p=kdf["p"], dklen=32)
            encrypted = pbes2(case, derived)
            same(f"{what}: the encrypted export secret", case["encrypted"], encrypted)
            protection = "pbe " + base64.b64encode(encrypted).decode()
        prk = extract(NO_SALT, secret)
        lines = ["-----BEGIN PORTCULLIS KEY EXPORT-----", "version 1", f"server {case['server']}",
                 f"created {case['created']}", f"protection {protection}"]
        for key in case["keys"]:
            key_id, material = bytes.fromhex(key["id_bytes"]), bytes.fromhex(key["key"])
            check_key(key_id[0], material)
            purpose = {"server": 1, "gateway": 2}[key["purpose"]]
            kek = expand_label(prk, "export kek", AES, None, bytes([purpose]) + key_id, 32)
            wrapped = base64.b64encode(wrap(AES, kek, material)).decode()
            retired = "-" if key["retired"] is None else key["retired"]
            lines.append(f"key {key['purpose']} {key['id']} {key['state']} {key['created']} {retired} {wrapped}")
        text = "".join(line + "\n" for line in lines)
        mac_key = expand_label(prk, "export mac key", AES, None, b"", 32)
        text += f"mac {base64.b64encode(mac(mac_key, text.encode())).decode()}\n"
        text += f"sum {hashlib.sha256(text.encode()).hexdigest()}\n-----END PORTCULLIS KEY EXPORT-----\n"
        same(f"{what}: the file", case["file"], text)


def check_malformed(name, vectors):
    readers = [read_message_0, read_message_1, read_message_2, read_message_3, read_message_4]
    for case in vectors:
        arguments = [bytes.fromhex(case["frame"])] + ([case["mode"]] if "mode" in case else [])
        refused(f"{name}: message {case['message']}, {case['defect']}", lambda: readers[case["message"]](*arguments))


def message(*fields):
    """A message of Protocol Buffers: numbers of fields, each with a number, bytes or a text. What is 0 or empty is left out."""
    def varint(number):
        digits = [number & 0x7F]
        while number := number >> 7:
            digits[-1] |= 0x80
            digits.append(number & 0x7F)
        return bytes(digits)

    out = b""
    for number, value in fields:
        value = value.encode() if isinstance(value, str) else value
        if isinstance(value, bytes):
            out += varint(number << 3 | 2) + varint(len(value)) + value if value else b""
        else:
            out += varint(number << 3) + varint(value) if value else b""
    return out


OPEN, REFUSED, LATE = 1, 8, 18


def check_messages(file):
    """PROTOCOL.md, "Grants" and "The latest moment": the messages of gateway.proto, built anew."""
    opened = message((1, 7), (2, OPEN), (3, 10), (4, b"\x08" * 10), (6, 86_400_000 + 7_000))
    late = message((1, 7), (2, REFUSED), (5, message((1, LATE), (2, "too late"))))
    built = {
        "grant": message((1, 1), (2, 300), (3, b"\x0a" * 16)),
        "granted": message((1, 1), (2, 301), (3, b"\x0b" * 16)),
        "pong": message((1, b"\x01" * 8), (2, 86_400_000)),
        "frames.open": message((1, opened)),
        "frames.late": message((1, late)),
    }
    recorded = dict(line.split(" ") for line in file.read_text(encoding="utf-8").splitlines())
    for name, value in built.items():
        same(f"{file.stem}: {name}", recorded[name], value)


def refused(what, action):
    global checked
    checked += 1
    try:
        action()
    except Refused:
        return
    raise SystemExit(f"FAILED: {what}: was taken")


def check_own_ciphers():
    """Known answers from the standards, so that a slip in this script is not taken for one in the vectors."""
    h = bytes.fromhex
    assert Des(h("133457799bbcdff1")).encrypt(h("0123456789abcdef")) == h("85e813540f0ab405")
    cipher = Aes256(bytes(range(32)))
    block = h("00112233445566778899aabbccddeeff")
    assert cipher.encrypt(block) == h("8ea2b7ca516745bfeafc49904b496089")
    assert cipher.decrypt(cipher.encrypt(block)) == block
    scalar = h("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    u = h("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert x25519(scalar, u) == h("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
    assert gcm_seal(bytes(32), bytes(12), b"", bytes(16)) == (
        h("cea7403d4d606b6e074ec5d3baf39d18"), h("d0d1c8a799996bf0265b98b5d48ab919"))
    kek = bytes(range(32))
    assert wrap(AES, kek, block) == h("64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7")
    kek = h("e273cd9d7210a973b4113c5772474938d353b54e265dd944")
    assert wrap(TDES, kek, h("2ffd56320f1dff99")) == h("10a38310b604b48f94357d67")


def main():
    check_own_ciphers()
    here = pathlib.Path(__file__).resolve().parent
    files = [pathlib.Path(name) for name in sys.argv[1:]] or sorted([*here.glob("*.json"), *here.glob("calls-*.txt")])
    if not files:
        raise SystemExit(f"FAILED: no vectors in {here}")
    checks = {"derivations": check_derivations, "malformed": check_malformed, "key-export": check_key_export,
              "peer-link": check_peer_link}
    for file in files:
        if file.suffix == ".txt":
            check_messages(file)
            print(f"{file.name}: ok")
            continue
        vector = json.loads(file.read_text(encoding="utf-8"))
        check = checks.get(file.stem, check_handshake)
        check(file.stem, vector)
        print(f"{file.name}: ok")
    print(f"{checked} values recomputed, all alike")


if __name__ == "__main__":
    main()
