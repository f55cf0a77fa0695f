#!/usr/bin/env python3
"""Holds the dependency tree to `.deny.toml` where cargo-deny is not at hand: licences, bans and sources, from `cargo metadata`.

    python3 tests/dependencies.py

What is compiled for the targets that `.deny.toml` names is looked at, with every feature. Before that, trees that break one rule
each have to be refused. Vulnerabilities are not looked up: that needs the advisory database. Python 3.11's standard library is
all it needs, and the packages that Cargo.lock names.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def licensed(expression, allowed):
    """Whether an SPDX expression can be fulfilled with the licences that are allowed. The old `A/B` means `A OR B`."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        fulfilled = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            # Both sides are read, whatever the first one says.
            fulfilled = both() or fulfilled
        return fulfilled

    def both():
        fulfilled = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            fulfilled = one() and fulfilled
        return fulfilled

    def one():
        name = tokens.pop(0)
        if name == "(":
            fulfilled = alternatives()
            if tokens.pop(0) != ")":
                raise IndexError
            return fulfilled
        if tokens and tokens[0] == "WITH":
            name = " ".join([name, tokens.pop(0), tokens.pop(0)])
        return name in allowed

    try:
        return alternatives() and not tokens
    except IndexError:
        return False


def broken(rules, packages, depends):
    """What breaks a rule, a sentence each. `depends` says by a package's id which packages it is built with."""
    found = []
    allowed = set(rules["licenses"]["allow"])
    excepted = {one["crate"]: set(one["allow"]) for one in rules["licenses"].get("exceptions", [])}
    banned = {ban["crate"]: ban for ban in rules["bans"]["deny"]}
    for package in packages.values():
        what, ours = f"{package['name']} {package['version']}", package["source"] is None
        licence = package["license"]
        if not licence:
            found.append(f"{what} names no licence in its Cargo.toml")
        elif not licensed(licence, allowed | excepted.get(package["name"], set())):
            found.append(f"{what} is licensed {licence}, which .deny.toml does not allow")
        if not ours and package["source"] != REGISTRY:
            found.append(f"{what} comes from {package['source']}, which is not the registry")
        for wanted in package["dependencies"]:
            # A path to a package of this workspace has no version.
            if wanted["req"] == "*" and not wanted.get("path") and ours:
                found.append(f"{what} takes any version of {wanted['name']}")
        ban = banned.get(package["name"])
        if ban:
            others = sorted(
                packages[user]["name"]
                for user, used in depends.items()
                if package["id"] in used and packages[user]["name"] not in ban.get("wrappers", [])
            )
            if others or "wrappers" not in ban:
                found.append(f"{what} is banned ({ban['reason']}); it comes with {', '.join(others) or 'no other package'}")
    return found


def unknown(rules):
    """Keys of `.deny.toml` that nothing here looks at, so that a new rule is not passed over."""
    known = {
        "graph": {"targets", "all-features"},
        "licenses": {"allow", "exceptions", "confidence-threshold"},
        "bans": {"multiple-versions", "wildcards", "allow-wildcard-paths", "deny"},
        "sources": {"unknown-registry", "unknown-git"},
        # Neither is in cargo's metadata: cargo-deny alone looks them up.
        "advisories": {"yanked"},
    }
    names = [(section, key) for section, table in rules.items() for key in table if key not in known.get(section, set())]
    names += [("bans.deny", key) for ban in rules["bans"]["deny"] for key in ban if key not in {"crate", "wrappers", "reason"}]
    names += [("bans.deny", ban["crate"]) for ban in rules["bans"]["deny"] if "@" in ban["crate"]]
    return [f"`{key}` of [{section}] in .deny.toml is not understood here" for section, key in names]


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def tree(rules):
    """The packages by their ids, and which of them each is built with."""
    packages, depends = {}, {}
    for target in rules["graph"]["targets"]:
        # The metadata names optional packages too that no feature brings in; what is compiled says the tree.
        lines = output("cargo", "tree", "--locked", "--workspace", "--all-features", "--target", target, "--prefix", "none", "--format", "{p}")
        compiled = {tuple(line.split()[:2]) for line in lines.splitlines() if line}
        metadata = json.loads(output("cargo", "metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", target))
        here = {one["id"]: one for one in metadata["packages"] if (one["name"], f"v{one['version']}") in compiled}
        packages |= here
        for node in metadata["resolve"]["nodes"]:
            if node["id"] in here:
                depends.setdefault(node["id"], set()).update(one["pkg"] for one in node["deps"] if one["pkg"] in here)
    return packages, depends


def say(holds, what):
    print(("ok: " if holds else "FOUND: ") + what)
    return holds


def controls(rules):
    """Trees that break one rule each, and one that breaks none."""
    package = {"id": "one", "name": "one", "version": "1.0.0", "source": REGISTRY, "license": "MIT", "dependencies": []}
    wrapped = next(ban for ban in rules["bans"]["deny"] if "wrappers" in ban)
    plain = next(ban for ban in rules["bans"]["deny"] if "wrappers" not in ban)
    any_version = {"source": None, "dependencies": [{"name": "two", "req": "*"}]}
    trees = [
        ("nothing wrong", {"license": "GPL-3.0 OR (MIT AND ISC)"}, False),
        ("its exception allowed", {"license": "Apache-2.0 WITH LLVM-exception"}, False),
        ("a licence that is not allowed", {"license": "GPL-3.0-only"}, True),
        ("one of two licences that both hold", {"license": "MIT AND GPL-3.0-only"}, True),
        ("no licence", {"license": None}, True),
        ("an expression that is cut off", {"license": "MIT AND (ISC"}, True),
        ("another word where an expression should end", {"license": "(MIT GPL-3.0-only"}, True),
        ("another registry", {"source": "registry+https://example.com/index"}, True),
        ("a git repository", {"source": "git+https://example.com/one"}, True),
        ("any version", any_version, True),
        ("a banned package", {"name": plain["crate"]}, True),
        ("a package used by another than its wrappers", {"name": wrapped["crate"]}, True),
    ]
    user = package | {"id": "user", "name": "user"}
    good = True
    for what, change, is_broken in trees:
        packages = {"one": package | change, "user": user}
        found = broken(rules, packages, {"user": {"one"}})
        good &= say(bool(found) == is_broken, f"control, {what}: {'; '.join(found) or 'accepted'}")
    packages = {"one": package | {"name": wrapped["crate"]}, "user": user | {"name": wrapped["wrappers"][0]}}
    return good & say(not broken(rules, packages, {"user": {"one"}}), "control, a package used by its wrapper: accepted")


def main():
    rules = tomllib.loads((ROOT / ".deny.toml").read_text())
    good = controls(rules)
    packages, depends = tree(rules)
    # What reads no tree finds nothing wrong with it.
    read = {package["name"] for package in packages.values()}
    known = {"portcullis-server", "portcullis-gateway", "ring", "tokio"}
    good &= say(known <= read, f"the tree was read: {', '.join(sorted(known & read)) or 'nothing'} among {len(read)} names")
    found = unknown(rules) + broken(rules, packages, depends)
    for one in found:
        say(False, one)
    if not found:
        say(True, f"licences, bans and sources of {len(packages)} packages")
    sys.exit(not good or bool(found))


if __name__ == "__main__":
    main()
