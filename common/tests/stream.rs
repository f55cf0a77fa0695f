//! Sealed streams over transports that behave as badly as they may.

mod support;

use portcullis_common::crypto::suites::Suite;
use support::Pair;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn what_one_side_writes_the_other_reads_and_a_close_is_the_end() {
    for suite in Suite::ALL {
        let (a, b) = tokio::io::duplex(1024);
        let (mut server, mut gateway) = Pair::new(suite).join(a, b).await;
        assert_eq!(server.session().info(), gateway.session().info());
        assert_eq!(server.session().info().suite, suite);

        let talk = async {
            server.write_all(b"create account").await.unwrap();
            server.shutdown().await.unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"done");
        };
        let answer = async {
            let mut request = Vec::new();
            gateway.read_to_end(&mut request).await.unwrap();
            assert_eq!(request, b"create account");
            gateway.write_all(b"done").await.unwrap();
            gateway.shutdown().await.unwrap();
        };
        tokio::join!(talk, answer);
    }
}
