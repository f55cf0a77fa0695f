//! The same accounts and groups in the account files of a scratch root.

use std::fs;
use std::path::Path;

use portcullis_gateway::config::Config;
use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::connectors::unix::create_scratch_root;
use tempfile::TempDir;

use crate::table::{ACCOUNTS, Attributes, GROUPS};

pub(crate) const ATTRIBUTES: Attributes = Attributes {
    groups: "groups",
    primary_group: "primary_group",
    members: "members",
    uid: "uid",
    gid: "gid",
    free_text: "full_name",
};

const RAILS: &str = "protected_accounts = [\"svc-*\"]\nmax_deletes_per_hour = 1000\n";

pub(crate) struct Root(TempDir);

impl Root {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        create_scratch_root(folder.path()).unwrap();
        let root = Self(folder);
        root.reset();
        root
    }

    pub(crate) fn connectors(&self) -> Connectors {
        let text = format!(
            "[connectors.subject]\ntype = \"unix\"\nprefix = {:?}\npassword_hash = \"sha512\"\n[connectors.subject.guard_rails]\n{RAILS}",
            self.0.path()
        );
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        Connectors::from_config(&config.connectors).unwrap()
    }

    /// Writes the account files as the table has them.
    pub(crate) fn reset(&self) {
        let (mut passwd, mut shadow) = (String::new(), String::new());
        for (name, uid, gid) in ACCOUNTS {
            passwd += &format!("{name}:x:{uid}:{gid}::/home/{name}:/bin/sh\n");
            shadow += &format!("{name}:*:19000:0:99999:7:::\n");
        }
        let (mut group, mut gshadow) = (String::new(), String::new());
        for (name, gid, members) in GROUPS {
            let members = members.join(",");
            group += &format!("{name}:x:{gid}:{members}\n");
            gshadow += &format!("{name}:!::{members}\n");
        }
        self.write("etc/passwd", &passwd);
        self.write("etc/shadow", &shadow);
        self.write("etc/group", &group);
        self.write("etc/gshadow", &gshadow);
        // They go with whom they belong to.
        for file in ["etc/subuid", "etc/subgid"] {
            self.write(file, "jane:1700:100\n");
        }
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.0.path().join(file), text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap()
    }

    /// All of the account files.
    pub(crate) fn files(&self) -> String {
        ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"]
            .map(|file| self.read(file))
            .concat()
    }
}
