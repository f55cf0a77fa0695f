//! The secrets inside calls and answers: sealed for the one session that carries them (PROTOCOL.md,
//! "Secrets in calls"). Both ends seal and open in place, in the order of the message's fields.

use portcullis_proto::gateway::v1::{Call, Outcome, Secret};
use zeroize::Zeroizing;

use crate::handshake::{CallSecrets, ExporterSecret, NotSealedHere, Way};

/// Seals every secret of a call. The plain ones are wiped.
pub fn seal_call(exporter: &ExporterSecret, call: &mut Call) {
    let call_id = call.call_id.clone();
    seal_all(exporter, Way::Call, &call_id, call.secrets_mut());
}

/// Opens every secret of a call.
///
/// # Errors
/// [`NotSealedHere`], also where one was not sealed at all.
pub fn open_call(exporter: &ExporterSecret, call: &mut Call) -> Result<(), NotSealedHere> {
    let call_id = call.call_id.clone();
    open_all(exporter, Way::Call, &call_id, call.secrets_mut())
}

/// Seals the secrets of the one answer to a call. The plain ones are wiped.
pub fn seal_outcome(exporter: &ExporterSecret, outcome: &mut Outcome) {
    let call_id = outcome.call_id.clone();
    seal_all(exporter, Way::Answer, &call_id, outcome.secrets_mut());
}

/// Opens the secrets of the one answer to the call that the answer names.
///
/// # Errors
/// [`NotSealedHere`], also where one was not sealed at all.
pub fn open_outcome(exporter: &ExporterSecret, outcome: &mut Outcome) -> Result<(), NotSealedHere> {
    let call_id = outcome.call_id.clone();
    open_all(exporter, Way::Answer, &call_id, outcome.secrets_mut())
}

/// Seals `secrets`, the next of those that `places` counts through. The plain ones are wiped.
pub fn seal_secrets(places: &mut CallSecrets, secrets: Vec<&mut Secret>) {
    for secret in secrets {
        let plain = Zeroizing::new(std::mem::take(&mut secret.value));
        // The salt is no secret.
        *secret = Secret::sealed(places.seal(&plain, &mut rand::rng()));
    }
}

/// Opens `secrets`, the next of those that `places` counts through.
///
/// # Errors
/// [`NotSealedHere`], also where one was not sealed at all.
pub fn open_secrets(
    places: &mut CallSecrets,
    secrets: Vec<&mut Secret>,
) -> Result<(), NotSealedHere> {
    for secret in secrets {
        if !secret.value.is_empty() {
            return Err(NotSealedHere);
        }
        let mut opened = places.open(&secret.sealed)?;
        *secret = Secret::plain(std::mem::take(&mut *opened));
    }
    Ok(())
}

// Most calls have no secret, and then nothing of the exporter is copied.
fn seal_all(exporter: &ExporterSecret, way: Way, call_id: &str, secrets: Vec<&mut Secret>) {
    if !secrets.is_empty() {
        seal_secrets(&mut CallSecrets::new(exporter, way, call_id), secrets);
    }
}

fn open_all(
    exporter: &ExporterSecret,
    way: Way,
    call_id: &str,
    secrets: Vec<&mut Secret>,
) -> Result<(), NotSealedHere> {
    if secrets.is_empty() {
        return Ok(());
    }
    open_secrets(&mut CallSecrets::new(exporter, way, call_id), secrets)
}
