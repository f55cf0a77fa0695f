//! The published test vectors, `proto/vectors/*.json`: made here from fixed randomness, and
//! compared with what is committed.
//!
//! `PORTCULLIS_WRITE_VECTORS=1 cargo test -p portcullis-common --lib vectors` writes them anew.
//! `proto/vectors/check.py` recomputes every value without any code of ours.
//!
//! They stand here and not in `tests/`, since they show what is private to the crate: the
//! derivations, and keys that wrap keys.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use rand_core::{TryCryptoRng, TryRng};
use serde::Serialize;
use sha2::{Digest, Sha256};

mod derivations;
mod handshakes;
mod malformed;
mod peers;

/// Compares with the committed file, or writes it.
fn publish(name: &str, value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../proto/vectors")
        .join(format!("{name}.json"));
    if std::env::var_os("PORTCULLIS_WRITE_VECTORS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path)
        .unwrap()
        .replace("\r\n", "\n");
    assert!(
        committed == text,
        "proto/vectors/{name}.json is not what the code gives: the protocol changed, or the file did"
    );
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

/// Bytes that stand for random ones: SHA-256 of a text that names them, counted up.
fn fixed<const N: usize>(case: &str, what: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (counter, chunk) in bytes.chunks_mut(32).enumerate() {
        let mut name = String::new();
        write!(name, "{case}/{what}/{counter}").unwrap();
        chunk.copy_from_slice(&Sha256::digest(name)[..chunk.len()]);
    }
    bytes
}

/// Gives the bytes it was made of, in order, and nothing more.
pub(crate) struct Script(std::collections::VecDeque<u8>);

impl Script {
    pub(crate) fn new(parts: &[&[u8]]) -> Self {
        Self(parts.concat().into())
    }
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = self.0.pop_front().unwrap();
        }
        Ok(())
    }
}

impl TryCryptoRng for Script {}
