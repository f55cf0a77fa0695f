//! Lists of very many accounts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::host::Host;

const GUARD_RAILS: &str = "[connectors.local.guard_rails]\nmax_search_results = 1000000\n";

impl Host {
    /// So many accounts beside those of the system, each with its group.
    fn fill(&self, count: u32) {
        let [mut passwd, mut group, mut shadow, mut gshadow] =
            ["passwd", "group", "shadow", "gshadow"].map(|file| {
                let kept = String::from_utf8(self.read(&format!("etc/{file}"))).unwrap();
                let lines = kept.lines().filter(|line| !line.starts_with("u1"));
                lines.fold(String::new(), |all, line| all + line + "\n")
            });
        for id in 1_000_000..1_000_000 + count {
            writeln!(passwd, "u{id}:x:{id}:{id}:User {id}:/home/u{id}:/bin/sh").unwrap();
            writeln!(group, "u{id}:x:{id}:").unwrap();
            writeln!(shadow, "u{id}:!:19000:0:99999:7:::").unwrap();
            writeln!(gshadow, "u{id}:!::").unwrap();
        }
        for (file, content) in [
            ("etc/passwd", passwd),
            ("etc/group", group),
            ("etc/shadow", shadow),
            ("etc/gshadow", gshadow),
        ] {
            fs::write(self.root.join(file), content).unwrap();
        }
    }

    /// Names as they are listed, and how long it took.
    fn listed(&self, options: &str) -> (Vec<String>, Duration) {
        let began = Instant::now();
        let list = format!("--output json account list unix1 --attribute uid {options}");
        let listed = self.portcullis(&list).ok().stdout;
        let took = began.elapsed();
        let objects: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let names = objects.as_array().unwrap().iter();
        let names = names.map(|object| object["name"].as_str().unwrap().to_owned());
        (names.collect(), took)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_pages_is_whole() {
    let Some(host) = Host::new(GUARD_RAILS).await else {
        return;
    };
    host.fill(2000);
    let (names, _) = host.listed("--page-size 90");
    assert_eq!(names.len(), 2003);
    let different: BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), 2003);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_takes_time_as_it_has_entries() {
    if std::env::var("PORTCULLIS_TEST_DEEP").is_ok_and(|deep| deep == "1") {
        let Some(host) = Host::new(GUARD_RAILS).await else {
            return;
        };
        let (mut each_as_json, mut each_in_table) = (Vec::new(), Vec::new());
        for count in [10_000, 20_000, 40_000, 100_000] {
            host.fill(count);
            let (names, took) = host.listed("");
            assert_eq!(names.len(), count as usize + 3);
            let began = Instant::now();
            host.portcullis("account list unix1").ok();
            let table = began.elapsed();
            println!(
                "account list of {count} accounts: {:.2} s as JSON, {:.2} s as a table",
                took.as_secs_f64(),
                table.as_secs_f64()
            );
            each_as_json.push(took / count);
            each_in_table.push(table / count);
        }
        for each in [each_as_json, each_in_table] {
            assert!(each[3] < 3 * each[0], "an entry costs {each:?}");
        }
    }
}
