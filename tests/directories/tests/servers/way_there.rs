//! Who is taken for the database, and what may stand before it.

use portcullis_directories::{Authority, PgBouncer, PoolMode, Postgres};
use portcullis_tests::harness::{Finished, Proxy, Server, Site};

use crate::{DATABASE, PASSWORD, over_tls, repository, verified_by};

/// What `init` says of a database that is reached so.
async fn tried(host: &str, more: impl FnOnce(&Site) -> String) -> Finished {
    let site = Site::new();
    let data = site.folder("data");
    let config = repository(&site, host, &more(&site));
    let server = Server::configured(&site, "server", &data, &config);
    let finished = server.cli("init");
    let left = std::fs::read_dir(&data).unwrap().count();
    assert!(finished.status.success() || left == 0, "{finished}");
    assert!(!format!("{finished}").contains(PASSWORD), "{finished}");
    finished
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn a_database_is_known_by_its_certificate() {
    let postgres = Postgres::start().await;
    postgres.database(DATABASE, PASSWORD);
    let host = format!("{}:{}", postgres.address(), postgres.port());
    let stranger = |site: &Site| verified_by(&Authority::new().file(site));
    tried(&host, stranger)
        .await
        .refused()
        .saying("UnknownIssuer");
    // Through a relay it is reached by an address that is not in its certificate, and by a name
    // that is.
    let relay = Proxy::to((postgres.address(), postgres.port()).into()).await;
    let ours = |_: &Site| verified_by(postgres.authority());
    let by_address = tried(&format!("127.0.0.1:{}", relay.port), ours).await;
    by_address.refused().saying("not valid for name");
    let by_name = tried(&format!("localhost:{}", relay.port), ours).await;
    by_name.ok();
    assert!(!relay.recording.contains(PASSWORD.as_bytes()));
    assert!(!relay.recording.contains(b"CREATE TABLE"));
    let again = tried(&host, ours).await.refused();
    again.saying("there is already a repository");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: tests/run servers"]
async fn what_is_wrong_with_the_database_is_said_with_what_to_do() {
    let postgres = Postgres::start().await;
    let host = format!("{}:{}", postgres.address(), postgres.port());
    let ours = |_: &Site| verified_by(postgres.authority());
    let no_user = tried(&host, ours).await.refused();
    no_user.saying("[repository] password_file");
    postgres.query(&format!(
        "create role {DATABASE} login password '{PASSWORD}'"
    ));
    tried(&host, ours).await.refused().saying("createdb");
    postgres.query(&format!(
        "create database {DATABASE} owner {DATABASE} encoding 'SQL_ASCII' template template0"
    ));
    tried(&host, ours).await.refused().saying("encoding UTF8");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer and PostgreSQL: tests/run servers"]
async fn a_pooler_is_refused_that_gives_each_transaction_another_session() {
    let postgres = Postgres::start().await;
    postgres.database(DATABASE, PASSWORD);
    let transaction = PgBouncer::before(&postgres, DATABASE, PASSWORD).await;
    let host = |pooler: &PgBouncer| format!("{}:{}", pooler.address(), pooler.port());
    let init = tried(&host(&transaction), |_| {
        verified_by(transaction.authority())
    })
    .await;
    init.refused().saying("pool_mode to session");

    // Neither is one that was put there later.
    let site = Site::new();
    let direct = Server::new(&site, &over_tls(&site, &postgres));
    let through = |name: &str, pooler: &PgBouncer| {
        let config = repository(&site, &host(pooler), &verified_by(pooler.authority()));
        Server::configured(&site, name, &direct.data, &config)
    };
    let pooled = through("pooled", &transaction);
    pooled.cli("serve").refused().saying("pool_mode to session");
    pooled
        .cli("validate")
        .refused()
        .saying("pool_mode to session");

    let session = PgBouncer::pooling(&postgres, DATABASE, PASSWORD, PoolMode::Session).await;
    let mut server = through("session", &session);
    let admin = server.serve().await;
    admin.add_gateway("host1", "127.0.0.1:9", false).await;
    server.portcullis("audit verify").ok();
}
