"""What the C library reads of account files: one line of JSON for each folder given on stdin."""
import ctypes
import json
import os
import sys

text = ctypes.c_char_p


def structure(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


def texts(names):
    return [(name, text) for name in names]


def numbers(kind, names):
    return [(name, kind) for name in names]


lists = ctypes.POINTER(text)
passwd = structure(
    "passwd",
    *texts(["name", "password"]),
    *numbers(ctypes.c_uint, ["uid", "gid"]),
    *texts(["gecos", "home", "shell"]),
)
group = structure(
    "group", *texts(["name", "password"]), ("gid", ctypes.c_uint), ("members", lists)
)
shadow = structure(
    "spwd",
    *texts(["name", "password"]),
    *numbers(ctypes.c_long, ["last_change", "min", "max", "warn", "inactive", "expires"]),
    ("flag", ctypes.c_ulong),
)
gshadow = structure(
    "sgrp", *texts(["name", "password"]), ("administrators", lists), ("members", lists)
)

libc = ctypes.CDLL(None, use_errno=True)
libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [text, text]
libc.fclose.argtypes = [ctypes.c_void_p]


def value(field):
    if isinstance(field, bytes):
        return field.hex()
    if isinstance(field, int) or field is None:
        return field
    all = []
    while field and field[len(all)] is not None:
        all.append(field[len(all)].hex())
    return all


def entries(function, kind, path):
    function.restype = ctypes.POINTER(kind)
    function.argtypes = [ctypes.c_void_p]
    file = libc.fopen(os.fsencode(path), b"r")
    found = []
    while entry := function(file):
        found.append({name: value(getattr(entry.contents, name)) for name, _ in kind._fields_})
    libc.fclose(file)
    return found


def candidates(path):
    """Lines that say something, whether it makes sense or not."""
    with open(path, "rb") as file:
        lines = [line.split(b"\0")[0].lstrip(b" \t\n\v\f\r") for line in file.read().split(b"\n")]
    return sum(1 for line in lines if line and not line.startswith(b"#"))


for folder in sys.stdin.read().split("\n")[:-1]:
    read = {}
    for name, function, kind in [
        ("passwd", libc.fgetpwent, passwd),
        ("group", libc.fgetgrent, group),
        ("shadow", libc.fgetspent, shadow),
        ("gshadow", libc.fgetsgent, gshadow),
    ]:
        path = f"{folder}/etc/{name}"
        read[name] = entries(function, kind, path)
        read[name + "_lines"] = candidates(path)
    print(json.dumps(read))
