//! `gateway add` of many at once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::fake::{Fake, Finished};

const TOKEN: &str = "PCT1-TOKEN";

fn add(fake: &Fake, arguments: &[&str]) -> Finished {
    let out = fake.folder.path().join("bundles");
    let tokens = fake.folder.path().join("tokens");
    let folders = [
        "--out",
        out.to_str().unwrap(),
        "--tokens",
        tokens.to_str().unwrap(),
    ];
    fake.run(&[&["gateway", "add"], arguments, &folders].concat())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn each_has_a_bundle_and_a_token_apart_from_it_and_a_line_in_the_list() {
    let fake = Fake::start();
    let connectors = fake.file("c.toml", "[connectors.local]\ntype = \"unix\"\n");
    let connectors = ["--connectors", connectors.to_str().unwrap()];
    let many = ["--count", "3", "--template", "web-%02d", "--dial-out"];
    let server = ["--server", "central.example.com"];
    let told = add(&fake, &[&many[..], &server, &connectors].concat());
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(
        told.out.contains("web-03") && !told.out.contains(TOKEN),
        "{told:?}"
    );
    assert!(told.out.contains("portcullis-gateway enroll"), "{told:?}");
    let root = fake.folder.path();
    for name in ["web-01", "web-02", "web-03"] {
        let bundle = root.join("bundles").join(name);
        let (file, token) = (
            bundle.join("gateway.toml"),
            root.join(format!("tokens/{name}.token")),
        );
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("server = \"central.example.com:9279\""),
            "{text}"
        );
        assert!(
            text.contains("[connectors.local]") && !text.contains(TOKEN),
            "{text}"
        );
        assert_eq!(fs::read_to_string(&token).unwrap().trim(), TOKEN);
        assert_eq!(
            (mode(&bundle), mode(&file), mode(&token)),
            (0o700, 0o600, 0o600)
        );
    }
    let list = fs::read_to_string(root.join("bundles/gateways.csv")).unwrap();
    assert_eq!(list.lines().count(), 4, "{list}");
    assert!(
        list.starts_with("name,result,gateway_id,") && !list.contains(TOKEN),
        "{list}"
    );
    let json = add(
        &fake,
        &[
            &many[..],
            &server,
            &connectors,
            &["--if-absent", "--output", "json"],
        ]
        .concat(),
    );
    // The tokens' files are there, and the fake makes tokens anew: they have nowhere to go.
    assert_eq!(json.code, Some(1), "{json:?}");
}

#[test]
fn a_name_that_is_there_is_told_before_anything_is_done() {
    let fake = Fake::start();
    let file = fake.file(
        "all.csv",
        "name,address,groups\nweb1,web1.example.com,a;b\ntaken,,\n",
    );
    let from = ["--from", file.to_str().unwrap(), "--server", "central:1"];
    let told = add(&fake, &from);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.err
            .contains("1 of 2 names are registered already: taken"),
        "{told:?}"
    );
    assert!(fake.gateways().is_empty());
    assert!(!fake.folder.path().join("bundles").exists());
    let told = add(&fake, &[&from[..], &["--if-absent"]].concat());
    assert_eq!(
        (told.code, fake.gateways()),
        (Some(0), vec!["web1".to_owned()])
    );
    assert!(told.out.contains("gateway token taken"), "{told:?}");
    let listening = fake.folder.path().join("bundles/web1/gateway.toml");
    let listening = fs::read_to_string(listening).unwrap();
    assert!(
        listening.contains("address = \"0.0.0.0:9278\""),
        "{listening}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_made() {
    let fake = Fake::start();
    let two = ["--count", "2", "--template", "w%d"];
    for (arguments, told) in [
        (vec!["--dial-out"], "--server"),
        (vec!["--address", "one.example.com"], "{name}"),
        (vec!["--dial-out", "--server", "a:b:c"], "--server"),
    ] {
        let refused = add(&fake, &[&two[..], &arguments].concat());
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains(told), "{refused:?}");
    }
    let folder = fake.folder.path();
    let outside = folder.join("x");
    std::os::unix::fs::symlink(folder, folder.join("link")).unwrap();
    for inside in ["x/y", "z/../x/y", "link/x"] {
        let told = fake.run(
            &[
                &["gateway", "add", "--dial-out", "--server", "c"],
                &two[..],
                &[
                    "--out",
                    outside.to_str().unwrap(),
                    "--tokens",
                    folder.join(inside).to_str().unwrap(),
                ],
            ]
            .concat(),
        );
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(told.err.contains("carried apart"), "{told:?}");
    }
    assert!(fake.gateways().is_empty() && !outside.exists());
}
