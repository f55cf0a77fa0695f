//! The secrets inside calls and answers: sealed for the one session that carries them (PROTOCOL.md, "Secrets in calls").

use portcullis_common::handshake::{CallPlace, ExporterSecret, NotSealedHere, Way};
use portcullis_proto::gateway::v1::{Call, Secret};
use zeroize::Zeroizing;

/// Seals every secret of a call in its place. The plain ones are wiped.
pub(super) fn seal_call(exporter: &ExporterSecret, call: &mut Call) {
    let call_id = call.call_id.clone();
    for (secret, number) in call.secrets_mut().into_iter().zip(0..) {
        let place = CallPlace {
            way: Way::Call,
            call_id: &call_id,
            number,
        };
        let plain = Zeroizing::new(std::mem::take(&mut secret.value));
        // The salt is no secret.
        *secret = Secret::sealed(exporter.seal(place, &plain, &mut rand::rng()));
    }
}

/// Opens the secrets of the answers to one call, which are counted through all of them.
#[derive(Debug)]
pub(super) struct Answers {
    exporter: ExporterSecret,
    call_id: String,
    number: u32,
}

impl Answers {
    pub(super) fn new(exporter: &ExporterSecret, call_id: &str) -> Self {
        Self {
            exporter: exporter.clone(),
            call_id: call_id.to_owned(),
            number: 0,
        }
    }

    /// Opens the next answer's secrets.
    ///
    /// # Errors
    /// [`NotSealedHere`], also where one was not sealed at all.
    pub(super) fn open(&mut self, secrets: Vec<&mut Secret>) -> Result<(), NotSealedHere> {
        for secret in secrets {
            if !secret.value.is_empty() {
                return Err(NotSealedHere);
            }
            let place = CallPlace {
                way: Way::Answer,
                call_id: &self.call_id,
                number: self.number,
            };
            let mut opened = self.exporter.open(place, &secret.sealed)?;
            *secret = Secret::plain(std::mem::take(&mut *opened));
            self.number = self.number.checked_add(1).ok_or(NotSealedHere)?;
        }
        Ok(())
    }
}
