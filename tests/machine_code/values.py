"""What a register may hold, as far as the check must know.

`SECRET` is anything that came out of memory other than constants and the function's own spilled registers, and anything
computed from it. What is public is a number, or one of the pointers below. Nothing public depends on anything secret.
"""

SECRET = "secret"
PUBLIC = "public"
CONSTANTS = "a pointer to what is public"


# Below every offset.
BOTTOM = -(1 << 60)


def stack(frame, offset, exact=True):
    """A pointer into this call's own stack, at `offset` from its frame's mark; where it is not exact, at `offset` or above."""
    return ("stack", frame, offset, exact)


def symbol(name):
    """The address of a function."""
    return ("symbol", name)


def number(value):
    """A number that stands in the code."""
    return ("number", value)


def holding(*places):
    """A pointer to an object that is secret but for some places: each an offset, bytes, and what is there."""
    return ("object", places)


def is_stack(value):
    return isinstance(value, tuple) and value[0] == "stack"


def is_number(value):
    return isinstance(value, tuple) and value[0] == "number"


def is_object(value):
    return isinstance(value, tuple) and value[0] == "object"


def join(first, second):
    """What may be either."""
    if first == second:
        return first
    if SECRET in (first, second):
        return SECRET
    if is_stack(first) and is_stack(second) and first[1] == second[1]:
        return stack(first[1], min(first[2], second[2]), exact=False)
    return PUBLIC


def widened(value):
    """A bound that sinks with every turn of a loop is none."""
    return stack(value[1], BOTTOM, exact=False) if is_stack(value) and not value[3] else value


def moved(pointer, by):
    """A pointer into the stack or to an object, `by` bytes further."""
    if is_object(pointer):
        return holding(*((at - by, size, value) for at, size, value in pointer[1]))
    return stack(pointer[1], max(pointer[2] + by, BOTTOM), pointer[3])


def sum_of(values):
    """A sum: a pointer and numbers are a pointer of the same kind. An array is indexed from its beginning on."""
    values = list(values)
    if SECRET in values:
        return SECRET
    for value in values:
        if is_stack(value):
            return stack(value[1], value[2], exact=False)
    return CONSTANTS if CONSTANTS in values else PUBLIC


def mixed(values):
    """Anything computed of these."""
    return SECRET if SECRET in values else PUBLIC


class State:
    """Before an instruction: what the registers hold, the flags, the public spilled registers, and whether the upper halves of the wide
    registers may be in use."""

    def __init__(self, registers, flags=PUBLIC, slots=None, upper=False):
        self.registers = dict(registers)
        self.flags = flags
        # (frame, offset) → (bytes, value). What is not in it is secret.
        self.slots = dict(slots or {})
        self.upper = upper

    def copy(self):
        return State(self.registers, self.flags, self.slots, self.upper)

    def __eq__(self, other):
        return vars(self) == vars(other)

    def joined(self, other):
        """What holds on both ways to an instruction."""
        both = self.registers.keys() | other.registers.keys()
        registers = {name: join(self.get(name), other.get(name)) for name in both}
        slots = {}
        for place, (size, value) in self.slots.items():
            if place in other.slots and other.slots[place][0] == size:
                slots[place] = (size, join(value, other.slots[place][1]))
        return State(registers, join(self.flags, other.flags), slots, self.upper or other.upper)

    def widened(self):
        registers = {name: widened(value) for name, value in self.registers.items()}
        slots = {place: (size, widened(value)) for place, (size, value) in self.slots.items()}
        return State(registers, self.flags, slots, self.upper)

    def get(self, register):
        return self.registers.get(register, SECRET)

    def load(self, address, size):
        if address == CONSTANTS:
            return PUBLIC
        if is_object(address):
            return next((value for at, length, value in address[1] if at == 0 and length == size), SECRET)
        if is_stack(address) and address[3]:
            slot = self.slots.get(address[1:3])
            if slot and slot[0] >= size:
                return slot[1]
        return SECRET

    def store(self, address, size, value):
        if not is_stack(address):
            return
        _, frame, offset, exact = address
        if not exact:
            if value == SECRET:
                self.forget(frame, offset)
            return
        for place, (length, _) in list(self.slots.items()):
            if place[0] == frame and place[1] < offset + size and offset < place[1] + length:
                del self.slots[place]
        if value != SECRET:
            self.slots[(frame, offset)] = (size, value)

    def forget(self, frame, start, end=None):
        """Something secret was written somewhere from `start` on, and before `end`: whatever is there counts as secret."""
        for place, (size, _) in list(self.slots.items()):
            if place[0] == frame and place[1] + size > start and (end is None or place[1] < end):
                del self.slots[place]
