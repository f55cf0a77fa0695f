//! What a body has to be: of a change, exactly the one message that the audit log shows.

use http_body_util::Full;
use prost::Message as _;
use tonic::body::Body;
use tower::Service as _;

use super::audit::audited;
use super::*;

/// The answer to a request of this user's with this body.
async fn raw(api: &Api, method: &str, body: Vec<u8>) -> Code {
    let uid = Some(rustix::process::geteuid().as_raw());
    let request = http::Request::post(format!("/portcullis.admin.v1.{method}"))
        .extension(Peer { uid, gid: None })
        .body(Body::new(Full::new(bytes::Bytes::from(body))))
        .unwrap();
    let response = Router::new(&api.services).call(request).await.unwrap();
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
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
        Code::Internal
    );
    let big = frame(0, &vec![0; (1 << 20) + 1]);
    assert_eq!(
        raw(&api, "Gateways/List", big.clone()).await,
        Code::OutOfRange
    );
    assert_eq!(raw(&api, "Gateways/Add", big).await, Code::OutOfRange);
}
