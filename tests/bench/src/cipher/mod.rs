//! The cipher beside OpenSSL's and the `des` crate's, on one core, in interleaved rounds of one
//! run.

mod openssl;
mod peers;
mod report;

use std::time::Duration;

use portcullis_common::crypto::mac::MacKey;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

pub use openssl::OpenSslError;
use peers::{DES_CRATE, Peer};
pub use report::Report;

/// Bytes of the messages that are enciphered.
const SIZES: [usize; 3] = [64, 1024, 16 * 1024];
/// Bytes of those that are sealed.
const SEALED: usize = 1024;
/// By what the MAC is made, under every peer's ciphertext.
const MAC: &str = "HMAC-SHA256";
/// Bytes between two looks at the clock: a fraction of a millisecond of the slowest peer.
const STRIDE: usize = 16 * 1024;

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// The keystream is made and added.
    Keystream {
        /// Bytes of a message.
        message: usize,
    },
    /// The same, then the MAC of a record.
    Seal {
        /// Bytes of a message.
        message: usize,
    },
    /// The MAC of a record alone: the share of it in the work before.
    Mac {
        /// Bytes of a message.
        message: usize,
    },
}

impl Work {
    /// What every peer is measured at.
    fn all() -> impl Iterator<Item = Self> {
        let keystream = SIZES.map(|message| Self::Keystream { message });
        keystream
            .into_iter()
            .chain([Self::Seal { message: SEALED }])
    }

    fn message(self) -> usize {
        match self {
            Self::Keystream { message } | Self::Seal { message } | Self::Mac { message } => message,
        }
    }
}

/// Why a run is worth nothing.
#[derive(Debug, thiserror::Error)]
pub enum CipherError {
    /// A fast wrong answer.
    #[error("{0} gives another keystream than the des crate")]
    Differs(&'static str),
}

/// Measures every peer for `slice` at each work in each of the rounds.
///
/// # Errors
/// [`CipherError`].
pub fn run(rounds: usize, slice: Duration) -> Result<Report, CipherError> {
    let (mut peers, missing) = Peer::all();
    check(&mut peers)?;
    let mut report = Report::new(missing);
    for round in 0..rounds {
        for work in Work::all() {
            // Each round begins with another peer, so that none always runs first.
            let count = peers.len();
            peers.rotate_left(round % count);
            for peer in &mut peers {
                let speed = measure(|message| peer.apply(message), work, slice);
                report.add(work, peer.name, speed);
            }
            peers.rotate_right(round % count);
        }
        let alone = Work::Mac { message: SEALED };
        report.add(alone, MAC, measure(|_| {}, alone, slice));
        report.end_round();
    }
    Ok(report)
}

fn check(peers: &mut [Peer]) -> Result<(), CipherError> {
    let keystreams: Vec<_> = peers
        .iter_mut()
        .map(|peer| {
            let mut keystream = vec![0; STRIDE];
            peer.apply(&mut keystream);
            (peer.name, keystream)
        })
        .collect();
    let right = keystreams.iter().find(|(name, _)| *name == DES_CRATE);
    match keystreams
        .iter()
        .find(|(_, found)| Some(found) != right.map(|(_, right)| right))
    {
        Some((name, _)) => Err(CipherError::Differs(name)),
        None => Ok(()),
    }
}

/// Bytes per second of processor time.
fn measure(mut encipher: impl FnMut(&mut [u8]), work: Work, slice: Duration) -> f64 {
    let mac = MacKey::new(&[7; 32]);
    let mut data = vec![0; STRIDE];
    let mut once = || {
        for (message, sequence) in data.chunks_mut(work.message()).zip(0_u64..) {
            encipher(message);
            if !matches!(work, Work::Keystream { .. }) {
                // What a record's tag covers: its number, its header, its ciphertext.
                let tag = mac.tag(&[&sequence.to_be_bytes(), &[0; 3], message]);
                std::hint::black_box(tag.to_bytes());
            }
        }
        std::hint::black_box(&data);
    };
    once();
    let began = processor_time();
    let mut bytes = 0;
    loop {
        once();
        bytes += STRIDE;
        let took = processor_time() - began;
        if took >= slice {
            return bytes as f64 / took.as_secs_f64();
        }
    }
}

/// What this thread took of the processor so far: what others take of it does not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
