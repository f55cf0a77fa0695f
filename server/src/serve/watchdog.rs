//! Tells the service manager that the server lives, for as long as it answers.

use std::io;
use std::path::Path;
use std::sync::Arc;

use portcullis_host::service_manager::ServiceManager;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{MissedTickBehavior, interval};

use crate::services::Services;

/// With which a client of HTTP/2 begins (RFC 9113, section 3.4): the preface and empty settings.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Asks the repository and the admin API at each beat that the manager wants, and tells it then.
/// An answer is enough, whatever it is: a server with a full disk or without file descriptors says
/// what is wrong with it, and a restart mends nothing. One that does not answer is dead.
pub(super) async fn beat(manager: Arc<ServiceManager>, services: Services) {
    let Some(beat) = manager.beat() else {
        return;
    };
    let socket = services.live.config().admin.socket.clone();
    let mut beats = interval(beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let read = services.repository.database().meta().server_id().await;
        let greeted = greet(&socket).await;
        tracing::trace!(repository = read.is_ok(), api = greeted.is_ok(), "alive");
        manager.alive();
    }
}

/// Connects to the admin API, and waits for the first byte that it sends.
async fn greet(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(GREETING).await?;
    stream.read_u8().await.map(drop)
}
