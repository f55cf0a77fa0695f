//! Passphrases and secrets of the server: from a prompt or a file; never from an argument. One that cannot be any is refused here,
//! before the server is asked.

use std::path::Path;

use portcullis_common::crypto::passphrase;
use portcullis_host::private_files::{check_private, read_bounded};
use portcullis_proto::gateway::v1::Secret;
use zeroize::Zeroizing;

use crate::error::CliError;

/// Bytes of a line that is longer than any secret.
const LONGEST: usize = 2048;

/// The one line of a file that nobody else may read.
pub(crate) fn from_file(path: &Path) -> Result<Secret, CliError> {
    let line = read_bounded(path, LONGEST).map_err(|source| CliError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    check_private(path).map_err(|error| CliError::usage(error.to_string()))?;
    checked(&line, &path.display().to_string())
}

/// Asked for once.
pub(crate) fn known(what: &str) -> Result<Secret, CliError> {
    checked(ask(&format!("{what}: "))?.as_bytes(), TYPED)
}

/// Asked for twice.
pub(crate) fn new(what: &str) -> Result<Secret, CliError> {
    let first = ask(&format!("{what}: "))?;
    let secret = checked(first.as_bytes(), TYPED)?;
    if ask("The same again: ")? == first {
        Ok(secret)
    } else {
        Err(CliError::usage("the two differ: nothing has changed"))
    }
}

/// What a message calls a line from the terminal.
const TYPED: &str = "what was typed";

fn checked(text: &[u8], origin: &str) -> Result<Secret, CliError> {
    passphrase::Secret::parse(text)
        .map(|secret| Secret::plain(secret.expose().to_vec()))
        .map_err(|error| CliError::usage(format!("{origin}: {error}")))
}

fn ask(text: &str) -> Result<Zeroizing<String>, CliError> {
    rpassword::prompt_password(text)
        .map(Zeroizing::new)
        .map_err(|_| CliError::usage("there is no terminal to ask at: name a file that holds it"))
}
