"""What each instruction of x86-64 does to what the registers may hold.

An instruction that is not known here is refused, so that nothing goes unseen.
"""

import re

from objdump import path
from values import CONSTANTS, PUBLIC, SECRET, State, is_number, is_object, is_stack, mixed, moved, number, stack, sum_of, symbol

ARGUMENTS = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"]
KEPT = ["rbx", "rbp", "r12", "r13", "r14", "r15"]
SCRATCH = ["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"]
# Their time depends on how much there is to do, and on where, but not on what is written.
BULK = {"memset", "memcpy", "memmove"}

MEMORY = re.compile(r"^(%[a-z]s:)?(-?0x[0-9a-f]+|-?\d+)?\((%\w+)?(?:,(%\w+)(?:,(\d))?)?\)")
COPY = re.compile(
    r"mov(abs|[bwlq]|[sz](bw|bl|bq|wl|wq|lq)|d|dq[au]|[au]p[sd])?$|lddqu$|pshuf[dhl]?w?$|k?mov[bwdq]$"
    r"|vmov([dq]|dq[au](8|16|32|64)?|[au]p[sd])$|vp?broadcast\w+$|kmov[bwdq]$|vpshufd$|pmov[sz]x\w+$|popcnt\w?$|[tl]zcnt\w?$"
)
SCALAR = re.compile(r"(add|sub|and|or|xor|adc|sbb|imul|shl|shr|sar|rol|ror|rcl|rcr|shld|shrd|bts|btr|btc|xadd|adcx|adox)[bwlq]?$")
UNARY = re.compile(r"(not|neg|inc|dec|bswap)[bwlq]?$")
COMPARE = re.compile(r"(cmp|test|bt)[bwlq]?$|v?ptest$|v?u?comis[sd]$|vtestp[sd]$|kortest[bwdq]$|ktest[bwdq]$")
BMI = re.compile(r"(andn|bextr|blsi|blsr|blsmsk|bzhi|shlx|shrx|sarx|rorx|pdep|pext)[lq]?$")
NOTHING = re.compile(r"(nop|nopw|nopl|endbr64|ud2|int3|[lms]fence|pause)$")
# They ask the processor what it has.
DETECTION = re.compile(r"::simd::arch::detected$|_cpuid::init_get::init_inner$")
NO_RETURN = re.compile(r"core::(panicking|slice::index|result::unwrap_failed|option::(unwrap|expect)_failed)|slice_\w*fail|panic")
SSE = re.compile(r"(p|sha256|unpck|shufp|movh|movl|movs[sd]|xorp|andp|andnp|orp|sqrt|cvt|add[ps]|sub[ps]|mul[ps])\w*$")
# Their result depends on what was in the destination.
ACCUMULATES = re.compile(r"vpternlog|vperm[it]2|vfn?m|vpdp|vpshld?v")


def register(operand):
    """The whole register that an operand is in, and the bytes of it; none where it is no register."""
    match = re.match(r"^%(\w+)", operand)
    if not match:
        return None
    name = match[1]
    if vector := re.match(r"^([xyz])mm(\d+)$", name):
        return "v" + vector[2], {"x": 16, "y": 32, "z": 64}[vector[1]]
    if re.match(r"^k\d$", name):
        return name, 8
    if numbered := re.match(r"^(r\d+)([dwb]?)$", name):
        return numbered[1], {"": 8, "d": 4, "w": 2, "b": 1}[numbered[2]]
    for size, pattern in ((8, r"^r(ax|bx|cx|dx|si|di|bp|sp|ip)$"), (4, r"^e(ax|bx|cx|dx|si|di|bp|sp)$")):
        if match := re.match(pattern, name):
            return "r" + match[1], size
    if re.match(r"^([abcd]x|si|di|bp|sp)$", name):
        return "r" + name, 2
    if match := re.match(r"^([abcd])[lh]$", name):
        return f"r{match[1]}x", 1
    if match := re.match(r"^(si|di|bp|sp)l$", name):
        return "r" + match[1], 1
    return None


class Machine:
    """Runs one function over values; `refuse` is told of every instruction that may tell a secret."""

    def __init__(self, refuse):
        self.refuse = refuse

    def entry(self, secret_arguments, known):
        """Arguments are pointers, lengths and counters, but where a call hands over a secret; of some more is known. What other registers
        hold belongs to the caller."""
        registers = {name: PUBLIC for name in ARGUMENTS + KEPT + ["rax", "r10", "r11"]} | known
        registers |= {name: SECRET for name in secret_arguments}
        registers["rsp"] = stack("entry", 0)
        return State(registers)

    def address(self, state, operand, instruction):
        """Where a memory operand points, refused where a secret says so; none for an operand that is no memory."""
        match = MEMORY.match(operand)
        if not match:
            if re.match(r"^%[a-z]s:|^-?0x|^\d|^\*", operand):
                return PUBLIC
            return None
        _, displacement, base, index, _ = match.groups()
        if base == "%rip":
            name = instruction.symbol
            return symbol(name) if name and not re.match(r"^\.(L|rodata|data|bss)", name) else CONSTANTS
        parts = [state.get(register(part)[0]) for part in (base, index) if part]
        if SECRET in parts:
            self.refuse(instruction, "its address depends on a secret")
            return PUBLIC
        return self.sum(parts, displacement)

    def sum(self, parts, displacement):
        value = parts[0] if len(parts) == 1 else sum_of(parts)
        return moved(value, int(displacement or "0", 0)) if is_stack(value) or is_object(value) else sum_of([value])

    def read(self, state, operand, size, instruction):
        if operand.startswith("$"):
            return number(int(operand[1:], 0))
        if found := register(operand):
            return state.get(found[0])
        where = self.address(state, operand, instruction)
        if isinstance(where, tuple) and where[0] == "symbol":
            # Through the linker's table: the address itself.
            return where if instruction.name == "mov" or instruction.name in ("call", "jmp") else PUBLIC
        return state.load(where, size)

    def write(self, state, operand, value, size, instruction):
        if found := register(operand):
            name, bytes_of = found
            if bytes_of < 4:
                value = mixed([value, state.get(name)])
            if bytes_of == 4 and value != SECRET and not is_number(value):
                value = PUBLIC
            state.registers[name] = value
            return
        where = self.address(state, operand, instruction)
        if where is not None:
            state.store(where, size, value)

    def width(self, instruction):
        """Bytes of its memory operand: those of its registers, else those that its name ends in."""
        sizes = [found[1] for found in map(register, instruction.operands) if found]
        suffix = {"b": 1, "w": 2, "l": 4, "q": 8}.get(instruction.name[-1], 8)
        if re.match(r"mov[sz]", instruction.name) and len(instruction.name) == 6:
            return {"b": 1, "w": 2, "l": 4}.get(instruction.name[4], 8)
        if instruction.name in ("movd", "vmovd"):
            return 4
        if instruction.name in ("movq", "vmovq", "movsd", "vmovsd"):
            return 8
        return max(sizes) if sizes else suffix

    def step(self, state, instruction):
        """Changes `state` as `instruction` does. Jumps and returns are the caller's to follow."""
        name, operands = instruction.name, instruction.operands
        size = self.width(instruction)
        reads = lambda some: [self.read(state, operand, size, instruction) for operand in some]
        last = operands[-1] if operands else ""
        if any(re.match(r"^%[yz]mm", operand) for operand in operands):
            state.upper = True
        if name in ("vzeroupper", "vzeroall"):
            state.upper = False
        elif NOTHING.match(name) or name.startswith("nop"):
            pass
        elif name.startswith("prefetch"):
            self.address(state, last, instruction)
        elif name == "push":
            value = reads([last])[0]
            self.move_stack(state, -8)
            state.store(state.get("rsp"), 8, value)
        elif name == "pop":
            self.write(state, last, state.load(state.get("rsp"), 8), 8, instruction)
            self.move_stack(state, 8)
        elif name == "leave":
            state.registers["rsp"] = state.get("rbp")
            state.registers["rbp"] = state.load(state.get("rsp"), 8)
            self.move_stack(state, 8)
        elif name == "lea":
            self.lea(state, operands, instruction)
        elif name in ("add", "sub") and operands[0].startswith("$") and is_stack(state.get((register(last) or ("",))[0])):
            pointer, number = state.get(register(last)[0]), int(operands[0][1:], 0)
            # Printed without a sign.
            number -= (1 << 64) * (number >= 1 << 63)
            state.registers[register(last)[0]] = moved(pointer, number if name == "add" else -number)
            state.flags = PUBLIC
        elif name == "and" and last == "%rsp":
            # An aligned frame: where it lies from what is above it is not known, nor asked for.
            state.registers["rsp"] = stack(f"aligned at {instruction.at:x}", 0)
            state.flags = PUBLIC
        elif COMPARE.match(name):
            state.flags = mixed(reads(operands))
        elif self.is_constant(name, operands):
            self.write(state, last, PUBLIC, size, instruction)
            state.flags = PUBLIC if not name.startswith(("v", "p")) else state.flags
        elif COPY.match(name):
            values = reads(operands[:-1])
            masked = reads([last]) if "{%k" in last and "{z}" not in last else []
            value = values[-1] if len(values) == 1 and not masked and name.startswith("mov") else mixed(values + masked)
            self.write(state, last, value, size, instruction)
            if name.startswith(("popcnt", "tzcnt", "lzcnt")):
                state.flags = mixed(values)
        elif name == "xchg":
            first, second = reads(operands)
            self.write(state, operands[0], second, size, instruction)
            self.write(state, operands[1], first, size, instruction)
        elif name.startswith("cmov"):
            self.write(state, last, mixed(reads(operands) + [state.flags]), size, instruction)
        elif name.startswith("set"):
            self.write(state, last, state.flags, 1, instruction)
        elif UNARY.match(name):
            value = mixed(reads([last]))
            self.write(state, last, value, size, instruction)
            if not name.startswith(("not", "bswap")):
                state.flags = value
        elif re.match(r"(mul|imul|div|idiv)[bwlq]?$", name) and len(operands) == 1:
            values = reads(operands) + [state.get("rax"), state.get("rdx") if "div" in name else PUBLIC]
            if "div" in name and SECRET in values:
                self.refuse(instruction, "its time depends on a secret that it divides")
            state.registers["rax"] = state.registers["rdx"] = state.flags = mixed(values)
        elif re.match(r"mulx[lq]?$", name):
            value = mixed(reads(operands[:1]) + [state.get("rdx")])
            for target in operands[1:]:
                self.write(state, target, value, size, instruction)
        elif re.match(r"c(lt|wt|qt|lt)[qdlo]$", name):
            state.registers["rax" if name in ("cltq", "cwtl") else "rdx"] = mixed([state.get("rax")])
        elif name.startswith("imul") and len(operands) == 3 or BMI.match(name):
            value = mixed(reads(operands[:-1]))
            self.write(state, last, value, size, instruction)
            state.flags = value
        elif SCALAR.match(name):
            used = [PUBLIC] if re.match(r"(adc|sbb|rc[lr]|adcx|adox)", name) is None else [state.flags]
            values = reads(operands)
            pointer = sum_of(values) if name.startswith(("add", "sub")) else mixed(values)
            value = SECRET if SECRET in used else pointer
            self.write(state, last, value, size, instruction)
            state.flags = mixed(values + used)
        elif name.startswith(("v", "k")) and not name.startswith("ver"):
            if "gather" in name or "scatter" in name:
                self.refuse(instruction, "it looks up many places at once")
            kept = [last] if ACCUMULATES.match(name) or "{%k" in last else []
            self.write(state, last, mixed(reads(operands[:-1] + kept)), size, instruction)
        elif SSE.match(name):
            self.write(state, last, mixed(reads(operands)), size, instruction)
        elif name.startswith("stos") and "rep" in instruction.prefixes:
            if SECRET in (state.get("rdi"), state.get("rcx")):
                self.refuse(instruction, "where or how much it writes depends on a secret")
        else:
            self.refuse(instruction, "this check does not know it")

    def is_constant(self, name, operands):
        """The idioms that make zeros or ones of a register, whatever is in it."""
        if len(operands) >= 2 and len(set(operands[-3:])) == 1 or len(operands) == 2 and operands[0] == operands[1]:
            return re.match(r"(v?pxor[dq]?|v?xorp[sd]|xor[lq]?|sub[lq]?|v?pcmpeq[bwdq]|v?psub[bwdq])$", name) and "{" not in operands[-1]
        if len(operands) == 3 and operands[0] == operands[1]:
            return re.match(r"(vpxor[dq]?|vxorp[sd]|vpcmpeq[bwdq])$", name) and "{" not in operands[-1]
        return name.startswith("vpternlog") and operands[0] in ("$0xff", "$0x0") and "{" not in operands[-1]

    def lea(self, state, operands, instruction):
        source, target = operands
        _, displacement, base, index, _ = MEMORY.match(source).groups() if MEMORY.match(source) else (None,) * 5
        if base == "%rip":
            value = CONSTANTS
        else:
            parts = [state.get(register(part)[0]) for part in (base, index) if part]
            value = self.sum(parts, displacement)
        self.write(state, target, value, 8, instruction)

    def move_stack(self, state, by):
        state.registers["rsp"] = moved(state.get("rsp"), by)

    def called(self, state, instruction):
        """The symbol of what a call or jump goes to."""
        operand = instruction.operands[0] if instruction.operands else ""
        if operand.startswith("*%"):
            value = state.get(register(operand[1:])[0])
            if value == SECRET:
                self.refuse(instruction, "where it goes depends on a secret")
            return value[1] if isinstance(value, tuple) and value[0] == "symbol" else None
        return instruction.symbol

    def bulk(self, state, instruction, callee):
        """A copy or a filling by the C library."""
        places = ("rdi", "rdx") if callee == "memset" else ("rdi", "rsi", "rdx")
        if SECRET in map(state.get, places):
            self.refuse(instruction, "where or how much it writes depends on a secret")
        target, source, length = map(state.get, ("rdi", "rsi", "rdx"))
        if not is_stack(target) or callee == "memset" and source != SECRET:
            return
        _, frame, start, exact = target
        if not exact or not is_number(length):
            state.forget(frame, start)
            return
        state.forget(frame, start, start + length[1])
        if is_object(source):
            for at, size, value in source[1]:
                if 0 <= at <= length[1] - size:
                    state.slots[(frame, start + at)] = (size, value)

    def after_call(self, state, callee):
        """What a function that was called leaves in the registers."""
        for name in SCRATCH:
            state.registers[name] = SECRET
        state.registers["rax"] = PUBLIC if callee in BULK or DETECTION.search(path(callee or "")) else SECRET
        state.flags = PUBLIC
        for name in [name for name in state.registers if name[0] in "vk"]:
            del state.registers[name]
