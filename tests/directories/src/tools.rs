//! What a directory holds, asked and changed with OpenLDAP's own tools.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use portcullis_tests::harness::{Finished, OrFail as _, run_to_end};

/// OpenLDAP's command line tools, bound as somebody.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Where the directory listens.
    pub url: String,
    /// The authority of its certificate.
    pub authority: PathBuf,
    /// As whom to bind.
    pub bind: String,
    /// With which password.
    pub password: String,
}

impl Tools {
    /// The same directory, as somebody else.
    #[must_use]
    pub fn bound_as(&self, name: &str, password: &str) -> Self {
        Self {
            bind: name.to_owned(),
            password: password.to_owned(),
            ..self.clone()
        }
    }

    /// Binds, and says what came of it.
    pub fn bind(&self) -> Finished {
        let mut command = self.command("ldapsearch");
        command.args(["-LLL", "-s", "base", "-b", "", "1.1"]);
        run_to_end(command, "")
    }

    /// The entries found below `base`, as LDIF without folded lines.
    #[track_caller]
    pub fn search(&self, base: &str, filter: &str, attributes: &[&str]) -> String {
        let mut command = self.command("ldapsearch");
        command.args(["-LLL", "-o", "ldif-wrap=no", "-b", base, filter]);
        command.args(attributes);
        run_to_end(command, "").ok().stdout
    }

    /// One entry with the attributes named (`*`, `+` and none as LDAP has them), `None` where there
    /// is none.
    #[track_caller]
    pub fn entry(&self, dn: &str, attributes: &[&str]) -> Option<String> {
        let mut command = self.command("ldapsearch");
        command.args(["-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn]);
        command.arg("(objectClass=*)").args(attributes);
        let found = run_to_end(command, "");
        // noSuchObject, RFC 4511, A.1.
        if found.status.code() == Some(32) {
            return None;
        }
        Some(found.ok().stdout)
    }

    /// The values of one attribute of an entry, as LDIF writes them; text that is not ASCII or
    /// begins with a blank is in base64 there.
    #[track_caller]
    pub fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        let entry = self.entry(dn, &[attribute]).unwrap_or_default();
        let of_it = entry.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let value = value.trim_start_matches(':').trim_start();
            name.eq_ignore_ascii_case(attribute)
                .then(|| value.to_owned())
        });
        of_it.collect()
    }

    /// Applies LDIF: entries without a `changetype` are added.
    #[track_caller]
    pub fn apply(&self, ldif: &str) {
        self.try_apply(ldif).ok();
    }

    /// Applies LDIF, and says what came of it.
    pub fn try_apply(&self, ldif: &str) -> Finished {
        let mut command = self.command("ldapmodify");
        // A file, for what it prints of many entries fills a pipe before it has read them all.
        let mut file = tempfile::NamedTempFile::new().or_fail("make a temporary file");
        file.write_all(ldif.as_bytes()).or_fail("write LDIF");
        command.arg("-a").arg("-f").arg(file.path());
        run_to_end(command, "")
    }

    /// Removes an entry.
    #[track_caller]
    pub fn delete(&self, dn: &str) {
        let mut command = self.command("ldapdelete");
        command.arg(dn);
        run_to_end(command, "").ok();
    }

    /// One of the tools, with where and as whom.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LDAPTLS_CACERT", &self.authority)
            .env("LDAPTLS_REQCERT", "demand")
            .args([
                "-x",
                "-H",
                &self.url,
                "-D",
                &self.bind,
                "-w",
                &self.password,
            ]);
        command
    }
}
