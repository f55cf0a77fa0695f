//! What every program does with a command line that asks for help, or that is wrong.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::num::{IntErrorKind, ParseIntError};

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::output;

/// Exit code of wrong usage.
pub const USAGE: u8 = 2;

/// What a parser of values begins its refusal with, so that the value is not shown again.
pub const SECRET: &str = "a secret is never an argument";

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
        refuse(&error)
    })
}

/// Prints what is wrong with the command line, and gives the exit code.
pub fn refuse(error: &clap::Error) -> u8 {
    match own_words(error) {
        // Where standard error is closed, the exit code still tells.
        Some(message) => drop(writeln!(io::stderr(), "error: {message}")),
        None => drop(error.print()),
    }
    USAGE
}

/// What is said in place of clap's own message: where that would show a secret once more, or tells
/// a programmer more than a user.
pub fn own_words(error: &clap::Error) -> Option<String> {
    secret_argument(error).or_else(|| plain(error))
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

/// Of an argument that has no place: it may be a token or a password.
fn secret_argument(error: &clap::Error) -> Option<String> {
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

/// Of a value that its parser refused in words of the library's.
fn plain(error: &clap::Error) -> Option<String> {
    let source = error.source()?;
    let hint = if let Some(number) = source.downcast_ref::<ParseIntError>() {
        match number.kind() {
            IntErrorKind::PosOverflow => "the number is too large",
            IntErrorKind::NegOverflow => "the number is too small",
            _ => "give a whole number",
        }
    } else if source.is::<humantime::DurationError>() {
        "give a time with its unit, such as 30s, 10m or 2h"
    } else {
        return without_secret(error, &source.to_string());
    };
    let text = error.render().to_string();
    let text = text.replacen(&format!(": {source}"), &format!(": {hint}"), 1);
    Some(text.trim().trim_start_matches("error: ").to_owned())
}

/// Clap's own words without the value, where its parser says that it was a secret.
fn without_secret(error: &clap::Error, reason: &str) -> Option<String> {
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else {
        return None;
    };
    reason.starts_with(SECRET).then(|| {
        let text = error.render().to_string();
        let text = text.replace(value.as_str(), "…");
        text.trim().trim_start_matches("error: ").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Enroll {
        #[arg(long)]
        replace: bool,
        #[arg(long)]
        id: Option<u64>,
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10))]
        few: Option<u16>,
        #[arg(long, value_parser = humantime::parse_duration)]
        time: Option<std::time::Duration>,
        #[arg(long, value_parser = |_: &str| Err::<String, _>(format!("{SECRET}: give a file")))]
        set: Option<String>,
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
        assert_eq!(own_words(&error), None);
        let error = Enroll::try_parse_from(["enroll", "--help"]).unwrap_err();
        assert!(informs(&error) && own_words(&error).is_none());
    }

    #[test]
    fn a_value_whose_parser_calls_it_a_secret_is_not_shown_again() {
        let error = Enroll::try_parse_from(["enroll", "--set=hunter2"]).unwrap_err();
        let text = own_words(&error).unwrap();
        assert!(text.contains(SECRET) && text.contains("--set"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn numbers_and_times_are_asked_for_in_plain_words() {
        for (arguments, expected) in [
            (["enroll", "--id=x"], "'--id <ID>': give a whole number"),
            (["enroll", "--id="], "give a whole number"),
            (["enroll", "--id=1.5"], "give a whole number"),
            (
                ["enroll", "--id=99999999999999999999"],
                "the number is too large",
            ),
            (["enroll", "--few=x"], "give a whole number"),
            (["enroll", "--few=11"], "11 is not in 1..=10"),
            (["enroll", "--time=soon"], "such as 30s, 10m or 2h"),
            (["enroll", "--time=10"], "such as 30s, 10m or 2h"),
        ] {
            let error = Enroll::try_parse_from(arguments).unwrap_err();
            let text = own_words(&error).unwrap_or_else(|| error.to_string());
            assert!(text.contains(expected), "{arguments:?}: {text}");
            assert!(!text.contains("digit"), "{text}");
        }
    }
}
