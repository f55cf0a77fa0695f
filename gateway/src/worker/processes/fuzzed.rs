//! A worker that is given the bytes of one connection, for its fuzz target.

use std::path::Path;
use std::time::Duration;

use portcullis_host::users::User;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, watch};

use super::serving::Serving;
use crate::config::Config;
use crate::connectors::Connectors;
use crate::worker::{OwnLog, Provisioner};

/// The version whose orders it takes.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A worker `default` with a connector `host` of type `script`.
#[derive(Debug)]
pub struct Worker {
    connectors: Connectors,
}

impl Worker {
    /// With the scripts in this folder.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(scripts: &Path) -> Result<Self, String> {
        let text = format!("[connectors.host]\ntype = \"script\"\nfolder = {scripts:?}\n");
        let read = Config::parse(Path::new("gateway.toml"), &text);
        let read = read.and_then(|config| Connectors::from_config(&config.connectors));
        let connectors = read.map_err(|problems| format!("{problems:?}"))?;
        Ok(Self { connectors })
    }

    /// All that it answers to these bytes. Whoever sent them waits then, or is `gone`, and may be
    /// answered nothing.
    ///
    /// # Errors
    /// There is no runtime.
    pub fn answers(&self, bytes: &[u8], gone: bool) -> std::io::Result<Vec<u8>> {
        // What the order begins ends with it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let (reloads, _) = mpsc::channel(1);
        // It stops, so that no order waits for that.
        let (_, stopping) = watch::channel(false);
        let serving = Serving {
            provisioner: Provisioner::new(&self.connectors, 4, Duration::from_secs(5)),
            instance: "default".to_owned(),
            front: User { uid: 0, gid: 0 },
            calls: 4,
            journal: "journal".into(),
            spans: None,
            log: Some(OwnLog::default()),
            reloads,
            stopping,
        };
        let mut answers = Vec::new();
        runtime.block_on(async {
            if gone {
                let mut reader = bytes;
                serving.take_order(&mut reader, &mut answers).await;
            } else {
                let (waits, _open) = tokio::io::simplex(1);
                let mut reader = bytes.chain(waits);
                serving.take_order(&mut reader, &mut answers).await;
            }
        });
        Ok(answers)
    }
}
