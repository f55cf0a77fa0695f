//! A sealed stream as a connection of tonic.

use std::sync::Arc;

use tonic::transport::server::Connected;

use super::{SealedStream, Session};

/// The session behind a request, for tonic handlers:
/// `request.extensions().get::<SealedConnectInfo>()`.
#[derive(Clone, Debug)]
pub struct SealedConnectInfo {
    /// The session.
    pub session: Arc<Session>,
}

impl<S> Connected for SealedStream<S> {
    type ConnectInfo = SealedConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        SealedConnectInfo {
            session: Arc::clone(self.session()),
        }
    }
}
