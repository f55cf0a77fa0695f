//! The search for a cheap plan: from a plan to one that differs a little, uphill less and less
//! often.

use crate::allocate::{Instruction, Place, Plan, Target, allocate};
use crate::gates::Circuit;
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

/// In tenths of an instruction: copies are a little cheaper than others, what goes to memory a
/// little dearer, and time counts beside the instructions.
pub(crate) fn cost(circuit: &Circuit, plan: &Plan, target: Target) -> u32 {
    let (instructions, slots) = allocate(circuit, plan, target);
    let cost: u32 = instructions
        .iter()
        .map(|instruction| match instruction {
            Instruction::Copy { .. } => 9,
            Instruction::Store { .. } => 12,
            _ => 10,
        })
        .sum();
    cost + slots as u32 + 5 * time(&instructions)
}

/// Gates that begin in one cycle.
const GATES_AT_ONCE: u32 = 4;

/// Cycles that the instructions take if each begins no sooner than the one before it: a processor
/// that looks ahead takes fewer, but the further it has to look, the less it gains.
fn time(instructions: &[Instruction]) -> u32 {
    let mut registers = [0; 16];
    let mut slots = [0; 16];
    let (mut now, mut begun) = (0, 0);
    for &instruction in instructions {
        let (ready, to) = match instruction {
            Instruction::Input { to, .. } => (0, to),
            Instruction::Load { to, slot } => {
                registers[to] = slots[slot] + 5;
                continue;
            }
            Instruction::Store { from, slot } => {
                slots[slot] = registers[from] + 5;
                continue;
            }
            Instruction::Copy { to, from } => {
                registers[to] = registers[from];
                continue;
            }
            Instruction::Invert { register } => (registers[register], register),
            Instruction::Gate { to, a, b, .. } => {
                let b = match b {
                    Place::Register(register) => registers[register],
                    Place::Slot(slot) => slots[slot],
                };
                (registers[a].max(b), to)
            }
            Instruction::Output { from, with, .. } => (registers[from], with),
        };
        if ready > now || begun == GATES_AT_ONCE {
            now = ready.max(now + u32::from(begun == GATES_AT_ONCE));
            begun = 0;
        }
        begun += 1;
        if !matches!(instruction, Instruction::Output { .. }) {
            registers[to] = now + 1;
        }
    }
    now
}
