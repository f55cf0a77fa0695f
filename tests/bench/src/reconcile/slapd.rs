//! OpenLDAP as the target, and a bare client of it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapFilter, LdapMsg, LdapOp, LdapResultCode,
    LdapSearchRequest, LdapSearchScope,
};
use portcullis_common::listing::{Content, Plain};
use portcullis_directories::{Setup, Slapd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Decoder as _, Encoder as _};

use super::people::{Differs, Person};
use super::{CONNECTOR, Hashed};
use crate::Failure;

const BASE: &str = "ou=people,dc=example,dc=org";

/// Entries of one page: as many as the server gives.
const PAGE: i64 = 1000;

/// Bytes of one message at the most.
const MOST: usize = 4 << 20;

/// The columns of the file for it.
pub(super) const COLUMNS: [&str; 4] = ["cn", "mail", "departmentNumber", "roomNumber"];

/// Starts one with so many accounts.
pub(super) async fn filled(accounts: usize) -> Slapd {
    let mut entries = String::new();
    for number in 0..accounts {
        if Differs::of(number) == Some(Differs::Missing) {
            continue;
        }
        let Person {
            login,
            full_name,
            mail,
            department,
            room,
        } = Person::new(number);
        // Writing to a text cannot fail.
        let _ = writeln!(
            entries,
            "dn: uid={login},{BASE}\nobjectClass: inetOrgPerson\nuid: {login}\ncn: {full_name}\nsn: Person\n\
             mail: {mail}\ndepartmentNumber: {department}\nroomNumber: {room}\n"
        );
    }
    Slapd::start_with(Setup {
        entries,
        ..Setup::default()
    })
    .await
}

/// The connector on it.
pub(super) fn config(slapd: &Slapd, password: &Path) -> String {
    format!(
        "[connectors.{CONNECTOR}]\ntype = \"ldap\"\nservers = [{:?}]\nca_file = {:?}\nbind_dn = {:?}\n\
         bind_password_file = {password:?}\npage_size = {PAGE}\n\
         [connectors.{CONNECTOR}.accounts]\nbase = {BASE:?}\n",
        slapd.url(),
        slapd.authority(),
        Slapd::GATEWAY
    )
}

/// The gateway's password for it.
pub(super) fn password() -> &'static str {
    Slapd::GATEWAY_PASSWORD
}

/// Reads all entries over one connection page by page, and hashes each.
pub(super) async fn bare(slapd: &Slapd) -> Result<Hashed, Failure> {
    let mut link = Link::open(slapd).await?;
    link.send(LdapOp::BindRequest(LdapBindRequest {
        version: 3,
        dn: Slapd::GATEWAY.to_owned(),
        cred: LdapBindCred::Simple(Slapd::GATEWAY_PASSWORD.to_owned()),
    }))
    .await?;
    match link.receive().await?.op {
        LdapOp::BindResponse(answer) if answer.res.code == LdapResultCode::Success => {}
        other => return Err(format!("no bind: {other:?}").into()),
    }
    let (mut hashed, mut cookie) = (Hashed::new(), Vec::new());
    let mut content = Content::default();
    loop {
        link.search(cookie).await?;
        cookie = loop {
            let message = link.receive().await?;
            match message.op {
                LdapOp::SearchResultEntry(entry) => {
                    content.clear();
                    for attribute in &entry.attributes {
                        let values = attribute.vals.iter();
                        let mut values = values.map(|value| Plain::bytes(value)).collect();
                        content.several(&attribute.atype, &mut values);
                    }
                    hashed.add(&content);
                }
                LdapOp::SearchResultDone(end) if end.code == LdapResultCode::Success => {
                    let mut controls = message.ctrl.into_iter();
                    break controls
                        .find_map(|control| match control {
                            LdapControl::SimplePagedResults { cookie, .. } => Some(cookie),
                            _ => None,
                        })
                        .unwrap_or_default();
                }
                other => return Err(format!("no entry: {other:?}").into()),
            }
        };
        if cookie.is_empty() {
            return Ok(hashed);
        }
    }
}

struct Link {
    stream: TlsStream<TcpStream>,
    codec: LdapCodec,
    input: BytesMut,
    number: i32,
}

impl Link {
    async fn open(slapd: &Slapd) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(slapd.authority())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let url = slapd.url();
        let address = url.strip_prefix("ldaps://").unwrap_or(&url);
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(std::net::IpAddr::from(slapd.address()));
        Ok(Self {
            stream: TlsConnector::from(Arc::new(tls))
                .connect(name, stream)
                .await?,
            codec: LdapCodec::new(Some(MOST), None),
            input: BytesMut::new(),
            number: 0,
        })
    }

    async fn send(&mut self, op: LdapOp) -> Result<(), Failure> {
        self.send_with(op, Vec::new()).await
    }

    async fn send_with(&mut self, op: LdapOp, ctrl: Vec<LdapControl>) -> Result<(), Failure> {
        self.number += 1;
        let mut bytes = BytesMut::new();
        let message = LdapMsg {
            msgid: self.number,
            op,
            ctrl,
        };
        self.codec.encode(message, &mut bytes)?;
        self.stream.write_all(&bytes).await?;
        Ok(self.stream.flush().await?)
    }

    async fn search(&mut self, cookie: Vec<u8>) -> Result<(), Failure> {
        let wanted = ["entryUUID", "uid", "pwdAccountLockedTime"]
            .into_iter()
            .chain(COLUMNS);
        let search = LdapSearchRequest {
            base: BASE.to_owned(),
            scope: LdapSearchScope::Subtree,
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter: LdapFilter::Equality("objectClass".to_owned(), "inetOrgPerson".to_owned()),
            attrs: wanted.map(str::to_owned).collect(),
        };
        let page = LdapControl::SimplePagedResults { size: PAGE, cookie };
        self.send_with(LdapOp::SearchRequest(search), vec![page])
            .await
    }

    async fn receive(&mut self) -> Result<LdapMsg, Failure> {
        loop {
            if let Some(message) = self.codec.decode(&mut self.input)? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err("the directory ended the connection".into());
            }
        }
    }
}
