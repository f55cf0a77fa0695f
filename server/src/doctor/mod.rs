//! `portcullis-server doctor`: whether this installation is set up and kept as it should be, with
//! the remedy for each thing that is not. It changes nothing, and may run beside the server.

mod practices;
mod stored;

use std::path::Path;

use portcullis_common::secret::locked;
use portcullis_host::doctor::{Diagnosis, examine_host};
use portcullis_host::private_files;

use crate::config::{Config, SecretSource};
use crate::serve::Unlocked;
use crate::serve::lock::DataDirLock;

/// Bytes that are to be free for the repository and for the head file.
const LEAST_FREE: u64 = 1 << 30;
const LEAST_FREE_HEAD: u64 = 16 << 20;

/// Looks at all that can be looked at from this host.
pub(crate) async fn examine(config: &Config, file: &Path) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    configuration(config, file, &mut diagnosis);
    files(config, &mut diagnosis);
    practices::examine(config, &mut diagnosis);
    portcullis_tls::examine(config.tls.as_ref(), &mut diagnosis);
    examine_host(&mut diagnosis);
    diagnosis.tried(
        "locked memory",
        locked::check(),
        "keys are never swapped out",
    );
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

fn files(config: &Config, diagnosis: &mut Diagnosis) {
    let mut private = vec![config.data_dir.clone(), config.repository_file()];
    if let SecretSource::File(secret) = &config.secret {
        private.push(secret.clone());
    }
    private.extend(config.audit.head_file.parent().map(Path::to_owned));
    for path in &private {
        let found = private_files::check_private(path);
        let fine = format!("only this user reaches {}", path.display());
        diagnosis.tried("permissions", found, fine);
    }
    diagnosis.disk("disk", &config.data_dir, LEAST_FREE);
    if let Some(folder) = config.audit.head_file.parent() {
        diagnosis.disk("disk", folder, LEAST_FREE_HEAD);
    }
}
