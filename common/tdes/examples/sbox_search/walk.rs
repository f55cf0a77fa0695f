//! The walk: a gate is replaced by another function of other nodes wherever no output can tell.
//! Nodes that are then of no use fall away.

use crate::circuit::{Circuit, Gate, Inputs, Wanted, look_up};
use crate::rng::{Choice, Rng};

/// How much larger than the best circuit one may become on the way.
const SLACK: usize = 3;
/// One in this many steps that add a gate is taken.
const GROW_ONCE_IN: usize = 218;
/// Gates that are tried out beside those of the circuit.
const TRIALS: usize = 48;

pub(crate) struct Walk {
    inputs: Inputs,
    /// For each function of three inputs, the ways to build it from two gates of two inputs.
    pairs: Vec<Vec<Pair>>,
}

/// A gate on another: the input that enters last, the inner gate on the other two, the outer one on
/// the inner and the last.
#[derive(Clone, Copy)]
struct Pair {
    last: usize,
    inner: u8,
    outer: u8,
}

impl Walk {
    pub(crate) fn new(inputs: Inputs) -> Self {
        let mut pairs = vec![Vec::new(); 256];
        let three = [0xF0, 0xCC, 0xAA];
        for last in 0..3 {
            let [a, b] = others(last);
            for inner in [0xC0, 0x30, 0x0C, 0x3C, 0xFC] {
                let value = look_up(inner, three[a], three[b], 0);
                for outer in (1..15)
                    .filter(|outer| ![3, 5, 10, 12].contains(outer))
                    .map(widen)
                {
                    let function = look_up(outer, value, three[last], 0) as u8;
                    pairs[function as usize].push(Pair { last, inner, outer });
                }
            }
        }
        Self { inputs, pairs }
    }

    /// Walks for so many steps, and leaves the smallest circuit that it came by.
    pub(crate) fn improve(&self, circuit: &mut Circuit, steps: usize, rng: &mut Rng) {
        let mut best = circuit.clone();
        for _ in 0..steps {
            if let Some(next) = self.step(circuit, rng)
                && (next.len() <= circuit.len() || may_grow(next.len(), best.len(), rng))
            {
                *circuit = next;
            }
            if circuit.len() <= best.len() {
                best = circuit.clone();
            }
        }
        *circuit = best;
    }

    pub(crate) fn step(&self, circuit: &Circuit, rng: &mut Rng) -> Option<Circuit> {
        let gate = rng.below(circuit.len()) + 6;
        let values = circuit.values();
        let (wanted, mut allowed) = freedom(circuit, &values, gate);
        for node in members(allowed) {
            for inverted in [false, true] {
                if wanted.is(if inverted {
                    !values[node]
                } else {
                    values[node]
                }) {
                    let mut next = circuit.clone();
                    next.substitute(gate as u8, node as u8, inverted);
                    next.tidy();
                    return Some(next);
                }
            }
        }
        // Every other time with a gate more, half of these without one that would become useless
        // then.
        let further = rng.below(2) == 1;
        if further && rng.below(2) == 0 {
            let input = circuit.gates[gate - 6].inputs[rng.below(3)];
            if input >= 6 {
                allowed &= !(1 << input);
            }
        }
        let mut next = circuit.clone();
        match (self.inputs, further) {
            (Inputs::Two, false) => {
                let nodes = Nodes::new(&values, allowed, allowed);
                let [a, b] = nodes.two(wanted, rng)?;
                let fit = wanted.of_two(values[a], values[b])?;
                let filling = rng.byte() & 0x55;
                let table = fit.table | fit.free & (filling | filling << 1);
                next.gates[gate - 6] = Gate::two(a as u8, b as u8, table);
            }
            (Inputs::Two, true) => {
                let three = Nodes::new(&values, allowed, allowed).three(wanted, rng)?;
                self.replace_by_two(&mut next, &values, gate, wanted, three, rng)?;
            }
            (Inputs::Three, _) => {
                let trials = if further {
                    trials(&values, allowed, rng)
                } else {
                    Vec::new()
                };
                replace_by_three(&mut next, values, gate, wanted, (allowed, &trials), rng)?;
            }
        }
        next.tidy();
        Some(next)
    }

    fn replace_by_two(
        &self,
        circuit: &mut Circuit,
        values: &[u64],
        gate: usize,
        wanted: Wanted,
        three: [usize; 3],
        rng: &mut Rng,
    ) -> Option<()> {
        let fit = wanted.of_three(values[three[0]], values[three[1]], values[three[2]])?;
        let mut choice = Choice::new();
        let mut filling = fit.free;
        loop {
            for &pair in &self.pairs[(fit.table | filling) as usize] {
                choice.offer(pair, rng);
            }
            if filling == 0 {
                break;
            }
            filling = (filling - 1) & fit.free;
        }
        let Pair { last, inner, outer } = choice.made()?;
        let [a, b] = others(last).map(|input| three[input] as u8);
        circuit.gates.push(Gate::two(a, b, inner));
        let added = circuit.gates.len() as u8 + 5;
        circuit.gates[gate - 6] = Gate::two(added, three[last] as u8, outer);
        Some(())
    }
}

/// Whether a circuit may become so large, where the smallest has `least` gates.
pub(crate) fn may_grow(len: usize, least: usize, rng: &mut Rng) -> bool {
    len <= least + SLACK && rng.below(GROW_ONCE_IN) == 0
}

/// Gates of random functions of random nodes, any of which may be added.
fn trials(values: &[u64], allowed: u128, rng: &mut Rng) -> Vec<Gate> {
    let nodes: Vec<u8> = members(allowed).map(|node| node as u8).collect();
    (0..TRIALS.min(128 - values.len()))
        .map(|_| Gate {
            inputs: [(); 3].map(|()| nodes[rng.below(nodes.len())]),
            table: rng.byte() & !1,
        })
        .collect()
}

fn replace_by_three(
    circuit: &mut Circuit,
    mut values: Vec<u64>,
    gate: usize,
    wanted: Wanted,
    (allowed, trials): (u128, &[Gate]),
    rng: &mut Rng,
) -> Option<()> {
    let there = values.len();
    for trial in trials {
        values.push(trial.value(&values));
    }
    let tried = ((1 << trials.len()) - 1) << there;
    let three = Nodes::new(&values, allowed | tried, allowed).three(wanted, rng)?;
    let fit = wanted.of_three(values[three[0]], values[three[1]], values[three[2]])?;
    let inputs = three.map(|node| {
        if node < there {
            return node as u8;
        }
        circuit.gates.push(trials[node - there]);
        circuit.gates.len() as u8 + 5
    });
    circuit.gates[gate - 6] = Gate {
        inputs,
        table: fit.table | fit.free & rng.byte(),
    };
    Some(())
}

/// What a gate has to give so that no output changes, and the nodes that do not depend on it.
fn freedom(circuit: &Circuit, values: &[u64], gate: usize) -> (Wanted, u128) {
    let mut changed = values.to_vec();
    changed[gate] = !values[gate];
    let mut dependent = 1_u128 << gate;
    for (later, node) in circuit.gates.iter().zip(6..).skip(gate - 5) {
        if later.inputs.iter().any(|input| dependent >> input & 1 == 1) {
            dependent |= 1 << node;
            changed[node] = later.value(&changed);
        }
    }
    let seen = circuit.outputs.iter().fold(0, |seen, &output| {
        seen | values[output as usize] ^ changed[output as usize]
    });
    let all = (1 << values.len()) - 1;
    (Wanted::new(values[gate], seen), all & !dependent)
}

/// Nodes of which a gate may be a function.
struct Nodes<'a> {
    values: &'a [u64],
    allowed: u128,
    /// Those of which there may be more than one.
    free: u128,
    /// For each input of the circuit, the nodes that are 1.
    ones: [u128; 64],
}

impl<'a> Nodes<'a> {
    fn new(values: &'a [u64], allowed: u128, free: u128) -> Self {
        let mut ones = [0; 64];
        for (node, value) in values.iter().enumerate() {
            for (input, ones) in ones.iter_mut().enumerate() {
                *ones |= u128::from(value >> input & 1) << node;
            }
        }
        Self {
            values,
            allowed,
            free,
            ones,
        }
    }

    /// Two of which `wanted` is a function.
    fn two(&self, wanted: Wanted, rng: &mut Rng) -> Option<[usize; 2]> {
        let mut choice = Choice::new();
        for a in members(self.telling(&[u64::MAX], wanted, self.allowed, 12, rng)?) {
            let value = self.values[a];
            let rest = self.allowed & !(1 << a);
            for b in members(self.telling_all(&[value, !value], wanted, rest)) {
                choice.offer([a, b], rng);
            }
        }
        choice.made()
    }

    /// Three of which `wanted` is a function.
    fn three(&self, wanted: Wanted, rng: &mut Rng) -> Option<[usize; 3]> {
        let mut choice = Choice::new();
        for a in members(self.telling(&[u64::MAX], wanted, self.allowed, 12, rng)?) {
            let x = self.values[a];
            let rest = self.after(a, self.allowed);
            let Some(second) = self.telling(&[x, !x], wanted, rest, 3, rng) else {
                continue;
            };
            for b in members(second) {
                let y = self.values[b];
                let classes = [x & y, x & !y, !x & y, !x & !y];
                for c in members(self.telling_all(&classes, wanted, self.after(b, rest))) {
                    choice.offer([a, b, c], rng);
                }
            }
        }
        choice.made()
    }

    fn after(&self, node: usize, allowed: u128) -> u128 {
        let left = allowed & !(1 << node);
        if self.free >> node & 1 == 1 {
            left
        } else {
            left & self.free
        }
    }

    /// The nodes that tell a one that is wanted from a zero of the same class: a pair that few
    /// nodes tell apart.
    fn telling(
        &self,
        classes: &[u64],
        wanted: Wanted,
        allowed: u128,
        tries: usize,
        rng: &mut Rng,
    ) -> Option<u128> {
        let mut best: Option<u128> = None;
        for class in classes {
            let (on, off) = (wanted.on & class, wanted.off & class);
            if on == 0 || off == 0 {
                continue;
            }
            for _ in 0..tries {
                let one = self.ones[any(on, rng)];
                let telling = (one ^ self.ones[any(off, rng)]) & allowed;
                if best.is_none_or(|best| telling.count_ones() < best.count_ones()) {
                    best = Some(telling);
                }
            }
        }
        best
    }

    /// The nodes that tell every one that is wanted from every zero of the same class.
    fn telling_all(&self, classes: &[u64], wanted: Wanted, mut allowed: u128) -> u128 {
        for class in classes {
            let (on, off) = (wanted.on & class, wanted.off & class);
            if on == 0 || off == 0 {
                continue;
            }
            // One that tells the first one from every zero, and every one from the first zero, is
            // constant on both.
            let one = self.ones[on.trailing_zeros() as usize];
            let zero = self.ones[off.trailing_zeros() as usize];
            for input in members(off.into()) {
                allowed &= one ^ self.ones[input];
            }
            for input in members(on.into()) {
                allowed &= zero ^ self.ones[input];
            }
            if allowed == 0 {
                break;
            }
        }
        allowed
    }
}

/// A table of two inputs as one that does not look at its third.
fn widen(table: u8) -> u8 {
    (0..4).fold(0, |wide, i| wide | ((table >> i & 1) * 3) << (2 * i))
}

/// The two of three inputs that are not this one.
fn others(input: usize) -> [usize; 2] {
    [[1, 2], [0, 2], [0, 1]][input]
}

fn members(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = set.trailing_zeros() as usize;
        (set != 0).then(|| {
            set &= set - 1;
            first
        })
    })
}

/// A random bit that is set.
fn any(mut set: u64, rng: &mut Rng) -> usize {
    for _ in 0..rng.below(set.count_ones() as usize) {
        set &= set - 1;
    }
    set.trailing_zeros() as usize
}
