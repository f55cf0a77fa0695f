//! First circuits: every output is looked for among the nodes that are there, then among functions
//! of two or three of them; failing that it is split by an input, and each part is looked for where
//! that input has the one value (after Matthew Kwan, "Reducing the gate count of bitslice DES").

use crate::circuit::{Circuit, Gate, INPUTS, Inputs, Wanted, look_up};
use crate::rng::Rng;

/// A circuit that grows larger than this is given up.
const LIMIT: usize = 110;
/// AND, AND with either input inverted, XOR, OR.
const TWO_INPUTS: [u8; 5] = [0xC0, 0x30, 0x0C, 0x3C, 0xFC];

pub(crate) fn build(inputs: Inputs, targets: &[u64; 4], rng: &mut Rng) -> Option<Circuit> {
    let mut builder = Builder {
        inputs,
        gates: Vec::new(),
        values: INPUTS.to_vec(),
        rng,
        limit: LIMIT,
    };
    let mut order = [0, 1, 2, 3];
    builder.rng.shuffle(&mut order);
    let mut outputs = [0; 4];
    for number in order {
        outputs[number] = builder.solve(targets[number], u64::MAX, 0)?;
    }
    let mut circuit = Circuit {
        gates: builder.gates,
        outputs,
    };
    circuit.tidy();
    Some(circuit)
}

struct Builder<'a> {
    inputs: Inputs,
    gates: Vec<Gate>,
    values: Vec<u64>,
    rng: &'a mut Rng,
    limit: usize,
}

impl Builder<'_> {
    /// A node that is `target` where `care` is, or its inverse. `split` are the inputs that it was
    /// split by.
    fn solve(&mut self, target: u64, care: u64, split: u8) -> Option<u8> {
        if self.gates.len() > self.limit {
            return None;
        }
        let wanted = Wanted::new(target, care);
        let mut nodes: Vec<usize> = (0..self.values.len()).collect();
        self.rng.shuffle(&mut nodes);
        let is = |value| wanted.is(value) || wanted.is(!value);
        if let Some(&node) = nodes.iter().find(|&&node| is(self.values[node])) {
            return Some(node as u8);
        }
        self.one_gate(wanted, &nodes)
            .or_else(|| self.two_gates(wanted, &nodes))
            .or_else(|| self.split(target, care, split))
    }

    fn one_gate(&mut self, wanted: Wanted, nodes: &[usize]) -> Option<u8> {
        let value = |node: usize| self.values[node];
        for (p, &a) in nodes.iter().enumerate() {
            for &b in &nodes[..p] {
                if let Some(fit) = wanted.of_two(value(a), value(b)) {
                    return Some(self.push(Gate::two(a as u8, b as u8, fit.table)));
                }
            }
        }
        if self.inputs == Inputs::Two {
            return None;
        }
        for (p, &a) in nodes.iter().enumerate() {
            for (q, &b) in nodes[..p].iter().enumerate() {
                for &c in &nodes[..q] {
                    if let Some(fit) = wanted.of_three(value(a), value(b), value(c)) {
                        return Some(self.push(Gate {
                            inputs: [a as u8, b as u8, c as u8],
                            table: fit.table,
                        }));
                    }
                }
            }
        }
        None
    }

    /// A gate of two inputs on another. Gates of three inputs do without: the search would take too
    /// long.
    fn two_gates(&mut self, wanted: Wanted, nodes: &[usize]) -> Option<u8> {
        if self.inputs == Inputs::Three {
            return None;
        }
        for (p, &a) in nodes.iter().enumerate() {
            for &b in &nodes[..p] {
                for table in TWO_INPUTS {
                    let inner = look_up(table, self.values[a], self.values[b], 0);
                    for &c in nodes {
                        if let Some(fit) = wanted.of_two(inner, self.values[c]) {
                            let inner = self.push(Gate::two(a as u8, b as u8, table));
                            return Some(self.push(Gate::two(inner, c as u8, fit.table)));
                        }
                    }
                }
            }
        }
        None
    }

    /// The smallest of some splits.
    fn split(&mut self, target: u64, care: u64, split: u8) -> Option<u8> {
        let mut by: Vec<usize> = (0..6).filter(|bit| split >> bit & 1 == 0).collect();
        self.rng.shuffle(&mut by);
        by.truncate(match split.count_ones() {
            0 => 2,
            1 => 3,
            _ => 6,
        });
        let (gates, values, limit) = (self.gates.clone(), self.values.clone(), self.limit);
        let mut best: Option<(Vec<Gate>, Vec<u64>, u8)> = None;
        for bit in by {
            for first in [!INPUTS[bit], INPUTS[bit]] {
                self.gates.clone_from(&gates);
                self.values.clone_from(&values);
                self.limit = best
                    .as_ref()
                    .map_or(limit, |(gates, ..)| gates.len().min(limit));
                let Some(node) = self.split_by(bit, first, target, care, split | 1 << bit) else {
                    continue;
                };
                if best
                    .as_ref()
                    .is_none_or(|(gates, ..)| self.gates.len() < gates.len())
                {
                    best = Some((self.gates.clone(), self.values.clone(), node));
                }
            }
        }
        self.limit = limit;
        let (gates, values, node) = best?;
        self.gates = gates;
        self.values = values;
        Some(node)
    }

    /// Looks for `target` where `first` is, then for what is missing elsewhere.
    fn split_by(
        &mut self,
        bit: usize,
        first: u64,
        target: u64,
        care: u64,
        split: u8,
    ) -> Option<u8> {
        let input = INPUTS[bit];
        let wanted = Wanted::new(target, care);
        let one = self.solve(target, care & first, split)?;
        let one_value = self.values[one as usize];
        if self.inputs == Inputs::Three {
            let other = self.solve(target, care & !first, split)?;
            let fit = wanted.of_three(input, one_value, self.values[other as usize])?;
            return Some(self.push(Gate {
                inputs: [bit as u8, one, other],
                table: fit.table,
            }));
        }
        let mut missing = one_value ^ target;
        if missing & care & first != 0 {
            missing = !missing;
        }
        let other = self.solve(missing, care & !first, split)?;
        let other_value = self.values[other as usize];
        let inverted = (other_value ^ missing) & care & !first != 0;
        let part = if inverted { !other_value } else { other_value } & !first;
        let fit = Wanted::new(part, u64::MAX).of_two(input, other_value)?;
        let part = self.push(Gate::two(bit as u8, other, fit.table));
        let fit = wanted.of_two(one_value, self.values[part as usize])?;
        Some(self.push(Gate::two(one, part, fit.table)))
    }

    /// The node of `gate`, or of its inverse if it would give 1 for inputs of zero; one that was
    /// there if it can be.
    fn push(&mut self, mut gate: Gate) -> u8 {
        if gate.table & 1 == 1 {
            gate.table = !gate.table;
        }
        let value = gate.value(&self.values);
        let known = self.values.iter().position(|known| *known == value);
        let node = known.unwrap_or_else(|| {
            self.values.push(value);
            self.gates.push(gate);
            self.values.len() - 1
        });
        node as u8
    }
}
