//! Who may do what: decided here, once for every method, before any of them is reached.

use tonic::Status;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The user id that the kernel vouches for; `None` where it does not.
    pub(super) uid: Option<u32>,
}

/// May `peer` call this method (`/portcullis.admin.v1.Gateways/Add`)?
///
/// The user that the server runs as, and root, may do everything; nobody else anything.
pub(super) fn authorize(peer: Option<&Peer>, _method: &str) -> Result<(), Status> {
    let own = rustix::process::geteuid().as_raw();
    match peer.and_then(|peer| peer.uid) {
        Some(uid) if uid == own || uid == 0 => Ok(()),
        Some(uid) => Err(Status::permission_denied(format!(
            "user {uid} may not administer this server: only user {own}, as which it runs, and root may"
        ))),
        None => Err(Status::permission_denied(
            "the system does not say which user this is: connect through the server's Unix socket",
        )),
    }
}
