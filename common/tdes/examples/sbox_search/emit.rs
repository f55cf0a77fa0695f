//! Circuits as Rust.

use crate::circuit::{Circuit, Inputs};

pub(crate) fn source(inputs: Inputs, seeds: &str, circuits: &[Circuit]) -> String {
    let (word, name, trait_name) = match inputs {
        Inputs::Two => ("two", "two", "Register"),
        Inputs::Three => ("three", "three", "Tables"),
    };
    let sizes: Vec<String> = circuits
        .iter()
        .map(|circuit| circuit.len().to_string())
        .collect();
    let mut out = format!(
        "//! Gates of {word} inputs: {} for S1 to S8.\n//!\n\
         //! Generated, and not to be edited: `cargo run --release -p portcullis-tdes\n\
         //! --example sbox_search -- {name} {seeds}`.\n\n\
         use crate::word::{trait_name};\n\n\
         /// S-box `BOX`, from 0.\n#[inline(always)]\n\
         pub(crate) fn substitute<R: {trait_name}, const BOX: usize>(inputs: [R; 6]) -> [R; 4] {{\n    match BOX {{\n",
        sizes.join(", ")
    );
    for number in 1..circuits.len() {
        out += &format!("        {} => s{number}(inputs),\n", number - 1);
    }
    out += &format!("        _ => s{}(inputs),\n    }}\n}}\n", circuits.len());
    for (circuit, number) in circuits.iter().zip(1..) {
        out += &format!(
            "\n#[inline(always)]\nfn s{number}<R: {trait_name}>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {{\n"
        );
        for (gate, node) in circuit.gates.iter().zip(6..) {
            let [a, b, c] = gate.inputs.map(name_of);
            let gate = match (inputs, gate.table) {
                (Inputs::Three, table) => format!("R::lut::<0x{table:02x}>({a}, {b}, {c})"),
                (Inputs::Two, 0xC0) => format!("{a}.and({b})"),
                (Inputs::Two, 0x30) => format!("{a}.without({b})"),
                (Inputs::Two, 0x0C) => format!("{b}.without({a})"),
                (Inputs::Two, 0x3C) => format!("{a}.xor({b})"),
                (Inputs::Two, _) => format!("{a}.or({b})"),
            };
            out += &format!("    let {} = {gate};\n", name_of(node));
        }
        out += &format!("    [{}]\n}}\n", circuit.outputs.map(name_of).join(", "));
    }
    out
}

/// `x1` to `x6` are the inputs, `g1` the first gate.
fn name_of(node: u8) -> String {
    match node {
        0..6 => format!("x{}", node + 1),
        _ => format!("g{}", node - 5),
    }
}
