//! Two ends with certificates of every kind: who is let in, and what each side is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_host::names::GATEWAY_URI;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const WEB1: &str = "web-1";
const HOST: &str = "central.example.com";
/// The type of a record of the handshake.
const HANDSHAKE_RECORD: u8 = 22;

fn read_key(path: &Path, longest: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    portcullis_host::private_files::check_private(path).map_err(|error| error.to_string())?;
    portcullis_host::private_files::read_bounded(path, longest).map_err(|error| error.to_string())
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A list of what is revoked: the certificates with these serial numbers.
    fn list(&self, revoked: &[u8], until: i32) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(vec![*serial]),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A certificate that is asked for.
#[derive(Clone)]
struct Wanted {
    names: Vec<SanType>,
    purpose: Option<ExtendedKeyUsagePurpose>,
    years: (i32, i32),
    serial: u8,
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn server() -> Wanted {
    Wanted {
        names: vec![dns(HOST), SanType::IpAddress([192, 0, 2, 7].into())],
        purpose: Some(ExtendedKeyUsagePurpose::ServerAuth),
        years: (2020, 4000),
        serial: 1,
    }
}

fn gateway() -> Wanted {
    let uri = format!("{GATEWAY_URI}{WEB1}");
    Wanted {
        names: vec![SanType::URI(uri.as_str().try_into().unwrap())],
        purpose: Some(ExtendedKeyUsagePurpose::ClientAuth),
        ..server()
    }
}

/// One end: its folder, and what it shows and believes.
struct End {
    folder: TempDir,
    settings: Settings,
    around: Around,
}

impl End {
    fn new(side: Side, wanted: &Wanted, by: &Authority, believes: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let settings = Settings {
            certificate: file("own.pem"),
            key: file("own.key"),
            peer_ca: file("peer.pem"),
            revoked: None,
            require: true,
            server_name: None,
        };
        let end = Self {
            around: Around::none(side, read_key),
            settings,
            folder,
        };
        end.show(wanted, by);
        std::fs::write(&end.settings.peer_ca, &believes.pem).unwrap();
        end.load();
        end
    }

    /// Has it show another certificate once it is loaded again.
    fn show(&self, wanted: &Wanted, by: &Authority) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names.clone_from(&wanted.names);
        params.extended_key_usages = wanted.purpose.clone().into_iter().collect();
        params.not_before = date_time_ymd(wanted.years.0, 1, 1);
        params.not_after = date_time_ymd(wanted.years.1, 1, 1);
        params.serial_number = Some(SerialNumber::from(vec![wanted.serial]));
        let certificate = params.signed_by(&key, &by.issuer).unwrap();
        std::fs::write(&self.settings.certificate, certificate.pem()).unwrap();
        let _ = std::fs::remove_file(&self.settings.key);
        let pem = key.serialize_pem();
        portcullis_host::private_files::create_private_file(&self.settings.key, pem.as_bytes())
            .unwrap();
    }

    fn revoke(&mut self, list: &str) {
        let file: PathBuf = self.folder.path().join("revoked.pem");
        std::fs::write(&file, list).unwrap();
        self.settings.revoked = Some(file);
        self.load();
    }

    fn load(&self) {
        self.around.load(Some(&self.settings)).unwrap();
    }
}

/// What both ends come to: who dials says a word, and who accepts gives it back.
async fn meet(server: &Around, gateway: &Around, gateway_dials: bool) -> [Result<(), String>; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (dials, accepts) = match gateway_dials {
        true => (gateway.clone(), server.clone()),
        false => (server.clone(), gateway.clone()),
    };
    let accepting = async {
        let (io, _) = listener.accept().await.unwrap();
        let mut io = accepts
            .receive(io, Instant::now() + PATIENCE)
            .await
            .map_err(|error| error.to_string())?;
        if gateway_dials {
            io.check_gateway(WEB1).map_err(|error| error.to_string())?;
        }
        let mut word = [0; 4];
        let said = io.read_exact(&mut word).await;
        said.map_err(|error| error.to_string())?;
        io.write_all(&word).await.map_err(|error| error.to_string())
    };
    let dialling = async {
        let io = TcpStream::connect(address).await.unwrap();
        let mut io = match (gateway_dials, dials.is_set_up()) {
            (_, false) => Transport::Plain(io),
            (true, true) => dials
                .dial_server(io, HOST)
                .await
                .map_err(|e| e.to_string())?,
            (false, true) => dials
                .dial_gateway(io, WEB1)
                .await
                .map_err(|e| e.to_string())?,
        };
        io.write_all(b"word")
            .await
            .map_err(|error| error.to_string())?;
        let mut word = [0; 4];
        match io.read_exact(&mut word).await {
            Ok(_) if &word == b"word" => Ok(()),
            Ok(_) => Err(format!("it said {word:02x?}")),
            Err(error) => Err(error.to_string()),
        }
    };
    let both = async { tokio::join!(dialling, accepting) };
    let (dialled, accepted) = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("both end");
    match gateway_dials {
        true => [accepted, dialled],
        false => [dialled, accepted],
    }
}

struct Site {
    servers: Authority,
    gateways: Authority,
    server: End,
    gateway: End,
}

impl Site {
    fn new() -> Self {
        let (servers, gateways) = (Authority::new("servers"), Authority::new("gateways"));
        Self {
            server: End::new(Side::Server, &server(), &servers, &gateways),
            gateway: End::new(Side::Gateway, &gateway(), &gateways, &servers),
            servers,
            gateways,
        }
    }

    /// Both ways of dialling: each side is told this, or lets the other in where it is "".
    async fn both_ways(&self, server: &str, gateway: &str) {
        for gateway_dials in [true, false] {
            let told = meet(&self.server.around, &self.gateway.around, gateway_dials).await;
            for (told, due) in told.iter().zip([server, gateway]) {
                match told {
                    Ok(()) => assert_eq!(due, "", "gateway dials: {gateway_dials}"),
                    Err(told) => assert!(
                        !due.is_empty() && told.contains(due),
                        "gateway dials: {gateway_dials}: `{told}`, not `{due}`"
                    ),
                }
            }
        }
    }
}

#[tokio::test]
async fn two_ends_with_right_certificates_meet_whoever_dials() {
    Site::new().both_ways("", "").await;
}

#[tokio::test]
async fn the_authority_of_one_side_is_refused_in_the_place_of_the_other() {
    let site = Site::new();
    // By issuer …
    site.gateway.show(&gateway(), &site.servers);
    site.gateway.load();
    site.both_ways("another authority issued it", "(unknown_ca)")
        .await;
    site.gateway.show(&gateway(), &site.gateways);
    site.gateway.load();
    site.server.show(&server(), &site.gateways);
    site.server.load();
    site.both_ways("(unknown_ca)", "another authority issued it")
        .await;
    // … and by what the certificate is for, also where one authority serves both.
    let one = Authority::new("one for both");
    let purposes = [
        Some(ExtendedKeyUsagePurpose::ServerAuth),
        Some(ExtendedKeyUsagePurpose::Any),
        None,
    ];
    for purpose in purposes {
        let wanted = Wanted {
            purpose,
            ..gateway()
        };
        let site = Site {
            server: End::new(Side::Server, &server(), &one, &one),
            gateway: End::new(Side::Gateway, &wanted, &one, &one),
            ..Site::new()
        };
        site.both_ways("has to name clientAuth", "(unsupported_certificate)")
            .await;
    }
    let wanted = Wanted {
        purpose: Some(ExtendedKeyUsagePurpose::ClientAuth),
        ..server()
    };
    let site = Site {
        server: End::new(Side::Server, &wanted, &one, &one),
        gateway: End::new(Side::Gateway, &gateway(), &one, &one),
        ..Site::new()
    };
    site.both_ways("(unsupported_certificate)", "has to name serverAuth")
        .await;
}

#[tokio::test]
async fn what_has_expired_or_is_not_valid_yet_is_told_to_both() {
    let site = Site::new();
    for (years, said) in [
        ((2000, 2001), "it has expired"),
        ((3000, 3001), "it is not valid yet"),
    ] {
        site.gateway
            .show(&Wanted { years, ..gateway() }, &site.gateways);
        site.gateway.load();
        site.both_ways(said, "by the server's clock").await;
        site.gateway.show(&gateway(), &site.gateways);
        site.gateway.load();
        site.server
            .show(&Wanted { years, ..server() }, &site.servers);
        site.server.load();
        site.both_ways("by the gateway's clock", said).await;
        site.server.show(&server(), &site.servers);
        site.server.load();
    }
    site.both_ways("", "").await;
}

#[tokio::test]
async fn a_certificate_is_for_the_gateway_that_is_registered_and_the_server_that_is_dialled() {
    let mut site = Site::new();
    let other = Wanted {
        names: vec![dns("web-2")],
        ..gateway()
    };
    site.gateway.show(&other, &site.gateways);
    site.gateway.load();
    let [by_server, told] = meet(&site.server.around, &site.gateway.around, false).await;
    let by_server = by_server.unwrap_err();
    assert!(
        by_server.contains("it is for `web-2`, and not for `web-1`"),
        "{by_server}"
    );
    assert!(told.unwrap_err().contains("(bad_certificate)"));
    // Who it says it is comes inside.
    let [by_server, _] = meet(&site.server.around, &site.gateway.around, true).await;
    assert!(
        by_server
            .unwrap_err()
            .contains("`web-2`, and not for `web-1`")
    );
    // As the name of a host it holds, too.
    let host = Wanted {
        names: vec![dns(WEB1)],
        ..gateway()
    };
    site.gateway.show(&host, &site.gateways);
    site.gateway.load();
    site.both_ways("", "").await;

    site.gateway.settings.server_name = Some("192.0.2.7".to_owned());
    site.gateway.load();
    site.both_ways("", "").await;
    site.gateway.settings.server_name = Some("relay.example.com".to_owned());
    site.gateway.load();
    site.both_ways(
        "(bad_certificate)",
        "it is for `central.example.com`, and not for `relay.example.com`",
    )
    .await;
}

#[tokio::test]
async fn what_is_revoked_is_refused_from_the_next_handshake_on() {
    let mut site = Site::new();
    site.server.revoke(&site.gateways.list(&[9], 4000));
    site.both_ways("", "").await;
    site.server.revoke(&site.gateways.list(&[9, 1], 4000));
    site.both_ways("it was revoked", "(certificate_revoked)")
        .await;
    site.server.revoke(&site.gateways.list(&[], 2021));
    site.both_ways("out of date", "(unknown_ca)").await;
    site.server.revoke(&site.servers.list(&[], 4000));
    site.both_ways("not from its authority", "(unknown_ca)")
        .await;
    site.server.revoke(&site.gateways.list(&[9], 4000));
    site.gateway.revoke(&site.servers.list(&[1], 4000));
    site.both_ways("(certificate_revoked)", "it was revoked")
        .await;
}

#[tokio::test]
async fn a_peer_without_tls_is_told_so_and_so_is_one_with_tls_where_there_is_none() {
    let mut site = Site::new();
    let none = |side| Around::none(side, read_key);
    let (plain_server, plain_gateway) = (none(Side::Server), none(Side::Gateway));
    let [by_server, told] = meet(&site.server.around, &plain_gateway, true).await;
    assert!(
        by_server
            .unwrap_err()
            .contains("the gateway speaks without TLS")
    );
    assert!(told.unwrap_err().starts_with("it said [15, 03, 03"));
    let [told, by_gateway] = meet(&plain_server, &site.gateway.around, false).await;
    assert!(
        by_gateway
            .unwrap_err()
            .contains("the server speaks without TLS")
    );
    assert!(told.unwrap_err().starts_with("it said [15, 03, 03"));

    let [by_server, told] = meet(&plain_server, &site.gateway.around, true).await;
    assert!(
        by_server
            .unwrap_err()
            .contains("this server has no [tls] section")
    );
    assert!(told.unwrap_err().contains("(handshake_failure)"));
    let [told, by_gateway] = meet(&site.server.around, &plain_gateway, false).await;
    assert!(
        by_gateway
            .unwrap_err()
            .contains("this gateway has no [tls] section")
    );
    assert!(told.unwrap_err().contains("(handshake_failure)"));

    // While a fleet is moved to TLS, both may come.
    site.server.settings.require = false;
    site.server.load();
    let met = meet(&site.server.around, &plain_gateway, true).await;
    assert_eq!(met, [Ok(()), Ok(())]);
    site.both_ways("", "").await;
}

#[tokio::test]
async fn a_reload_holds_from_the_next_handshake_on_and_a_bad_one_changes_nothing() {
    let site = Site::new();
    let servers = Authority::new("another one for servers");
    site.server.show(&server(), &servers);
    site.server.load();
    site.both_ways("(unknown_ca)", "another authority issued it")
        .await;
    std::fs::write(&site.gateway.settings.peer_ca, &servers.pem).unwrap();
    site.both_ways("(unknown_ca)", "another authority issued it")
        .await;
    site.gateway.load();
    site.both_ways("", "").await;
    for (file, content, said) in [
        (
            &site.server.settings.certificate,
            "",
            "holds no certificate in PEM",
        ),
        (
            &site.server.settings.peer_ca,
            "-----BEGIN",
            "holds no certificate in PEM",
        ),
        (
            &site.server.settings.key,
            "none",
            "holds no private key in PEM",
        ),
    ] {
        let before = std::fs::read(file).unwrap();
        std::fs::write(file, content).unwrap();
        let error = site.server.around.load(Some(&site.server.settings));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        std::fs::write(file, before).unwrap();
    }
    let other = KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(&site.server.settings.key, other).unwrap();
    let apart = site
        .server
        .around
        .load(Some(&site.server.settings))
        .unwrap_err();
    assert!(
        apart
            .to_string()
            .contains("does not belong to the certificate"),
        "{apart}"
    );
    site.both_ways("", "").await;
}

#[tokio::test]
async fn who_says_nothing_or_too_little_for_tls_is_told_so_in_time() {
    let site = Site::new();
    // Nothing, and the beginning of a record of TLS that never goes on.
    for (said, told) in [
        (&b""[..], &[0x30, 0, 0][..]),
        (&[HANDSHAKE_RECORD, 3][..], &[]),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        peer.write_all(said).await.unwrap();
        let (io, _) = listener.accept().await.unwrap();
        let (began, patience) = (Instant::now(), Duration::from_millis(200));
        let refused = site.server.around.receive(io, began + patience).await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(
                refused,
                TlsError::Silent {
                    peer: Side::Gateway
                }
            ),
            "{refused}"
        );
        assert!(began.elapsed() >= patience);
        let mut heard = Vec::new();
        // With bytes unread the close is a reset.
        let _ = peer.read_to_end(&mut heard).await;
        assert_eq!(heard, told);
    }
}

#[tokio::test]
async fn tls_that_is_asked_for_and_not_set_up_is_told_as_this_sides_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bare = Around::none(Side::Server, read_key);
    let io = TcpStream::connect(listener.local_addr().unwrap()).await;
    let error = bare.dial_gateway(io.unwrap(), WEB1).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("this server has no [tls] section"),
        "{error}"
    );
}

#[test]
fn the_first_that_ends_of_each_file_is_told() {
    let mut site = Site::new();
    let list = site.gateways.list(&[1], 2031);
    site.server.revoke(&list);
    let wanted = Wanted {
        years: (2020, 2030),
        ..server()
    };
    site.server.show(&wanted, &site.servers);
    site.server.load();
    let found: Vec<_> = site.server.around.expiries();
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.what, it.until.0 / 1_000))
        .collect();
    let year = |year| u64::try_from(date_time_ymd(year, 1, 1).unix_timestamp()).unwrap();
    // What rcgen makes without being told is valid up to 4096: later than 2049 is told otherwise.
    assert_eq!(
        found,
        [
            ("certificate", year(2030)),
            ("authority", year(4096)),
            ("revoked", year(2031)),
        ]
    );
    assert_eq!(Around::none(Side::Server, read_key).expiries(), []);
    // Of a chain it is the first.
    let chain = |years| {
        site.gateway
            .show(&Wanted { years, ..gateway() }, &site.gateways);
        std::fs::read_to_string(&site.gateway.settings.certificate).unwrap()
    };
    let both = chain((2020, 2029)) + &chain((2020, 2028));
    std::fs::write(&site.gateway.settings.certificate, both).unwrap();
    let found = expiries(&site.gateway.settings).unwrap();
    assert_eq!(found[0].until.0, year(2028) * 1_000);
}

/// What a doctor says of the files of one end: how bad the worst is, and all of it.
fn diagnosed(side: Side, end: &End) -> (portcullis_host::doctor::State, String) {
    let mut diagnosis = portcullis_host::doctor::Diagnosis::default();
    examine(side, Some(&end.settings), read_key, &mut diagnosis);
    (diagnosis.state(), diagnosis.text())
}

#[test]
fn a_doctor_says_what_is_wrong_with_each_file_and_what_to_do() {
    use portcullis_host::doctor::{Diagnosis, State};
    use std::os::unix::fs::PermissionsExt as _;

    type Break = fn(&Site);
    let breaks: [(Break, State, &[&str]); 11] = [
        (|_| (), State::Fine, &["the key in", "is the certificate's"]),
        (
            |site| {
                let wanted = Wanted {
                    years: (2000, 2001),
                    ..server()
                };
                site.server.show(&wanted, &site.servers);
            },
            State::Critical,
            &[
                "own.pem has expired, on 2001-01-01",
                "portcullis tls server",
            ],
        ),
        (
            |site| {
                let wanted = Wanted {
                    years: (3000, 3001),
                    ..server()
                };
                site.server.show(&wanted, &site.servers);
            },
            State::Critical,
            &["is not valid yet", "set the clock right"],
        ),
        (
            |site| std::fs::remove_file(&site.server.settings.certificate).unwrap(),
            State::Critical,
            &["cannot read", "own.pem", "portcullis tls server"],
        ),
        (
            |site| std::fs::remove_file(&site.server.settings.peer_ca).unwrap(),
            State::Critical,
            &["cannot read", "peer.pem", "the gateways' authority"],
        ),
        (
            |site| std::fs::write(&site.server.settings.peer_ca, "nonsense").unwrap(),
            State::Critical,
            &["peer.pem holds no certificate", "the gateways' authority"],
        ),
        (
            |site| std::fs::remove_file(&site.server.settings.key).unwrap(),
            State::Critical,
            &["[tls] key: cannot look at", "own.key"],
        ),
        (
            |site| {
                let open = std::fs::Permissions::from_mode(0o644);
                std::fs::set_permissions(&site.server.settings.key, open).unwrap();
            },
            State::Critical,
            &["[tls] key:", "chmod 0600"],
        ),
        (
            |site| {
                let other = std::fs::read(&site.gateway.settings.key).unwrap();
                std::fs::write(&site.server.settings.key, other).unwrap();
            },
            State::Critical,
            &[
                "does not belong to the certificate in",
                "portcullis tls server",
            ],
        ),
        (
            |site| site.server.show(&gateway(), &site.servers),
            State::Critical,
            &["is not one of a server", "portcullis tls server"],
        ),
        (
            |site| std::fs::write(&site.server.settings.peer_ca, &site.servers.pem).unwrap(),
            State::Warning,
            &[
                "peer.pem has issued the certificate of this server, too",
                "the gateways' authority",
            ],
        ),
    ];
    for (number, (damage, state, said)) in breaks.into_iter().enumerate() {
        let site = Site::new();
        damage(&site);
        let (found, text) = diagnosed(Side::Server, &site.server);
        assert_eq!(found, state, "{number}: {text}");
        for said in said {
            assert!(text.contains(said), "{number}: {said} in {text}");
        }
        // The other side's files are as they were.
        let (found, text) = diagnosed(Side::Gateway, &site.gateway);
        assert_eq!(found, State::Fine, "{number}: {text}");
    }
    let mut diagnosis = Diagnosis::default();
    examine(Side::Server, None, read_key, &mut diagnosis);
    assert_eq!(diagnosis.state(), State::Fine);
}

#[test]
fn a_doctor_says_what_is_wrong_with_a_list_of_what_is_revoked() {
    use portcullis_host::doctor::State;

    let mut site = Site::new();
    site.server.revoke(&site.gateways.list(&[], 2021));
    let (state, text) = diagnosed(Side::Server, &site.server);
    assert_eq!(state, State::Critical);
    for said in ["revoked.pem has expired", "portcullis tls revoke"] {
        assert!(text.contains(said), "{text}");
    }
    let path = site.server.settings.revoked.clone().unwrap();
    std::fs::write(path, "").unwrap();
    let (state, text) = diagnosed(Side::Server, &site.server);
    assert_eq!(state, State::Critical, "{text}");
    assert!(
        text.contains("holds no list of revoked certificates"),
        "{text}"
    );
}
