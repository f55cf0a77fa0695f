//! Which of a host's gateways is meant: the name of its service on Windows, and where its settings
//! stand.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use portcullis_host::names::is_name;

use crate::config;

/// The service of the gateway that is called `default`; that of another has `-NAME` behind it.
pub const SERVICE: &str = "PortcullisGateway";
/// The gateway of a host that has one.
const DEFAULT: &str = "default";

/// The name of one gateway among others on the same host: `instance` of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance(String);

/// Not the name of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no name of an instance: 1 to 64 of A-Z a-z 0-9 . _ - are allowed, beginning with a letter or a digit"
)]
pub struct NoInstance;

impl FromStr for Instance {
    type Err = NoInstance;

    /// An empty text names the only one, as a property of an installer does that was not given.
    fn from_str(text: &str) -> Result<Self, NoInstance> {
        match text {
            "" => Ok(Self(DEFAULT.to_owned())),
            text if is_name(text) => Ok(Self(text.to_owned())),
            _ => Err(NoInstance),
        }
    }
}

impl Instance {
    /// As its configuration has it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name of its service, which is also its source in the event log.
    pub fn service(&self) -> String {
        self.beside(SERVICE)
    }

    /// What lists of services show.
    pub fn display_name(&self) -> String {
        match self.0.as_str() {
            DEFAULT => "Portcullis Gateway".to_owned(),
            name => format!("Portcullis Gateway ({name})"),
        }
    }

    /// Its configuration, where none is named.
    pub fn config_file(&self) -> PathBuf {
        let default = config::default_file();
        let stem = default.file_stem().unwrap_or_default().to_string_lossy();
        default.with_file_name(format!("{}.toml", self.beside(&stem)))
    }

    /// Its state folder, where its settings are written for it.
    pub fn state_dir(&self) -> PathBuf {
        let default = config::default_state_dir();
        let name = default.file_name().unwrap_or_default().to_string_lossy();
        let parent = default.parent().unwrap_or(Path::new(""));
        parent.join(self.beside(&name))
    }

    fn beside(&self, base: &str) -> String {
        match self.0.as_str() {
            DEFAULT => base.to_owned(),
            name => format!("{base}-{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_a_service_a_configuration_and_a_state_folder_of_its_own() {
        let default: Instance = "".parse().unwrap();
        assert_eq!(default, "default".parse().unwrap());
        assert_eq!(default.service(), "PortcullisGateway");
        assert_eq!(default.config_file(), config::default_file());
        assert_eq!(default.state_dir(), config::default_state_dir());

        let other: Instance = "branch-2".parse().unwrap();
        assert_eq!(other.service(), "PortcullisGateway-branch-2");
        assert_eq!(other.display_name(), "Portcullis Gateway (branch-2)");
        assert!(other.config_file().ends_with("gateway-branch-2.toml"));
        let state = other.state_dir();
        assert!(state.to_string_lossy().ends_with("gateway-branch-2"));
    }

    #[test]
    fn what_no_file_and_no_service_can_be_called_is_refused() {
        for text in ["a b", "-a", r"a\b", "a/b", "ä", &"a".repeat(65)] {
            assert_eq!(text.parse::<Instance>(), Err(NoInstance), "{text}");
        }
    }
}
