//! The secrets inside calls and answers: sealed for the one session that carries them (PROTOCOL.md,
//! "Secrets in calls").

use portcullis_common::handshake::{CallSecrets, ExporterSecret, NotSealedHere, Way};
use portcullis_proto::gateway::v1::{Call, Outcome, Secret};
use zeroize::Zeroizing;

/// Seals every secret of a call in its place. The plain ones are wiped.
pub(super) fn seal_call(exporter: &ExporterSecret, call: &mut Call) {
    if call.secrets_mut().is_empty() {
        return;
    }
    let mut secrets = CallSecrets::new(exporter, Way::Call, &call.call_id);
    for secret in call.secrets_mut() {
        let plain = Zeroizing::new(std::mem::take(&mut secret.value));
        // The salt is no secret.
        *secret = Secret::sealed(secrets.seal(&plain, &mut rand::rng()));
    }
}

/// Opens what [`seal_call`] sealed, so that it can be sealed for another link.
///
/// # Errors
/// [`NotSealedHere`].
pub(super) fn unseal_call(exporter: &ExporterSecret, call: &mut Call) -> Result<(), NotSealedHere> {
    let mut secrets = CallSecrets::new(exporter, Way::Call, &call.call_id);
    for secret in call.secrets_mut() {
        let mut opened = secrets.open(&secret.sealed)?;
        *secret = Secret::plain(std::mem::take(&mut *opened));
    }
    Ok(())
}

/// The outcome of a call, its secrets opened; `None` where one does not open.
pub(super) fn open_outcome(
    exporter: &ExporterSecret,
    call_id: &str,
    mut outcome: Outcome,
) -> Option<Outcome> {
    let secrets = outcome.secrets_mut();
    if !secrets.is_empty() {
        let mut answers = CallSecrets::new(exporter, Way::Answer, call_id);
        open_answer(&mut answers, secrets).ok()?;
    }
    Some(outcome)
}

/// Opens the secrets of the next answer, of those that `answers` counts through.
///
/// # Errors
/// [`NotSealedHere`], also where one was not sealed at all.
pub(super) fn open_answer(
    answers: &mut CallSecrets,
    secrets: Vec<&mut Secret>,
) -> Result<(), NotSealedHere> {
    for secret in secrets {
        if !secret.value.is_empty() {
            return Err(NotSealedHere);
        }
        let mut opened = answers.open(&secret.sealed)?;
        *secret = Secret::plain(std::mem::take(&mut *opened));
    }
    Ok(())
}
