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
