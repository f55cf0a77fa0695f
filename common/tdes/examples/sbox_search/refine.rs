//! The second walk of a circuit of gates of two inputs: among those of its size, towards fewer
//! instructions on general registers. There a gate overwrites one of its operands, which costs a
//! copy where both are still needed, and an inversion is an instruction.

use std::collections::HashSet;

use crate::allocate::Target;
use crate::anneal::{anneal, cost};
use crate::circuit::{Circuit, Gate};
use crate::gates::{self, Function};
use crate::rng::Rng;
use crate::walk::{Walk, may_grow};

const STEPS: usize = 900_000;
/// Steps that a circuit's instructions are worth.
const PAUSE: usize = 9_000;
/// Plans that are looked at for a circuit, and for one that may be the best.
const PLANS: [usize; 2] = [12_000, 100_000];
/// By how much few plans may overrate a circuit, in tenths of an instruction.
const DOUBT: u32 = 30;
/// How much worse than the best estimate the circuits are whose instructions are looked at.
const MARGIN: f64 = 1.5;
const HEAT: f64 = 0.5;

/// Leaves the cheapest circuit that the walk comes by.
pub(crate) fn refine(circuit: &mut Circuit, walk: &Walk, seed: u64) {
    let Some(mut best) = circuit.gates() else {
        return;
    };
    let mut rng = Rng::new(seed);
    let (mut least, mut lowest) = (circuit.len(), f64::INFINITY);
    let mut cheapest = price(&best, PLANS[1]);
    let (mut now, mut estimated) = (Circuit::of(&best), f64::INFINITY);
    let (mut seen, mut last) = (HashSet::new(), 0);
    for step in 0..STEPS {
        let Some(next) = walk.step(&now, &mut rng) else {
            continue;
        };
        if next.len() > least {
            if next.len() <= now.len() || may_grow(next.len(), least, &mut rng) {
                (now, estimated) = (next, f64::INFINITY);
            }
            continue;
        }
        let Some(gates) = next.gates() else { continue };
        let estimate = estimate(&gates);
        let chance = ((estimated - estimate) / HEAT).exp();
        if (rng.below(1 << 30) as f64) >= chance * f64::from(1 << 30) {
            continue;
        }
        if next.len() < least {
            (least, lowest, cheapest) = (next.len(), f64::INFINITY, u32::MAX - DOUBT);
        }
        (now, estimated) = (next, estimate);
        lowest = lowest.min(estimate);
        let promising = estimate <= lowest + MARGIN && step >= last + PAUSE;
        if !promising
            || !seen.insert(
                now.gates
                    .iter()
                    .map(|gate| (gate.inputs, gate.table))
                    .collect::<Vec<_>>(),
            )
        {
            continue;
        }
        last = step;
        if price(&gates, PLANS[0]) < cheapest + DOUBT {
            let exact = price(&gates, PLANS[1]);
            if exact < cheapest {
                (best, cheapest) = (gates, exact);
            }
        }
    }
    *circuit = Circuit::of(&best);
}

/// What the instructions cost, of so many plans the best.
fn price(circuit: &gates::Circuit, plans: usize) -> u32 {
    let plan = anneal(circuit, Target::GENERAL, plans, &mut Rng::new(1));
    cost(circuit, &plan, Target::GENERAL)
}

/// About how many instructions are inversions and copies, and how long one waits for another.
fn estimate(circuit: &gates::Circuit) -> f64 {
    f64::from(inversions(circuit))
        + 0.7 * f64::from(losses(circuit))
        + 0.25 * f64::from(depth(circuit))
}

/// Gates that need an inversion, whichever nodes are kept inverted: as few as a search finds that
/// never turns back at once.
fn inversions(circuit: &gates::Circuit) -> i32 {
    let nodes = circuit.gates.len() + 6;
    let mut inverted = vec![false; nodes];
    let mut touched = vec![Vec::new(); nodes];
    for (number, gate) in circuit.gates.iter().enumerate() {
        for node in [number + 6, gate.inputs[0], gate.inputs[1]] {
            touched[node].push(number);
        }
    }
    let needed = |inverted: &[bool], number: usize| {
        let gate = circuit.gates[number];
        let [a, b] = gate.inputs.map(|input| inverted[input]);
        let output = inverted[number + 6];
        i32::from(match gate.function {
            Function::Xor => a ^ b ^ output,
            Function::And | Function::Or => a != b || b != output,
            Function::Without => a == b || a != output,
        })
    };
    let mut now: i32 = (0..circuit.gates.len())
        .map(|number| needed(&inverted, number))
        .sum();
    let mut fewest = now;
    let mut fixed_until = vec![0; nodes];
    for time in 1..100 {
        let mut chosen = (i32::MAX, 0);
        for node in 0..nodes {
            let count = |inverted: &[bool]| {
                touched[node]
                    .iter()
                    .map(|&number| needed(inverted, number))
                    .sum::<i32>()
            };
            let before = count(&inverted);
            inverted[node] = !inverted[node];
            let change = count(&inverted) - before;
            inverted[node] = !inverted[node];
            if (fixed_until[node] <= time || now + change < fewest) && change < chosen.0 {
                chosen = (change, node);
            }
        }
        let (change, node) = chosen;
        inverted[node] = !inverted[node];
        now += change;
        fewest = fewest.min(now);
        fixed_until[node] = time + 6 + time % 5;
    }
    fewest
}

/// Gates that use up both of their operands: one of these could have saved a copy.
fn losses(circuit: &gates::Circuit) -> u32 {
    let mut uses = vec![0; circuit.gates.len() + 6];
    for gate in &circuit.gates {
        for input in gate.inputs {
            uses[input] += 1;
        }
    }
    let used_up = |gate: &&gates::Gate| gate.inputs.iter().all(|&input| uses[input] == 1);
    circuit.gates.iter().filter(used_up).count() as u32
}

/// Gates that wait for one another.
fn depth(circuit: &gates::Circuit) -> u32 {
    let mut depths = vec![0; 6];
    for gate in &circuit.gates {
        let [a, b] = gate.inputs.map(|input| depths[input]);
        depths.push(1 + a.max(b));
    }
    depths.into_iter().max().unwrap_or(0)
}

/// The gates' functions and their tables.
const FUNCTIONS: [(Function, u8); 4] = [
    (Function::And, 0xC0),
    (Function::Or, 0xFC),
    (Function::Xor, 0x3C),
    (Function::Without, 0x30),
];
/// `Without`, its inputs exchanged.
const EXCHANGED: u8 = 0x0C;

impl Circuit {
    fn of(circuit: &gates::Circuit) -> Self {
        let gate = |gate: &gates::Gate| {
            let (_, table) = FUNCTIONS
                .into_iter()
                .find(|(function, _)| *function == gate.function)?;
            Some(Gate::two(gate.inputs[0] as u8, gate.inputs[1] as u8, table))
        };
        Self {
            gates: circuit.gates.iter().filter_map(gate).collect(),
            outputs: circuit.outputs.map(|output| output as u8),
        }
    }

    /// As gates of two inputs; `None` if one has three.
    fn gates(&self) -> Option<gates::Circuit> {
        let gate = |gate: &Gate| {
            let [a, b, _] = gate.inputs.map(usize::from);
            let (inputs, table) = if gate.table == EXCHANGED {
                ([b, a], 0x30)
            } else {
                ([a, b], gate.table)
            };
            let (function, _) = FUNCTIONS.into_iter().find(|(_, known)| *known == table)?;
            Some(gates::Gate { function, inputs })
        };
        Some(gates::Circuit {
            gates: self.gates.iter().map(gate).collect::<Option<_>>()?,
            outputs: self.outputs.map(usize::from),
        })
    }
}
