//! The sealed channel between the central server and one gateway, and between two servers.
//!
//! A layer like TLS: it takes an ordered byte stream, runs a handshake, and yields an encrypted
//! byte stream. `proto/PROTOCOL.md` specifies it byte by byte. Everything but [`stream`] is pure:
//! no I/O, no clock; randomness and time are passed in, so that every run can be replayed.
//!
//! Its modules depend in one direction only: `stream` → `calls`, `rotation`, `record`, `handshake`
//! → `wire` → `crypto` → `secret` → `id`; `listing` stands by itself on `crypto`. Of those that
//! stand side by side, `rotation` reads what the `handshake` proved, and nothing points back.
// Without locked memory nothing here is unsafe; with it, only `secret::locked` and
// `secret::wiping`.
#![cfg_attr(not(feature = "locked-memory"), forbid(unsafe_code))]

pub mod calls;
pub mod crypto;
pub mod handshake;
mod held_key;
pub mod id;
#[cfg(feature = "tonic")]
pub mod listing;
pub mod record;
pub mod rotation;
pub mod secret;
#[cfg(feature = "stream")]
pub mod stream;
mod time;
#[cfg(test)]
mod vectors;
pub mod wire;
