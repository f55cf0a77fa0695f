//! Instructions for a circuit whose gates are done in a given order: which register holds what, and
//! what goes to memory.

use crate::gates::{Circuit, Function};

/// What the instructions of a register are like.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Registers that there are for a circuit.
    pub(crate) registers: usize,
    /// A gate leaves its operands as they were; else it overwrites its first.
    pub(crate) three_operands: bool,
    /// There is an instruction for `!a & b`; else there is one for `!a`.
    pub(crate) and_not: bool,
    /// An output can be added to memory.
    pub(crate) adds_to_memory: bool,
}

impl Target {
    /// Registers of 256 bits.
    pub(crate) const YMM: Self = Self {
        registers: 16,
        three_operands: true,
        and_not: true,
        adds_to_memory: false,
    };
    /// Registers of 128 bits.
    pub(crate) const XMM: Self = Self {
        registers: 16,
        three_operands: false,
        and_not: true,
        adds_to_memory: false,
    };
    /// General registers: all but the stack pointer and three that hold addresses.
    pub(crate) const GENERAL: Self = Self {
        registers: 12,
        three_operands: false,
        and_not: false,
        adds_to_memory: true,
    };
}

/// Where the second operand of a gate is.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Register(usize),
    /// A slot on the stack of the working memory.
    Slot(usize),
}

#[derive(Clone, Copy)]
pub(crate) enum Instruction {
    /// The input, with the key added.
    Input {
        to: usize,
        input: usize,
    },
    Load {
        to: usize,
        slot: usize,
    },
    Store {
        from: usize,
        slot: usize,
    },
    Copy {
        to: usize,
        from: usize,
    },
    Invert {
        register: usize,
    },
    /// `to = a ∘ b`, or `!a & b`.
    Gate {
        function: Function,
        to: usize,
        a: usize,
        b: Place,
    },
    /// The output is added to its bit of the half; `with` is a register to do it in, which may be
    /// the output's own.
    Output {
        output: usize,
        from: usize,
        with: usize,
    },
}

/// The order of the gates, and which nodes are kept inverted.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Numbers of gates, from 0.
    pub(crate) order: Vec<usize>,
    pub(crate) inverted: Vec<bool>,
}

/// The instructions for `circuit` as planned, and how many slots they need.
pub(crate) fn allocate(
    circuit: &Circuit,
    plan: &Plan,
    target: Target,
) -> (Vec<Instruction>, usize) {
    let mut state = State::new(circuit, plan, target);
    for (time, &gate) in plan.order.iter().enumerate() {
        state.time = time;
        state.gate(gate);
    }
    (state.instructions, state.slots)
}

/// A use after the last gate: never.
const NEVER: usize = usize::MAX;

struct State<'a> {
    circuit: &'a Circuit,
    inverted: &'a [bool],
    target: Target,
    /// When each node is used, the last first.
    uses: Vec<Vec<usize>>,
    /// What each register holds.
    registers: Vec<Option<usize>>,
    /// Which slot each node is kept in.
    kept: Vec<Option<usize>>,
    free_slots: Vec<usize>,
    slots: usize,
    time: usize,
    instructions: Vec<Instruction>,
}

impl<'a> State<'a> {
    fn new(circuit: &'a Circuit, plan: &'a Plan, target: Target) -> Self {
        let nodes = circuit.gates.len() + 6;
        let mut uses = vec![Vec::with_capacity(8); nodes];
        for (time, &gate) in plan.order.iter().enumerate().rev() {
            for input in circuit.gates[gate].inputs {
                uses[input].push(time);
            }
        }
        Self {
            circuit,
            inverted: &plan.inverted,
            target,
            uses,
            registers: vec![None; target.registers],
            kept: vec![None; nodes],
            free_slots: Vec::new(),
            slots: 0,
            time: 0,
            instructions: Vec::with_capacity(100),
        }
    }

    fn gate(&mut self, number: usize) {
        let gate = self.circuit.gates[number];
        let node = number + 6;
        let [x, y] = gate.inputs;
        for input in gate.inputs {
            if input < 6 && self.place(input).is_none() {
                let to = self.free(&gate.inputs);
                self.registers[to] = Some(input);
                self.instructions.push(Instruction::Input { to, input });
            }
        }
        let (function, first, invert) = self.form(number);
        for input in gate.inputs {
            self.uses[input].pop();
        }
        // Of an operand pair that may be exchanged, the one that is overwritten for nothing.
        let (a, b) = match first {
            Some(first) if first == x => (x, y),
            Some(_) => (y, x),
            None if self.worth(y) > self.worth(x) => (y, x),
            None => (x, y),
        };
        let to = if self.target.three_operands {
            self.with_three(function, a, b)
        } else {
            self.with_two(function, a, b, invert == Some(a))
        };
        self.forget(x);
        self.forget(y);
        self.registers[to] = Some(node);
        if invert == Some(node) {
            self.instructions.push(Instruction::Invert { register: to });
        }
        self.output(node, to);
        self.forget(node);
    }

    /// How a gate is done: the function of what is kept for its inputs, which input has to come
    /// first, and which node is to be inverted.
    fn form(&self, number: usize) -> (Function, Option<usize>, Option<usize>) {
        let gate = self.circuit.gates[number];
        let [x, y] = gate.inputs;
        let node = number + 6;
        let (p, q, r) = (self.inverted[x], self.inverted[y], self.inverted[node]);
        let (p, q, r) = match gate.function {
            Function::Xor => {
                let odd = p ^ q ^ r;
                return (Function::Xor, None, odd.then_some(node));
            }
            Function::And => (p, q, r),
            Function::Or => (!p, !q, !r),
            Function::Without => (p, !q, r),
        };
        // The gate is now (x ^ p) & (y ^ q) ^ r.
        if self.target.and_not && !r && p != q {
            return (Function::Without, Some(if p { x } else { y }), None);
        }
        match (p, q, r) {
            (false, false, false) => (Function::And, None, None),
            (true, true, true) => (Function::Or, None, None),
            (true, false, false) => (Function::And, Some(x), Some(x)),
            (false, true, false) => (Function::And, Some(y), Some(y)),
            (false, false, true) => (Function::And, None, Some(node)),
            (false, true, true) => (Function::Or, Some(x), Some(x)),
            (true, false, true) => (Function::Or, Some(y), Some(y)),
            (true, true, false) => (Function::Or, None, Some(node)),
        }
    }

    /// How good it is for a two-operand gate to overwrite the node's place.
    fn worth(&self, node: usize) -> usize {
        match (self.place(node), self.uses[node].is_empty()) {
            (Some(Place::Register(_)), true) => 2,
            (Some(Place::Slot(_)), _) => 1,
            _ => 0,
        }
    }

    fn with_three(&mut self, function: Function, a: usize, b: usize) -> usize {
        let commutes = function != Function::Without;
        let (a, b) = match self.place(a) {
            Some(Place::Slot(_)) if commutes => (b, a),
            _ => (a, b),
        };
        let first = match self.place(a) {
            Some(Place::Register(register)) => register,
            _ => self.load(a, &[a, b]),
        };
        let Some(second) = self.place(b) else {
            return 0;
        };
        let to = [a, b]
            .into_iter()
            .filter(|&node| self.uses[node].is_empty())
            .find_map(|node| match self.place(node) {
                Some(Place::Register(register)) => Some(register),
                _ => None,
            })
            .unwrap_or_else(|| self.free(&[a, b]));
        self.instructions.push(Instruction::Gate {
            function,
            to,
            a: first,
            b: second,
        });
        to
    }

    fn with_two(&mut self, function: Function, a: usize, b: usize, invert: bool) -> usize {
        let to = match (self.place(a), self.uses[a].is_empty()) {
            (Some(Place::Register(register)), true) => register,
            (Some(Place::Register(from)), false) => {
                let to = self.free(&[a, b]);
                self.instructions.push(Instruction::Copy { to, from });
                to
            }
            (Some(Place::Slot(slot)), _) => {
                let to = self.free(&[a, b]);
                self.instructions.push(Instruction::Load { to, slot });
                to
            }
            (None, _) => return 0,
        };
        if invert {
            self.instructions.push(Instruction::Invert { register: to });
        }
        if let Some(b) = self.place(b) {
            self.instructions.push(Instruction::Gate {
                function,
                to,
                a: to,
                b,
            });
        }
        if self.registers[to] == Some(a) {
            self.registers[to] = None;
        }
        to
    }

    fn output(&mut self, node: usize, from: usize) {
        for output in 0..4 {
            if self.circuit.outputs[output] == node {
                let in_place = self.target.adds_to_memory || self.uses[node].is_empty();
                let with = if in_place { from } else { self.free(&[node]) };
                self.instructions
                    .push(Instruction::Output { output, from, with });
            }
        }
    }

    /// Where a node is; `None` if it is nowhere yet.
    fn place(&self, node: usize) -> Option<Place> {
        let register = self.registers.iter().position(|held| *held == Some(node));
        register
            .map(Place::Register)
            .or(self.kept[node].map(Place::Slot))
    }

    fn load(&mut self, node: usize, needed: &[usize]) -> usize {
        let to = self.free(needed);
        if let Some(slot) = self.kept[node] {
            self.instructions.push(Instruction::Load { to, slot });
        }
        self.registers[to] = Some(node);
        to
    }

    /// Gives up what holds a node that is used no more.
    fn forget(&mut self, node: usize) {
        if self.uses[node].is_empty() {
            for held in &mut self.registers {
                if *held == Some(node) {
                    *held = None;
                }
            }
            if let Some(slot) = self.kept[node].take() {
                self.free_slots.push(slot);
            }
        }
    }

    /// A register that holds nothing, if need be what is needed last of all but `needed` goes to
    /// memory.
    fn free(&mut self, needed: &[usize]) -> usize {
        if let Some(register) = self.registers.iter().position(Option::is_none) {
            return register;
        }
        let mut chosen = (0, 0);
        for (register, held) in self.registers.iter().enumerate() {
            let Some(node) = *held else { continue };
            if needed.contains(&node) {
                continue;
            }
            let next = self.uses[node].last().copied().unwrap_or(NEVER);
            // What is in memory already costs nothing to give up.
            let rank = 2 * (next - self.time) + 4 * usize::from(self.kept[node].is_some());
            if rank > chosen.0 {
                chosen = (rank, register);
            }
        }
        let register = chosen.1;
        if let Some(node) = self.registers[register].take()
            && self.kept[node].is_none()
        {
            let slot = self.free_slots.pop().unwrap_or_else(|| {
                self.slots += 1;
                self.slots - 1
            });
            self.kept[node] = Some(slot);
            self.instructions.push(Instruction::Store {
                from: register,
                slot,
            });
        }
        register
    }
}
