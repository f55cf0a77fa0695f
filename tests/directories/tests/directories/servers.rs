//! The servers themselves do what the tests of the connectors rely on.

/// OpenLDAP.
mod openldap {
    use portcullis_directories::Slapd;
    use portcullis_tests::harness::eventually;

    const ADA: &str = "dn: uid=ada,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ada\ncn: Ada\nsn: Lovelace\n";

    #[tokio::test]
    #[ignore = "needs slapd: tests/run directories"]
    async fn what_was_acknowledged_outlives_a_kill() {
        let mut slapd = Slapd::start().await;
        slapd.tools().apply(ADA);
        slapd.kill();
        slapd.restart().await;
        let found = slapd.tools().search(Slapd::SUFFIX, "(uid=ada)", &["sn"]);
        assert!(found.contains("sn: Lovelace"), "{found}");
    }

    #[tokio::test]
    #[ignore = "needs slapd: tests/run directories"]
    async fn a_replica_follows_and_refers_who_writes_to_it() {
        let slapd = Slapd::start().await;
        let replica = slapd.replica().await;
        slapd.tools().apply(ADA);
        eventually("the replica to hear of it", async || {
            let tools = replica.tools();
            tools.entry("uid=ada,ou=people,dc=example,dc=org", &["1.1"])
        })
        .await;
        let written = replica
            .tools()
            .bound_as(Slapd::GATEWAY, Slapd::GATEWAY_PASSWORD);
        let refused = written.try_apply(&ADA.replace("ada", "eve"));
        assert_eq!(refused.status.code(), Some(10), "{refused}");
        assert!(refused.stderr.contains(&slapd.url()), "{refused}");
    }
}

/// Samba.
mod samba {
    use portcullis_directories::Samba;

    #[tokio::test]
    #[ignore = "needs Samba and root: tests/run directories"]
    async fn a_stale_controller_is_of_the_same_domain_and_lacks_what_is_new() {
        let (mut first, second) = tokio::join!(Samba::start(), Samba::start());
        let dn = "CN=ada,CN=Users,DC=example,DC=test";
        first.tools().apply(&format!(
            "dn: {dn}\nobjectClass: user\nsAMAccountName: ada\n"
        ));
        let domain = |samba: &Samba| samba.tools().values(Samba::SUFFIX, "objectGUID");
        assert_eq!(domain(&first), domain(&second));
        assert_eq!(second.tools().entry(dn, &["cn"]), None);
        first.kill();
        first.restart().await;
        assert!(first.tools().entry(dn, &["cn"]).is_some());
    }
}

/// PostgreSQL.
mod postgresql {
    use portcullis_directories::Postgres;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: tests/run directories"]
    async fn what_was_committed_outlives_a_kill() {
        let mut postgres = Postgres::start().await;
        postgres.query("create table t (a int); insert into t values (4711)");
        postgres.kill();
        postgres.restart().await;
        assert_eq!(postgres.query("select a from t"), "4711\n");
    }
}

/// The relay before Samba.
mod quirks {
    use std::process::Command;

    use portcullis_directories::{Kind, Quirks, Samba, Tools, Trick};
    use portcullis_tests::harness::{Finished, run_to_end};

    async fn tools(tools: Tools, ldif: &'static str) -> Finished {
        let apply = move || tools.try_apply(ldif);
        tokio::task::spawn_blocking(apply).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs Samba and root: tests/run directories"]
    async fn refuses_what_windows_does_and_loses_what_it_is_told_to() {
        let samba = Samba::start().await;
        let quirks = Quirks::before(&samba).await;
        let through = Tools {
            url: quirks.url(),
            ..samba.tools()
        };
        const ADA: &str =
            "dn: CN=ada,CN=Users,DC=example,DC=test\nobjectClass: user\nsAMAccountName: ada\n";
        const LONG: &str = "dn: CN=eve,CN=Users,DC=example,DC=test\nobjectClass: user\nsAMAccountName: eveeveeveeveeveeveeve\n";
        const OPEN: &str = "dn: CN=eve,CN=Users,DC=example,DC=test\nobjectClass: user\nsAMAccountName: eve\nuserAccountControl: 512\n";
        const FLAGS: &str = "dn: CN=ada,CN=Users,DC=example,DC=test\nchangetype: modify\ndelete: userAccountControl\nuserAccountControl: 514\n-\nadd: userAccountControl\nuserAccountControl: 512\n";
        for (ldif, says) in [(LONG, "00000523"), (OPEN, "0000052D")] {
            let refused = tools(through.clone(), ldif).await;
            assert!(
                !refused.status.success() && refused.stderr.contains(says),
                "{refused}"
            );
        }
        quirks.play(Kind::Add, Trick::CutBeforeAnswer);
        let lost = tools(through.clone(), ADA).await;
        assert!(!lost.status.success(), "{lost}");
        let flags = samba
            .tools()
            .values("CN=ada,CN=Users,DC=example,DC=test", "userAccountControl");
        assert_eq!(flags, ["546"], "the add was carried out");
        let refused = tools(through.clone(), FLAGS).await;
        assert!(refused.stderr.contains("00002085"), "{refused}");
        quirks.refuse_bind("nobody@example.test", "525");
        let refused = tools(through.bound_as("nobody@example.test", "secret"), ADA).await;
        assert!(refused.stderr.contains("data 525"), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs Samba and root: tests/run directories"]
    async fn ends_a_search_without_pages_after_a_thousand_entries() {
        let samba = Samba::populated().await;
        let quirks = Quirks::before(&samba).await;
        let search = |url: String, more: &[&str]| {
            let mut command = Command::new("ldapsearch");
            command
                .env("LDAPTLS_CACERT", samba.authority())
                .args(["-LLL", "-x", "-H", &url, "-D", Samba::ADMINISTRATOR])
                .args(["-w", Samba::PASSWORD, "-b", Samba::POPULATED])
                .args(more)
                .args(["(objectClass=user)", "1.1"]);
            tokio::task::spawn_blocking(|| run_to_end(command, ""))
        };
        let entries = |found: &Finished| found.stdout.matches("dn: ").count();
        let all = search(samba.url(), &[]).await.unwrap().ok();
        assert_eq!(entries(&all), Samba::POPULATION);
        let limited = search(quirks.url(), &[]).await.unwrap();
        assert_eq!((entries(&limited), limited.status.code()), (1000, Some(4)));
        let paged = search(quirks.url(), &["-E", "pr=2000/noprompt"])
            .await
            .unwrap()
            .ok();
        assert_eq!(entries(&paged), Samba::POPULATION);
    }
}
