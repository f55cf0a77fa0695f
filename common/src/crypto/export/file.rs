//! The file of an export (`proto/KEY_EXPORT.md`): lines of text, one encoding only, its sum checked
//! before anything else and its MAC before any key is opened.

use std::fmt::Write as _;

use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{KeyPurpose, unwrap, wrap};
use crate::crypto::mac::TAG_LEN;
use crate::id::{KeyId, ServerId};
use crate::secret::{ExportSecret, GatewayKey, ServerKey};
use crate::time::UnixMillis;

/// Bytes of the longest export.
pub const MAX_FILE_LEN: usize = 512 << 10;
const FIRST_LINE: &str = "-----BEGIN PORTCULLIS KEY EXPORT-----";
const LAST_LINE: &str = "-----END PORTCULLIS KEY EXPORT-----";
const VERSION: &str = "1";
/// 9999-12-31: no clock of ours shows a later time.
const LATEST: u64 = 253_402_300_799_999;

/// Why a file gives no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportFileError {
    /// Longer than any export.
    #[error("the file is longer than {} KiB, which no export is", MAX_FILE_LEN >> 10)]
    TooLong,
    /// Something else.
    #[error(
        "the file is no export of keys: `portcullis key export` makes one, which begins with `{FIRST_LINE}`"
    )]
    NotAnExport,
    /// Its sum is wrong.
    #[error(
        "the export was cut short or changed since it was written: take another copy of it (its own checksum says so, whatever the passphrase)"
    )]
    Damaged,
    /// A later program wrote it.
    #[error(
        "the export has version {0}, and this program knows version {VERSION}: install a newer version of the program"
    )]
    LaterVersion(String),
    /// Its sum is right, and yet it is none that a program of ours writes.
    #[error(
        "the export makes no sense in line {0}, though its checksum is right: it was not written by this program"
    )]
    Malformed(usize),
    /// There is none.
    #[error("the export is protected by a passphrase: give it")]
    PassphraseNeeded,
    /// It opens without.
    #[error(
        "the export is not protected by a passphrase: it was made with --unprotected-under-the-public-default-key, so consider its keys known to whoever had the file; import it without a passphrase"
    )]
    NoPassphrase,
    /// Another one was given.
    #[error("the passphrase is not the one of this export (the file itself is whole)")]
    WrongPassphrase,
    /// Its sum and passphrase are right, its MAC is not.
    #[error(
        "the export was forged: the passphrase is right and so is the checksum, but not the MAC; nothing in it can be trusted"
    )]
    Forged,
    /// A key that no program of ours makes.
    #[error("key {0} of the export is weak or malformed: nothing was imported")]
    WeakKey(KeyId),
}

/// How a key stood in the repository that it was exported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It was in use for what is new.
    Current,
    /// Another one had taken its place.
    Retired,
    /// It was refused, as it may have been stolen. Gateway keys only.
    Compromised,
    /// It was never to be sent again: its rotation was rolled back. Gateway keys only.
    Withdrawn,
}

impl KeyState {
    const ALL: [Self; 4] = [
        Self::Current,
        Self::Retired,
        Self::Compromised,
        Self::Withdrawn,
    ];

    /// Its word in an export.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Retired => "retired",
            Self::Compromised => "compromised",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What an export says of a key in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// What it is for.
    pub purpose: KeyPurpose,
    /// Its id.
    pub id: KeyId,
    /// How it stood.
    pub state: KeyState,
    /// When it was made.
    pub created: UnixMillis,
    /// When another took its place; `None`: none did, or it never was the current one.
    pub retired: Option<UnixMillis>,
}

/// A key with its bytes.
#[derive(Clone)]
pub struct OpenKey {
    /// What the export says of it.
    pub entry: KeyEntry,
    /// The key.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenKey({:?}, [redacted])", self.entry)
    }
}

/// A key as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WrappedKey {
    entry: KeyEntry,
    wrapped: Vec<u8>,
}

/// An export, read and not yet opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    server_id: ServerId,
    created: UnixMillis,
    /// PBES2 in DER; `None`: the default key opens it.
    encrypted: Option<Vec<u8>>,
    keys: Vec<WrappedKey>,
    mac: [u8; TAG_LEN],
}

impl ExportFile {
    /// Makes an export of `keys` under `secret`, which `encrypted` (PBES2 in DER; `None`: the
    /// default key) gives again.
    pub fn seal(
        server_id: ServerId,
        created: UnixMillis,
        encrypted: Option<Vec<u8>>,
        secret: &ExportSecret,
        keys: &[OpenKey],
    ) -> Self {
        let keys = keys.iter().map(|key| WrappedKey {
            entry: key.entry,
            wrapped: wrap(secret, key.entry.purpose, key.entry.id, &key.bytes),
        });
        let mut file = Self {
            server_id,
            created,
            encrypted,
            keys: keys.collect(),
            mac: [0; TAG_LEN],
        };
        let authenticated = file.authenticated();
        file.mac = secret.mac_key().tag(&[authenticated.as_bytes()]).to_bytes();
        file
    }

    /// Reads a file: whole, of this version, and of sense. No passphrase is needed for that.
    ///
    /// # Errors
    /// [`ExportFileError`].
    pub fn parse(content: &[u8]) -> Result<Self, ExportFileError> {
        if content.len() > MAX_FILE_LEN {
            return Err(ExportFileError::TooLong);
        }
        if !content.starts_with(FIRST_LINE.as_bytes()) {
            return Err(ExportFileError::NotAnExport);
        }
        let text = std::str::from_utf8(content).map_err(|_| ExportFileError::Damaged)?;
        let summed = check_sum(text).ok_or(ExportFileError::Damaged)?;
        let mut lines = Lines::new(summed);
        lines.literal(FIRST_LINE)?;
        let version = lines.field("version")?;
        if version != VERSION {
            return Err(ExportFileError::LaterVersion(version.to_owned()));
        }
        let server_id = lines.field("server")?.parse();
        let server_id = server_id.map_err(|_| lines.malformed())?;
        let created = time(lines.field("created")?).ok_or_else(|| lines.malformed())?;
        let encrypted = match lines.field("protection")?.split_once(' ') {
            None => None,
            Some(("pbe", der)) => Some(base64(der).ok_or_else(|| lines.malformed())?),
            Some(_) => return Err(lines.malformed()),
        };
        let mut keys: Vec<WrappedKey> = Vec::new();
        let mac = loop {
            let (name, rest) = lines.any()?;
            match name {
                "key" => {
                    let key = wrapped_key(rest).ok_or_else(|| lines.malformed())?;
                    if keys.iter().any(|other| other.entry.id == key.entry.id) {
                        return Err(lines.malformed());
                    }
                    keys.push(key);
                }
                // Whole: a shorter one would be compared with the first bytes only.
                "mac" => {
                    let mac = base64(rest).and_then(|mac| mac.try_into().ok());
                    break mac.ok_or_else(|| lines.malformed())?;
                }
                _ => return Err(lines.malformed()),
            }
        };
        let file = Self {
            server_id,
            created,
            encrypted,
            keys,
            mac,
        };
        // One encoding only: what reads alike and is not written alike is refused.
        if file.to_text() != text {
            return Err(lines.malformed());
        }
        Ok(file)
    }

    /// Opens every key in it with the secret that [`Self::encrypted`] holds; where it holds none,
    /// with [`ExportSecret::public_default`].
    ///
    /// # Errors
    /// [`ExportFileError`].
    pub fn open(&self, secret: &ExportSecret) -> Result<Vec<OpenKey>, ExportFileError> {
        secret
            .mac_key()
            .verify(&[self.authenticated().as_bytes()], &self.mac)
            .map_err(|_| ExportFileError::Forged)?;
        self.keys.iter().map(|key| open_key(secret, key)).collect()
    }

    /// Its secret under a passphrase: PBES2 in DER.
    pub fn encrypted(&self) -> Option<&[u8]> {
        self.encrypted.as_deref()
    }

    /// Does it open with a passphrase only?
    pub const fn needs_passphrase(&self) -> bool {
        self.encrypted.is_some()
    }

    /// The server that it came from.
    pub const fn server_id(&self) -> ServerId {
        self.server_id
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = self.authenticated();
        line(&mut text, "mac", &BASE64.encode(&self.mac));
        let sum = HEXLOWER.encode(&Sha256::digest(&text));
        line(&mut text, "sum", &sum);
        text.push_str(LAST_LINE);
        text.push('\n');
        text
    }

    /// What the MAC is over: all lines before its own.
    fn authenticated(&self) -> String {
        let mut text = String::from(FIRST_LINE);
        text.push('\n');
        line(&mut text, "version", VERSION);
        line(&mut text, "server", &self.server_id.to_string());
        line(&mut text, "created", &self.created.0.to_string());
        let protection = match &self.encrypted {
            Some(der) => format!("pbe {}", BASE64.encode(der)),
            None => "default".to_owned(),
        };
        line(&mut text, "protection", &protection);
        for key in &self.keys {
            let entry = key.entry;
            let retired = entry
                .retired
                .map_or_else(|| "-".to_owned(), |time| time.0.to_string());
            let value = format!(
                "{} {} {} {} {retired} {}",
                entry.purpose.name(),
                entry.id,
                entry.state.name(),
                entry.created.0,
                BASE64.encode(&key.wrapped)
            );
            line(&mut text, "key", &value);
        }
        text
    }
}

fn open_key(secret: &ExportSecret, key: &WrappedKey) -> Result<OpenKey, ExportFileError> {
    let KeyEntry { purpose, id, .. } = key.entry;
    let bytes = unwrap(secret, purpose, id, &key.wrapped).map_err(|_| ExportFileError::Forged)?;
    let sound = match purpose {
        KeyPurpose::Server => ServerKey::from_bytes(id.kind(), &bytes).is_ok(),
        KeyPurpose::Gateway => GatewayKey::from_bytes(id.kind(), &bytes).is_ok(),
    };
    if !sound || id == KeyId::DEFAULT {
        return Err(ExportFileError::WeakKey(id));
    }
    Ok(OpenKey {
        entry: key.entry,
        bytes,
    })
}

/// The text before the sum, where it is followed by its sum, the last line, and nothing else.
fn check_sum(text: &str) -> Option<&str> {
    let rest = text.strip_suffix('\n')?.strip_suffix(LAST_LINE)?;
    let at = rest.strip_suffix('\n')?.rfind('\n')? + 1;
    let (summed, sum) = rest.split_at_checked(at)?;
    let sum = sum.strip_prefix("sum ")?.strip_suffix('\n')?;
    (HEXLOWER.encode(&Sha256::digest(summed)) == sum).then_some(summed)
}

fn wrapped_key(text: &str) -> Option<WrappedKey> {
    let mut words = text.split(' ');
    let mut word = || words.next();
    let purpose = KeyPurpose::from_name(word()?)?;
    let id = word()?.parse().ok()?;
    let state = KeyState::from_name(word()?)?;
    let created = time(word()?)?;
    let retired = match word()? {
        "-" => None,
        text => Some(time(text)?),
    };
    let wrapped = base64(word()?)?;
    let of_server = purpose == KeyPurpose::Server;
    if of_server && matches!(state, KeyState::Compromised | KeyState::Withdrawn) {
        return None;
    }
    word().is_none().then_some(WrappedKey {
        entry: KeyEntry {
            purpose,
            id,
            state,
            created,
            retired,
        },
        wrapped,
    })
}

fn time(text: &str) -> Option<UnixMillis> {
    let millis = text.parse().ok()?;
    (millis <= LATEST).then_some(UnixMillis(millis))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{name} {value}");
}

/// The lines, and the number of the one read last, from 1.
struct Lines<'a> {
    lines: std::str::Lines<'a>,
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            lines: text.lines(),
            number: 0,
        }
    }

    fn malformed(&self) -> ExportFileError {
        ExportFileError::Malformed(self.number)
    }

    fn next(&mut self) -> Result<&'a str, ExportFileError> {
        self.number += 1;
        self.lines.next().ok_or_else(|| self.malformed())
    }

    fn literal(&mut self, text: &str) -> Result<(), ExportFileError> {
        if self.next()? == text {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    /// A name, and what stands after it.
    fn any(&mut self) -> Result<(&'a str, &'a str), ExportFileError> {
        self.next()?.split_once(' ').ok_or_else(|| self.malformed())
    }

    fn field(&mut self, name: &str) -> Result<&'a str, ExportFileError> {
        match self.any()? {
            (found, value) if found == name => Ok(value),
            _ => Err(self.malformed()),
        }
    }
}
