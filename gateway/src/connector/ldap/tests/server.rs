//! A server of LDAP that answers as a test says, whatever is asked.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use data_encoding::HEXLOWER;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindResponse, LdapMsg, LdapOp, LdapPartialAttribute, LdapResult, LdapResultCode,
    LdapSearchResultEntry,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::{Decoder as _, Encoder as _};

use crate::config::Config;
use crate::connector::{Connector, Context};
use crate::connectors::Connectors;
use crate::model::CallId;

/// What is sent on a request.
pub(super) enum Reply {
    /// A message.
    Message(LdapMsg),
    /// Any bytes.
    Raw(Vec<u8>),
    /// The end of the connection.
    Close,
}

/// What the server answers to requests.
type Script = dyn Fn(&LdapMsg) -> Vec<Reply> + Send + Sync;

/// A server that lies, and the connector on it.
pub(super) struct Hostile {
    pub(super) connector: Arc<dyn Connector>,
}

impl Hostile {
    /// Answers as the script says.
    pub(super) async fn new(
        script: impl Fn(&LdapMsg) -> Vec<Reply> + Send + Sync + 'static,
    ) -> Self {
        let (acceptor, pin) = acceptor();
        let address = listen(acceptor, Arc::new(answering_binds(script))).await;
        let more = format!("certificate_sha256 = [\"{pin}\"]");
        Self {
            connector: connector(&format!("ldaps://{address}"), &more),
        }
    }

    /// The same, behind a first server that is silent on each bind, and counts them.
    pub(super) async fn behind_a_silent_one(
        script: impl Fn(&LdapMsg) -> Vec<Reply> + Send + Sync + 'static,
    ) -> (Self, Arc<AtomicUsize>) {
        let binds = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&binds);
        let silent = move |request: &LdapMsg| {
            if matches!(request.op, LdapOp::BindRequest(_)) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Vec::new()
        };
        let (acceptor, pin) = acceptor();
        let first = listen(acceptor.clone(), Arc::new(silent)).await;
        let second = listen(acceptor, Arc::new(answering_binds(script))).await;
        let more = format!("certificate_sha256 = [\"{pin}\"]");
        let servers = format!("ldaps://{first}\", \"ldaps://{second}");
        let hostile = Self {
            connector: connector(&servers, &more),
        };
        (hostile, binds)
    }
}

/// TLS under a fresh certificate, with its pin.
fn acceptor() -> (TlsAcceptor, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let pin = HEXLOWER.encode(&Sha256::digest(certificate.der()));
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), pin)
}

async fn listen(acceptor: TlsAcceptor, script: Arc<Script>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.15.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, &*script).await;
                }
            });
        }
    });
    address
}

/// Lets everybody in, and has a root that says nothing; what else is asked, a script answers.
fn answering_binds(
    script: impl Fn(&LdapMsg) -> Vec<Reply> + Send + Sync + 'static,
) -> impl Fn(&LdapMsg) -> Vec<Reply> + Send + Sync + 'static {
    move |message| match &message.op {
        LdapOp::BindRequest(_) => vec![said(
            message,
            LdapOp::BindResponse(LdapBindResponse::new_success("")),
        )],
        LdapOp::SearchRequest(search) if search.base.is_empty() => vec![done(message)],
        _ => script(message),
    }
}

/// A server that answers the first bytes that come with these, and listens on; with all that came.
pub(super) async fn in_the_clear(answer: Vec<u8>) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.15.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let came = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, came) = (answer.clone(), Arc::clone(&came));
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                let mut answered = false;
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    came.lock().unwrap().extend_from_slice(&bytes[..count]);
                    if !std::mem::replace(&mut answered, true) {
                        let _ = stream.write_all(&answer).await;
                    }
                }
            });
        }
    });
    (address, seen)
}

pub(super) fn connector(server: &str, more: &str) -> Arc<dyn Connector> {
    let text = format!(
        "[connectors.hostile]\ntype = \"ldap\"\nservers = [\"{server}\"]\nanswer_timeout = \"2s\"\n{more}\naccounts.base = \"ou=people,dc=x\"\n"
    );
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
    let connectors = Connectors::from_config(&config.connectors).unwrap();
    Arc::clone(&connectors.find("hostile").unwrap().connector)
}

pub(super) fn context() -> Context {
    let password = crate::model::Password::new(b"bind-secret".to_vec()).unwrap();
    Context {
        call: CallId::new("t-1").unwrap(),
        settings: [("bind_dn".to_owned(), "cn=gateway,dc=x".to_owned())].into(),
        secret_settings: [("bind_password".to_owned(), password)].into(),
        deadline: Instant::now() + Duration::from_secs(20),
        trace: Default::default(),
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: &Script) {
    let mut codec = LdapCodec::default();
    let mut input = BytesMut::new();
    loop {
        while let Ok(Some(message)) = codec.decode(&mut input) {
            if matches!(message.op, LdapOp::UnbindRequest) {
                return;
            }
            let replies = script(&message);
            for reply in replies {
                let mut output = BytesMut::new();
                match reply {
                    Reply::Message(message) => codec.encode(message, &mut output).unwrap(),
                    Reply::Raw(bytes) => output.extend_from_slice(&bytes),
                    Reply::Close => return,
                }
                if stream.write_all(&output).await.is_err() {
                    return;
                }
            }
            let _ = stream.flush().await;
        }
        if !stream
            .read_buf(&mut input)
            .await
            .is_ok_and(|count| count > 0)
        {
            return;
        }
    }
}

pub(super) fn said(request: &LdapMsg, op: LdapOp) -> Reply {
    Reply::Message(LdapMsg::new(request.msgid, op))
}

pub(super) fn result(code: LdapResultCode) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message: String::new(),
        referral: Vec::new(),
    }
}

/// The end of a search that was not cut short.
pub(super) fn done(request: &LdapMsg) -> Reply {
    said(
        request,
        LdapOp::SearchResultDone(result(LdapResultCode::Success)),
    )
}

/// An account, as the connector's searches find it.
pub(super) fn entry(name: &str) -> LdapOp {
    let attribute = |name: &str, value: &str| LdapPartialAttribute {
        atype: name.to_owned(),
        vals: vec![value.as_bytes().to_vec()],
    };
    LdapOp::SearchResultEntry(LdapSearchResultEntry {
        dn: format!("uid={name},ou=people,dc=x"),
        attributes: vec![
            attribute("uid", name),
            attribute("entryUUID", "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        ],
    })
}
