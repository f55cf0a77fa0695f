//! Tells in the log what becomes of the keys, whoever changed them: the server through a session,
//! or an administrator by another process.

use tokio::sync::watch;
use tracing::{info, warn};

use crate::listener::keys::Standing;

/// Tells of each change, for ever.
pub(super) async fn tell(mut changes: watch::Receiver<Standing>) {
    let mut held = *changes.borrow_and_update();
    while changes.changed().await.is_ok() {
        let now = *changes.borrow_and_update();
        log(&held, &now);
        held = now;
    }
    // No more can come.
    std::future::pending().await
}

fn log(held: &Standing, now: &Standing) {
    match (held.active, now.active) {
        (None, Some(key)) => {
            info!(name: "enrolled", %key, "enrolled: this gateway holds a master key of its own");
        }
        (Some(former), Some(key)) if former != key => {
            info!(name: "key_active", %key, replaces = %former, "the new master key is active, and the former one is forgotten");
        }
        (Some(former), None) => {
            warn!(name: "keys_forgotten", %former, "the master key is forgotten");
        }
        _ => {}
    }
    if let Some(key) = now.enrolment.filter(|_| now.enrolment != held.enrolment) {
        info!(name: "token_taken", %key, "holds an enrolment token: waiting for the server to use it");
    }
}
