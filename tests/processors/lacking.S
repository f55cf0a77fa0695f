# Runs INSTRUCTION, and ends well. Where the processor lacks the extension that it belongs to, it has to die of it.
# An emulated processor that claims to lack an extension but runs it would prove nothing.
.globl _start
_start:
    INSTRUCTION
    mov $60, %eax
    xor %edi, %edi
    syscall
