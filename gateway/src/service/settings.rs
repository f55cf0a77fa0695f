//! The settings that a gateway is set up with, as the text of its configuration. It is written
//! once: what an administrator makes of it is never overwritten.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use portcullis_host::names::{AddressError, host_port};

use super::instance::Instance;
use crate::config::DEFAULT_PORT;

/// Who dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The server dials this gateway here.
    Listen(SocketAddr),
    /// This gateway dials the server, at HOST:PORT.
    Server(String),
}

/// Why there are no such settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Both ways to dial.
    #[error(
        "either the server dials this gateway or this gateway dials the server: give the server's address or one to listen on, not both"
    )]
    Both,
    /// The server's address.
    #[error(
        "`{text}` is no address of a server: {source}; give HOST:PORT, such as central.example.com:9279"
    )]
    Server {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: AddressError,
    },
    /// The address to listen on.
    #[error(
        "`{0}` is no address to listen on: give IP:PORT, such as 0.0.0.0:9278, or a port alone"
    )]
    Listen(String),
    /// A path that no configuration can hold.
    #[error("{0} cannot be written into a configuration: give a path without control characters")]
    Path(String),
}

impl Dialled {
    /// What an administrator gave; an empty text is as none. Where neither is given the gateway
    /// listens, as it does by default.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(server: &str, listen: &str) -> Result<Self, SettingsError> {
        match (server, listen) {
            ("", "") => Ok(Self::Listen(SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)))),
            ("", listen) => {
                let port = listen.parse().ok().filter(|port| *port > 0);
                port.map(|port| SocketAddr::from(([0, 0, 0, 0], port)))
                    .or_else(|| listen.parse().ok())
                    .map(Self::Listen)
                    .ok_or_else(|| SettingsError::Listen(listen.to_owned()))
            }
            (server, "") => {
                host_port(server, None)
                    .map(Self::Server)
                    .map_err(|source| SettingsError::Server {
                        text: server.to_owned(),
                        source,
                    })
            }
            _ => Err(SettingsError::Both),
        }
    }
}

/// What a gateway is set up with.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Which gateway.
    pub instance: &'a Instance,
    /// Who dials.
    pub dialled: &'a Dialled,
    /// The folder of scripts for the host's own accounts, and PowerShell, which runs them.
    pub local_accounts: Option<(&'a Path, &'a Path)>,
}

impl Settings<'_> {
    /// The configuration.
    ///
    /// # Errors
    /// [`SettingsError::Path`].
    pub fn text(&self) -> Result<String, SettingsError> {
        let mut text = format!(
            "# The settings of this gateway, as it was set up with them. The sample gateway.toml has every key and its default.\n\
             # `portcullis-gateway validate` checks this file; neither an upgrade nor another installation changes it.\n\
             instance = \"{}\"\nstate_dir = {}\n\n",
            self.instance.name(),
            quoted(&self.instance.state_dir())?,
        );
        // Writing to a string cannot fail.
        let _ = match self.dialled {
            Dialled::Listen(address) => writeln!(text, "[listen]\naddress = \"{address}\""),
            Dialled::Server(server) => writeln!(text, "[dial_out]\nserver = \"{server}\""),
        };
        match self.local_accounts {
            Some((folder, powershell)) => {
                let _ = writeln!(
                    text,
                    "\n# The accounts and groups of this host.\n[connectors.local]\ntype = \"script\"\nfolder = {}\npowershell = {}\n\n\
                     [connectors.local.guard_rails]\nprotected_groups = [\"Administrators\"]",
                    quoted(folder)?,
                    quoted(powershell)?,
                );
            }
            None => text.push_str(
                "\n# Put this gateway's connectors here, then: portcullis-gateway reload\n# [connectors.NAME]\n# type = \"script\"\n",
            ),
        }
        Ok(text)
    }
}

/// A path as a basic string of TOML.
fn quoted(path: &Path) -> Result<String, SettingsError> {
    let text = path
        .to_str()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or_else(|| SettingsError::Path(path.display().to_string()))?;
    Ok(format!(
        "\"{}\"",
        text.replace('\\', r"\\").replace('"', "\\\"")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Dial};

    #[test]
    fn an_address_that_nobody_gave_is_the_default_one() {
        for (server, listen, wanted) in [
            ("", "", Dialled::Listen("0.0.0.0:9278".parse().unwrap())),
            ("", "9300", Dialled::Listen("0.0.0.0:9300".parse().unwrap())),
            (
                "",
                "[::]:9278",
                Dialled::Listen("[::]:9278".parse().unwrap()),
            ),
            (
                "central.example.com:9279",
                "",
                Dialled::Server("central.example.com:9279".into()),
            ),
        ] {
            assert_eq!(Dialled::read(server, listen).unwrap(), wanted);
        }
    }

    #[test]
    fn an_address_that_cannot_be_dialled_is_refused_in_words() {
        for (server, listen, said) in [
            ("central.example.com", "", "the port is missing"),
            ("central.example.com:0", "", "the port is no number"),
            ("no host:9279", "", "neither a name nor an IP address"),
            ("", "0", "no address to listen on"),
            ("", "host:9278", "no address to listen on"),
            ("central:9279", "9278", "not both"),
        ] {
            let refused = Dialled::read(server, listen).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let instance: Instance = "branch".parse().unwrap();
        let dialled = Dialled::Server("central.example.com:9279".into());
        let folder = Path::new(r#"C:\Program Files\a "b"\accounts"#);
        let settings = |local_accounts| Settings {
            instance: &instance,
            dialled: &dialled,
            local_accounts,
        };
        let text = settings(None).text().unwrap();
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        assert_eq!(config.instance, "branch");
        assert_eq!(config.state_dir, instance.state_dir());
        let Dial::Out { server, .. } = config.dial else {
            panic!("{text}");
        };
        assert_eq!(server, "central.example.com:9279");
        assert!(config.connectors.connectors.is_empty());

        let powershell = Path::new(r"C:\Windows\powershell.exe");
        let text = settings(Some((folder, powershell))).text().unwrap();
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        let local = &config.connectors.connectors[0];
        assert_eq!(
            (local.name.as_str(), local.kind.as_str()),
            ("local", "script")
        );
        let written = format!("{:?}", local.table);
        assert!(written.contains("accounts"), "{written}");
    }

    #[cfg(windows)]
    #[test]
    fn the_accounts_of_a_host_are_a_connector_that_starts() {
        let settings = Settings {
            instance: &"".parse().unwrap(),
            dialled: &Dialled::Server("central.example.com:9279".into()),
            local_accounts: Some((
                Path::new(r"C:\Program Files\Portcullis\accounts"),
                Path::new(r"C:\Windows\powershell.exe"),
            )),
        };
        let text = settings.text().unwrap();
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        let problems = crate::connectors::Connectors::problems(&config.connectors);
        assert!(problems.is_empty(), "{problems:?}");
    }
}
