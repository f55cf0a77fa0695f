//! Passphrases and secrets of the server: from a prompt or a file; never from an argument.

use std::path::Path;

use portcullis_proto::gateway::v1::Secret as SecretMessage;

use crate::admin_cli::error::CliError;
use crate::keys::protection::{ProtectionError, Secret, files};

/// The one line of a file that nobody else may read.
pub(in crate::admin_cli) fn from_file(path: &Path) -> Result<SecretMessage, CliError> {
    files::read_private(path)
        .map(message)
        .map_err(|error| refused(&error))
}

/// Asked for once.
pub(in crate::admin_cli) fn known(what: &str) -> Result<SecretMessage, CliError> {
    ask(&format!("{what}: ")).map(message)
}

/// Asked for twice.
pub(in crate::admin_cli) fn new(what: &str) -> Result<SecretMessage, CliError> {
    let first = ask(&format!("{what}: "))?;
    if ask("The same again: ")? == first {
        Ok(message(first))
    } else {
        Err(CliError::usage("the two differ: nothing has changed"))
    }
}

fn ask(text: &str) -> Result<Secret, CliError> {
    files::prompt(text).map_err(|error| match error {
        ProtectionError::Prompt(_) => {
            CliError::usage("there is no terminal to ask at: name a file that holds it")
        }
        other => refused(&other),
    })
}

fn message(secret: Secret) -> SecretMessage {
    SecretMessage::plain(secret.expose().to_vec())
}

fn refused(error: &ProtectionError) -> CliError {
    CliError::usage(error.to_string())
}
