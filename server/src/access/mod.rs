//! Who somebody is, and what they may do.

use crate::audit::Subject;
use crate::config::CapabilitySet;

/// Who calls a method. Services find it in their requests' extensions.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) subject: Subject,
    pub(crate) held: CapabilitySet,
    /// Whether the kernel said who it is.
    pub(crate) known: bool,
}

impl Caller {
    /// Whose request this is. The router writes it into every one.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        let found = request.extensions().get::<Self>();
        found.cloned().unwrap_or_else(Self::nobody)
    }

    pub(crate) fn nobody() -> Self {
        Self {
            subject: Subject::nobody(),
            held: CapabilitySet::default(),
            known: false,
        }
    }
}
