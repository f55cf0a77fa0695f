//! What has to be typed before something that cannot be undone.

use std::io::{self, IsTerminal, Write};

use crate::error::CliError;

/// Shows `warning`, and goes on where `word` is typed. `flag` is what scripts give in its place.
pub(crate) fn confirm(warning: &str, word: &str, flag: &str) -> Result<(), CliError> {
    let refusal = format!("{warning} Confirm with {flag}.");
    confirm_or(&refusal, &format!("{warning}\n"), word)
}

/// The same, where what is said without a terminal is not what is shown at one.
pub(crate) fn confirm_or(refusal: &str, warning: &str, word: &str) -> Result<(), CliError> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Err(CliError::usage(refusal));
    }
    // Shown on standard error: standard output is for the result.
    let _ = write!(io::stderr(), "{warning}Type \"{word}\" to go on: ");
    let mut line = String::new();
    input.read_line(&mut line).map_err(CliError::Input)?;
    if line.trim() == word {
        Ok(())
    } else {
        Err(CliError::usage("not confirmed: nothing has changed"))
    }
}
