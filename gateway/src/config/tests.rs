//! What a reader of the messages sees, and that the sample in `deploy/` is what the program does
//! without one.

use std::fs;
use std::path::Path;

use super::*;

fn problems(text: &str) -> Vec<String> {
    let problems = Config::parse(Path::new("gateway.toml"), text).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

/// On Windows the default paths are others.
#[cfg(unix)]
#[test]
fn the_sample_in_deploy_is_what_holds_without_a_configuration() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway.toml");
    let mut sample = Config::load(Some(&file), |_| Vec::new()).unwrap();
    assert_eq!(sample.source.take(), Some(file.clone()));
    let default = Config::parse(&file, "").unwrap();
    assert_eq!(format!("{sample:?}"), format!("{default:?}"));
}

#[test]
fn every_default_is_written_out_in_the_sample() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway.toml");
    let text = fs::read_to_string(file).unwrap();
    let keys = [
        "instance",
        "state_dir",
        "address",
        "# server",
        "# name",
        "# proxy",
        "# proxy_credentials",
        "# certificate",
        "# key",
        "# server_ca",
        "# revoked",
        "# server_name",
        "# require",
        "secret_credential",
        "suites",
        "handshake_timeout",
        "epoch_age",
        "half_open",
        "half_open_per_address",
        "calls",
        "call_timeout",
        "level",
        "format",
    ];
    for key in keys {
        let stands = text
            .lines()
            .any(|line| line.starts_with(&format!("{key} = ")));
        assert!(stands, "{key} does not stand in the sample");
    }
}

#[test]
fn every_problem_is_reported_at_once_with_line_key_and_what_is_allowed() {
    let found = problems(
        "port = 1\n[listen]\naddress = \"here\"\n[channel]\nsuites = [\n  \"TDES-CTR-HMAC-SHA256\",\n  \"RC4\",\n]\n[limits]\ncalls = 0\n",
    );
    assert_eq!(
        found,
        [
            "gateway.toml, line 1: port: unknown key: allowed here are `instance`, `state_dir`, `listen`, `dial_out`, `tls`, `key_store`, `channel`, `limits`, `journal`, `watch`, `traces`, `log`, `workers`, `connectors`",
            "gateway.toml, line 3: listen.address: `here`: IP:PORT is allowed, such as \"0.0.0.0:9278\" or \"[::]:9278\"",
            "gateway.toml, line 7: channel.suites: `RC4`: no suite of that name: there are `TDES-CTR-HMAC-SHA256` and `AES-256-GCM`",
            "gateway.toml, line 10: limits.calls: out of range: a whole number from 1 to 4096 is allowed",
        ]
    );
}

#[test]
fn a_value_of_another_type_is_named() {
    let found = problems("state_dir = 3\n[log]\nlevel = true\n[limits]\ncalls = \"many\"\n");
    assert_eq!(
        found,
        [
            "gateway.toml, line 1: state_dir: a whole number stands here: a text in quotes is allowed",
            "gateway.toml, line 3: log.level: true or false stands here: a text in quotes is allowed",
            "gateway.toml, line 5: limits.calls: a text stands here: a whole number from 1 to 4096 is allowed",
        ]
    );
}

#[test]
fn a_port_that_the_system_chooses_is_none_to_listen_on() {
    let found = problems("[listen]\naddress = \"0.0.0.0:0\"\n");
    assert_eq!(
        found,
        [
            "gateway.toml, line 2: listen.address: `0.0.0.0:0`: IP:PORT is allowed, such as \"0.0.0.0:9278\" or \"[::]:9278\""
        ]
    );
}

#[test]
fn broken_toml_is_reported_with_its_line() {
    let found = problems("instance = \"a\"\n[listen\n");
    assert!(
        found[0].starts_with("gateway.toml, line 2: this is no valid TOML: "),
        "{found:?}"
    );
}

#[test]
fn both_ways_of_dialling_are_too_many() {
    let found = problems("[listen]\n[dial_out]\nserver = \"central:9279\"\n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("gateway.toml, line 2: dial_out: either"),
        "{found:?}"
    );
}

#[test]
fn a_server_to_dial_is_a_host_and_a_port() {
    for good in [
        "central.example.com:9279",
        "10.0.0.1:1",
        "[2001:db8::1]:65535",
    ] {
        let text = format!("[dial_out]\nserver = \"{good}\"\n");
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        assert_eq!(
            config.dial,
            Dial::Out {
                server: good.to_owned(),
                others: Vec::new(),
                name: None,
                proxy: None,
            }
        );
    }
    for bad in [
        "central",
        "central:",
        ":9279",
        "central:0",
        "central:99999",
        "2001:db8::1:9279",
        "[nine]:9279",
        "a b:1",
    ] {
        let found = problems(&format!("[dial_out]\nserver = \"{bad}\"\n"));
        assert!(
            found[0].contains("HOST:PORT is allowed"),
            "{bad}: {found:?}"
        );
    }
    assert!(problems("[dial_out]\n")[0].contains("dial_out.server: missing"));
}

#[test]
fn further_servers_are_hosts_and_ports() {
    let read = |others: &str| format!("[dial_out]\nserver = \"a:1\"\nothers = {others}\n");
    let text = read("[\"b:9279\", \"[2001:db8::1]:9279\"]");
    let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
    let Dial::Out { others, .. } = config.dial else {
        panic!("it dials out");
    };
    assert_eq!(others, ["b:9279", "[2001:db8::1]:9279"]);
    for bad in ["[\"b\"]", "[\"b:1\", \"c:0\"]", "\"b:1\"", "[7]"] {
        let found = problems(&read(bad));
        assert!(found[0].contains("dial_out.others"), "{bad}: {found:?}");
    }
}

/// With paths that are absolute on this system.
fn absolute_here(text: &str) -> String {
    match cfg!(windows) {
        true => text.replace("\"/", "\"C:/"),
        false => text.to_owned(),
    }
}

#[test]
fn a_proxy_is_a_host_and_a_port_without_a_password() {
    let read = |rest: &str| absolute_here(&format!("[dial_out]\nserver = \"a:1\"\n{rest}"));
    let text = read(
        "proxy = \"http://proxy.example.com:3128/\"\nproxy_credentials = \"/etc/portcullis/proxy\"\n",
    );
    let Dial::Out { proxy, .. } = Config::parse(Path::new("gateway.toml"), &text)
        .unwrap()
        .dial
    else {
        panic!("it dials out");
    };
    let proxy = proxy.unwrap();
    assert_eq!(proxy.address, "proxy.example.com:3128");
    let credentials = proxy.credentials.unwrap();
    assert!(credentials.ends_with("etc/portcullis/proxy"));
    for (rest, said) in [
        ("proxy = \"proxy:3128\"", "http://HOST:PORT is allowed"),
        (
            "proxy = \"https://proxy:3128\"",
            "http://HOST:PORT is allowed",
        ),
        ("proxy = \"http://proxy\"", "http://HOST:PORT is allowed"),
        (
            "proxy = \"http://me:sesame@proxy:3128\"",
            "no name and password may stand here",
        ),
        ("proxy_credentials = \"/a\"", "without `proxy`"),
        (
            "proxy = \"http://a:1\"\nproxy_credentials = \"a\"",
            "an absolute path",
        ),
    ] {
        let found = problems(&read(rest));
        assert!(found[0].contains(said), "{rest}: {found:?}");
        assert!(!found[0].contains("sesame"), "{found:?}");
    }
}

#[test]
fn a_connector_keeps_its_own_keys_and_their_lines() {
    let text = "[connectors.local]\ntype = \"unix\"\nprefix = \"/srv\"\n[connectors.local.guard_rails]\nread_only = true\n";
    let config = Config::parse(Path::new("gateway.toml"), text).unwrap();
    let local = &config.connectors.connectors[0];
    assert_eq!(
        (local.name.as_str(), local.kind.as_str()),
        ("local", "unix")
    );
    let problems = Problems::new(Path::new("gateway.toml"));
    let mut section = Section::new(local.path(), &local.table, &problems);
    assert_eq!(section.text("type"), Some("unix"));
    assert_eq!(section.line_of("prefix"), 3);
    let mut rails = section.section("guard_rails").unwrap();
    assert_eq!(rails.boolean("read_only"), Some(true));
    rails.finish();
    section.finish();
    let left: Vec<_> = problems
        .into_vec()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        left,
        [
            "gateway.toml, line 3: connectors.local.prefix: unknown key: allowed in [connectors.local] are `type`, `guard_rails`"
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_an_error_only_where_it_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("gateway.toml");
    let found = Config::load(Some(&missing), |_| Vec::new()).unwrap_err();
    assert!(found[0].message.contains("there is no such file"));
}

#[cfg(unix)]
#[test]
fn the_connectors_in_the_sample_are_ones_that_the_program_knows() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (_, samples) = text.split_once("\n# [connectors.").unwrap();
    // A key, a section, or a further line of a text.
    let stands =
        |line: &str| line.starts_with('[') || line.contains(" = ") || line.starts_with("  ");
    let uncommented: String = format!("[connectors.{samples}")
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        // A key of Windows alone, as the sample says.
        .filter(|line| stands(line) && !line.starts_with("powershell"))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = Config::parse(&file, &uncommented).unwrap();
    let names: Vec<_> = config
        .connectors
        .connectors
        .iter()
        .map(|c| &c.name)
        .collect();
    assert_eq!(names, ["directory", "hr", "local", "office", "people"]);
    // Some folders, files and users are missing here.
    let problems = crate::connectors::Connectors::from_config(&config.connectors)
        .err()
        .unwrap_or_default();
    for problem in problems {
        let missing = [
            "connectors.directory.ca_file",
            "connectors.hr.folder",
            "connectors.hr.user",
            "connectors.people.ca_file",
            "connectors.office.ca_file",
        ];
        assert!(missing.contains(&problem.key.as_str()), "{problem}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_write_is_refused_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    fs::write(&file, "").unwrap();
    for (mode, taken) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        match Config::load(Some(&file), |_| Vec::new()) {
            Ok(_) => assert!(taken, "{mode:o}"),
            Err(found) => {
                assert!(!taken, "{mode:o}: {found:?}");
                assert!(found[0].message.contains("chmod go-w"), "{found:?}");
            }
        }
    }
}

#[test]
fn tls_names_its_files_by_absolute_paths() {
    let base = "[tls]\ncertificate = \"/a\"\nkey = \"/b\"\nserver_ca = \"/c\"\n";
    let base = absolute_here(base);
    let text = format!("{base}server_name = \"central.example.com\"\n");
    let tls = Config::parse(Path::new("gateway.toml"), &text).unwrap().tls;
    let tls = tls.unwrap();
    assert!(tls.require);
    assert_eq!(tls.server_name.as_deref(), Some("central.example.com"));
    for (wrong, said) in [
        (
            base.replace("server_ca", "gateway_ca"),
            "tls.server_ca: missing",
        ),
        (base.replace("/a", "a"), "an absolute path is allowed"),
        (
            format!("{base}server_name = \"a b\""),
            "a host's name or an IP address",
        ),
    ] {
        let found = problems(&wrong).join("\n");
        assert!(found.contains(said), "{found}");
    }
}
