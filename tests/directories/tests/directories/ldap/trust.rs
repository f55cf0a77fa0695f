//! Certificates, TLS and the gateway's own identity.

use data_encoding::HEXLOWER;
use portcullis_directories::{Authority, Setup, Slapd};
use portcullis_gateway::model::FailureKind;
use sha2::{Digest as _, Sha256};

use super::{Subject, account, connector, context, failed};

async fn tested(subject: &Subject) -> Result<String, String> {
    let tested = subject.connector.test(&context()).await;
    match tested {
        Ok(report) => Ok(report),
        Err(_) => Err(failed(tested, FailureKind::Unavailable).message),
    }
}

async fn with_certificate(certificate: portcullis_directories::Certificate, more: &str) -> Subject {
    let setup = Setup {
        certificate: Some(certificate),
        ..Setup::default()
    };
    Subject::of(Slapd::start_with(setup).await, more)
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_certificate_of_an_unknown_authority_is_refused_and_says_where_was_looked() {
    let slapd = Slapd::start().await;
    let other = Authority::new();
    let file = slapd.site().file("other.pem", 0o644, other.pem());
    let subject = Subject::of(slapd, &format!("ca_file = {file:?}"));
    let message = tested(&subject).await.unwrap_err();
    for part in ["UnknownIssuer", "other.pem", "SHA-256"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_certificate_for_another_name_is_refused_and_says_for_which_it_is() {
    let subject = Subject::of(Slapd::start().await, "server_name = \"other.example.test\"");
    let message = tested(&subject).await.unwrap_err();
    for part in ["`other.example.test`", Slapd::NAME, "`server_name`"] {
        assert!(message.contains(part), "{message}");
    }
    let subject = Subject::of(subject.slapd, &format!("server_name = {:?}", Slapd::NAME));
    tested(&subject).await.unwrap();
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn an_expired_certificate_is_told_from_others_and_a_pin_takes_it() {
    let certificate = Authority::ours().expired(&["nobody.example.test"]);
    let pin = HEXLOWER.encode(&Sha256::digest(&certificate.der));
    let subject = with_certificate(certificate, "server_name = \"nobody.example.test\"").await;
    let message = tested(&subject).await.unwrap_err();
    assert!(
        message.contains("expired") && message.contains(&pin),
        "{message}"
    );
    let pinned = Subject::of(subject.slapd, &format!("certificate_sha256 = [\"{pin}\"]"));
    let report = tested(&pinned).await.unwrap();
    assert!(report.contains(&pin), "{report}");
    let other = format!("certificate_sha256 = [\"{}\"]", "00".repeat(32));
    let message = tested(&Subject::of(pinned.slapd, &other))
        .await
        .unwrap_err();
    assert!(message.contains("`certificate_sha256`"), "{message}");
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn tls_begins_on_request_too() {
    let slapd = Slapd::start().await;
    let subject = connector(&slapd, &[slapd.starttls_url()], "starttls = true");
    let report = subject.test(&context()).await.unwrap();
    assert!(report.contains(Slapd::GATEWAY), "{report}");
    subject
        .create(&context(), account("ada", &[]))
        .await
        .unwrap();
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_wrong_bind_password_and_a_missing_base_are_told() {
    let slapd = Slapd::start().await;
    let wrong = Subject::of(slapd, "");
    wrong
        .slapd
        .site()
        .file("password", 0o600, "not-the-password\n");
    let message = tested(&wrong).await.unwrap_err();
    assert!(message.contains("49 invalidCredentials"), "{message}");
    assert!(!message.contains("not-the-password"), "{message}");
    let subject = Subject::of(
        wrong.slapd,
        "accounts.base = \"ou=nowhere,dc=example,dc=org\"",
    );
    let message = tested(&subject).await.unwrap_err();
    assert!(
        message.contains("`ou=nowhere,dc=example,dc=org`"),
        "{message}"
    );
}

#[tokio::test]
#[ignore = "needs slapd: tests/run directories"]
async fn a_missing_right_is_the_gateways_and_nobody_elses() {
    let subject = Subject::start().await;
    let mut cx = context();
    cx.settings
        .insert("bind_dn".to_owned(), Slapd::SYNC.to_owned());
    let password = super::secret(Slapd::SYNC_PASSWORD);
    cx.secret_settings
        .insert("bind_password".to_owned(), password);
    let made = subject.connector.create(&cx, account("ada", &[])).await;
    let failure = failed(made, FailureKind::Denied);
    assert_eq!(failure.native.unwrap().code(), "50");
}
