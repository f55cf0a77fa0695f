//! The search for a cheap plan: from a plan to one that differs a little, uphill less and less often.

use crate::allocate::{Instruction, Plan, Target, allocate};
use crate::circuit::Circuit;
use crate::rng::Rng;

/// In tenths of an instruction.
const HOTTEST: f64 = 12.0;

/// The cheapest plan that so many steps come by.
pub(crate) fn anneal(circuit: &Circuit, target: Target, steps: usize, rng: &mut Rng) -> Plan {
    let mut plan = Plan {
        order: (0..circuit.gates.len()).collect(),
        inverted: vec![false; circuit.gates.len() + 6],
    };
    let mut now = cost(circuit, &plan, target);
    let mut best = (plan.clone(), now);
    for step in 0..steps {
        let heat = HOTTEST * (1.0 - step as f64 / steps as f64).powi(2) + 0.3;
        let mut next = plan.clone();
        for _ in 0..=rng.below(2) {
            if target.and_not || rng.below(2) == 0 {
                advance(circuit, &mut next, rng);
            } else {
                let node = rng.below(next.inverted.len());
                next.inverted[node] = !next.inverted[node];
            }
        }
        let then = cost(circuit, &next, target);
        let chance = (f64::from(now) - f64::from(then)) / heat;
        if chance >= 0.0 || (rng.below(1 << 30) as f64) < chance.exp() * f64::from(1 << 30) {
            (plan, now) = (next, then);
            if now < best.1 {
                best = (plan.clone(), now);
            }
        }
    }
    best.0
}

/// Moves a gate to another time between those of its inputs and those that use it.
fn advance(circuit: &Circuit, plan: &mut Plan, rng: &mut Rng) {
    let order = &mut plan.order;
    let time = rng.below(order.len());
    let gate = order[time];
    let inputs = circuit.gates[gate].inputs;
    let earliest = order[..time]
        .iter()
        .rposition(|&other| inputs.contains(&(other + 6)))
        .map_or(0, |before| before + 1);
    let latest = order[time..]
        .iter()
        .position(|&other| circuit.gates[other].inputs.contains(&(gate + 6)))
        .map_or(order.len() - 1, |after| time + after - 1);
    let to = earliest + rng.below(latest - earliest + 1);
    order.remove(time);
    order.insert(to, gate);
}

/// In tenths of an instruction: copies are a little cheaper than others, what goes to memory a little dearer.
fn cost(circuit: &Circuit, plan: &Plan, target: Target) -> u32 {
    let (instructions, slots) = allocate(circuit, plan, target);
    let cost: u32 = instructions
        .iter()
        .map(|instruction| match instruction {
            Instruction::Copy { .. } => 9,
            Instruction::Store { .. } => 12,
            Instruction::Load { .. } => 10,
            _ => 10,
        })
        .sum();
    cost + slots as u32
}
