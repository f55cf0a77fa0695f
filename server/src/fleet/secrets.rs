//! The secrets inside calls and answers: sealed for the one session that carries them (PROTOCOL.md, "Secrets in calls").

use portcullis_common::handshake::{CallSecrets, ExporterSecret, NotSealedHere, Way};
use portcullis_proto::gateway::v1::{Call, Secret};
use zeroize::Zeroizing;

/// Seals every secret of a call in its place. The plain ones are wiped.
pub(super) fn seal_call(exporter: &ExporterSecret, call: &mut Call) {
    let mut secrets = CallSecrets::new(exporter, Way::Call, &call.call_id);
    for secret in call.secrets_mut() {
        let plain = Zeroizing::new(std::mem::take(&mut secret.value));
        // The salt is no secret.
        *secret = Secret::sealed(secrets.seal(&plain, &mut rand::rng()));
    }
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
