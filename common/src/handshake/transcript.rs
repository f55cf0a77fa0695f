//! The transcript: every byte of the handshake so far, frame headers included, as a running
//! SHA-256.

use sha2::{Digest, Sha256};

/// The hash of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TranscriptHash([u8; 32]);

impl TranscriptHash {
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Grows by whole frames, and by a frame without the MAC that ends it where that MAC is to be made
/// or verified.
#[derive(Clone)]
pub(super) struct Transcript(Sha256);

impl Transcript {
    /// Begins with message 0; where the server dialled, with nothing.
    pub(super) fn new(message0: Option<&[u8]>) -> Self {
        Self(Sha256::new_with_prefix(message0.unwrap_or_default()))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn hash(&self) -> TranscriptHash {
        TranscriptHash(self.0.clone().finalize().into())
    }

    /// The hash of the transcript and `bytes` after it, which are not added.
    pub(super) fn hash_with(&self, bytes: &[u8]) -> TranscriptHash {
        TranscriptHash(self.0.clone().chain_update(bytes).finalize().into())
    }
}
