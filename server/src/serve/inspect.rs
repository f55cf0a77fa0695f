//! What a start would find in its way, without starting.

use std::net::TcpListener;

use super::lock::DataDirLock;
use super::{ServeError, Unlocked};
use crate::audit::HeadFile;
use crate::config::Config;
use crate::fronts::grpc::inspect_socket;

/// What was found.
#[derive(Debug)]
pub struct Inspection {
    /// The repository opens: of this server.
    pub server_id: portcullis_common::id::ServerId,
    /// What was tried and works, each as a line.
    pub fine: Vec<String>,
    /// What is wrong and keeps nothing from starting.
    pub warnings: Vec<String>,
}

impl Inspection {
    /// Tries all that a start of `config` would need. Where a server runs on the same folder, its
    /// port and its socket are not tried.
    ///
    /// # Errors
    /// [`ServeError`]: why a start would fail.
    pub async fn of(config: &Config) -> Result<Self, ServeError> {
        let (unlocked, entries) = Unlocked::inspect(config).await?;
        let mut inspection = Self {
            server_id: unlocked.server_id,
            fine: Vec::new(),
            warnings: config.warnings.clone(),
        };
        let head = HeadFile::new(config.audit.head_file.clone());
        match head.inspect(entries)? {
            Some(fault) => inspection.warnings.push(fault),
            None => inspection.fine.push(format!(
                "audit head     {} fits",
                config.audit.head_file.display()
            )),
        }
        if DataDirLock::is_taken(&config.data_dir)? {
            inspection.fine.push(
                "server         is running: its port and its socket were not tried".to_owned(),
            );
            return Ok(inspection);
        }
        if let Some(address) = config.dial_out.listen {
            TcpListener::bind(address).map_err(|source| ServeError::Listen { address, source })?;
            inspection
                .fine
                .push(format!("dial-out port  {address} is free"));
        }
        let socket = &config.admin.socket;
        let faults = inspect_socket(socket, config.admin.socket_group)?;
        if faults.is_empty() {
            inspection
                .fine
                .push(format!("admin socket   {} can be had", socket.display()));
        }
        inspection.warnings.extend(faults);
        Ok(inspection)
    }
}
