//! The way out through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6), before a byte of the
//! channel.

#[cfg(feature = "fuzzing")]
pub mod fuzzed;

use std::io;
use std::path::Path;

use data_encoding::BASE64;
use portcullis_host::text::printable;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::config::Proxy;
use crate::connector::secret_file;

/// Bytes that a proxy's answer may have, with what it says before it (RFC 9110, section 15.2).
const MAX_ANSWER: usize = 8 * 1024;
/// Letters quoted of what a proxy said.
const MAX_QUOTED: usize = 100;
const END: &[u8] = b"\r\n\r\n";

/// Why the proxy gives no way to the server.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It cannot be reached.
    #[error("cannot reach the proxy at {proxy}: {source}; see dial_out.proxy in the configuration")]
    Connect {
        /// Its HOST:PORT.
        proxy: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file with the name and the password cannot be used.
    #[error("dial_out.proxy_credentials: {0}")]
    Credentials(String),
    /// It wants to know who asks (407).
    #[error(
        "the proxy at {proxy} asks for a name and a password (407): give them by dial_out.proxy_credentials; of its ways to ask, this program knows Basic alone, and it offers: {offers}"
    )]
    AsksWho {
        /// Its HOST:PORT.
        proxy: String,
        /// The schemes that it names.
        offers: String,
    },
    /// It knows who asks, or thinks so, and refuses them: 407 in spite of credentials; some say
    /// 401.
    #[error(
        "the proxy at {proxy} does not take the name and password in dial_out.proxy_credentials ({status}), by which this program answers Basic alone; it offers: {offers}"
    )]
    WrongCredentials {
        /// Its HOST:PORT.
        proxy: String,
        /// What it said: 401 or 407.
        status: u16,
        /// The schemes that it names.
        offers: String,
    },
    /// It does not let anybody through to there (403).
    #[error(
        "the proxy at {proxy} refuses to connect to {server} (403): have it allow CONNECT to that host and port"
    )]
    Forbidden {
        /// Its HOST:PORT.
        proxy: String,
        /// The server's.
        server: String,
    },
    /// It cannot reach the server (500 to 599).
    #[error(
        "the proxy at {proxy} cannot reach {server}: `{said}`; look whether the server runs and a firewall lets the proxy through"
    )]
    Unreachable {
        /// Its HOST:PORT.
        proxy: String,
        /// The server's.
        server: String,
        /// Its status line.
        said: String,
    },
    /// Another refusal.
    #[error("the proxy at {proxy} does not connect to {server}: `{said}`")]
    Refused {
        /// Its HOST:PORT.
        proxy: String,
        /// The server's.
        server: String,
        /// Its status line.
        said: String,
    },
    /// It is none.
    #[error(
        "what answers at {proxy} is no HTTP proxy: it said `{said}`; see dial_out.proxy in the configuration"
    )]
    NoProxy {
        /// Its HOST:PORT.
        proxy: String,
        /// What it said first.
        said: String,
    },
    /// Its answer has no end.
    #[error("the answer of the proxy at {proxy} is longer than {MAX_ANSWER} bytes")]
    TooLong {
        /// Its HOST:PORT.
        proxy: String,
    },
    /// The connection to it was lost.
    #[error("the proxy at {proxy} closed the connection in place of an answer: {source}")]
    Lost {
        /// Its HOST:PORT.
        proxy: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A connection to `server` through `proxy`. The caller bounds the time.
///
/// # Errors
/// [`ProxyError`].
pub async fn connect(proxy: &Proxy, server: &str) -> Result<TcpStream, ProxyError> {
    connect_by(None, proxy, server).await
}

/// The same where the credentials are those of the user whose this folder is.
///
/// # Errors
/// [`ProxyError`].
pub async fn connect_by(
    owner_of: Option<&Path>,
    proxy: &Proxy,
    server: &str,
) -> Result<TcpStream, ProxyError> {
    let request = request(server, owner_of, proxy.credentials.as_deref())?;
    let mut io =
        TcpStream::connect(&proxy.address)
            .await
            .map_err(|source| ProxyError::Connect {
                proxy: proxy.address.clone(),
                source,
            })?;
    let lost = |source| ProxyError::Lost {
        proxy: proxy.address.clone(),
        source,
    };
    io.write_all(&request).await.map_err(lost)?;
    drop(request);
    answered(&mut io, proxy, server).await?;
    Ok(io)
}

/// Reads the proxy's answer, and nothing of what the server says after it. Interim answers before
/// it say nothing (RFC 9110, section 15.2), and count for its length.
async fn answered(
    io: &mut (impl AsyncRead + Unpin),
    proxy: &Proxy,
    server: &str,
) -> Result<(), ProxyError> {
    let mut left = MAX_ANSWER;
    loop {
        let answer = header(io, proxy, &mut left).await?;
        if !is_interim(&answer) {
            return understand(&answer, proxy, server);
        }
    }
}

/// Reads one header, of `left` bytes at most.
async fn header(
    io: &mut (impl AsyncRead + Unpin),
    proxy: &Proxy,
    left: &mut usize,
) -> Result<Vec<u8>, ProxyError> {
    let lost = |source| ProxyError::Lost {
        proxy: proxy.address.clone(),
        source,
    };
    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(END) {
        *left = left.checked_sub(1).ok_or_else(|| ProxyError::TooLong {
            proxy: proxy.address.clone(),
        })?;
        // A byte at a time: what follows the header is the server's.
        answer.push(io.read_u8().await.map_err(lost)?);
        if !begins_as_http(&answer) {
            return Err(ProxyError::NoProxy {
                proxy: proxy.address.clone(),
                said: quoted(&answer),
            });
        }
    }
    Ok(answer)
}

/// The whole request. Wiped, for it may hold a password.
fn request(
    server: &str,
    owner_of: Option<&Path>,
    credentials: Option<&Path>,
) -> Result<Zeroizing<Vec<u8>>, ProxyError> {
    let mut request = Zeroizing::new(Vec::with_capacity(4 * 1024));
    request
        .extend_from_slice(format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n").as_bytes());
    if let Some(file) = credentials {
        let pair = secret_file::read_by(owner_of, file).map_err(ProxyError::Credentials)?;
        if !pair.expose().contains(&b':') {
            return Err(ProxyError::Credentials(format!(
                "the first line of {} is to be NAME:PASSWORD, and has no colon",
                file.display()
            )));
        }
        // RFC 7617.
        let encoded = Zeroizing::new(BASE64.encode(pair.expose()));
        request.extend_from_slice(b"Proxy-Authorization: Basic ");
        request.extend_from_slice(encoded.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    Ok(request)
}

fn begins_as_http(answer: &[u8]) -> bool {
    const HTTP: &[u8] = b"HTTP/1.";
    let length = answer.len().min(HTTP.len());
    answer.get(..length) == HTTP.get(..length)
}

/// Whether another answer follows. After 101 another protocol would: nobody asked for one.
fn is_interim(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let first = text.split("\r\n").next().unwrap_or_default();
    status(first).is_some_and(|status| status != 101 && status < 200)
}

/// The number in a line like `HTTP/1.1 200 Connection established`.
fn status(line: &str) -> Option<u16> {
    let status = line.split(' ').nth(1)?;
    let three_digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    let status = status.parse().ok()?;
    (three_digits && (100..600).contains(&status)).then_some(status)
}

fn understand(answer: &[u8], proxy: &Proxy, server: &str) -> Result<(), ProxyError> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = status(first);
    let asked = proxy.credentials.is_some();
    let (proxy, server, said) = (
        proxy.address.clone(),
        server.to_owned(),
        quoted(first.as_bytes()),
    );
    Err(match status {
        Some(200..300) => return Ok(()),
        Some(status @ (401 | 407)) if asked => ProxyError::WrongCredentials {
            proxy,
            status,
            offers: offers(lines),
        },
        Some(407) => ProxyError::AsksWho {
            proxy,
            offers: offers(lines),
        },
        Some(403) => ProxyError::Forbidden { proxy, server },
        Some(500..) => ProxyError::Unreachable {
            proxy,
            server,
            said,
        },
        Some(_) => ProxyError::Refused {
            proxy,
            server,
            said,
        },
        None => ProxyError::NoProxy { proxy, said },
    })
}

/// The schemes of the Proxy-Authenticate fields.
fn offers<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let schemes = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let scheme = value.trim().split([' ', ',']).next()?;
        name.eq_ignore_ascii_case("proxy-authenticate")
            .then(|| quoted(scheme.as_bytes()))
    });
    let schemes: Vec<_> = schemes.take(8).collect();
    if schemes.is_empty() {
        "nothing".to_owned()
    } else {
        schemes.join(", ")
    }
}

fn quoted(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes)
        .chars()
        .take(MAX_QUOTED)
        .collect();
    printable(&text)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const SERVER: &str = "central.example.com:9279";

    /// A proxy that answers every request with `answer`, and tells what it was asked.
    async fn proxy(answer: &'static [u8]) -> (Proxy, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy {
            address: listener.local_addr().unwrap().to_string(),
            credentials: None,
        };
        let asked = tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(END) {
                request.push(io.read_u8().await.unwrap());
            }
            // The client may have heard enough.
            let _ = io.write_all(answer).await;
            String::from_utf8(request).unwrap()
        });
        (proxy, asked)
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_the_servers() {
        for answer in [
            &b"HTTP/1.1 200 Connection established\r\n\r\nhello"[..],
            b"HTTP/1.0 200 OK\r\nVia: a\r\nServer: b\r\n\r\nhello",
            b"HTTP/1.1 204\r\n\r\nhello",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",
            b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 102\r\n\r\nHTTP/1.0 200\r\n\r\nhello",
        ] {
            let (proxy, asked) = proxy(answer).await;
            let mut io = connect(&proxy, SERVER).await.unwrap();
            let mut said = String::new();
            io.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, "hello");
            assert_eq!(
                asked.await.unwrap(),
                format!("CONNECT {SERVER} HTTP/1.1\r\nHost: {SERVER}\r\n\r\n")
            );
        }
    }

    #[tokio::test]
    async fn each_refusal_is_told_apart() {
        let long: &'static [u8] = [&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'a'; MAX_ANSWER]]
            .concat()
            .leak();
        let endless: &'static [u8] = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000).leak();
        for (answer, said) in [
            (
                &b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\nproxy-authenticate: Negotiate\r\n\r\n"[..],
                "it offers: Basic, Negotiate",
            ),
            (b"HTTP/1.1 407 Who\r\n\r\n", "dial_out.proxy_credentials"),
            (b"HTTP/1.1 403 Forbidden\r\n\r\n", "have it allow CONNECT"),
            (b"HTTP/1.0 503 No \x1b[31m\r\n\r\n", "cannot reach central.example.com:9279"),
            (b"HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n", "`HTTP/1.1 302 Found`"),
            (b"HTTP/1.1 abc\r\n\r\n", "no HTTP proxy"),
            (b"HTTP/1.1\r\n\r\n", "no HTTP proxy"),
            (b"HTTP/1.1 +200 OK\r\n\r\n", "no HTTP proxy"),
            (b"HTTP/1.1 0200 OK\r\n\r\n", "no HTTP proxy"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP proxy: it said `S`"),
            (b"HTTP/1.1 200 OK\r\n", "closed the connection"),
            (b"", "closed the connection"),
            (b"HTTP/1.1 101 Other\r\n\r\n", "`HTTP/1.1 101 Other`"),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\n\r\n", "have it allow CONNECT"),
            (b"HTTP/1.1 100 Continue\r\n\r\nSSH-2.0", "no HTTP proxy: it said `S`"),
            (b"HTTP/1.1 100 Continue\r\n\r\n", "closed the connection"),
            (long, "longer than 8192 bytes"),
            (endless, "longer than 8192 bytes"),
        ] {
            let (proxy, _asked) = proxy(answer).await;
            let error = connect(&proxy, SERVER).await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(error.contains(&proxy.address), "{error}");
            assert!(!error.contains('\x1b'), "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn name_and_password_come_from_a_private_file_and_stand_in_no_error() {
        use portcullis_host::private_files::create_private_file;
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy");
        create_private_file(&file, b"gate:sesame\nmore").unwrap();
        let (mut proxy, asked) =
            proxy(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Digest\r\n\r\n").await;
        proxy.credentials = Some(file.clone());
        let error = connect(&proxy, SERVER).await.unwrap_err().to_string();
        assert!(
            error.contains("does not take the name and password"),
            "{error}"
        );
        let request = asked.await.unwrap();
        assert!(
            request.contains("\r\nProxy-Authorization: Basic Z2F0ZTpzZXNhbWU=\r\n\r\n"),
            "{request}"
        );
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let loose = connect(&proxy, SERVER).await.unwrap_err().to_string();
        assert!(loose.contains("chmod 0600"), "{loose}");
        std::fs::remove_file(&file).unwrap();
        create_private_file(&file, b"sesame").unwrap();
        let colon = connect(&proxy, SERVER).await.unwrap_err().to_string();
        assert!(colon.contains("has no colon"), "{colon}");
        for error in [error, loose, colon] {
            assert!(!error.contains("sesame"), "{error}");
        }
    }
}
