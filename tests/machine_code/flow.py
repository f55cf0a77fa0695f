"""Follows a function's values along all its paths."""

import collections
import re

from objdump import path
from x86_64 import BULK, NO_RETURN, Machine

# After how many turns a loop's bounds are given up.
TURNS = 20


def check(function, own):
    """Why the function may tell a secret: a list of (instruction, reason). `own` are the symbols of functions that are checked
    themselves: they may be called."""
    found = {}
    machine = Machine(lambda instruction, reason: found.setdefault((instruction.at, reason), (instruction, reason)))
    code = function.instructions
    number = {instruction.at: i for i, instruction in enumerate(code)}
    before = {0: machine.entry()}
    waiting, visits = [0], collections.Counter()
    while waiting:
        at = waiting.pop()
        state = before[at].copy()
        while at is not None:
            instruction = code[at]
            followers = step(machine, state, instruction, number, own)
            following = [at + 1] if followers is None else followers
            at = None
            for target in following:
                if target >= len(code):
                    machine.refuse(instruction, "it runs beyond the function's end")
                elif target not in before:
                    before[target] = state.copy()
                    waiting.append(target)
                else:
                    joined = before[target].joined(state)
                    if joined != before[target]:
                        visits[target] += 1
                        before[target] = joined.widened() if visits[target] > TURNS else joined
                        waiting.append(target)
    return list(found.values())


def step(machine, state, instruction, number, own):
    """Runs one instruction; gives the numbers of those that may follow, none for the next one alone."""
    name = instruction.name
    if name == "ret":
        if state.upper:
            machine.refuse(instruction, "the upper halves of the wide registers are in use at a return")
        return []
    if name == "ud2":
        return []
    if name == "call":
        callee = machine.called(state, instruction)
        if callee and NO_RETURN.search(path(callee)):
            return []
        if callee not in BULK and callee not in own:
            machine.refuse(instruction, f"it calls what is not checked: {path(callee) if callee else 'an unknown function'}")
        machine.after_call(state, instruction, callee)
        return None
    if name == "jmp" and (instruction.symbol or instruction.operands[0].startswith("*")):
        callee = machine.called(state, instruction)
        if state.upper:
            machine.refuse(instruction, "the upper halves of the wide registers are in use at a jump to another function")
        if callee is None or callee.removeprefix(".text.") not in own | BULK and not NO_RETURN.search(path(callee)):
            machine.refuse(instruction, "it jumps to what is not checked")
        if callee in BULK:
            machine.bulk(state, instruction, callee)
        return []
    if re.match(r"(j[a-z]+|loop\w*)$", name):
        target = number.get(int(instruction.operands[0], 16))
        if target is None:
            machine.refuse(instruction, "it jumps out of the function")
            return []
        if name == "jmp":
            return [target]
        if state.flags == "secret":
            machine.refuse(instruction, "whether it jumps depends on a secret")
        return [number[instruction.at] + 1, target]
    machine.step(state, instruction)
    return None
