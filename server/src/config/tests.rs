//! The sample, and what is refused.

use super::*;

const SAMPLE: &str = include_str!("../../../deploy/server.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("server.toml"))
}

#[test]
fn the_sample_holds_the_defaults() {
    assert_eq!(parse(SAMPLE).unwrap(), Config::default());
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn the_sample_names_every_key() {
    for section in [
        "",
        "server",
        "admin",
        "capabilities",
        "audit",
        "dial_out",
        "channel",
        "links",
        "keys",
        "calls",
        "watch",
        "traces",
        "log",
    ] {
        let head = if section.is_empty() {
            String::new()
        } else {
            format!("[{section}]\n")
        };
        let error = parse(&format!("{head}no_such_key = 1"))
            .unwrap_err()
            .to_string();
        let (_, allowed) = error.split_once("expected").unwrap();
        let names: Vec<_> = allowed.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{error}");
        for name in names {
            assert!(
                SAMPLE.contains(&format!("\n{name} = ")) || SAMPLE.contains(&format!("[{name}]")),
                "{section}: {name}"
            );
        }
    }
}

/// A fault, its line, its key, and what the message says of what is allowed.
const FAULTS: [(&str, u32, &str, &str); 14] = [
    ("colour = 1", 1, "colour", "data_dir"),
    ("\n[links]\nbackoff = \"1s\"", 3, "backoff", "backoff_min"),
    (
        "[channel]\nsuites = [\"DES\"]",
        2,
        "suites",
        "TDES-CTR-HMAC-SHA256",
    ),
    ("[channel]\nsuites = []", 2, "suites", "at least one"),
    (
        "[channel]\nepoch_age = \"10 parsecs\"",
        2,
        "epoch_age",
        "10m",
    ),
    (
        "[channel]\nhandshake_timeout = \"1h\"",
        2,
        "handshake_timeout",
        "5m",
    ),
    ("[log]\nformat = \"xml\"", 2, "format", "json"),
    ("[log]\nlevel = \"=,=\"", 2, "level", "debug"),
    ("data_dir = \"here\"", 1, "data_dir", "absolute"),
    (
        "[dial_out]\nlisten = \"everywhere\"",
        2,
        "listen",
        "0.0.0.0:9279",
    ),
    (
        "[dial_out]\nlisten = \"0.0.0.0:0\"",
        2,
        "listen",
        "0.0.0.0:9279",
    ),
    (
        "[capabilities]\nroot = [\"uid:0\"]",
        2,
        "root",
        "security-administrator",
    ),
    (
        "[capabilities]\noperator = [\"ann\"]",
        2,
        "operator",
        "user:NAME",
    ),
    ("[keys]\ntoken_lifetime = 24", 2, "token_lifetime", "10m"),
];

#[test]
fn a_database_is_named_with_all_that_it_takes() {
    let config = parse(
        "[repository]\nengine = \"postgres\"\nhosts = [\"db1\", \"db2:5433\", \"[::1]:7\"]\n\
         password_credential = \"database\"",
    )
    .unwrap();
    let Engine::Postgres(database) = config.engine else {
        panic!("{:?}", config.engine);
    };
    let shown = "postgresql://db1:5432,db2:5433,[::1]:7/portcullis";
    assert_eq!(database.to_string(), shown);
    assert_eq!(database.user, "portcullis");
    assert!(!database.is_local());
    let credential = DatabasePassword::Credential("database".to_owned());
    assert_eq!(database.password, Some(credential));
    let local = parse("[repository]\nengine = \"postgres\"\nhosts = [\"/run/postgresql:5433\"]");
    let Engine::Postgres(local) = local.unwrap().engine else {
        panic!("no database");
    };
    assert!(local.is_local());
    assert_eq!(
        local.to_string(),
        "postgresql:///run/postgresql:5433/portcullis"
    );
}

#[test]
fn what_does_not_make_a_database_is_refused() {
    let of = "[repository]\nengine = \"postgres\"\n";
    for (text, said) in [
        ("[repository]\nengine = \"oracle\"".to_owned(), "\"sqlite\""),
        (of.to_owned(), "hosts is missing"),
        (format!("{of}hosts = []"), "hosts is missing"),
        (format!("{of}hosts = [\"db1:0\"]"), "hosts"),
        (format!("{of}hosts = [\"/run:x\"]"), "FOLDER:PORT"),
        (
            format!("{of}hosts = [\"db1\", \"/run\"]"),
            "hosts and sockets together",
        ),
        (
            format!("{of}hosts = [\"/run\"]\nca_file = \"/ca\""),
            "no TLS on a socket",
        ),
        (format!("{of}hosts = [\"db1\"]\nuser = \"\""), "not a name"),
        (
            format!("{of}hosts = [\"db1\"]\npassword_file = \"/p\"\npassword_credential = \"p\""),
            "both given",
        ),
        (
            format!("{of}hosts = [\"db1\"]\ncolour = 1"),
            "password_file",
        ),
        (
            "[repository]\nhosts = [\"db1\"]".to_owned(),
            "engine = \"postgres\"",
        ),
    ] {
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.contains(said), "{text}: {message}");
    }
}

#[test]
fn whom_the_system_does_not_know_is_a_warning_and_costs_nobody_else() {
    let config = parse(
        "[admin]\nsocket_group = \"root\"\n[capabilities]\n\
         auditor = [\"user:no such user\", \"uid:7\", \"group:no such group\"]",
    )
    .unwrap();
    assert_eq!(config.capabilities.held_by(7, &[]).to_string(), "auditor");
    let told = &config.warnings;
    assert_eq!(told.len(), 2, "{told:?}");
    for (warning, name) in told.iter().zip(["no such user", "no such group"]) {
        assert!(
            warning.starts_with("server.toml, line 4: capabilities.auditor: "),
            "{warning}"
        );
        assert!(warning.contains(name), "{warning}");
    }
    // A group that is gone is no reason not to start, nor to refuse what it would open.
    let config =
        parse("[admin]\nsocket_group = \"no such group\"\n[capabilities]\nauditor = [\"uid:7\"]")
            .unwrap();
    assert_eq!(config.admin.socket_group, None);
    assert!(
        config.warnings[0].contains("line 2: admin.socket_group"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn errors_name_file_line_key_and_what_is_allowed() {
    for (text, line, key, allowed) in FAULTS {
        let message = parse(text).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("server.toml, line {line}, `")),
            "{message}"
        );
        assert!(message.contains(key), "{message}");
        assert!(message.contains(allowed), "{message}");
    }
    let error = parse("[links]\nbackoff_min = \"2m\"").unwrap_err();
    assert!(error.to_string().contains("backoff_max"), "{error}");
    let error = parse("[capabilities]\nauditor = [\"uid:5\"]").unwrap_err();
    assert!(error.to_string().contains("socket_group"), "{error}");
}

#[test]
fn a_file_with_several_faults_reports_all_of_them() {
    let text = "colour = 1
secret_file = \"/run/secret\"
secret_prompt = true
[channel]
suites = [
  \"TDES-CTR-HMAC-SHA256\",
  \"RC4\",
]
epoch_age = 600
[links]
backoff_min = \"2m\"
[calls]
queue_limit = \"many\"
[log]
format = \"xml\"
";
    let ConfigError::Invalid(faults) = parse(text).unwrap_err() else {
        panic!("the text was read");
    };
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "server.toml: secret_file is given and secret_prompt is true: leave one of them out",
            "server.toml: [links] backoff_min is longer than backoff_max: give the same or a shorter time",
            "server.toml, line 1, `colour = 1`: unknown field `colour`, expected one of `data_dir`, `secret_file`, `secret_credential`, `secret_prompt`, `repository`, `server`, `admin`, `capabilities`, `peers`, `audit`, `dial_out`, `tls`, `channel`, `links`, `keys`, `calls`, `forward`, `watch`, `traces`, `log`",
            "server.toml, line 7, `\"RC4\",`: channel.suites: `RC4`: no suite of that name: there are `TDES-CTR-HMAC-SHA256` and `AES-256-GCM`",
            "server.toml, line 9, `epoch_age = 600`: not allowed here: give a time from `100ms` to `3650d`, like `20s`, `10m` or `24h`",
            "server.toml, line 13, `queue_limit = \"many\"`: a text stands here: a whole number from 0 to 4294967295 is allowed",
            "server.toml, line 15, `format = \"xml\"`: `xml`: `text` and `json` are allowed",
        ]
    );
    let shown = ConfigError::Invalid(faults).to_string();
    assert_eq!(
        shown,
        format!(
            "the configuration is wrong; nothing was started or changed\n  {}",
            lines.join("\n  ")
        )
    );
}

#[test]
fn one_wrong_value_is_no_contradiction_as_well() {
    for text in [
        "[links]\nbackoff_min = \"2m\"\nbackoff_max = \"soon\"",
        "[admin]\nsocket_group = 5\n[capabilities]\nauditor = [\"uid:5\"]",
    ] {
        let ConfigError::Invalid(faults) = parse(text).unwrap_err() else {
            panic!("{text}");
        };
        assert_eq!(faults.len(), 1, "{faults:?}");
    }
}

#[test]
fn broken_toml_is_reported_with_its_line() {
    let error = parse("data_dir = \"/srv/p\"\n[admin\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("server.toml, line 2, `[admin`: this is no valid TOML: "),
        "{error}"
    );
}

#[test]
fn the_secret_lies_in_the_data_folder_and_the_head_file_beside_it_unless_told() {
    let config = parse("data_dir = \"/srv/p\"").unwrap();
    assert_eq!(config.audit.head_file, Path::new("/srv/p-audit/head"));
    assert_eq!(
        config.secret,
        SecretSource::File("/srv/p/server.secret".into())
    );
    let config = parse("secret_file = \"/run/secret\"").unwrap();
    assert_eq!(config.secret, SecretSource::File("/run/secret".into()));
    let config = parse("secret_credential = \"portcullis\"").unwrap();
    assert_eq!(config.secret, SecretSource::Credential("portcullis".into()));
    let config = parse("secret_prompt = true").unwrap();
    assert_eq!(config.secret, SecretSource::Prompt);
    assert_eq!(
        parse("[dial_out]\nlisten = \"\"").unwrap().dial_out.listen,
        None
    );
}

#[test]
fn two_sources_of_the_secret_contradict_each_other() {
    let (file, credential, prompt) = (
        "secret_file = \"/run/secret\"\n",
        "secret_credential = \"portcullis\"\n",
        "secret_prompt = true\n",
    );
    for (one, other) in [(file, credential), (file, prompt), (credential, prompt)] {
        let error = parse(&format!("{one}{other}")).unwrap_err().to_string();
        for text in [one, other] {
            let (key, _) = text.split_once(' ').unwrap();
            assert!(error.contains(key), "{error}");
        }
        assert!(error.starts_with("server.toml: "), "{error}");
    }
    for name in ["../x", "a/b", ".", "with blank"] {
        let text = format!("secret_credential = {name:?}");
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains("a credential's name"), "{error}");
    }
}

#[test]
fn a_named_file_has_to_be_there() {
    let missing = Path::new("/nonexistent/server.toml");
    let error = Config::load(Some(missing)).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/server.toml"), "{error}");
}

#[test]
fn tls_names_its_files_by_absolute_paths_and_is_compulsory_unless_said() {
    let text = "[tls]\ncertificate = \"/a\"\nkey = \"/b\"\ngateway_ca = \"/c\"\n";
    let tls = parse(text).unwrap().tls.unwrap();
    assert!(tls.require && tls.revoked.is_none() && tls.server_name.is_none());
    assert_eq!(tls.peer_ca, Path::new("/c"));
    for (wrong, said) in [
        ("[tls]\ncertificate = \"/a\"\nkey = \"/b\"", "missing"),
        (&text.replace("/b", "b"), "an absolute path is allowed"),
        (
            &format!("{text}server_ca = \"/d\""),
            "unknown field `server_ca`",
        ),
        (&format!("{text}require = \"no\""), "true or false"),
    ] {
        let error = parse(wrong).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn links_between_servers_need_both_addresses_and_a_database() {
    let of = "[repository]\nengine = \"postgres\"\nhosts = [\"db1\"]\n[peers]\n";
    let listen = "listen = \"0.0.0.0:9282\"\n";
    let text = format!("{of}{listen}advertise = \"server1.example.com\"");
    let peers = parse(&text).unwrap().peers.unwrap();
    assert_eq!(peers.listen.to_string(), "0.0.0.0:9282");
    assert_eq!(peers.advertise, "server1.example.com:9282");
    for (text, said) in [
        (of.to_owned(), "needs both"),
        (format!("{of}{listen}"), "needs both"),
        (format!("{of}{listen}advertise = \"\""), "HOST:PORT"),
        (
            format!("{of}{listen}advertise = \"http://server1/\""),
            "HOST:PORT",
        ),
        (
            format!("[peers]\n{listen}advertise = \"server1\""),
            "PostgreSQL",
        ),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}
