#!/usr/bin/python3
"""A script for every verb: accounts and groups in the file `objects.json` of its folder.

Each verb is a link to it; the question says which one is meant.
"""

import fcntl
import hashlib
import json
import sys

FILE = "objects.json"
DEFAULTS = {"account": {"full_name": [], "groups": []}, "group": {"members": []}}
NAMES = {
    "account": ["full_name", "groups", "primary_group", "uid"],
    "group": ["gid", "members"],
}
LISTS = ["groups", "members"]


class Refusal(Exception):
    """A failure, with its kind."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.answer = {"error": {"kind": kind, "message": message}}


def digest(text):
    return hashlib.scrypt(text.encode(), salt=b"sample", n=2, r=1, p=1).hex()


def shown(stored):
    return {key: stored[key] for key in ("id", "name", "enabled", "attributes")}


def find(objects, question):
    by = question["object"]
    for stored in objects:
        if stored["class"] == question["class"]:
            if by.get("id", stored["id"]) == stored["id"]:
                if by.get("name", stored["name"]) == stored["name"]:
                    return stored
    raise Refusal("not-found", "there is no such " + question["class"])


def check_free(objects, kind, name):
    if any(o["class"] == kind and o["name"] == name for o in objects):
        raise Refusal("already-exists", "there is one of this name already")


def check_known(kind, names):
    for name in names:
        if name not in NAMES[kind]:
            raise Refusal("unsupported", kind + "s have no attribute " + name)


def create(objects, question):
    kind = question["class"]
    check_free(objects, kind, question["name"])
    check_known(kind, question["attributes"])
    stored = {
        "class": kind,
        "id": str(5000 + len(objects)),
        "name": question["name"],
        "enabled": question["enabled"],
        "attributes": {**DEFAULTS[kind], **question["attributes"]},
        "password": digest(question["password"]) if "password" in question else None,
    }
    objects.append(stored)
    return {"object": shown(stored)}


def update(objects, question):
    stored = find(objects, question)
    modifications = question["modifications"]
    check_known(stored["class"], [change["attribute"] for change in modifications])
    for change in modifications:
        values = list(stored["attributes"].get(change["attribute"], []))
        if change["operation"] == "replace":
            values = change["values"]
        elif change["operation"] == "remove":
            values = [value for value in values if value not in change["values"]]
        else:
            values += [value for value in change["values"] if value not in values]
        stored["attributes"][change["attribute"]] = values
    return {"object": shown(stored)}


def switch(enabled):
    def run(objects, question):
        stored = find(objects, question)
        stored["enabled"] = enabled
        return {"object": shown(stored)}

    return run


def delete(objects, question):
    find(objects, question)["class"] = "deleted"
    return {"report": "a trace of it is kept"}


def set_password(objects, question):
    find(objects, question)["password"] = digest(question["password"])
    return {}


def authenticate(objects, question):
    wrong = Refusal("bad-credentials", "the password is wrong, or there is no such account")
    try:
        stored = find(objects, question)
    except Refusal:
        raise wrong from None
    if stored["password"] != digest(question["password"]):
        raise wrong
    if not stored["enabled"]:
        raise Refusal("account-disabled", "the account is disabled")
    return {}


def rename(objects, question):
    stored = find(objects, question)
    check_free(objects, stored["class"], question["new_name"])
    stored["name"] = question["new_name"]
    return {"object": shown(stored)}


def matches(stored, test):
    if test is None:
        return True
    if test.get("operation") != "equals" or test["attribute"] != "__name__":
        raise Refusal("unsupported", "a search is for a name")
    return stored["name"] == test["value"]


def search(objects, question):
    kind, size, start = question["class"], question["page_size"], question["cookie"]
    found = [o for o in objects if o["class"] == kind and o["id"] > start]
    found = [o for o in found if matches(o, question.get("filter"))]
    page = found[:size]
    cookie = page[-1]["id"] if len(found) > len(page) else ""
    return {"objects": [shown(stored) for stored in page], "next_cookie": cookie}


def schema(_, __):
    def attribute(name):
        kind = "integer" if name in ("uid", "gid") else "text"
        return {"name": name, "type": kind, "multi_valued": name in LISTS}

    classes = [
        {"class": kind, "attributes": [attribute(name) for name in names]}
        for kind, names in NAMES.items()
    ]
    return {"schema": {"classes": classes}}


def count(objects, _):
    return {"results": {"objects": [len(objects)]}}


VERBS = {
    "test": lambda objects, _: {"report": f"{len(objects)} objects"},
    "schema": schema,
    "create": create,
    "get": lambda objects, question: {"object": shown(find(objects, question))},
    "update": update,
    "delete": delete,
    "enable": switch(True),
    "disable": switch(False),
    "set-password": set_password,
    "authenticate": authenticate,
    "rename": rename,
    "search": search,
    "run": count,
}


def main():
    question = json.load(sys.stdin)
    with open(FILE, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        objects = json.loads(file.read() or "[]")
        try:
            answer = VERBS[question["verb"]](objects, question)
        except Refusal as refusal:
            answer = refusal.answer
        else:
            file.truncate(0)
            json.dump(objects, file)
    json.dump(answer, sys.stdout)


main()
