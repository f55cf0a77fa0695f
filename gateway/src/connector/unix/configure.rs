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
    policy.marker = section.boolean("marker").unwrap_or(false);
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
    if is_system_folder(&policy.home_base) {
        section.problem(
            "home_base",
            format!(
                "`{}` belongs to the system: whatever lies in it would be taken for a home directory",
                policy.home_base.display()
            ),
        );
        return None;
    }
    match Unix::new(policy, scheme?) {
        Ok(unix) => Some(Arc::new(unix)),
        Err(failure) => {
            section.problem("type", failure.message);
            None
        }
    }
}

/// The root, and the folders of the Filesystem Hierarchy Standard that hold the system.
fn is_system_folder(folder: &Path) -> bool {
    const WHOLE: [&str; 12] = [
        "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys",
    ];
    const THEMSELVES: [&str; 11] = [
        "/",
        "/media",
        "/mnt",
        "/opt",
        "/srv",
        "/tmp",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/sbin",
        "/var",
    ];
    let first = folder.components().nth(1);
    let first = first.and_then(|part| part.as_os_str().to_str());
    first.is_some_and(|first| WHOLE.contains(&first))
        || THEMSELVES.iter().any(|whole| Path::new(whole) == folder)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_of_the_system_holds_homes() {
        for folder in [
            "/", "/etc", "/usr", "/usr/", "/var", "/dev/shm", "/proc/1", "/lib64/x",
        ] {
            assert!(is_system_folder(Path::new(folder)), "{folder}");
        }
        for folder in [
            "/home",
            "/home/staff",
            "/srv/home",
            "/var/home",
            "/usr/home",
            "/data",
        ] {
            assert!(!is_system_folder(Path::new(folder)), "{folder}");
        }
    }
}
