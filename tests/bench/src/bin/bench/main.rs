//! Measures beside peers: `cargo run --release -p portcullis-bench -- rpc`.

mod bulk;
mod cipher;
mod constant_time;
mod fleet;
mod footprint;
mod handshake;
mod reconcile;
mod reencrypt;
mod rpc;
mod tls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_bench::Failure;

/// Measures calls, links, the cipher, re-encryption and bulk imports beside their peers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Whole calls from the server to a gateway's connector and back, and streams, beside tonic
    /// over TCP and over mutual TLS.
    Rpc(rpc::Options),
    /// The cipher on one core, by every backend that this machine has, beside OpenSSL and the `des`
    /// crate.
    Cipher(cipher::Options),
    /// Whether time tells anything of a key, of data, of a tag: fails where it does, or where that
    /// could not have been seen.
    ConstantTime(constant_time::Options),
    /// New links in a second, each with a full handshake and one call, beside mutual TLS.
    Handshake(handshake::Options),
    /// A fleet of simulated gateways on one server: how soon all are up, what each costs, and a
    /// rotation.
    Fleet(fleet::Options),
    /// What an idle gateway takes of its host: memory, and the program on the disk.
    Footprint(footprint::Options),
    /// Accounts of a database or a directory held against a file, beside a bare client that reads
    /// the same rows and hashes each.
    Reconcile(reconcile::Options),
    /// Accounts imported through one link into PostgreSQL and OpenLDAP, beside single calls and a
    /// bare client.
    Bulk(bulk::Options),
    /// Values re-encrypted in a second, for each kind of server key, beside a bare read and
    /// write-back of the same rows.
    Reencrypt(reencrypt::Options),
    /// What TLS around the channel costs a call, a link and a byte, beside the channel without it.
    Tls(tls::Options),
}

fn main() -> ExitCode {
    let measured = match Cli::parse().command {
        Command::Rpc(options) => rpc::run(&options),
        Command::Cipher(options) => cipher::run(&options),
        Command::ConstantTime(options) => constant_time::run(&options),
        Command::Handshake(options) => handshake::run(&options),
        Command::Fleet(options) => fleet::run(&options),
        Command::Footprint(options) => footprint::run(&options),
        Command::Reconcile(options) => reconcile::run(&options),
        Command::Bulk(options) => bulk::run(&options),
        Command::Reencrypt(options) => reencrypt::run(&options),
        Command::Tls(options) => tls::run(&options),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .enable_all()
        .build()
}
