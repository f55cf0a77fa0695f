//! The installer, silently: as a tool does it that sets up many hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use portcullis_tests::harness::{Finished, Scripts, Wine, drive_z};

use super::service::{Bare, fails, reported, told};
use super::{done, private_file, result};
use portcullis_proto::gateway::v1::value;

/// `before` and `now`: the same program under two versions.
fn msiexec(verb: &str, version: &str, properties: &[&str]) -> Finished {
    let folder = std::env::var("PORTCULLIS_TEST_INSTALLERS").unwrap();
    let path = drive_z(&Path::new(&folder).join(format!("portcullis-gateway-{version}-x64.msi")));
    let line = [&[verb, &path, "/qn"], properties].concat();
    Wine::from_environment().run("msiexec", &line)
}

const BEFORE: &str = "1.0.0";
const NOW: &str = "1.1.0";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the installers and Wine: tests/run windows"]
async fn installed_silently_enrolled_upgraded_in_place_and_removed() {
    let bare = Bare::new("host1").await;
    let (token, outside) = &bare.token;
    let server = format!("SERVER={}", bare.address);
    let token_file = format!("TOKENFILE={token}");
    let settings = bare.data("gateway.toml");
    let program = bare
        .wine
        .drive_c()
        .join("Program Files/Portcullis/portcullis-gateway.exe");
    let gateway = |line: &[&str]| {
        bare.wine
            .run(r"C:\Program Files\Portcullis\portcullis-gateway.exe", line)
    };
    let no_service = || {
        fails(bare.wine.run("sc", &["query", "PortcullisGateway"]));
    };

    // A property that is wrong, as the installer sees and as the program does.
    fails(msiexec("/i", BEFORE, &["SERVER=nowhere"]));
    fs::set_permissions(outside, fs::Permissions::from_mode(0o644)).unwrap();
    fails(msiexec("/i", BEFORE, &[&server, &token_file]));
    let report = fs::read_to_string(bare.data("install.log")).unwrap();
    assert!(report.contains("nothing was set up: "), "{report}");
    assert!(report.contains("can be read by S-1-1-0"), "{report}");
    assert!(!settings.exists());
    no_service();

    private_file(outside, &fs::read_to_string(outside).unwrap());
    msiexec("/i", BEFORE, &[&server, &token_file]).ok();
    let first = bare.admin.synchronized("host1").await;
    told(gateway(&["service", "status"]), &["is running"]);

    // An administrator adds a connector.
    add_scripts(&bare.wine, &settings);
    gateway(&["reload"]).ok();
    bare.admin.add_resource("journal", "host1", "scripts").await;
    record(&bare, "installed").await;
    let rotated = bare.admin.rotate(30_000).await;
    assert_eq!((rotated.synchronized, rotated.total), (1, 1), "{rotated:?}");
    let shown = gateway(&["key", "show"]).ok();
    assert!(
        shown
            .stdout
            .contains(r"HKLM\SOFTWARE\Portcullis\Gateway\default"),
        "{shown}"
    );
    assert!(shown.stdout.contains(&rotated.current_key_id), "{shown}");
    reported(23, &rotated.current_key_id).await;
    let edited = fs::read(&settings).unwrap();

    // In place: nothing is set up anew, and what ran runs.
    msiexec("/i", NOW, &[]).ok();
    let after = bare.admin.synchronized("host1").await;
    assert_eq!(after.session_key_id, rotated.current_key_id);
    assert_eq!(after.gateway_id, first.gateway_id);
    assert_eq!(fs::read(&settings).unwrap(), edited);
    told(gateway(&["service", "status"]), &["is running"]);
    record(&bare, "upgraded").await;
    assert_eq!(versions(&bare.wine), [NOW]);
    // And not back.
    fails(msiexec("/i", BEFORE, &[]));
    assert_eq!(versions(&bare.wine), [NOW]);

    msiexec("/x", NOW, &[]).ok();
    no_service();
    assert!(!program.exists());
    assert_eq!(fs::read(&settings).unwrap(), edited);

    // Installed again it is who it was; removed for good nothing is left.
    msiexec("/i", NOW, &[]).ok();
    bare.admin.synchronized("host1").await;
    record(&bare, "installed-again").await;
    msiexec("/x", NOW, &["REMOVEKEYS=1"]).ok();
    no_service();
    assert!(!settings.exists());
    assert!(!bare.data("gateway").exists());
    let keys = bare.wine.run(
        "reg",
        &["query", r"HKLM\SOFTWARE\Portcullis\Gateway\default"],
    );
    fails(keys);
}

fn add_scripts(wine: &Wine, settings: &Path) {
    let folder = wine.drive_c().join("installed-scripts");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(wine.script_exe(), folder.join("run-record.exe")).unwrap();
    let text = fs::read_to_string(settings).unwrap();
    let connector = "\r\n[connectors.scripts]\r\ntype = \"script\"\r\nfolder = 'C:\\installed-scripts'\r\n\
         [connectors.scripts.environment]\r\nJOURNAL = 'C:\\installed-scripts\\journal'\r\n";
    fs::write(settings, text + connector).unwrap();
}

async fn record(bare: &Bare, id: &str) {
    let outcome = bare
        .admin
        .call("journal", Scripts::call("record", id))
        .await;
    assert_eq!(
        result(&done(outcome), "call"),
        value::Kind::Text(id.to_owned())
    );
}

/// Of the products that the host says are installed.
fn versions(wine: &Wine) -> Vec<String> {
    let uninstall = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall";
    let found = wine.run("reg", &["query", uninstall, "/s"]).ok();
    let mut ours = false;
    let mut versions = Vec::new();
    for line in found.stdout.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            [key] if key.starts_with("HKEY_") => ours = false,
            ["DisplayName", _, "Portcullis", "Gateway"] => ours = true,
            ["DisplayVersion", _, version] if ours => versions.push((*version).to_owned()),
            _ => {}
        }
    }
    versions
}
