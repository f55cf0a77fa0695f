//! What is asked for at the terminal: secrets, and words that confirm. A secret may also come from
//! standard input or from a file; never from an argument.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_common::crypto::passphrase;
use portcullis_host::private_files::check_private;
use portcullis_host::text::{self, TextError};
use portcullis_proto::gateway::v1::Secret;
use zeroize::Zeroizing;

use crate::error::CliError;

/// Longer than any password that a resource takes, in bytes.
const MAX_PASSWORD: u64 = 4_096;

/// Bytes of a file that no passphrase is in; how long one may be is for its own rules to say.
const MAX_PASSPHRASE: u64 = 64 << 10;

/// Where a password comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct PasswordSource {
    /// Read the password from standard input: its one line
    #[arg(long)]
    password_stdin: bool,
    /// Read the password from a file: its one line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordSource {
    /// Whether any was named.
    pub(crate) fn given(&self) -> bool {
        self.password_stdin || self.password_file.is_some()
    }

    /// A new password: asked for twice where neither pipe nor file is named.
    pub(crate) fn new_password(&self) -> Result<Secret, CliError> {
        if let Some(secret) = self.read()? {
            return Ok(secret);
        }
        let first = ask("New password: ", &no_terminal("password"))?;
        let second = ask("The same again: ", &no_terminal("password"))?;
        if *first != *second {
            return Err(CliError::usage(
                "the two passwords differ: nothing has changed",
            ));
        }
        check(first, "password")
    }

    /// A password that is already set: asked for once where neither pipe nor file is named.
    pub(crate) fn known_password(&self) -> Result<Secret, CliError> {
        if let Some(secret) = self.read()? {
            return Ok(secret);
        }
        let typed = ask("Password: ", &no_terminal("password"))?;
        check(typed, "password")
    }

    fn read(&self) -> Result<Option<Secret>, CliError> {
        read_named(
            self.password_stdin,
            self.password_file.as_deref(),
            "password",
        )
    }
}

/// Where an answer comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct AnswerSource {
    /// Read the answer from standard input: its one line
    #[arg(long)]
    answer_stdin: bool,
    /// Read the answer from a file: its one line
    #[arg(long, value_name = "FILE")]
    answer_file: Option<PathBuf>,
}

impl AnswerSource {
    /// An answer: asked for, unseen, where neither pipe nor file is named.
    pub(crate) fn answer(&self) -> Result<Secret, CliError> {
        let file = self.answer_file.as_deref();
        if let Some(secret) = read_named(self.answer_stdin, file, "answer")? {
            return Ok(secret);
        }
        let typed = ask("Answer: ", &no_terminal("answer"))?;
        check(typed, "answer")
    }
}

/// The one line of a file, as a secret.
pub(crate) fn read_secret_file(path: &Path) -> Result<Secret, CliError> {
    read_file(path, "password")
}

/// A new secret of this name: asked for twice.
pub(crate) fn ask_secret(name: &str) -> Result<Secret, CliError> {
    let elsewhere = "there is no terminal to ask for the secret at: give --password-file FILE or --secret-file NAME=FILE";
    let first = ask(&format!("{name}: "), elsewhere)?;
    same_again(&first, elsewhere)?;
    check(first, "secret")
}

/// A passphrase: the one line of a file that nobody else may read. What cannot be any is refused
/// here, before the server is asked.
pub(crate) fn passphrase_file(path: &Path) -> Result<Secret, CliError> {
    let line = text::read_file(path, MAX_PASSPHRASE).map_err(CliError::text(path))?;
    check_private(path).map_err(|error| CliError::usage(error.to_string()))?;
    check_passphrase(line.as_bytes(), &path.display().to_string())
}

/// A passphrase that is already set: asked for once.
pub(crate) fn known_passphrase(what: &str) -> Result<Secret, CliError> {
    let typed = ask(&format!("{what}: "), NO_PASSPHRASE)?;
    check_passphrase(typed.as_bytes(), TYPED)
}

/// A new passphrase: asked for twice.
pub(crate) fn new_passphrase(what: &str) -> Result<Secret, CliError> {
    let typed = ask(&format!("{what}: "), NO_PASSPHRASE)?;
    let secret = check_passphrase(typed.as_bytes(), TYPED)?;
    same_again(&typed, NO_PASSPHRASE)?;
    Ok(secret)
}

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

/// What a message calls a line from the terminal.
const TYPED: &str = "what was typed";

/// What is said where a passphrase cannot be asked for.
const NO_PASSPHRASE: &str = "there is no terminal to ask at: name a file that holds it";

fn no_terminal(what: &str) -> String {
    format!(
        "there is no terminal to ask for the {what} at: give --{what}-stdin or --{what}-file FILE"
    )
}

/// Asks, without showing what is typed; `otherwise` is said where there is no terminal.
fn ask(question: &str, otherwise: &str) -> Result<Zeroizing<String>, CliError> {
    rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => CliError::usage(
                "what was typed is not UTF-8: set the terminal to that encoding; nothing has changed",
            ),
            _ => CliError::usage(otherwise),
        })
}

fn same_again(first: &str, otherwise: &str) -> Result<(), CliError> {
    if *ask("The same again: ", otherwise)? == first {
        Ok(())
    } else {
        Err(CliError::usage("the two differ: nothing has changed"))
    }
}

/// From the pipe or the file that was named, if any was.
fn read_named(stdin: bool, file: Option<&Path>, what: &str) -> Result<Option<Secret>, CliError> {
    if stdin {
        return match text::read_secret(io::stdin().lock(), MAX_PASSWORD) {
            Ok(line) => Ok(Some(secret(line))),
            Err(TextError::Io(error)) => Err(CliError::Input(error)),
            Err(error) => Err(no_secret(&error, what, "standard input: ")),
        };
    }
    file.map(|path| read_file(path, what)).transpose()
}

fn read_file(path: &Path, what: &str) -> Result<Secret, CliError> {
    match text::read_secret_file(path, MAX_PASSWORD) {
        Ok(line) => Ok(secret(line)),
        Err(TextError::Io(error)) => Err(CliError::file("read", path)(error)),
        Err(error) => Err(no_secret(&error, what, &format!("{}: ", path.display()))),
    }
}

/// What was typed, as a secret.
fn check(typed: Zeroizing<String>, what: &str) -> Result<Secret, CliError> {
    match text::read_secret(typed.as_bytes(), MAX_PASSWORD) {
        Ok(line) => Ok(secret(line)),
        Err(error) => Err(no_secret(&error, what, "")),
    }
}

fn no_secret(error: &TextError, what: &str, place: &str) -> CliError {
    let problem = match error {
        TextError::Empty => format!("the {what} is empty: nothing has changed"),
        TextError::Lines => {
            format!("the {what} has more than one line: give one line, with nothing after it")
        }
        TextError::TooLong(_) => format!("the {what} is longer than {MAX_PASSWORD} bytes"),
        other => format!("the {what} is no text: {other}"),
    };
    CliError::Usage(format!("{place}{problem}"))
}

/// The bytes of a secret text, moved rather than copied.
fn secret(mut line: Zeroizing<String>) -> Secret {
    Secret::plain(std::mem::take(&mut *line).into_bytes())
}

fn check_passphrase(text: &[u8], origin: &str) -> Result<Secret, CliError> {
    passphrase::Secret::parse(text)
        .map(|secret| Secret::plain(secret.expose().to_vec()))
        .map_err(|error| CliError::usage(format!("{origin}: {error}")))
}
