//! `portcullis-server doctor`: whether this installation is set up and kept as it should be, with
//! the remedy for each thing that is not. It changes nothing, and may run beside the server.

mod practices;
mod stored;

use std::path::Path;

use portcullis_common::secret::locked;
use portcullis_host::doctor::{Diagnosis, examine_host};
use portcullis_host::private_files;
use portcullis_tls::Side;

use crate::config::{Config, SecretSource};
use crate::fleet;
use crate::forward;
use crate::repository::Store;
use crate::serve::Unlocked;
use crate::serve::lock::DataDirLock;

/// Bytes that are to be free for the repository and for the head file.
const LEAST_FREE: u64 = 1 << 30;
const LEAST_FREE_HEAD: u64 = 16 << 20;

/// Looks at all that can be looked at from this host.
pub(crate) async fn examine(config: &Config, file: &Path) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    configuration(config, file, &mut diagnosis);
    practices::examine(config, &mut diagnosis);
    if Unlocked::is_missing(config) {
        not_set_up(config, &mut diagnosis);
        return diagnosis;
    }
    let service = diagnosis.other_user("portcullis-server", &config.data_dir);
    let user = service.map_or_else(private_files::this_user, |service| service.user);
    if service.is_none_or(|service| service.seen) {
        files(config, user, &mut diagnosis);
    }
    examine_host(&mut diagnosis);
    diagnosis.tried(
        "locked memory",
        locked::check(),
        "keys are never swapped out",
    );
    if service.is_some() {
        return diagnosis;
    }
    match DataDirLock::is_taken(&config.data_dir) {
        Ok(true) => diagnosis.fine("server", "it is running"),
        Ok(false) => diagnosis.warning(
            "server",
            "it is not running",
            "`systemctl start portcullis-server`; its log says why it ended",
        ),
        Err(error) => diagnosis.critical("server", error.to_string(), ""),
    }
    match Unlocked::look(config).await {
        Ok(unlocked) => stored::examine(&unlocked, config, &mut diagnosis).await,
        Err(error) => diagnosis.critical(
            "repository",
            error.to_string(),
            "run the doctor as the user that the server runs as, where its secret can be read",
        ),
    }
    diagnosis
}

/// Nothing else can be told of what is not there, but of the host.
fn not_set_up(config: &Config, diagnosis: &mut Diagnosis) {
    diagnosis.warning(
        "set-up",
        format!(
            "nothing is set up here yet: there is no repository ({})",
            Store::of(config)
        ),
        "`portcullis-server init`, as the user that the server is to run as (`runuser -u portcullis -- portcullis-server init`); where there was one, mount its disk, or restore it",
    );
    examine_host(diagnosis);
}

fn configuration(config: &Config, file: &Path, diagnosis: &mut Diagnosis) {
    let shown = file.display();
    if !file.exists() {
        diagnosis.note(
            "configuration",
            format!("{shown} is not there: the defaults hold"),
            "write one where they are not what you want",
        );
    } else if config.warnings.is_empty() {
        diagnosis.fine("configuration", format!("{shown} is valid"));
    }
    for warning in &config.warnings {
        diagnosis.warning(
            "configuration",
            warning,
            "mend that line, and reload (SIGHUP)",
        );
    }
}

/// What only `user` may reach, as whom the server runs.
fn files(config: &Config, user: u32, diagnosis: &mut Diagnosis) {
    let mut private = vec![config.data_dir.clone()];
    private.extend(Store::of(config).file().map(Path::to_owned));
    if let SecretSource::File(secret) = &config.secret {
        private.push(secret.clone());
    }
    private.extend(config.audit.head_file.parent().map(Path::to_owned));
    for path in &private {
        let found = private_files::check_private_to(path, user);
        let fine = format!("only the server's user reaches {}", path.display());
        diagnosis.tried("permissions", found, fine);
    }
    for (name, why) in forward::inspect(&config.forward, user) {
        diagnosis.warning(
            "forwarding",
            format!("[forward.{name}] takes no audit entries: {why}"),
            "mend that file; nothing is lost, it is sent all once it takes them",
        );
    }
    diagnosis.disk("disk", &config.data_dir, LEAST_FREE);
    if let Some(folder) = config.audit.head_file.parent() {
        diagnosis.disk("disk", folder, LEAST_FREE_HEAD);
    }
    let key = |path: &Path, longest| fleet::private_key(path, longest, user);
    portcullis_tls::examine(Side::Server, config.tls.as_ref(), key, diagnosis);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use portcullis_host::doctor::State;

    use super::*;

    #[tokio::test]
    async fn before_the_init_one_line_says_what_to_run_and_nothing_is_called_broken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.toml");
        let data = folder.path().join("data");
        let text = format!("data_dir = {data:?}\naudit.head_file = {data:?}\n");
        fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file)).unwrap();
        for made in [false, true] {
            if made {
                // As a package leaves it.
                fs::create_dir(&data).unwrap();
            }
            let diagnosis = examine(&config, &file).await;
            let told = diagnosis.text();
            assert_eq!(diagnosis.state(), State::Warning, "{told}");
            assert!(told.contains("nothing is set up here yet"), "{told}");
            assert!(told.contains("portcullis-server init`"), "{told}");
            assert!(!told.contains("it is not running"), "{told}");
        }
    }
}
