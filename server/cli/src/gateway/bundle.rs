//! What each of many gateways is set up with: a folder with its configuration, and no secret. The
//! token travels by another way, in other hands.

use std::fs;
use std::io;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use portcullis_host::private_files::{create_private_dir, create_private_file};

use super::connectors::Connectors;
use super::roster::Wanted;
use crate::error::CliError;

/// Its configuration, as it belongs into `/etc/portcullis`.
const CONFIGURATION: &str = "gateway.toml";

/// What all bundles have in common.
pub(super) struct Common {
    /// Where gateways that dial out find the server, as HOST:PORT.
    pub(super) server: Option<String>,
    /// The connectors, and what else all have in common.
    pub(super) connectors: Option<Connectors>,
    /// They may pair, and are known by their names then.
    pub(super) pairing: bool,
}

impl Common {
    /// Whether the bundles say how TLS is spoken.
    pub(super) fn has_tls(&self) -> bool {
        self.connectors.as_ref().is_some_and(Connectors::has_tls)
    }
}

/// A bundle that is not on the disk yet.
#[derive(Debug)]
pub(super) struct Bundle {
    folder: PathBuf,
    configuration: String,
}

impl Bundle {
    /// That of `gateway`, below `out`.
    ///
    /// # Errors
    /// [`CliError::Usage`] where nobody has said how it finds the server; [`CliError::File`] where
    /// another bundle lies there.
    pub(super) fn new(out: &Path, gateway: &Wanted, common: &Common) -> Result<Self, CliError> {
        let bundle = Self {
            folder: out.join(&gateway.name),
            configuration: configuration(gateway, common)?,
        };
        let file = bundle.file();
        match fs::read(&file) {
            Ok(there) if there == bundle.configuration.as_bytes() => Ok(bundle),
            // A command that was killed on its way left it behind.
            Ok(there) if there.is_empty() => Ok(bundle),
            Ok(_) => {
                let why = "it is there already, with other contents than this command would write: give another --out, or move that one away";
                Err(CliError::file("create", &file)(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    why,
                )))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(bundle),
            Err(error) => Err(CliError::file("read", &file)(error)),
        }
    }

    /// Writes it, readable by its owner alone; one that is there already has the same content.
    /// `false`: it was there. Where this fails nothing of it stays behind.
    ///
    /// # Errors
    /// [`CliError::File`].
    fn write(&self) -> Result<bool, CliError> {
        let file = self.file();
        match file.metadata() {
            Ok(there) if there.len() > 0 => return Ok(false),
            Ok(_) => fs::remove_file(&file).map_err(CliError::file("replace", &file))?,
            Err(_) => {}
        }
        create_private_dir(&self.folder)
            .map_err(CliError::file("create the folder", &self.folder))?;
        let created = create_private_file(&file, self.configuration.as_bytes());
        if created.is_err() {
            let _ = fs::remove_dir(&self.folder);
        }
        created.map_err(CliError::file("create", &file))?;
        Ok(true)
    }

    /// Takes it away again, and its folder where there is nothing else in it. What stays harms
    /// nobody: it holds no secret, and the same command takes it for its own.
    fn remove(&self) {
        let _ = fs::remove_file(self.file());
        let _ = fs::remove_dir(&self.folder);
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self) -> PathBuf {
        self.folder.join(CONFIGURATION)
    }
}

/// Writes all of them, or none.
///
/// # Errors
/// [`CliError::File`], of the one that could not be written.
pub(super) fn write_all(bundles: &[&Bundle]) -> Result<(), CliError> {
    let mut written = Vec::new();
    for bundle in bundles {
        match bundle.write() {
            Ok(true) => written.push(bundle),
            Ok(false) => {}
            Err(error) => {
                written.into_iter().for_each(|bundle| bundle.remove());
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Names and addresses were checked before: none needs to be escaped.
fn configuration(gateway: &Wanted, common: &Common) -> Result<String, CliError> {
    let Wanted { name, address, .. } = gateway;
    let mut text = format!("# The gateway {name}. It holds no secret: its token comes apart.\n");
    match address.rsplit_once(':') {
        Some((host, port)) => {
            let all = match host.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
                Ok(_) => "[::]",
                Err(_) => "0.0.0.0",
            };
            text.push_str(&format!("[listen]\naddress = \"{all}:{port}\"\n"));
        }
        None => {
            let server = common.server.as_ref().ok_or_else(|| {
                CliError::usage(
                    "gateways that dial the server have to know where it is: give --server HOST:PORT, as they reach it (its own [dial_out] listener)",
                )
            })?;
            text.push_str(&format!("[dial_out]\nserver = \"{server}\"\n"));
            if common.pairing {
                text.push_str(&format!("name = \"{name}\"\n"));
            }
        }
    }
    if let Some(connectors) = &common.connectors {
        text.push_str(&format!("\n{}\n", connectors.text().trim_end()));
    }
    Ok(text)
}
