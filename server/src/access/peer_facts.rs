//! From where a request comes, as a front knows it: facts of the connection, never what the other
//! end says of itself.

use std::fmt;
use std::net::IpAddr;

/// What is known of the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// From where it comes.
    pub address: Address,
    /// Whether it is root on this host, or the server's own user: nobody locks that one out.
    pub owner: bool,
    /// What is known of TLS; `None`: there is none.
    pub tls: Option<TlsFacts>,
}

/// What a TLS connection shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// Whether it proved a certificate of the authority for people.
    pub certificate: bool,
}

/// From where a connection comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// Nobody says.
    #[default]
    Unknown,
    /// From this host: a process of the user with this id.
    Host(u32),
    /// From the network.
    Network(IpAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Host(uid) => write!(f, "this host, uid {uid}"),
            // One address has one form, so that its failures are counted together.
            Self::Network(address) => write!(f, "{}", address.to_canonical()),
        }
    }
}
