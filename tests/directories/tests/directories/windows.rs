//! The gateway for Windows, under Wine, against the servers that the gateway of this host works on:
//! an administrator's commands, from the first to the last day of an account.

use portcullis_directories::{Samba, Slapd};
use portcullis_tests::harness::{
    Admin, Dial, Finished, Server, Site, WindowsGateway, Wine, drive_z,
};

const PASSWORD: &str = "C0rrect-Horse";
const OTHER: &str = "An0ther-Horse";

/// A directory as the gateway is configured for it, and as its own tools see it.
struct Directory {
    /// What stands in the connector's section. Wine shows every file as open to everybody, so that
    /// the password comes as a secret setting of the resource.
    section: String,
    bind_password: &'static str,
    account: &'static str,
    group: &'static str,
    tools: portcullis_directories::Tools,
    /// Of an account that is disabled, this attribute has this value.
    disabled: (&'static str, &'static str),
}

/// A server with one resource, at a gateway for Windows.
struct Run {
    // In this order: processes are killed before the folder they live in goes.
    _host: WindowsGateway,
    server: Server,
    _admin: Admin,
    site: Site,
}

impl Run {
    async fn start(directory: &Directory) -> Self {
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let dial = Dial::inward();
        let wine = Wine::from_environment();
        let mut host = wine.gateway_with(&site, "host1", dial, &[], &directory.section);
        let token = admin.add_gateway("host1", &dial.address(), true).await;
        admin.add_resource("office", "host1", "office").await;
        host.gateway.enroll(&token);
        host.gateway.start();
        admin.synchronized("host1").await;
        let run = Self {
            _host: host,
            server,
            _admin: admin,
            site,
        };
        let bind = run.site.file("bind", 0o600, directory.bind_password);
        let bind = format!("--secret-file bind_password={}", bind.display());
        run.ok(&format!("resource set office {bind}"));
        run
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        self.server.portcullis(line).ok().stdout
    }

    fn with_password(&self, line: &str, password: &str) -> Finished {
        let file = self.site.file("password", 0o600, password);
        let line = format!("{line} --password-file {}", file.display());
        self.server.portcullis(&line)
    }
}

async fn from_the_first_to_the_last_day(directory: &Directory) {
    let run = Run::start(directory).await;
    let tools = &directory.tools;
    let tested = run.ok("resource test office");
    assert!(tested.contains("ldaps://"), "{tested}");

    run.with_password("account create office ada --set description=new", PASSWORD)
        .ok();
    assert_eq!(tools.values(directory.account, "description"), ["new"]);
    let log_in = |password| run.with_password("account authenticate office ada", password);
    log_in(PASSWORD).ok();
    run.with_password("account set-password office ada", OTHER)
        .ok();
    log_in(OTHER).ok();
    // Samba takes the former one for an hour more (`old password allowed period`).
    let wrong = log_in("n0t-the-Password");
    assert_eq!(wrong.status.code(), Some(1), "{wrong}");

    run.ok("account update office ada --set description=changed");
    let found = run.ok("account search office --where description=changed");
    assert!(found.contains("ada"), "{found}");

    run.ok("group create office crew");
    run.ok("group update office crew --add member=ada");
    let members = tools.values(directory.group, "member").concat();
    assert!(members.contains("ada"), "{members}");
    run.ok("group update office crew --remove member=ada");
    let members = tools.values(directory.group, "member").concat();
    assert!(!members.contains("ada"), "{members}");
    run.ok("group delete office crew");

    run.ok("account disable office ada");
    let (attribute, value) = directory.disabled;
    assert_eq!(tools.values(directory.account, attribute), [value]);
    let disabled = log_in(OTHER);
    assert!(disabled.stderr.contains("disabled"), "{disabled}");
    run.ok("account delete office ada");
    assert_eq!(tools.entry(directory.account, &["1.1"]), None);
    assert_eq!(tools.entry(directory.group, &["1.1"]), None);
    let nobody = run.server.portcullis("account get office ada");
    assert!(nobody.stderr.contains("there is no"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the .exe, Wine, Samba and root: tests/run windows"]
async fn the_exe_works_on_accounts_of_active_directory() {
    const UNIT: &str = "OU=staff,DC=example,DC=test";
    let samba = Samba::start().await;
    let unit = format!("dn: {UNIT}\nobjectClass: organizationalUnit\n");
    samba.tools().apply(&unit);
    let section = format!(
        "[connectors.office]\ntype = \"active-directory\"\nservers = [\"{}\"]\nca_file = '{}'\n\
         bind_dn = \"{}\"\ndomain = \"example.test\"\n\
         accounts.base = \"{UNIT}\"\ngroups.base = \"{UNIT}\"\n",
        samba.url(),
        drive_z(samba.authority()),
        Samba::ADMINISTRATOR,
    );
    from_the_first_to_the_last_day(&Directory {
        section,
        bind_password: Samba::PASSWORD,
        account: "CN=ada,OU=staff,DC=example,DC=test",
        group: "CN=crew,OU=staff,DC=example,DC=test",
        tools: samba.tools(),
        disabled: ("userAccountControl", "514"),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the .exe, Wine and slapd: tests/run windows"]
async fn the_exe_works_on_accounts_of_openldap() {
    let slapd = Slapd::start().await;
    let section = format!(
        "[connectors.office]\ntype = \"ldap\"\nservers = [\"{}\"]\nca_file = '{}'\nbind_dn = \"{}\"\n\
         accounts.base = \"ou=people,dc=example,dc=org\"\n\
         accounts.defaults = {{ cn = \"{{name}}\", sn = \"{{name}}\" }}\n\
         groups.base = \"ou=groups,dc=example,dc=org\"\n\
         groups.placeholder = \"cn=nobody,dc=example,dc=org\"\n",
        slapd.url(),
        drive_z(slapd.authority()),
        Slapd::GATEWAY
    );
    from_the_first_to_the_last_day(&Directory {
        section,
        bind_password: Slapd::GATEWAY_PASSWORD,
        account: "uid=ada,ou=people,dc=example,dc=org",
        group: "cn=crew,ou=groups,dc=example,dc=org",
        tools: slapd.tools(),
        disabled: ("pwdAccountLockedTime", "000001010000Z"),
    })
    .await;
}
