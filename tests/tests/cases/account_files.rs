//! Account files of every kind, as the C library reads them and as the connector does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_gateway::config::Config;
use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::model::{Done, Object, ObjectName, Outcome, SearchEvent, Value};
use portcullis_gateway::worker::Provisioner;
use portcullis_proto::gateway::v1 as wire;
use portcullis_tests::harness::{Site, run_to_end};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Deserialize;

const FILES: [&str; 4] = ["passwd", "group", "shadow", "gshadow"];

#[tokio::test]
async fn the_c_library_and_the_connector_agree_on_random_account_files() {
    let seed: u64 = match std::env::var("PORTCULLIS_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => rand::random(),
    };
    println!("PORTCULLIS_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::new();
    let folders: Vec<PathBuf> = (0..1000)
        .map(|number| {
            let folder = site.folder(&number.to_string());
            fs::create_dir(folder.join("etc")).unwrap();
            for file in FILES {
                let content = without_doubled_ends(&random_file(&mut rng, file));
                fs::write(folder.join("etc").join(file), content).unwrap();
            }
            folder
        })
        .collect();
    let Some(expected) = c_library(&folders) else {
        eprintln!("skipped: there is no python3 here, or no glibc");
        return;
    };
    let root = site.folder("root");
    fs::create_dir(root.join("etc")).unwrap();
    let connector = Connector::new(&root);
    let mut entries = 0;
    for (folder, read) in folders.iter().zip(expected) {
        for file in FILES {
            let name = Path::new("etc").join(file);
            fs::copy(folder.join(&name), root.join(&name)).unwrap();
        }
        entries += read.passwd.len() + read.group.len();
        let folder = folder.display();
        let accounts = connector.search(wire::ObjectClass::Account).await;
        let expected = read.accounts();
        assert_eq!(accounts, expected, "seed {seed}, etc/passwd of {folder}");
        let groups = connector.search(wire::ObjectClass::Group).await;
        let expected = read.groups();
        assert_eq!(groups, expected, "seed {seed}, etc/group of {folder}");
        if let Some(report) = connector.report().await {
            for (file, left_out) in read.left_out() {
                let told = report.contains(&format!("of etc/{file}"));
                assert!(told || left_out == 0, "seed {seed}, {folder}: {report}");
            }
        }
    }
    assert!(entries > 3000, "the files hold {entries} entries only");
}

/// What the C library reads of each folder; `None` where it cannot be asked.
fn c_library(folders: &[PathBuf]) -> Option<Vec<Read>> {
    let mut command = Command::new("python3");
    command.args(["-c", include_str!("c_library.py")]);
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there || !cfg!(target_env = "gnu") {
        return None;
    }
    let lines: String = folders
        .iter()
        .map(|folder| format!("{}\n", folder.display()))
        .collect();
    let read = run_to_end(command, &lines).ok().stdout;
    let read = read.lines().map(|line| serde_json::from_str(line).unwrap());
    Some(read.collect())
}

/// What is compared of an object: its name, its id, and attributes as text.
type Seen = (String, u32, BTreeMap<String, BTreeSet<String>>);

/// What the C library reads. Texts are in hexadecimal.
#[derive(Deserialize)]
struct Read {
    passwd: Vec<Passwd>,
    group: Vec<Group>,
    shadow: Vec<Shadow>,
    gshadow: Vec<GShadow>,
    passwd_lines: usize,
    group_lines: usize,
    shadow_lines: usize,
}

#[derive(Deserialize)]
struct Passwd {
    name: String,
    password: Option<String>,
    uid: u32,
    gid: u32,
    gecos: Option<String>,
    home: Option<String>,
    shell: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

#[derive(Deserialize)]
struct Shadow {
    name: String,
    last_change: i64,
    min: i64,
    max: i64,
    warn: i64,
    inactive: i64,
    expires: i64,
}

#[derive(Deserialize)]
struct GShadow {
    name: String,
    administrators: Vec<String>,
    members: Vec<String>,
}

impl Read {
    fn accounts(&self) -> Vec<Seen> {
        let seen = self.passwd.iter().filter_map(|line| {
            let name = presentable(&line.name)?;
            let mut attributes = BTreeMap::new();
            let mut add = |name: &str, value: String| {
                attributes.insert(name.to_owned(), BTreeSet::from([value]));
            };
            add("gid", line.gid.to_string());
            let text = |text: &Option<String>| shown(text.as_deref().unwrap_or_default());
            add("home", text(&line.home));
            add("shell", text(&line.shell));
            if !text(&line.gecos).is_empty() {
                add("gecos", text(&line.gecos));
            }
            let shadowed = text(&line.password) == "x";
            let entry = self.shadow.iter().find(|entry| entry.name == line.name);
            if let Some(entry) = entry.filter(|_| shadowed) {
                for (name, days) in [
                    ("password_min_days", entry.min),
                    ("password_max_days", entry.max),
                    ("password_warn_days", entry.warn),
                    ("password_inactive_days", entry.inactive),
                ] {
                    if days >= 0 {
                        add(name, days.to_string());
                    }
                }
                if (0..=LAST_DAY).contains(&entry.last_change) {
                    add("last_change", entry.last_change.to_string());
                }
                // 1 is that of a disabled account.
                if entry.expires <= LAST_DAY && ![-1, 1].contains(&entry.expires) {
                    add("expires", entry.expires.max(0).to_string());
                }
            }
            Some((name, line.uid, attributes))
        });
        in_order(seen)
    }

    fn groups(&self) -> Vec<Seen> {
        let seen = self.group.iter().filter_map(|line| {
            let name = presentable(&line.name)?;
            let all = |names: &[String]| names.iter().map(|name| shown(name)).collect();
            let members: BTreeSet<String> = all(&line.members);
            let gshadow = self.gshadow.iter().find(|entry| entry.name == line.name);
            let mut attributes = BTreeMap::new();
            if let Some(entry) = gshadow {
                let hidden: BTreeSet<_> = all(&entry.members);
                let hidden = hidden.difference(&members).cloned().collect();
                attributes.insert("gshadow_members".to_owned(), hidden);
                let administrators = all(&entry.administrators);
                attributes.insert("administrators".to_owned(), administrators);
            }
            attributes.insert("members".to_owned(), members);
            attributes.retain(|_, values| !values.is_empty());
            Some((name, line.gid, attributes))
        });
        in_order(seen)
    }

    /// Lines that say something but of which nothing is listed.
    fn left_out(&self) -> [(&'static str, usize); 3] {
        let named = |name: &String| presentable(name).is_some();
        let passwd = self.passwd.iter().filter(|line| named(&line.name));
        let group = self.group.iter().filter(|line| named(&line.name));
        [
            ("passwd", self.passwd_lines - passwd.count()),
            ("group", self.group_lines - group.count()),
            ("shadow", self.shadow_lines - self.shadow.len()),
        ]
    }
}

/// The last day that a time can be written for.
const LAST_DAY: i64 = 2_932_896;

fn in_order(seen: impl Iterator<Item = Seen>) -> Vec<Seen> {
    let mut all: Vec<_> = seen.collect();
    all.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    all.dedup_by(|a, b| (a.1, &a.0) == (b.1, &b.0));
    all
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn shown(hex: &str) -> String {
    let bytes = bytes(hex);
    let chunks = bytes.utf8_chunks().map(|chunk| {
        let odd = chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}"));
        format!("{}{}", chunk.valid(), odd.collect::<String>())
    });
    chunks.collect()
}

/// A name that is listed: not one of the network directories' markers, nor one that no terminal
/// could show.
fn presentable(hex: &str) -> Option<String> {
    let name = String::from_utf8(bytes(hex)).ok()?;
    let marker = name.starts_with(['+', '-']);
    (!marker && ObjectName::new(name.as_str()).is_ok()).then_some(name)
}

/// The connector on a root of its own.
struct Connector(Provisioner);

impl Connector {
    fn new(root: &Path) -> Self {
        let text = format!(
            "[connectors.local]\ntype = \"unix\"\nprefix = {root:?}\npassword_hash = \"sha512\"\n"
        );
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        let connectors = Connectors::from_config(&config.connectors).unwrap();
        Self(Provisioner::new(&connectors, 4, Duration::from_secs(60)))
    }

    async fn search(&self, class: wire::ObjectClass) -> Vec<Seen> {
        let search = wire::Search {
            object_class: class.into(),
            ..wire::Search::default()
        };
        let mut events = self.0.search(call(wire::call::Verb::Search(search)));
        let mut found = Vec::new();
        loop {
            match events.recv().await {
                Some(SearchEvent::Found(object)) => found.push(seen(&object)),
                Some(SearchEvent::End(_, None)) => return found,
                other => panic!("{other:?}"),
            }
        }
    }

    /// `None` where this process is not root, which the report asks for.
    async fn report(&self) -> Option<String> {
        match self
            .0
            .execute(call(wire::call::Verb::Test(wire::Test {})))
            .await
        {
            Outcome::Done(Done::Report(report)) => Some(report),
            Outcome::Failed(_) if !rustix::process::geteuid().is_root() => None,
            other => panic!("{other:?}"),
        }
    }
}

fn call(verb: wire::call::Verb) -> wire::Call {
    wire::Call {
        call_id: format!("t-{:016x}", rand::random::<u64>()),
        connector: "local".to_owned(),
        verb: Some(verb),
        ..wire::Call::default()
    }
}

/// What is worked out of several lines is not compared.
fn seen(object: &Object) -> Seen {
    let worked_out = [
        "uid",
        "primary_group",
        "groups",
        "gshadow_groups",
        "full_name",
        "locked",
        "has_password",
        "password_expired",
        "password_inactive",
    ];
    let is_group = object.enabled.is_none();
    let attributes = object.attributes.iter().filter_map(|attribute| {
        let name = attribute.name.as_str();
        let compared = !(worked_out.contains(&name) || is_group && name == "gid");
        compared.then(|| {
            let values = attribute.values.iter().map(text);
            (name.to_owned(), values.collect())
        })
    });
    let identity = &object.identity;
    (
        identity.name.to_string(),
        identity.id.as_str().parse().unwrap(),
        attributes.collect(),
    )
}

/// A time as its day.
fn text(value: &Value) -> String {
    let day = |time: &SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Time(time) => day(time).to_string(),
        other => panic!("{other:?}"),
    }
}

fn pick<T: Copy>(rng: &mut StdRng, all: &[T]) -> T {
    all[rng.random_range(0..all.len())]
}

/// Where glibc moves an indented line to its beginning, it forgets the end of it: what has no line
/// end, since the file ends there or a NUL comes, gets its last bytes twice. The connector does not
/// repeat that; it tells that the line is indented.
fn without_doubled_ends(content: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = content.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    let indented = |line: &Vec<u8>| line.first().is_some_and(|b| b" \t\x0b\x0c\r".contains(b));
    for line in lines.iter_mut().filter(|line| indented(line)) {
        line.retain(|&byte| byte != 0);
    }
    if lines.last().is_some_and(indented) {
        lines.push(Vec::new());
    }
    lines.join(&b'\n')
}

/// One of the four files, of a few lines.
fn random_file(rng: &mut StdRng, file: &str) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 0..rng.random_range(0..10) {
        content.extend(random_line(rng, file));
        content.extend(pick(
            rng,
            &[&b"\n"[..], b"\n", b"\n", b"\r\n", b"\n\n", b" \n"],
        ));
    }
    // Sometimes the last line has no end.
    if rng.random_bool(0.3) {
        content.pop();
    }
    // A damaged disk, an editor, a careless script.
    if rng.random_bool(0.2) && !content.is_empty() {
        for _ in 0..rng.random_range(1..4) {
            let place = rng.random_range(0..content.len());
            let byte = pick(rng, b"\0\n\r:,# \t+-\xFF9a");
            match rng.random_bool(0.5) {
                true => content[place] = byte,
                false => content.insert(place, byte),
            }
        }
    }
    content
}

fn random_line(rng: &mut StdRng, file: &str) -> Vec<u8> {
    let text: &[u8] = match rng.random_range(0..20) {
        0 => {
            return pick(
                rng,
                &[&b"# note"[..], b" \t# note", b"", b" \t\x0b", b"+", b"-bob"],
            )
            .to_vec();
        }
        1 => pick(rng, &[&b" "[..], b"\t", b"  ", b"\x0c"]),
        _ => b"",
    };
    let mut line = text.to_vec();
    let mut fields = vec![
        name(rng),
        pick(rng, &[&b"x"[..], b"x", b"x", b"*", b"", b"!"]).to_vec(),
    ];
    match file {
        "passwd" => {
            fields.extend([number(rng), number(rng)]);
            fields.push(words(rng));
            fields.extend([b"/home/a".to_vec(), b"/bin/sh".to_vec()]);
        }
        "group" => fields.extend([number(rng), list(rng)]),
        "shadow" => fields.extend((0..7).map(|_| day(rng))),
        _ => fields.extend([list(rng), list(rng)]),
    }
    // Too few fields, or too many.
    match rng.random_range(0..12) {
        0 => fields.truncate(rng.random_range(1..fields.len())),
        1 => fields.push(pick(rng, &[&b""[..], b"more", b"1", b" "]).to_vec()),
        _ => {}
    }
    line.extend(fields.join(&b':'));
    line
}

fn name(rng: &mut StdRng) -> Vec<u8> {
    let odd: [&[u8]; 11] = [
        b"",
        b"+",
        b"+@staff",
        b"-bob",
        b"j\xF6rg",
        "jörg".as_bytes(),
        b"a b",
        b"a\tb",
        b" ada",
        b"#ada",
        b"x\x1b[31m",
    ];
    match rng.random_range(0..8) {
        0 => pick(rng, &odd).to_vec(),
        1 if rng.random_bool(0.1) => vec![b'n'; rng.random_range(200..3000)],
        _ => pick(
            rng,
            &[
                &b"ada"[..],
                b"bob",
                b"eve",
                b"root",
                b"daemon",
                b"svc.1",
                b"W$",
            ],
        )
        .to_vec(),
    }
}

fn number(rng: &mut StdRng) -> Vec<u8> {
    let odd = [
        "",
        "-1",
        "+5",
        " 7",
        "7 ",
        "-",
        "\t12",
        "007",
        "0x10",
        "1e3",
        "4294967295",
        "4294967296",
        "4294967297",
        "99999999999999999999",
        "-18446744073709551615",
        "-4294967295",
        "+-1",
        "1\r",
    ];
    match rng.random_range(0..5) {
        0 => pick(rng, &odd).as_bytes().to_vec(),
        _ => rng.random_range(0..70_000u32).to_string().into_bytes(),
    }
}

fn day(rng: &mut StdRng) -> Vec<u8> {
    let odd = [
        "-1",
        "0",
        "1",
        "-2",
        "2932896",
        "2932897",
        "3000000000",
        "2147483648",
        " 3",
        "3 ",
        "x",
        " ",
    ];
    match rng.random_range(0..4) {
        0 => pick(rng, &odd).as_bytes().to_vec(),
        1 => Vec::new(),
        _ => rng.random_range(0..30_000u32).to_string().into_bytes(),
    }
}

fn words(rng: &mut StdRng) -> Vec<u8> {
    if rng.random_bool(0.02) {
        return vec![b'w'; rng.random_range(900..9000)];
    }
    let all: [&[u8]; 6] = [
        b"",
        b"Ada Lovelace",
        b"J\xF6rg,B\xFCro",
        "Jörg".as_bytes(),
        b",,,",
        b"a#b",
    ];
    pick(rng, &all).to_vec()
}

fn list(rng: &mut StdRng) -> Vec<u8> {
    let names: Vec<_> = (0..rng.random_range(0..4))
        .map(|_| {
            let blank = pick(rng, &[&b""[..], b"", b"", b" ", b"\t"]);
            [
                blank,
                &name(rng),
                pick(rng, &[&b""[..], b"", b"", b" ", b"\r"]),
            ]
            .concat()
        })
        .collect();
    names.join(&b',')
}
