//! Why another server gave no answer, or none of the method's own.

use tonic::Status;

/// Why a request that was forwarded has no answer, or its answers no end.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Nothing of it has left this server.
    #[error("{0}: nothing was forwarded")]
    Unsent(String),
    /// The link was lost after it was sent, perhaps, and before all answers had come: it may have
    /// been carried out.
    #[error("the link to the server that holds the gateway's link was lost ({0})")]
    Lost(String),
    /// The other server refused it, or it failed there.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
}
