//! Reads the connector's own section of the configuration.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Unix;
use super::password::Scheme;
use super::policy::Policy;
use crate::config::Section;
use crate::connector::Connector;

/// Reads the connector's own keys; what is wrong becomes a problem of the section.
pub fn configure(name: &str, section: &mut Section<'_>) -> Option<Arc<dyn Connector>> {
    let mut policy = Policy::new(name, Path::new("/"));
    let prefix = folder(section, "prefix", "/");
    let home_base = folder(section, "home_base", "/home");
    policy.create_home = section.boolean("create_home").unwrap_or(true);
    policy.remove_home = section.boolean("remove_home").unwrap_or(false);
    policy.allowed_shells = section.list("allowed_shells", |shell| {
        if shell.starts_with('/') && !shell.contains(':') && !shell.chars().any(char::is_control) {
            Ok(shell.to_owned())
        } else {
            Err("the absolute path of a shell is allowed".to_owned())
        }
    });
    let scheme = match section.text("password_hash") {
        None => Some(Scheme::default()),
        Some(name) => {
            let scheme = Scheme::from_name(name);
            if scheme.is_none() {
                section.problem(
                    "password_hash",
                    format!("`{name}`: `yescrypt` and `sha512` are allowed"),
                );
            }
            scheme
        }
    };
    policy.prefix = prefix?;
    policy.home_base = home_base?;
    match Unix::new(policy, scheme?) {
        Ok(unix) => Some(Arc::new(unix)),
        Err(failure) => {
            section.problem("type", failure.message);
            None
        }
    }
}

fn folder(section: &mut Section<'_>, key: &str, default: &str) -> Option<PathBuf> {
    let path = PathBuf::from(section.text(key).unwrap_or(default));
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain {
        return Some(path);
    }
    section.problem(key, "an absolute path without `..` is allowed");
    None
}
