//! The gateway for Windows, under Wine, on a domain: what an administrator of a Windows host would
//! do and see.

use std::fs;

use portcullis_directories::Samba;
use portcullis_tests::harness::{Dial, Server, Site, Wine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the .exe, Wine, Samba and root: tests/run windows"]
async fn provisions_accounts_of_a_domain() {
    let samba = Samba::start().await;
    let unit = format!(
        "dn: OU=people,{}\nobjectClass: organizationalUnit\n",
        Samba::SUFFIX
    );
    samba.tools().apply(&unit);
    let site = Site::new();
    let mut server = Server::new(&site, "");
    let admin = server.serve().await;
    let dial = Dial::inward();
    let mut host = Wine::from_environment().gateway(&site, "host1", dial, &[]);
    fs::copy(samba.authority(), host.folder.join("authority.pem")).unwrap();
    fs::write(host.folder.join("password"), Samba::PASSWORD).unwrap();
    let file = host.folder.join("gateway.toml");
    let (folder, base) = (&host.windows_folder, format!("OU=people,{}", Samba::SUFFIX));
    let section = format!(
        "[connectors.office]\ntype = \"active-directory\"\nservers = [\"{}\"]\nca_file = '{folder}\\authority.pem'\n\
         bind_dn = \"{}\"\nbind_password_file = '{folder}\\password'\ndomain = \"example.test\"\n\
         [connectors.office.accounts]\nbase = \"{base}\"\n[connectors.office.groups]\nbase = \"{base}\"\n",
        samba.url(),
        Samba::ADMINISTRATOR,
    );
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{section}")).unwrap();
    let token = admin.add_gateway("host1", &dial.address(), true).await;
    admin.add_resource("office", "host1", "office").await;
    host.gateway.enroll(&token);
    host.gateway.start();
    admin.synchronized("host1").await;

    server.portcullis("resource test office").ok();
    let create = "account create office ada --set description='Ada Lovelace' --password-stdin";
    server.portcullis_given(create, "C0rrect-Horse\n").ok();
    server.portcullis("group create office crew").ok();
    server
        .portcullis("group update office crew --add member=ada")
        .ok();
    let dn = format!("CN=ada,{base}");
    let values = |attribute| samba.tools().values(&dn, attribute);
    assert_eq!(values("userAccountControl"), ["512"]);
    assert_eq!(values("description"), ["Ada Lovelace"]);
    assert_eq!(values("memberOf"), [format!("CN=crew,{base}")]);
    let ada = samba.tools().bound_as(&dn, "C0rrect-Horse").bind();
    assert!(ada.status.success(), "{ada}");
    server.portcullis("account disable office ada").ok();
    assert_eq!(values("userAccountControl"), ["514"]);
    let listed = server.portcullis("account list office").ok().stdout;
    assert!(listed.contains("ada"), "{listed}");
    server.portcullis("account delete office ada").ok();
    assert_eq!(samba.tools().entry(&dn, &["cn"]), None);
}
