//! The circuits of gates of two inputs, read from their Rust source.

/// What a gate gives of its inputs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Function {
    And,
    Or,
    Xor,
    /// `a & !b`.
    Without,
}

/// A gate on two nodes. Nodes 0 to 5 are the inputs of the circuit, node 6 is the first gate.
#[derive(Clone, Copy)]
pub(crate) struct Gate {
    pub(crate) function: Function,
    pub(crate) inputs: [usize; 2],
}

/// Gates in an order in which each comes after its inputs.
pub(crate) struct Circuit {
    pub(crate) gates: Vec<Gate>,
    pub(crate) outputs: [usize; 4],
}

/// The eight circuits of `common/tdes/src/circuits/two.rs`; `None` if it is not as `sbox_search`
/// writes it.
pub(crate) fn read(source: &str) -> Option<Vec<Circuit>> {
    source
        .split("\n#[inline(always)]\nfn s")
        .skip(1)
        .map(read_one)
        .collect()
}

fn read_one(source: &str) -> Option<Circuit> {
    let mut gates = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(line) = line.strip_prefix("let ") {
            let (_, gate) = line.split_once(" = ")?;
            let (a, rest) = gate.split_once('.')?;
            let (function, b) = rest.strip_suffix(");")?.split_once('(')?;
            gates.push(Gate {
                function: match function {
                    "and" => Function::And,
                    "or" => Function::Or,
                    "xor" => Function::Xor,
                    "without" => Function::Without,
                    _ => return None,
                },
                inputs: [node(a)?, node(b)?],
            });
        } else if let Some(outputs) = line.strip_prefix('[') {
            let outputs: Option<Vec<_>> =
                outputs.strip_suffix(']')?.split(", ").map(node).collect();
            let outputs = outputs?.try_into().ok()?;
            return Some(Circuit { gates, outputs });
        }
    }
    None
}

/// `x1` to `x6` are the inputs, `g1` the first gate.
fn node(name: &str) -> Option<usize> {
    let number = |digits: &str| digits.parse::<usize>().ok()?.checked_sub(1);
    match name.split_at_checked(1)? {
        ("x", digits) => number(digits),
        ("g", digits) => Some(number(digits)? + 6),
        _ => None,
    }
}
