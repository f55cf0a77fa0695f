//! TLS 1.3 around the sealed channel, where a site wants it, for either way of dialling.
//!
//! The channel inside stays as it is, and leans on nothing here. There are two authorities, one for
//! servers and one for gateways. Each side believes the other side's alone, and takes a certificate
//! only where its extended key usage says what its holder is: *serverAuth* a server, *clientAuth* a
//! gateway, whoever of them dialled (RFC 5280, section 4.2.1.12). Both always show one.
//!
//! Who dials speaks first, with or without TLS, so that whoever listens knows by the first byte
//! which it is ([`Around::receive`]).
#![forbid(unsafe_code)]

mod around;
mod error;
mod examine;
mod expiry;
mod files;
mod pem;
mod settings;
mod transport;
mod verifier;

use std::fmt;

pub use around::Around;
pub use error::TlsError;
pub use examine::examine;
pub use expiry::{Expiry, expiries};
pub use files::{ReadKey, check};
pub use pem::FilesError;
pub use settings::Settings;
pub use transport::Transport;

/// Which end of the channel a program is, whoever dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The central server.
    Server,
    /// A gateway.
    Gateway,
}

impl Side {
    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Server => Self::Gateway,
            Self::Gateway => Self::Server,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Gateway => "gateway",
        })
    }
}

#[cfg(test)]
mod tests;
