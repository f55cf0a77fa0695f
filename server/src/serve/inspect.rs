//! What a start would find in its way, without starting.

use std::net::TcpListener;

use portcullis_host::private_files;

use super::lock::DataDirLock;
use super::unlocked::Inspected;
use super::{ServeError, Unlocked};
use crate::audit::{Dispute, HeadFile};
use crate::config::Config;
use crate::fleet;
use crate::forward;
use crate::fronts::grpc::inspect_socket;
use crate::repository::{RowFault, RowsCheck};

/// Changed records that are named; the others are counted.
const MAX_NAMED: usize = 10;

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
        let Inspected {
            server_id,
            entries,
            rows,
        } = Unlocked::inspect(config).await?;
        let mut inspection = Self {
            server_id,
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
        if let Some(rows) = rows {
            inspection.records(&rows);
        }
        if let Some(tls) = &config.tls {
            fleet::around().load(Some(tls))?;
            inspection.fine.push(format!(
                "TLS            {} and its key can be used",
                tls.certificate.display()
            ));
        }
        let places = forward::inspect(&config.forward, private_files::this_user());
        inspection.warnings.extend(
            places
                .into_iter()
                .map(|(name, why)| format!("[forward.{name}] takes no audit entries: {why}")),
        );
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
        if let Some(address) = config.peers.as_ref().map(|peers| peers.listen) {
            TcpListener::bind(address).map_err(|source| ServeError::Peers { address, source })?;
            inspection
                .fine
                .push(format!("peers port     {address} is free"));
        }
        if let Some(address) = config.watch.listen {
            TcpListener::bind(address).map_err(|source| ServeError::Watch { address, source })?;
            inspection
                .fine
                .push(format!("watch port     {address} is free"));
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

    /// Tells of records that were changed, removed, put back or put in by hand.
    fn records(&mut self, rows: &RowsCheck) {
        let put_back = rows.bound == Some(false);
        if put_back {
            self.warnings
                .push(format!("the audit log takes no entries: {}", Dispute::Rows));
        }
        let named = rows.faults.iter().take(MAX_NAMED);
        self.warnings.extend(named.map(RowFault::to_string));
        let more = rows.fault_count.saturating_sub(MAX_NAMED as u64);
        if more > 0 {
            self.warnings.push(format!(
                "{more} more records were changed or put in by hand: once the server runs, `portcullis audit verify` lists them"
            ));
        }
        if rows.fault_count == 0 && !put_back {
            let count: u64 = rows.counts.iter().map(|(_, count)| count).sum();
            self.fine.push(format!(
                "records        {count} are as the server left them"
            ));
        }
    }
}
