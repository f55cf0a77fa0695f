//! Whom a call is for.

use portcullis_common::id::GatewayId;

use super::CallError;
use super::link::Link;

/// The gateway that a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    name: String,
    /// `None`: whichever is registered under the name.
    id: Option<GatewayId>,
    /// `None`: over whichever link there is.
    session: Option<[u8; 8]>,
}

impl Recipient {
    /// One registration of a gateway alone. What holds secrets that are bound to a registration
    /// goes there and nowhere else, whoever bears the name by the time it is sent.
    pub fn registration(name: &str, id: GatewayId) -> Self {
        Self {
            name: name.to_owned(),
            id: Some(id),
            session: None,
        }
    }

    /// The same over this session alone: what is sent rests on what the gateway said there.
    #[must_use]
    pub const fn through(mut self, session: [u8; 8]) -> Self {
        self.session = Some(session);
        self
    }

    /// The gateway's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registration, where it is for one alone.
    pub const fn id(&self) -> Option<GatewayId> {
        self.id
    }

    /// # Errors
    /// [`CallError::OtherRegistration`] where the link is to another gateway,
    /// [`CallError::OtherSession`] where it is another one than that which is meant.
    pub(super) fn check(&self, link: &Link) -> Result<(), CallError> {
        if self.id.is_some_and(|id| id != link.gateway_id()) {
            return Err(CallError::OtherRegistration {
                gateway: self.name.clone(),
            });
        }
        let session = link.info().session_id;
        if self.session.is_some_and(|meant| meant != session) {
            return Err(CallError::OtherSession {
                gateway: self.name.clone(),
            });
        }
        Ok(())
    }
}

impl From<&str> for Recipient {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: None,
            session: None,
        }
    }
}
