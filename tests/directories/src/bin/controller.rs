//! A controller of Active Directory for the conformance suite of the connectors: it prints the
//! section of the configuration and an empty line, and ends when its standard input does.

use std::io::{Read as _, Write as _};

use portcullis_directories::Samba;

/// The passwords of that suite keep no rules.
const RULES: &str = "dn: DC=example,DC=test\nchangetype: modify\nreplace: pwdProperties\npwdProperties: 0\n-\nreplace: minPwdLength\nminPwdLength: 1\n-\nreplace: minPwdAge\nminPwdAge: 0\n-\nreplace: pwdHistoryLength\npwdHistoryLength: 0\n";

const UNITS: &str = "dn: OU=people,DC=example,DC=test\nobjectClass: organizationalUnit\n\ndn: OU=groups,DC=example,DC=test\nobjectClass: organizationalUnit\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let samba = Samba::start().await;
    samba.tools().apply(RULES);
    samba.tools().apply(UNITS);
    let password = samba.site().file("password", 0o600, Samba::PASSWORD);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "type = \"active-directory\"\nservers = [\"{}\"]\nca_file = \"{}\"\nbind_dn = \"{}\"\nbind_password_file = \"{}\"\n\
         domain = \"example.test\"\naccounts.base = \"OU=people,DC=example,DC=test\"\ngroups.base = \"OU=groups,DC=example,DC=test\"\n",
        samba.url(),
        samba.authority().display(),
        Samba::ADMINISTRATOR,
        password.display()
    )?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
