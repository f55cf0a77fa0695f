//! The secrets inside calls and answers: sealed for the one session that carries them (PROTOCOL.md,
//! "Secrets in calls").

use portcullis_common::handshake::{CallSecrets, ExporterSecret, NotSealedHere, Way};
use portcullis_proto::gateway::v1::{Call, Outcome, Secret};
use zeroize::Zeroizing;

/// Opens every secret of a call.
///
/// # Errors
/// [`NotSealedHere`], also where one was not sealed at all.
pub(super) fn open_call(exporter: &ExporterSecret, call: &mut Call) -> Result<(), NotSealedHere> {
    if call.secrets_mut().is_empty() {
        return Ok(());
    }
    let mut secrets = CallSecrets::new(exporter, Way::Call, &call.call_id);
    for secret in call.secrets_mut() {
        if !secret.value.is_empty() {
            return Err(NotSealedHere);
        }
        let mut opened = secrets.open(&secret.sealed)?;
        *secret = Secret::plain(std::mem::take(&mut *opened));
    }
    Ok(())
}

/// Seals the secrets of the one answer to a call.
pub(super) fn seal_outcome(exporter: &ExporterSecret, outcome: &mut Outcome) {
    if outcome.secrets_mut().is_empty() {
        return;
    }
    let mut answers = CallSecrets::new(exporter, Way::Answer, &outcome.call_id);
    seal_answer(&mut answers, outcome.secrets_mut());
}

/// Seals the secrets of the next answer in their places, of those that `answers` counts through.
/// The plain ones are wiped.
pub(super) fn seal_answer(answers: &mut CallSecrets, secrets: Vec<&mut Secret>) {
    for secret in secrets {
        let plain = Zeroizing::new(std::mem::take(&mut secret.value));
        // The salt is no secret.
        *secret = Secret::sealed(answers.seal(&plain, &mut rand::rng()));
    }
}
