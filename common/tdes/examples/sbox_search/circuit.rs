//! Circuits over six inputs, with the value of every node for all 64 inputs in one word.

/// How many inputs a gate has.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Inputs {
    Two,
    Three,
}

/// The six inputs: the values of the first six nodes. Input 1 is the most significant bit.
pub(crate) const INPUTS: [u64; 6] = [
    0xFFFF_FFFF_0000_0000,
    0xFFFF_0000_FFFF_0000,
    0xFF00_FF00_FF00_FF00,
    0xF0F0_F0F0_F0F0_F0F0,
    0xCCCC_CCCC_CCCC_CCCC,
    0xAAAA_AAAA_AAAA_AAAA,
];

/// A gate. One of two inputs has its second input twice.
#[derive(Clone, Copy)]
pub(crate) struct Gate {
    pub(crate) inputs: [u8; 3],
    /// Bit `4a + 2b + c` is what it gives.
    pub(crate) table: u8,
}

impl Gate {
    pub(crate) fn two(a: u8, b: u8, table: u8) -> Self {
        Self {
            inputs: [a, b, b],
            table,
        }
    }

    pub(crate) fn value(&self, values: &[u64]) -> u64 {
        let [a, b, c] = self.inputs.map(|input| values[input as usize]);
        look_up(self.table, a, b, c)
    }

    /// The same function of inputs of which those at `inverted` places are inverted.
    fn invert_inputs(&mut self, inverted: [bool; 3]) {
        let flips = inverted
            .into_iter()
            .fold(0, |flips, inverted| flips << 1 | u8::from(inverted));
        self.table = (0..8).fold(0, |table, i| table | (self.table >> (i ^ flips) & 1) << i);
    }
}

pub(crate) fn look_up(table: u8, a: u64, b: u64, c: u64) -> u64 {
    let choose = |value: u64, bit: u8| if bit != 0 { value } else { !value };
    (0..8)
        .filter(|i| table >> i & 1 == 1)
        .fold(0, |value, i: u8| {
            value | choose(a, i & 4) & choose(b, i & 2) & choose(c, i & 1)
        })
}

/// A table that gives what is wanted, and the bits of it that do not matter.
#[derive(Clone, Copy)]
pub(crate) struct Fit {
    pub(crate) table: u8,
    pub(crate) free: u8,
}

/// What a node should be: 1 where `on` is, 0 where `off` is, anything elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) on: u64,
    pub(crate) off: u64,
}

impl Wanted {
    pub(crate) fn new(value: u64, care: u64) -> Self {
        Self {
            on: value & care,
            off: !value & care,
        }
    }

    pub(crate) fn is(&self, value: u64) -> bool {
        self.on & !value == 0 && self.off & value == 0
    }

    /// The function of two values that gives it, as a table that does not look at its third input.
    #[inline(always)]
    pub(crate) fn of_two(&self, a: u64, b: u64) -> Option<Fit> {
        let mut fit = Fit { table: 0, free: 0 };
        for (i, class) in [!a & !b, !a & b, a & !b, a & b].into_iter().enumerate() {
            match (self.on & class != 0, self.off & class != 0) {
                (true, true) => return None,
                (true, false) => fit.table |= 3 << (2 * i),
                (false, true) => {}
                (false, false) => fit.free |= 3 << (2 * i),
            }
        }
        Some(fit)
    }

    /// The function of three values that gives it.
    #[inline(always)]
    pub(crate) fn of_three(&self, a: u64, b: u64, c: u64) -> Option<Fit> {
        let mut fit = Fit { table: 0, free: 0 };
        for (i, class) in [!a & !b, !a & b, a & !b, a & b].into_iter().enumerate() {
            for (j, class) in [class & !c, class & c].into_iter().enumerate() {
                match (self.on & class != 0, self.off & class != 0) {
                    (true, true) => return None,
                    (true, false) => fit.table |= 1 << (2 * i + j),
                    (false, true) => {}
                    (false, false) => fit.free |= 1 << (2 * i + j),
                }
            }
        }
        Some(fit)
    }
}

/// Gates in an order in which each comes after its inputs. Nodes 0 to 5 are the inputs, node 6 is
/// the first gate.
#[derive(Clone)]
pub(crate) struct Circuit {
    pub(crate) gates: Vec<Gate>,
    pub(crate) outputs: [u8; 4],
}

impl Circuit {
    pub(crate) fn len(&self) -> usize {
        self.gates.len()
    }

    pub(crate) fn values(&self) -> Vec<u64> {
        let mut values = INPUTS.to_vec();
        for gate in &self.gates {
            values.push(gate.value(&values));
        }
        values
    }

    pub(crate) fn computes(&self, targets: &[u64; 4]) -> bool {
        let values = self.values();
        self.outputs.map(|output| values[output as usize]) == *targets
    }

    /// Has every use of node `from` use node `to` instead, or its inverse.
    pub(crate) fn substitute(&mut self, from: u8, to: u8, inverted: bool) {
        for gate in &mut self.gates {
            let uses = gate.inputs.map(|input| input == from);
            gate.inputs = gate
                .inputs
                .map(|input| if input == from { to } else { input });
            if inverted {
                gate.invert_inputs(uses);
            }
        }
        self.outputs = self
            .outputs
            .map(|output| if output == from { to } else { output });
    }

    /// Drops gates that nothing uses, puts the others in order, and inverts those that would give 1
    /// for inputs of zero.
    pub(crate) fn tidy(&mut self) {
        let mut tidy = Tidy {
            old: &self.gates,
            new: Vec::with_capacity(self.gates.len()),
            moved: vec![None; self.gates.len() + 6],
        };
        let outputs = self.outputs.map(|output| tidy.visit(output).0);
        self.gates = tidy.new;
        self.outputs = outputs;
    }
}

struct Tidy<'a> {
    old: &'a [Gate],
    new: Vec<Gate>,
    /// Where each node went, and whether it was inverted.
    moved: Vec<Option<(u8, bool)>>,
}

impl Tidy<'_> {
    fn visit(&mut self, node: u8) -> (u8, bool) {
        if node < 6 {
            return (node, false);
        }
        if let Some(moved) = self.moved[node as usize] {
            return moved;
        }
        let mut gate = self.old[node as usize - 6];
        let inputs = gate.inputs.map(|input| self.visit(input));
        gate.inputs = inputs.map(|(input, _)| input);
        gate.invert_inputs(inputs.map(|(_, inverted)| inverted));
        let inverted = gate.table & 1 == 1;
        if inverted {
            gate.table = !gate.table;
        }
        self.new.push(gate);
        let moved = (self.new.len() as u8 + 5, inverted);
        self.moved[node as usize] = Some(moved);
        moved
    }
}
