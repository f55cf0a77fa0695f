//! Passwords: from a prompt, from standard input or from a file; never from an argument.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_proto::gateway::v1::Secret;
use zeroize::Zeroizing;

use crate::error::CliError;

/// Longer than any password that a resource takes, in bytes.
const MAX_LEN: u64 = 4_096;

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
        if let Some(secret) = self.read_named()? {
            return Ok(secret);
        }
        let first = prompt("New password: ", "password")?;
        let second = prompt("The same again: ", "password")?;
        if *first != *second {
            return Err(CliError::usage(
                "the two passwords differ: nothing has changed",
            ));
        }
        check(first.into_bytes_zeroizing(), "password")
    }

    /// A password that is already set: asked for once where neither pipe nor file is named.
    pub(crate) fn known_password(&self) -> Result<Secret, CliError> {
        if let Some(secret) = self.read_named()? {
            return Ok(secret);
        }
        check(
            prompt("Password: ", "password")?.into_bytes_zeroizing(),
            "password",
        )
    }

    fn read_named(&self) -> Result<Option<Secret>, CliError> {
        if self.password_stdin {
            let mut input = io::stdin().lock();
            return read_line(&mut input, "password")
                .map_err(CliError::Input)?
                .map(Some);
        }
        self.password_file
            .as_deref()
            .map(read_secret_file)
            .transpose()
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
        if self.answer_stdin {
            let mut input = io::stdin().lock();
            return read_line(&mut input, "answer").map_err(CliError::Input)?;
        }
        match self.answer_file.as_deref() {
            Some(path) => read_file(path, "answer"),
            None => check(
                prompt("Answer: ", "answer")?.into_bytes_zeroizing(),
                "answer",
            ),
        }
    }
}

/// The one line of a file, as a secret.
pub(crate) fn read_secret_file(path: &Path) -> Result<Secret, CliError> {
    read_file(path, "password")
}

/// A new secret of this name: asked for twice.
pub(crate) fn ask_secret(name: &str) -> Result<Secret, CliError> {
    let first = ask(&format!("{name}: "))?;
    let second = ask("The same again: ")?;
    if *first != *second {
        return Err(CliError::usage("the two differ: nothing has changed"));
    }
    check(first.into_bytes_zeroizing(), "secret")
}

fn ask(text: &str) -> Result<Zeroizing<String>, CliError> {
    let typed = rpassword::prompt_password(text).map(Zeroizing::new);
    typed.map_err(|_| {
        CliError::usage(
            "there is no terminal to ask for the secret at: give --password-file FILE or --secret-file NAME=FILE",
        )
    })
}

fn read_file(path: &Path, what: &str) -> Result<Secret, CliError> {
    let failed = |source| CliError::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    read_line(&mut file, what).map_err(failed)?
}

fn read_line(reader: &mut impl Read, what: &str) -> io::Result<Result<Secret, CliError>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN as usize + 1));
    reader.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Ok(check(bytes, what))
}

fn check(mut bytes: Zeroizing<Vec<u8>>, what: &str) -> Result<Secret, CliError> {
    let problem = if bytes.is_empty() {
        format!("the {what} is empty: nothing has changed")
    } else if bytes.len() as u64 > MAX_LEN {
        format!("the {what} is longer than 4096 bytes")
    } else if bytes.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r')) {
        format!("the {what} has more than one line: give one line, with nothing after it")
    } else {
        return Ok(Secret::plain(std::mem::take(&mut *bytes)));
    };
    Err(CliError::usage(problem))
}

fn prompt(text: &str, what: &str) -> Result<Zeroizing<String>, CliError> {
    rpassword::prompt_password(text)
        .map(Zeroizing::new)
        .map_err(|_| {
            CliError::usage(format!(
                "there is no terminal to ask for the {what} at: give --{what}-stdin or --{what}-file FILE"
            ))
        })
}

/// The bytes of a secret text, moved rather than copied.
trait IntoBytesZeroizing {
    fn into_bytes_zeroizing(self) -> Zeroizing<Vec<u8>>;
}

impl IntoBytesZeroizing for Zeroizing<String> {
    fn into_bytes_zeroizing(mut self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(std::mem::take(&mut *self).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<Vec<u8>, String> {
        read_line(&mut &input[..], "password")
            .unwrap()
            .map(|secret| secret.value.clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_line_is_a_password_with_its_spaces_and_without_its_line_end() {
        assert_eq!(read(b"hunter2\n").unwrap(), b"hunter2");
        assert_eq!(read(b"hunter2\r\n").unwrap(), b"hunter2");
        assert_eq!(read(b" two words ").unwrap(), b" two words ");
        assert_eq!(read(b"\xff\xfe").unwrap(), b"\xff\xfe");
    }

    #[test]
    fn what_is_no_password_is_refused_without_being_repeated() {
        for (input, hint) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"hunter2\nhunter3\n", "one line"),
            (b"hunter2\n\n", "one line"),
            (b"hunter\x002", "one line"),
            (&[b'h'; 5_000], "4096"),
        ] {
            let error = read(input).unwrap_err();
            assert!(error.contains(hint), "{error}");
            assert!(!error.contains("hunter"), "{error}");
        }
    }
}
