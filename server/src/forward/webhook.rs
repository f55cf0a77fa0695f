//! Requests of HTTP with entries as JSON, signed with a secret that both sides know.
//!
//! `Portcullis-Signature: t=SECONDS,v1=HEX` has the time of the sending and the HMAC-SHA-256 of
//! `SECONDS.BODY` under the secret: the receiver computes it anew, and takes none that is old.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, Uri};
use http_body_util::Full;
use portcullis_common::id::ServerId;
use portcullis_host::{clock, private_files};
use portcullis_watch::post;
use rustls::pki_types::ServerName;
use serde::Serialize;
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::authorities::Authorities;
use super::record::Record;
use super::sink::SinkError;
use crate::repository::AuditEntry;

/// Longer than any secret: what is longer is not read.
const MAX_SECRET: usize = 2048;
/// *Content Too Large* (RFC 9110, section 15.5.14).
const TOO_LARGE: u16 = 413;
/// A shorter one can be guessed.
const MIN_SECRET: usize = 16;

#[derive(Debug)]
pub(super) struct Webhook {
    url: Uri,
    secret_file: PathBuf,
    authorities: Authorities,
    server: ServerId,
}

#[derive(Serialize)]
struct Body<'a> {
    entries: Vec<Record<'a>>,
}

impl Webhook {
    pub(super) fn new(
        url: Uri,
        secret_file: PathBuf,
        ca_file: Option<PathBuf>,
        server: ServerId,
    ) -> Self {
        Self {
            url,
            secret_file,
            authorities: Authorities::new(ca_file),
            server,
        }
    }

    /// The other side has said that it has them when this returns.
    pub(super) async fn send(&mut self, entries: &[&AuditEntry]) -> Result<(), SinkError> {
        let records = entries.iter().map(|entry| Record::new(self.server, entry));
        let body = Body {
            entries: records.collect(),
        };
        let body = serde_json::to_vec(&body).map_err(|error| self.unsent(error.into()))?;
        let request = self.request(body).await?;
        let status = match self.url.scheme_str() {
            Some("https") => self.over_tls(request).await?,
            _ => {
                let sent = post::send(self.connect(80).await?, request).await;
                sent.map_err(|error| self.unsent(error))?
            }
        };
        if (200..300).contains(&status) {
            return Ok(());
        }
        let to = self.place();
        match entries {
            _ if status != TOO_LARGE => Err(SinkError::Status { to, status }),
            [one] => Err(SinkError::OneTooLarge { to, seq: one.seq }),
            _ => Err(SinkError::TooLarge { to }),
        }
    }

    async fn request(&self, body: Vec<u8>) -> Result<Request<Full<Bytes>>, SinkError> {
        let file = self.secret_file.clone();
        let secret = spawn_blocking(move || secret(&file, private_files::this_user())).await;
        let secret = secret
            .map_err(|_| SinkError::Unusable("its secret could not be read".to_owned()))?
            .map_err(SinkError::Unusable)?;
        let seconds = clock::now().0 / 1_000;
        let signature = signature(&secret, seconds, &body);
        let program = concat!("portcullis-server/", env!("CARGO_PKG_VERSION"));
        post::request(&self.url, "application/json", program)
            .header(
                "portcullis-signature",
                format!("t={seconds},v1={signature}"),
            )
            .body(Full::from(body))
            .map_err(|error| SinkError::Unusable(error.to_string()))
    }

    async fn over_tls(&mut self, request: Request<Full<Bytes>>) -> Result<u16, SinkError> {
        let mut authorities = self.authorities.clone();
        let read = spawn_blocking(move || {
            let config = authorities.config();
            (authorities, config)
        });
        let unread = |_| SinkError::Unusable("its authorities could not be read".to_owned());
        let (authorities, config) = read.await.map_err(unread)?;
        self.authorities = authorities;
        let config = config.map_err(SinkError::Unusable)?;
        let host = self.url.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| SinkError::Unusable(format!("`{host}` is no name of a host")))?;
        let stream = self.connect(443).await?;
        let connecting = TlsConnector::from(config).connect(name, stream);
        let stream = match connecting.await {
            Ok(stream) => stream,
            Err(error) => {
                self.authorities.forget();
                return Err(self.unsent(error));
            }
        };
        let sent = post::send(stream, request).await;
        sent.map_err(|error| self.unsent(error))
    }

    async fn connect(&self, port: u16) -> Result<TcpStream, SinkError> {
        let connected = post::connect(&self.url, port).await;
        connected.map_err(|error| self.unsent(error))
    }

    fn unsent(&self, source: io::Error) -> SinkError {
        SinkError::Send {
            to: self.place(),
            source,
        }
    }

    /// Without path and query, in which there may be what others are not to know.
    fn place(&self) -> String {
        let scheme = self.url.scheme_str().unwrap_or_default();
        let host = self.url.authority().map_or("", |host| host.as_str());
        format!("{scheme}://{host}")
    }
}

/// Why a webhook with these files sends nothing, to a server that runs as `user`.
pub(super) fn inspect(secret_file: &Path, ca_file: Option<&Path>, user: u32) -> Result<(), String> {
    secret(secret_file, user)?;
    match ca_file {
        Some(file) => Authorities::new(Some(file.to_owned())).config().map(drop),
        None => Ok(()),
    }
}

/// Read each time: it may have been replaced. Nobody but `user` may reach it.
fn secret(file: &Path, user: u32) -> Result<Zeroizing<Vec<u8>>, String> {
    private_files::check_private_to(file, user).map_err(|error| error.to_string())?;
    let read = private_files::read_bounded(file, MAX_SECRET);
    let read = read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let secret = Zeroizing::new(read.trim_ascii().to_vec());
    if secret.len() < MIN_SECRET {
        return Err(format!(
            "the secret in {} has less than {MIN_SECRET} bytes: `openssl rand -hex 32` makes one",
            file.display()
        ));
    }
    Ok(secret)
}

fn signature(secret: &[u8], seconds: u64, body: &[u8]) -> String {
    // Every length of key is allowed.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_computes() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let expected = "e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e";
        assert_eq!(
            signature(b"0123456789abcdef", 1_700_000_000, b"{}"),
            expected
        );
    }
}
