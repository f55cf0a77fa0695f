//! TLS around the links: to whom it is compulsory, and whose certificate is shown.

use std::path::Path;

use portcullis_host::private_files;
use portcullis_tls::{Around, Side, Transport};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::Fleet;
use super::establish::LinkError;
use crate::repository::Gateway;

/// TLS as this side has it, not set up yet.
pub fn around() -> Around {
    Around::none(Side::Server, |path, longest| {
        private_key(path, longest, private_files::this_user())
    })
}

impl Fleet {
    /// TLS around the links.
    pub fn tls(&self) -> &Around {
        &self.inner.settings.tls
    }

    /// Puts TLS around a connection that was dialled, where it is compulsory.
    pub(super) async fn around_dialled(
        &self,
        io: TcpStream,
        gateway: &Gateway,
        deadline: Instant,
    ) -> Result<Transport, LinkError> {
        if !gateway.require_tls && !self.tls().requires() {
            return Ok(Transport::Plain(io));
        }
        let dialling = self.tls().dial_gateway(io, &gateway.name);
        match timeout_at(deadline, dialling).await {
            Ok(dialled) => Ok(dialled?),
            Err(_) => Err(LinkError::TlsTimeout(self.inner.settings.limits.handshake)),
        }
    }
}

/// Whether a connection over which somebody named himself as this gateway may be its.
pub(super) fn fits(io: &Transport, gateway: &Gateway) -> Result<(), LinkError> {
    if gateway.require_tls && !io.is_tls() {
        return Err(LinkError::TlsRequired);
    }
    Ok(io.check_gateway(&gateway.name)?)
}

/// A private key of at most so many bytes, from a file that `user` alone reaches.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn private_key(path: &Path, longest: usize, user: u32) -> Result<Zeroizing<Vec<u8>>, String> {
    private_files::check_private_to(path, user).map_err(|error| error.to_string())?;
    private_files::read_bounded(path, longest)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}
