//! The Windows gateway under Wine against the Linux server. Needs what `tests/run windows` prepares.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

use std::path::{Path, PathBuf};

use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_proto::gateway::v1::{self as pb, Outcome};
use portcullis_tests::harness::{Admin, Dial, Gateway, Server, Site};

/// Appends to a journal beside itself, and answers with nothing, which is an answer.
const RECORD: &str = "@echo off\r\necho carried out>>journal.txt\r\n";

/// As a Windows program under Wine sees a path of this host.
fn as_windows(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

/// Wine and the .exe.
fn launcher() -> Vec<PathBuf> {
    let exe = std::env::var_os("PORTCULLIS_TEST_GATEWAY_EXE")
        .expect("PORTCULLIS_TEST_GATEWAY_EXE names the .exe: run `tests/run windows`");
    vec![PathBuf::from("wine"), PathBuf::from(exe)]
}

async fn record(admin: &Admin, id: &str) -> Outcome {
    let call = pb::Call {
        call_id: id.to_owned(),
        verb: Some(pb::call::Verb::Run(pb::Run {
            action: "record".to_owned(),
            arguments: Vec::new(),
        })),
        ..pb::Call::default()
    };
    admin.call("journal", call).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Wine and the .exe: run by `tests/run windows`"]
async fn enrols_shakes_hands_carries_out_a_call_rotates_and_restarts() {
    for out in [false, true] {
        let site = Site::new().unwrap();
        let mut server = Server::new(&site, "").unwrap();
        let admin = server.serve().await.unwrap();
        let dial = if out {
            Dial::Out(server.dial_out_port)
        } else {
            Dial::inward().unwrap()
        };
        let scripts = site.folder("scripts").unwrap();
        let script = site.file("scripts/run-record.cmd", 0o700, RECORD).unwrap();
        let mut gateway = Gateway::new(&site, "host1", dial, "").unwrap();
        // Paths as Windows has them, and a registry key of its own for each run.
        let text = std::fs::read_to_string(&gateway.config).unwrap();
        let unix = format!("state_dir = {:?}", gateway.state);
        assert!(text.contains(&unix), "{text}");
        let text = text.replace(
            &unix,
            &format!(
                "instance = \"test-{out}\"\nstate_dir = '{}'",
                as_windows(&gateway.state)
            ),
        );
        let text = format!(
            "{text}[connectors.journal]\ntype = \"script\"\nfolder = '{}'\n",
            as_windows(&scripts)
        );
        std::fs::write(&gateway.config, text).unwrap();
        gateway.config = PathBuf::from(as_windows(&gateway.config));
        let mut gateway = gateway.launched_by(launcher());

        let token = admin
            .add_gateway("host1", &dial.address(), false)
            .await
            .unwrap();
        gateway.enroll(&token).unwrap();
        gateway.start().unwrap();
        let first = admin
            .synchronized("host1")
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", gateway.log()));
        assert_eq!(first.mode, "secure");
        // It describes itself once the link is up.
        admin
            .gateway_becomes("host1", "described", |g| g.operating_system == "windows")
            .await
            .unwrap();
        assert!(
            !gateway.state.join("keys").exists(),
            "keys belong in the registry"
        );

        admin
            .add_resource("journal", "host1", "journal")
            .await
            .unwrap();
        let outcome = record(&admin, "first").await;
        assert!(matches!(outcome.result, Some(Came::Done(_))), "{outcome:?}");
        let journal = script.with_file_name("journal.txt");
        assert_eq!(
            std::fs::read_to_string(&journal).unwrap().lines().count(),
            1
        );

        let current = admin.rotate(30_000).await.unwrap().current_key_id;
        let rotated = admin.synchronized("host1").await.unwrap();
        assert_eq!(rotated.session_key_id, current);
        assert_ne!(rotated.session_key_id, first.session_key_id);

        // What was rotated lives on in the registry.
        gateway.kill().unwrap();
        admin
            .gateway_becomes("host1", "away", |g| !g.connected)
            .await
            .unwrap();
        gateway.start().unwrap();
        let back = admin.synchronized("host1").await.unwrap();
        assert_eq!(back.session_key_id, current);
        let outcome = record(&admin, "second").await;
        assert!(matches!(outcome.result, Some(Came::Done(_))), "{outcome:?}");
        assert_eq!(
            std::fs::read_to_string(&journal).unwrap().lines().count(),
            2
        );
    }
}
