//! `gateway add` of many at once.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;

use crate::exit::signal;
use crate::fake::{Fake, Finished};

const TOKEN: &str = "PCT1-TOKEN";

fn add(fake: &Fake, arguments: &[&str]) -> Finished {
    let arguments = with_folders(fake, arguments);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    fake.run(&arguments)
}

fn with_folders(fake: &Fake, arguments: &[&str]) -> Vec<String> {
    let out = fake.folder.path().join("bundles");
    let tokens = fake.folder.path().join("tokens");
    let folders = [
        "--out",
        out.to_str().unwrap(),
        "--tokens",
        tokens.to_str().unwrap(),
    ];
    let all = [&["gateway", "add"], arguments, &folders].concat();
    all.into_iter().map(str::to_owned).collect()
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
    symlink(folder, folder.join("link")).unwrap();
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

#[test]
fn a_hangup_lets_come_to_its_end_what_is_under_way() {
    let fake = Fake::start();
    let file = fake.file("all.csv", "name\nheld\n");
    let from = ["--from", file.to_str().unwrap(), "--server", "central"];
    let arguments = with_folders(&fake, &from);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut command = fake.command(&arguments);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    fake.wait_for_gateway("held");
    // The kernel says it, and the shell does.
    signal(&child, "HUP");
    signal(&child, "HUP");
    fake.release();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let token = fake.folder.path().join("tokens/held.token");
    assert_eq!(fs::read_to_string(token).unwrap().trim(), TOKEN);
    assert!(fake.folder.path().join("bundles/gateways.csv").exists());
}

#[test]
fn what_a_killed_command_left_empty_is_no_token_and_no_bundle() {
    let fake = Fake::start();
    let file = fake.file("all.csv", "name\nheld\nweb1\ntaken\n");
    let from = ["--from", file.to_str().unwrap(), "--server", "central"];
    let arguments = with_folders(&fake, &[&from[..], &["--if-absent"]].concat());
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut command = fake.command(&arguments);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    fake.wait_for_gateway("held");
    let root = fake.folder.path();
    let (bundles, tokens) = (root.join("bundles"), root.join("tokens"));
    let held = tokens.join("held.token");
    // Until it is killed the file is its own, empty as it is.
    let name = held.to_str().unwrap();
    let beside = fake.run(&["gateway", "add", "x", "--dial-out", "--token-file", name]);
    assert_eq!(beside.code, Some(1), "{beside:?}");
    assert!(beside.err.contains("it is there already"), "{beside:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read(&held).unwrap(), b"");
    fs::write(bundles.join("web1/gateway.toml"), "").unwrap();
    for name in ["web1.token", "taken.token"] {
        fs::write(tokens.join(name), "").unwrap();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(tokens.join(name), private).unwrap();
    }
    fake.release();
    let again = add(&fake, &[&from[..], &["--if-absent"]].concat());
    assert_eq!(again.code, Some(0), "{again:?}");
    for name in ["held", "web1"] {
        let token = fs::read_to_string(tokens.join(format!("{name}.token")));
        assert_eq!(token.unwrap().trim(), TOKEN);
        let bundle = fs::read_to_string(bundles.join(name).join("gateway.toml"));
        assert!(bundle.unwrap().contains("[dial_out]"));
    }
    // This one has a token, which was not in the file.
    assert!(again.out.contains("gateway token taken"), "{again:?}");
    assert!(!tokens.join("taken.token").exists());
    // What holds something is never taken for a left-over.
    let refused = add(&fake, &from);
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

#[test]
fn connectors_that_no_gateway_could_take_are_refused_before_anything_is_done() {
    let fake = Fake::start();
    let one = ["--count", "1", "--template", "w%d", "--dial-out"];
    let with = |content: &str| {
        let file = fake.file("c.toml", content);
        let rest = ["--server", "c", "--connectors", file.to_str().unwrap()];
        add(&fake, &[&one[..], &rest].concat())
    };
    let unix = "[connectors.a]\ntype = \"unix\"\n";
    for (content, told) in [
        ("no toml at all\n", "c.toml, line 1: "),
        ("", "at least one [connectors.NAME]"),
        (
            "[connectors.a]\ntype = \"unixx\"\n",
            "c.toml, line 2: connectors.a.type: there is no `unixx`; there are unix, script, ldap, active-directory, sql",
        ),
        (
            "[connectors.a]\n",
            "c.toml, line 1: connectors.a.type: missing",
        ),
        ("connectors.a.type = \"unix\"\n", "before the first table"),
        (
            &format!("{unix}[listen]\naddress = \"[::]:1\"\n"),
            "c.toml, line 3: listen: every bundle has this by itself",
        ),
        (
            &format!("{unix}[conectors.b]\n"),
            "c.toml, line 3: conectors: no table",
        ),
    ] {
        let refused = with(content);
        assert_eq!(refused.code, Some(2), "{content}: {refused:?}");
        assert!(refused.err.contains(told), "{content}: {refused:?}");
    }
    assert!(fake.gateways().is_empty());
    assert!(!fake.folder.path().join("bundles").exists());
    let made = with(&format!("{unix}[log]\nlevel = \"debug\"\n"));
    assert_eq!(made.code, Some(0), "{made:?}");
}

#[test]
fn a_bundle_without_the_tls_that_its_gateway_needs_is_told() {
    let fake = Fake::start();
    let file = fake.file("all.csv", "name,require_tls\na,true\nb,no\n");
    let from = [
        "--from",
        file.to_str().unwrap(),
        "--server",
        "c",
        "--output",
        "json",
    ];
    let told = add(&fake, &from);
    assert_eq!(told.code, Some(0), "{told:?}");
    let note = |index: usize| told.json()["gateways"][index]["note"].clone();
    assert!(
        note(0).to_string().contains("add one, or it gets no link"),
        "{told:?}"
    );
    assert_eq!(note(1), "");
    let tls = fake.file("c.toml", "[connectors.a]\ntype = \"unix\"\n[tls]\n");
    let other = fake.file("other.csv", "name,require_tls\nc,true\n");
    let (tls, other) = (tls.to_str().unwrap(), other.to_str().unwrap());
    let server = ["--server", "c", "--output", "json"];
    let told = add(
        &fake,
        &[&["--from", other, "--connectors", tls], &server[..]].concat(),
    );
    assert_eq!(told.json()["gateways"][0]["note"], "", "{told:?}");
}

#[test]
fn bundles_that_cannot_be_written_register_nobody() {
    let fake = Fake::start();
    let two = ["--count", "2", "--template", "w%d", "--dial-out"];
    let bundles = fake.folder.path().join("bundles");
    // A link to nowhere, in the place of the second one.
    fs::create_dir_all(bundles.join("w2")).unwrap();
    let link = bundles.join("w2/gateway.toml");
    symlink("nowhere", &link).unwrap();
    let failed = add(&fake, &[&two[..], &["--server", "c"]].concat());
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.err.contains("nothing was registered"), "{failed:?}");
    assert!(fake.gateways().is_empty() && !bundles.join("w1").exists());
    fs::remove_file(&link).unwrap();
    fs::write(&link, "other\n").unwrap();
    let other = add(
        &fake,
        &[&two[..], &["--server", "c", "--if-absent"]].concat(),
    );
    assert!(other.err.contains("with other contents"), "{other:?}");
    assert!(fake.gateways().is_empty());
}
