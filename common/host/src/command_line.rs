//! What every program does with a command line that asks for help, or that is wrong.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::output;

/// Exit code of wrong usage.
pub const USAGE: u8 = 2;

/// Exit code where something else failed.
const FAILED: u8 = 1;

/// Reads the command line of this process.
///
/// # Errors
/// The exit code, where help was shown (0) or the command line is wrong (2): it has been told.
pub fn parse<T: Parser>() -> Result<T, u8> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    T::try_parse_from(&arguments).map_err(|error| {
        if informs(&error) {
            return inform(&error);
        }
        match secret_argument(&error) {
            Some(message) => eprintln!("error: {message}"),
            // Where standard error is closed, the exit code still tells.
            None => drop(error.print()),
        }
        USAGE
    })
}

/// Whether help or the version was asked for: no error.
pub fn informs(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    )
}

/// Prints help or the version, and gives the exit code: 0, also where the reader of a pipe had
/// enough, but not where it could not be written.
pub fn inform(error: &clap::Error) -> u8 {
    let printed = if io::stdout().is_terminal() {
        error.print()
    } else {
        output::print(&error.render().to_string())
    };
    match printed {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: cannot write to standard output: {error}");
            FAILED
        }
    }
}

/// What is said, in place of clap's own message, of an argument that has no place: it may be a
/// token or a password, which is not to be shown once more.
pub fn secret_argument(error: &clap::Error) -> Option<String> {
    let argument = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(argument) => argument,
        _ => return None,
    };
    if error.kind() != ErrorKind::UnknownArgument || argument.starts_with('-') {
        return None;
    }
    let what = if argument.to_ascii_uppercase().starts_with("PCT1-") {
        "a token is never an argument, where other users and the shell's history would see it: paste it when it is asked for, or give --token-file FILE. Take the one that was given here as known: `portcullis gateway token NAME` makes another"
    } else {
        "there is an argument too many, which is not repeated here: it may be a secret. Secrets are never arguments: they are asked for, or read from standard input or a file; `--help` says how"
    };
    Some(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Enroll {
        #[arg(long)]
        replace: bool,
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown_again_and_a_mistyped_option_is() {
        for (argument, hint) in [
            ("PCT1-MFRGGZDF", "a token is never an argument"),
            ("pct1-mfrggzdf", "a token is never an argument"),
            ("hunter2", "an argument too many"),
        ] {
            let error = Enroll::try_parse_from(["enroll", argument]).unwrap_err();
            let message = secret_argument(&error).unwrap();
            assert!(message.contains(hint), "{message}");
            assert!(!message.contains(argument), "{message}");
        }
        let error = Enroll::try_parse_from(["enroll", "--replac"]).unwrap_err();
        assert_eq!(secret_argument(&error), None);
        let error = Enroll::try_parse_from(["enroll", "--help"]).unwrap_err();
        assert!(informs(&error) && secret_argument(&error).is_none());
    }
}
