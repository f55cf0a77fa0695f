//! The relay's connections.

use std::io;
use std::sync::Arc;

use ldap3_proto::LdapMsg;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindResponse, LdapDerefAliases, LdapExtendedResponse, LdapFilter, LdapOp, LdapResult,
    LdapResultCode, LdapSearchRequest, LdapSearchScope,
};
use portcullis_tests::harness::OrFail as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::frame::{Frame, Kind, encode};
use super::trick::{self, Trick};
use super::windows::{self, Plan};
use super::{PORT, Shared};
use crate::{Certificate, Samba};

/// The first message id of the relay's own requests; clients count from 1.
const OWN_ID: i32 = 0x7000_0000;

/// The cookie that stands for the first page.
const AGAIN: &[u8] = b"again";

pub(super) fn acceptor(certificate: &Certificate) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).or_fail("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .or_fail("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![chain.or_fail("a certificate")], key);
    TlsAcceptor::from(Arc::new(config.or_fail("a TLS server")))
}

pub(super) fn connector(authority: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.as_bytes()).or_fail("an authority");
    roots.add(root).or_fail("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .or_fail("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

pub(super) async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    shared: Arc<Shared>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        shared.state().connections += 1;
        let (acceptor, connector) = (acceptor.clone(), connector.clone());
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            tokio::select! {
                // How a connection ends is the client's to tell.
                _ = connect(stream, acceptor, connector, Arc::clone(&shared)) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn connect(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let client = acceptor.accept(stream).await?;
    let upstream = TcpStream::connect((shared.upstream, PORT)).await?;
    let name = ServerName::try_from(Samba::NAME).map_err(io::Error::other)?;
    let upstream = connector.connect(name, upstream).await?;
    let mut relay = Relay {
        client,
        upstream,
        shared,
        own_id: OWN_ID,
    };
    while relay.one().await? {}
    Ok(())
}

struct Relay {
    client: server::TlsStream<TcpStream>,
    upstream: client::TlsStream<TcpStream>,
    shared: Arc<Shared>,
    own_id: i32,
}

impl Relay {
    /// Carries out one request; answers whether the connection stands.
    async fn one(&mut self) -> io::Result<bool> {
        let Some(request) = Frame::read(&mut self.client).await? else {
            return Ok(false);
        };
        let trick = {
            let mut state = self.shared.state();
            *state.counts.entry(request.kind).or_default() += 1;
            state.tricks.next(request.kind, request.goes_on())
        };
        match request.kind {
            Kind::Unbind => return Ok(false),
            Kind::Abandon => {
                self.upstream.write_all(&request.bytes).await?;
                self.upstream.flush().await?;
                return Ok(true);
            }
            _ => {}
        }
        match trick {
            Some(trick) if self.play(&request, &trick).await? => {
                // A client that is to be cut off gets no more than a closed connection.
                Ok(matches!(
                    trick,
                    Trick::Answer(..) | Trick::Referral(_) | Trick::DroppedCookie
                ))
            }
            trick => self.carry_out(&request, trick.as_ref()).await,
        }
    }

    /// Plays a trick that keeps the request from being carried out; answers whether it was one.
    async fn play(&mut self, request: &Frame, trick: &Trick) -> io::Result<bool> {
        let bytes = match trick {
            Trick::CutBeforeForwarding => Vec::new(),
            Trick::Nested => trick::nested(),
            Trick::Notice => trick::notice(),
            Trick::Latin1 => trick::latin1(request.id, answer_tag(request.kind)),
            Trick::Empty => vec![0x30, 0x00],
            Trick::Answer(code, text) => {
                encode(answer(request, windows::result(code.clone(), text)))?
            }
            Trick::Referral(url) => {
                let mut result = windows::result(LdapResultCode::Referral, "0000202B: RefErr");
                result.referral = vec![url.clone()];
                encode(answer(request, result))?
            }
            Trick::DroppedCookie => {
                let text = "00002121: SvcErr: DSID-031402B7, problem 5012 (DIR_ERROR), data 0";
                let result = windows::result(LdapResultCode::UnwillingToPerform, text);
                encode(answer(request, result))?
            }
            Trick::Endless => {
                self.client.write_all(&trick::ENDLESS).await?;
                // It ends when the client has had enough.
                loop {
                    self.client.write_all(&[0x30; 4096]).await?;
                }
            }
            Trick::CutBeforeAnswer | Trick::Late | Trick::SameCookie | Trick::Count(_) => {
                return Ok(false);
            }
        };
        self.client.write_all(&bytes).await?;
        self.client.flush().await?;
        Ok(true)
    }

    /// Has the request carried out as Windows would, and hands on the answers.
    async fn carry_out(&mut self, request: &Frame, trick: Option<&Trick>) -> io::Result<bool> {
        let mut message = request.message();
        if let Some(refusal) = self.refusal(message.as_ref()).await? {
            return self.answer(answer(request, refusal)).await;
        }
        let mut plan = Plan::default();
        let mut bytes = request.bytes.clone();
        if let Some(message) = &mut message
            && let LdapOp::SearchRequest(search) = &mut message.op
        {
            plan = Plan::of(search, &mut message.ctrl);
            for control in &mut message.ctrl {
                if let LdapControl::SimplePagedResults { cookie, .. } = control
                    && cookie == AGAIN
                {
                    cookie.clear();
                }
            }
            bytes = encode(message.clone())?;
        }
        self.upstream.write_all(&bytes).await?;
        self.upstream.flush().await?;
        loop {
            let Some(frame) = Frame::read(&mut self.upstream).await? else {
                return Ok(false);
            };
            match trick {
                Some(Trick::CutBeforeAnswer) if frame.is_last() => return Ok(false),
                Some(Trick::Late) if frame.is_last() => self.wait_for_release().await,
                _ => {}
            }
            if frame.id != request.id {
                // Such as a notice of disconnection.
                self.client.write_all(&frame.bytes).await?;
                continue;
            }
            if !self
                .hand_on(&frame, message.as_ref(), &mut plan, trick)
                .await?
            {
                self.client.flush().await?;
                return Ok(true);
            }
        }
    }

    /// Hands on one answer; answers whether more of them follow.
    async fn hand_on(
        &mut self,
        frame: &Frame,
        request: Option<&LdapMsg>,
        plan: &mut Plan,
        trick: Option<&Trick>,
    ) -> io::Result<bool> {
        let Some(mut answer) = frame.message() else {
            self.client.write_all(&frame.bytes).await?;
            return Ok(!frame.is_last());
        };
        match &mut answer.op {
            LdapOp::SearchResultEntry(entry) => {
                if !plan.has_room() {
                    return self.exceeded(frame).await;
                }
                plan.cut(entry);
            }
            LdapOp::ModifyResponse(result)
            | LdapOp::AddResponse(result)
            | LdapOp::ModifyDNResponse(result) => {
                windows::reword(request.map(|message| &message.op), result);
            }
            _ => {}
        }
        for control in &mut answer.ctrl {
            if let LdapControl::SimplePagedResults { size, cookie } = control {
                match trick {
                    Some(Trick::Count(count)) => *size = *count,
                    Some(Trick::SameCookie) => *cookie = AGAIN.to_vec(),
                    _ => {}
                }
            }
        }
        self.client.write_all(&encode(answer)?).await?;
        Ok(!frame.is_last())
    }

    /// Ends a search that found more than one answer may hold; the rest of it is read for nobody.
    async fn exceeded(&mut self, frame: &Frame) -> io::Result<bool> {
        let text = "00002023: SvcErr: DSID-031A1202, problem 5012 (DIR_ERROR), data 0";
        let result = windows::result(LdapResultCode::SizeLimitExceeded, text);
        while let Some(rest) = Frame::read(&mut self.upstream).await? {
            if rest.id == frame.id && rest.is_last() {
                break;
            }
        }
        self.client
            .write_all(&encode(LdapMsg {
                msgid: i32::try_from(frame.id).map_err(io::Error::other)?,
                op: LdapOp::SearchResultDone(result),
                ctrl: Vec::new(),
            })?)
            .await?;
        Ok(false)
    }

    /// Why Windows refuses what Samba would carry out.
    async fn refusal(&mut self, request: Option<&LdapMsg>) -> io::Result<Option<LdapResult>> {
        let Some(request) = request else {
            return Ok(None);
        };
        match &request.op {
            LdapOp::BindRequest(bind) => {
                let state = self.shared.state();
                let code = state.refused_binds.get(&bind.dn.to_lowercase());
                Ok(code.map(|data| windows::bind_refused(data)))
            }
            LdapOp::AddRequest(add) => Ok(windows::refuses_add(add)),
            LdapOp::ModifyRequest(modify) => {
                let Some(old) = windows::compared_flags(modify) else {
                    return Ok(None);
                };
                let present = self.flags(&modify.dn).await?;
                Ok((present.as_ref() != Some(&old)).then(windows::is_another_value))
            }
            _ => Ok(None),
        }
    }

    /// The present userAccountControl of an entry.
    async fn flags(&mut self, dn: &str) -> io::Result<Option<Vec<u8>>> {
        self.own_id += 1;
        let search = LdapSearchRequest {
            base: dn.to_owned(),
            scope: LdapSearchScope::Base,
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter: LdapFilter::Present("objectClass".to_owned()),
            attrs: vec!["userAccountControl".to_owned()],
        };
        let message = LdapMsg {
            msgid: self.own_id,
            op: LdapOp::SearchRequest(search),
            ctrl: Vec::new(),
        };
        self.upstream.write_all(&encode(message)?).await?;
        self.upstream.flush().await?;
        let mut found = None;
        while let Some(frame) = Frame::read(&mut self.upstream).await? {
            if let Some(LdapOp::SearchResultEntry(entry)) = frame.message().map(|answer| answer.op)
            {
                let values = entry.attributes.into_iter().flat_map(|one| one.vals);
                found = values.last();
            }
            if frame.is_last() {
                break;
            }
        }
        Ok(found)
    }

    async fn answer(&mut self, message: LdapMsg) -> io::Result<bool> {
        self.client.write_all(&encode(message)?).await?;
        self.client.flush().await?;
        Ok(true)
    }

    async fn wait_for_release(&self) {
        let mut released = self.shared.released.subscribe();
        // The sender lives as long as the relay.
        let _ = released.wait_for(|released| *released).await;
    }
}

/// The answer with this result to a request.
fn answer(request: &Frame, result: LdapResult) -> LdapMsg {
    LdapMsg {
        msgid: i32::try_from(request.id).unwrap_or_default(),
        op: match request.kind {
            Kind::Bind => LdapOp::BindResponse(LdapBindResponse {
                res: result,
                saslcreds: None,
            }),
            Kind::Search => LdapOp::SearchResultDone(result),
            Kind::Modify => LdapOp::ModifyResponse(result),
            Kind::Add => LdapOp::AddResponse(result),
            Kind::Delete => LdapOp::DelResponse(result),
            Kind::ModifyDn => LdapOp::ModifyDNResponse(result),
            Kind::Unbind | Kind::Abandon | Kind::Extended | Kind::Other(_) => {
                LdapOp::ExtendedResponse(LdapExtendedResponse {
                    res: result,
                    name: None,
                    value: None,
                })
            }
        },
        ctrl: Vec::new(),
    }
}

/// The tag of the last answer to a request.
fn answer_tag(kind: Kind) -> u8 {
    match kind {
        Kind::Bind => 0x61,
        Kind::Search => 0x65,
        Kind::Modify => 0x67,
        Kind::Add => 0x69,
        Kind::Delete => 0x6b,
        Kind::ModifyDn => 0x6d,
        Kind::Unbind | Kind::Abandon | Kind::Extended | Kind::Other(_) => 0x78,
    }
}
