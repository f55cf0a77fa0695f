//! What a body has to be: of a change, exactly the one message that the audit log shows.

use http_body_util::Full;
use prost::Message as _;
use tonic::body::Body;
use tower::Service as _;

use super::super::budget::MAX_OF_USER;
use super::audit::audited;
use super::*;

/// The answer to a request of this user's with this body.
pub(super) async fn raw(api: &Api, method: &str, body: Vec<u8>) -> Code {
    let status = status(api, method, body).await;
    status.map_or(Code::Ok, |status| status.code())
}

async fn status(api: &Api, method: &str, body: Vec<u8>) -> Option<Status> {
    let uid = Some(rustix::process::geteuid().as_raw());
    let request = http::Request::post(format!("/portcullis.admin.v1.{method}"))
        .extension(Peer { uid, gid: None })
        .body(Body::new(Full::new(bytes::Bytes::from(body))))
        .unwrap();
    let response = Router::new(&api.services, watch::channel(false).1)
        .call(request)
        .await
        .unwrap();
    Status::from_header_map(response.headers())
}

fn frame(compressed: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[compressed][..], &length, message].concat()
}

#[tokio::test]
async fn a_change_is_one_uncompressed_message_or_nothing_happens() {
    let api = Api::start().await;
    let add = |name: &str| dial_out(name).encode_to_vec();
    let one = frame(0, &add("web1"));
    let before = audited(&api).await.len();
    for body in [
        Vec::new(),
        one[..one.len() - 1].to_vec(),
        [&one[..], &frame(0, &add("web2"))].concat(),
        [&one[..], &[0]].concat(),
        frame(1, &add("web1")),
        frame(0, b"\xff"),
    ] {
        let code = raw(&api, "Gateways/Add", body.clone()).await;
        assert_eq!(code, Code::InvalidArgument, "{body:?}");
    }
    assert_eq!(audited(&api).await.len(), before);
    assert_eq!(raw(&api, "Gateways/Add", one).await, Code::Ok);
    assert_eq!(audited(&api).await.len(), before + 2);
    // What only reads is not in the log: gRPC's own answers are enough.
    assert_eq!(
        raw(&api, "Gateways/List", frame(0, b"\xff")).await,
        Code::InvalidArgument
    );
    let big = frame(0, &vec![0; (1 << 20) + 1]);
    assert_eq!(
        raw(&api, "Gateways/List", big.clone()).await,
        Code::OutOfRange
    );
    assert_eq!(
        raw(&api, "Gateways/Add", big.clone()).await,
        Code::OutOfRange
    );
    assert_eq!(
        raw(&api, "Audit/VerifyExport", big.clone()).await,
        Code::OutOfRange
    );
    for method in ["Gateways/List", "Gateways/Add", "Audit/VerifyExport"] {
        let status = status(&api, method, big.clone()).await.unwrap();
        let said = status.message();
        assert!(
            said.contains("1048576 bytes, which is the most"),
            "{method}: {said}"
        );
    }
}

/// A request that never comes to its end.
fn endless(uid: u32, method: &str, bytes: usize) -> http::Request<Body> {
    let begun = tokio_stream::once(Ok::<_, Status>(hyper::body::Frame::data(
        bytes::Bytes::from(vec![0; bytes]),
    )));
    let body = http_body_util::StreamBody::new(begun.chain(tokio_stream::pending()));
    http::Request::post(format!("/portcullis.admin.v1.{method}"))
        .extension(Peer {
            uid: Some(uid),
            gid: None,
        })
        .body(Body::new(body))
        .unwrap()
}

#[tokio::test]
async fn what_one_user_leaves_half_sent_is_bounded_and_hinders_no_other() {
    let api = Api::start().await;
    let own = rustix::process::geteuid().as_raw();
    let mut router = Router::new(&api.services, watch::channel(false).1);
    let mut left = tokio::task::JoinSet::new();
    for method in ["Gateways/Add", "Gateways/List"] {
        for _ in 0..16 {
            left.spawn(router.call(endless(own, method, 1 << 20)));
        }
    }
    while router.budget().held_by(Some(own)) < MAX_OF_USER {
        tokio::task::yield_now().await;
    }
    for method in ["Gateways/Add", "Gateways/List", "Audit/VerifyExport"] {
        let response = router.call(endless(own, method, 1)).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted, "{method}");
        assert!(status.message().contains("nothing was begun"), "{status}");
    }
    let mut another = |uid: u32| {
        let mut request = endless(uid, "Gateways/List", 0);
        *request.body_mut() = Body::new(Full::new(bytes::Bytes::from(frame(0, b""))));
        router.call(request)
    };
    let code = |response: http::Response<Body>| {
        Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
    };
    assert_eq!(code(another(BASE + 3).await.unwrap()), Code::Ok);
    left.shutdown().await;
    assert_eq!(code(another(own).await.unwrap()), Code::Ok);
    assert_eq!(router.budget().held_by(Some(own)), 0);
}
