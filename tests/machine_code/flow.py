"""Follows functions along all their paths, from one to another where one calls another."""

import collections
import re

from objdump import path
from values import SECRET, is_stack
from x86_64 import ARGUMENTS, BULK, DETECTION, NO_RETURN, Machine

# What is called and not followed: `subtle`'s barrier, which gives back its argument and is compiled into whichever crate comes first, and
# what asks the processor what it has.
TRUSTED = re.compile(r"^subtle::black_box$|" + DETECTION.pattern)
# After how many turns a loop's bounds are given up.
TURNS = 20


class Program:
    """Functions that call one another, and nothing else but bulk copies."""

    def __init__(self, functions, known=None, writes=None):
        self.functions = {one.symbol: one for one in functions}
        # Patterns of names: what is known of arguments, and how many bytes a call writes, through which of them alone.
        self.known = known or {}
        self.writes = writes or {}
        calls = {symbol: list(self.calls(one)) for symbol, one in self.functions.items()}
        # Those that are only ever called by one of these: they may leave the upper halves of the wide registers in use.
        called = {callee for all_of in calls.values() for callee, name in all_of if name == "call"}
        jumped = {callee for all_of in calls.values() for callee, name in all_of if name != "call"}
        self.wide = {symbol for symbol, one in self.functions.items() if any(re.search(r"%[yz]mm", i.text) for i in one.instructions)}
        self.inner = {
            symbol for symbol in called - jumped
            if all(caller in self.wide for caller, all_of in calls.items() if (symbol, "call") in all_of)
        }
        self.called = {symbol: {callee for callee, _ in all_of} for symbol, all_of in calls.items()}
        # Arguments in which a call hands over a secret.
        self.secret_arguments = collections.defaultdict(set)

    def calls(self, function):
        """The functions of the program that its instructions name, each with the name of the instruction. An address that is taken
        counts as a call: it is for one."""
        for instruction in function.instructions:
            symbol = (instruction.symbol or "").removeprefix(".text.")
            if symbol in self.functions:
                yield symbol, "jmp" if instruction.name.startswith("j") else "call"

    def reached(self, symbol):
        """The functions that it gets to, with itself."""
        found, waiting = set(), [symbol]
        while waiting:
            symbol = waiting.pop()
            if symbol not in found:
                found.add(symbol)
                waiting.extend(self.called[symbol])
        return [self.functions[symbol] for symbol in found]

    def of(self, table, symbol):
        """What a table of patterns has for a function; none if nothing."""
        name = path(symbol)
        return next((found for pattern, found in table.items() if re.search(pattern, name)), None)

    def check(self):
        """Why each function may tell a secret: its symbol → a list of (instruction, reason)."""
        found, waiting = {}, set(self.functions)
        while waiting:
            symbol = min(waiting)
            waiting.remove(symbol)
            known = {one: set(arguments) for one, arguments in self.secret_arguments.items()}
            found[symbol] = Flow(self, symbol).run()
            waiting |= {one for one, arguments in self.secret_arguments.items() if arguments != known.get(one, set())}
        return found


class Flow:
    """One function."""

    def __init__(self, program, symbol):
        self.program, self.symbol = program, symbol
        self.found = {}
        self.machine = Machine(self.refuse)
        self.code = program.functions[symbol].instructions
        self.number = {instruction.at: i for i, instruction in enumerate(self.code)}

    def refuse(self, instruction, reason):
        self.found.setdefault((instruction.at, reason), (instruction, reason))

    def run(self):
        known = self.program.of(self.program.known, self.symbol) or {}
        before = {0: self.machine.entry(self.program.secret_arguments[self.symbol], known)}
        waiting, visits = [0], collections.Counter()
        while waiting:
            at = waiting.pop()
            state = before[at].copy()
            for target in self.step(state, at):
                if target >= len(self.code):
                    self.refuse(self.code[at], "it runs beyond the function's end")
                elif target not in before:
                    before[target] = state.copy()
                    waiting.append(target)
                else:
                    joined = before[target].joined(state)
                    if joined != before[target]:
                        visits[target] += 1
                        before[target] = joined.widened() if visits[target] > TURNS else joined
                        waiting.append(target)
        return list(self.found.values())

    def step(self, state, at):
        """Runs one instruction; gives the numbers of those that may follow."""
        instruction = self.code[at]
        name = instruction.name
        if name == "ret":
            if state.upper and self.symbol not in self.program.inner:
                self.refuse(instruction, "the upper halves of the wide registers are in use at a return")
            return []
        if name == "ud2":
            return []
        if name == "call":
            return [at + 1] if self.call(state, instruction) else []
        if name == "jmp" and (instruction.symbol or instruction.operands[0].startswith("*")):
            self.call(state, instruction)
            return []
        if re.match(r"(j[a-z]+|loop\w*)$", name):
            return self.jump(state, instruction, at)
        self.machine.step(state, instruction)
        return [at + 1]

    def jump(self, state, instruction, at):
        target = self.number.get(int(instruction.operands[0], 16))
        if target is None:
            self.refuse(instruction, "it jumps out of the function")
            return []
        if instruction.name == "jmp":
            return [target]
        if state.flags == SECRET:
            self.refuse(instruction, "whether it jumps depends on a secret")
        return [at + 1, target]

    def call(self, state, instruction):
        """A call, or a jump to another function; whether it comes back."""
        callee = (self.machine.called(state, instruction) or "").removeprefix(".text.")
        if NO_RETURN.search(path(callee)):
            return False
        inner = instruction.name == "call" and callee in self.program.inner
        if state.upper and not inner:
            self.refuse(instruction, "the upper halves of the wide registers are in use at a call")
        if callee in BULK:
            self.machine.bulk(state, instruction, callee)
        elif callee in self.program.functions:
            secret = {name for name in ARGUMENTS if state.get(name) == SECRET}
            self.program.secret_arguments[callee] |= secret
            writes = self.program.of(self.program.writes, callee)
            for argument in ARGUMENTS if writes is None else writes:
                pointer = state.get(argument)
                if is_stack(pointer):
                    bounded = writes is not None and pointer[3]
                    state.forget(pointer[1], pointer[2], pointer[2] + writes[argument] if bounded else None)
        elif TRUSTED.search(path(callee)):
            pass
        else:
            self.refuse(instruction, f"it calls what is not checked: {path(callee) or 'an unknown function'}")
        self.machine.after_call(state, callee)
        state.upper = inner and callee in self.program.wide
        return True
