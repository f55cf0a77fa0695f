//! Writes `seeds/TARGET/NAME` from real encodings: `cargo run --example seeds`, in this folder.

use std::error::Error;
use std::fs;
use std::io::IoSlice;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use portcullis_common::calls::{Answering, Calling, Event, Refusal};
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{Preamble, initiator, peer, responder};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::listing::{DIGEST_LEN, Listed};
use portcullis_common::rotation::{EnrolmentToken, GatewayRecord, HeldKey, RunId, UnixMillis};
use portcullis_common::secret::MasterKey;
use portcullis_fuzz::{direction, parties, rng, servers};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{self as wire, CallFrame, CallFrameKind, CallFrames};
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{Describe, Order, Reload, TakeSpans, Watch};
use prost::Message as _;
use rand_chacha::ChaCha12Rng;

type Written = Result<(), Box<dyn Error>>;

fn main() -> Written {
    let mut rng = rng();
    let gateway_id = GatewayId::random(&mut rng);
    let name = Preamble::Name("host1".to_owned());
    write("message0", "id", &Preamble::Id(gateway_id).encode()?)?;
    write("message0", "name", &name.encode()?)?;
    for (name, pairing) in [("secure", false), ("default", true)] {
        handshake(name, pairing, &mut rng)?;
    }
    peers(&mut rng)?;
    for suite in Suite::ALL {
        records(suite)?;
    }
    for kind in [KeyKind::Tdes, KeyKind::Aes256] {
        enrolment(gateway_id, kind, &mut rng)?;
    }
    calls()?;
    pairing(&mut rng)?;
    write("ids", "gateway", gateway_id.to_string().as_bytes())?;
    let server_id = ServerId::random(&mut rng);
    write("ids", "server", server_id.to_string().as_bytes())?;
    directory()?;
    listing()?;
    proxy()?;
    orders(server_id)
}

/// One of each kind, of the version that the target puts the own one in place of.
fn orders(server: ServerId) -> Written {
    let ada = || {
        let by = wire::object_ref::By::Name("ada".to_owned());
        Some(wire::ObjectRef {
            object_class: wire::ObjectClass::Account.into(),
            by: Some(by),
            ..wire::ObjectRef::default()
        })
    };
    let call = |verb| {
        What::Call(wire::Call {
            call_id: "call-1".to_owned(),
            connector: "host".to_owned(),
            timeout_ms: 1000,
            verb: Some(verb),
            ..wire::Call::default()
        })
    };
    let get = Verb::Get(wire::Get {
        object: ada(),
        attribute_names: vec!["cn".to_owned()],
    });
    let delete = Verb::Delete(wire::Delete { object: ada() });
    let run = Verb::Run(wire::Run {
        action: "tidy-up".to_owned(),
        ..wire::Run::default()
    });
    let search = Verb::Search(wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        ..wire::Search::default()
    });
    let ids = || vec!["call-1".to_owned(), "call-2".to_owned()];
    for (name, what) in [
        ("get", call(get)),
        ("delete", call(delete)),
        ("run", call(run)),
        ("search", call(search)),
        ("describe", What::Describe(Describe {})),
        ("reload", What::Reload(Reload {})),
        ("spans", What::TakeSpans(TakeSpans {})),
        ("watch", What::Watch(Watch {})),
        ("log", What::Log(wire::LogRequest { lines: 9 })),
        (
            "log_more",
            What::LogMore(wire::LogMoreRequest {
                filter: "debug".to_owned(),
                for_ms: 1000,
            }),
        ),
        (
            "finished",
            What::Finished(wire::FinishedRequest { call_ids: ids() }),
        ),
        (
            "acknowledge",
            What::Acknowledge(wire::AcknowledgeRequest { call_ids: ids() }),
        ),
    ] {
        let order = Order {
            version: "seed".to_owned(),
            instance: "default".to_owned(),
            server_id: server.to_bytes().to_vec(),
            acknowledges: true,
            what: Some(what),
            ..Order::default()
        };
        write("order", name, &order.encode_to_vec())?;
    }
    Ok(())
}

/// What HTTP proxies answer, and what the server says behind it.
fn proxy() -> Written {
    for (name, answer) in [
        (
            "established",
            "HTTP/1.1 200 Connection established\r\n\r\n\x10\0\x21",
        ),
        (
            "named",
            "HTTP/1.0 200 OK\r\nVia: 1.1 out (squid/5.7)\r\nServer: squid\r\n\r\n",
        ),
        (
            "who",
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"out\"\r\nProxy-Authenticate: Negotiate\r\n\r\n",
        ),
        ("forbidden", "HTTP/1.1 403 Forbidden\r\n\r\n"),
        ("unreachable", "HTTP/1.1 503 Service \u{e9}teint\r\n\r\n"),
        ("elsewhere", "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"),
        ("other", "SSH-2.0-OpenSSH_9.2\r\n"),
    ] {
        write("proxy_answer", name, answer.as_bytes())?;
    }
    Ok(())
}

/// Objects of whom one has a long id.
fn listing() -> Written {
    let mut objects = Vec::new();
    let long = "x".repeat(200);
    for (id, name, enabled) in [("1", "ada", Some(true)), (&long, "Zoë", None)] {
        let digest = [7; DIGEST_LEN];
        Listed {
            id,
            name,
            enabled,
            digest,
        }
        .put(&mut objects);
    }
    Ok(write("listing", "objects", &objects)?)
}

/// What a directory answers: an entry, a reference, a refusal with a control, and what is neither
/// UTF-8 nor asked for.
fn directory() -> Written {
    let octets = |text: &str| element(0x04, &[text.as_bytes()]);
    let attribute = |name: &str, values: &[Vec<u8>]| {
        let values: Vec<_> = values.iter().map(Vec::as_slice).collect();
        element(0x30, &[&octets(name), &element(0x31, &values)])
    };
    let attributes = [
        attribute("cn", &[octets("Ada"), element(0x04, &[b"\0\xff"])]),
        attribute("sn", &[]),
    ];
    let attributes = element(0x30, &[&attributes.concat()]);
    let entry = element(0x64, &[&octets("uid=ada,dc=x"), &attributes]);
    let reference = element(0x73, &[&octets("ldap://a/dc=x"), &octets("ldap://b/dc=x")]);
    let result = |code: u8, text: &[u8]| {
        let code = element(0x0a, &[&[code]]);
        [code, octets("dc=x"), element(0x04, &[text])].concat()
    };
    let referral = element(0xa3, &[&octets("ldap://b")]);
    let refusal = element(0x65, &[&result(10, b"elsewhere"), &referral]);
    let control = [octets("1.2.840"), element(0x01, &[&[0xff]]), octets("page")].concat();
    let controls = element(0xa0, &[&element(0x30, &[&control])]);
    let notice = [
        result(52, b"f\xfcr heute"),
        element(0x8a, &[b"1.3.6"]),
        element(0x8b, &[b"value"]),
    ];
    let notice = element(0x78, &[&notice.concat()]);
    let between = element(
        0x79,
        &[&element(0x80, &[b"1.3.6"]), &element(0x81, &[b"value"])],
    );
    for (name, id, parts) in [
        ("entry", 7, [entry, Vec::new()]),
        ("reference", 7, [reference, Vec::new()]),
        ("refusal", 7, [refusal, controls]),
        ("notice", 0, [notice, Vec::new()]),
        ("intermediate", 7, [between, Vec::new()]),
    ] {
        let id = element(0x02, &[&[id]]);
        let [operation, controls] = parts;
        let message = element(0x30, &[&id, &operation, &controls]);
        write("directory_message", name, &message)?;
    }
    Ok(())
}

/// An element of BER with fewer than 128 bytes of content.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = vec![tag, content.len() as u8];
    bytes.extend(content);
    bytes
}

/// Every message of a handshake.
/// A link between two servers, message by message.
fn peers(rng: &mut ChaCha12Rng) -> Written {
    let ([message0, message1], dialler) = peer::dial(servers(), rng)?;
    let dialled = peer::answer(servers())?;
    let (message2, dialled) = dialled.handle(&message1, rng)?;
    let (message3, dialler) = dialler.handle(&message2, rng)?;
    let (message4, _) = dialled.handle(&message3)?.confirm();
    dialler.handle(&message4)?;
    let messages = [message0, message1, message2, message3, message4];
    for (at, mut message) in messages.into_iter().enumerate() {
        // The selector stands last.
        message.push(at as u8);
        write("peers", &format!("message{at}"), &message)?;
    }
    Ok(())
}

fn handshake(name: &str, pairing: bool, rng: &mut ChaCha12Rng) -> Written {
    let (server, gateway) = parties(pairing);
    let (message1, server) = initiator::start(server, None, rng)?;
    let (_, gateway) = responder::start(gateway, None)?;
    let (message2, gateway) = gateway.handle(&message1, rng)?;
    let (message3, server) = server.handle(&message2, rng)?;
    let (message4, _) = gateway.handle(&message3)?.confirm();
    server.handle(&message4)?;
    let messages = [&message1, &message2, &message3, &message4];
    for (at, message) in messages.into_iter().enumerate() {
        write(&format!("message{}", at + 1), name, message)?;
        // The selector stands last: fixed-size values are taken from the end of the input.
        let mut input = message.clone();
        input.push((at as u8) << 1 | u8::from(pairing));
        write("handshake", &format!("{name}-{}", at + 1), &input)?;
        write("frame_header", &format!("{name}-{}", at + 1), &message[..3])?;
    }
    Ok(())
}

/// A record with a call in it, and the one that closes.
fn records(suite: Suite) -> Written {
    let (mut sealer, _) = direction(suite);
    let mut records = Vec::new();
    sealer.data(Duration::ZERO, &[IoSlice::new(b"a call")], &mut records)?;
    sealer.close(&mut records)?;
    write("frame_header", suite.name(), &records[..3])?;
    records.push(u8::from(suite == Suite::Aes256Gcm));
    write("record_opener", suite.name(), &records)?;
    Ok(())
}

/// A token, and what a gateway stores from it to its first key.
fn enrolment(gateway_id: GatewayId, kind: KeyKind, rng: &mut ChaCha12Rng) -> Written {
    let (token, name) = (EnrolmentToken::random(gateway_id, kind, rng), kind.name());
    write("token", name, token.to_text().as_bytes())?;
    let record = |state: &str, record: &GatewayRecord| {
        write(
            "gateway_record",
            &format!("{state}-{name}"),
            &record.encode(),
        )
    };
    let enrolling = GatewayRecord::empty().enrol(&token, false, rng)?;
    record("enrolling", &enrolling)?;
    let mut keys = portcullis_fuzz::rng();
    let held = HeldKey {
        id: KeyId::random(kind, &mut keys),
        key: MasterKey::random(kind, &mut keys),
    };
    let installed = enrolling.install(token.key_id(), token.key_id(), held)?;
    record("installed", &installed)?;
    write("ids", name, token.key_id().to_string().as_bytes())?;
    write("ids", &format!("{name}-wire"), &token.key_id().to_bytes())?;
    Ok(())
}

/// What a gateway stores that is to be paired.
fn pairing(rng: &mut ChaCha12Rng) -> Written {
    let open = GatewayRecord::empty().open_pairing(UnixMillis(u64::MAX))?;
    let claimed = open.begin(RunId::random(rng), UnixMillis(0)).store;
    let claimed = claimed.ok_or("not claimed")?;
    write("gateway_record", "empty", &GatewayRecord::empty().encode())?;
    write("gateway_record", "pairing", &open.encode())?;
    write("gateway_record", "claimed", &claimed.encode())?;
    Ok(())
}

fn calls() -> Written {
    let (mut from_server, mut from_gateway) = every_frame()?;
    let credit = |call| CallFrame {
        call,
        kind: CallFrameKind::Credit.into(),
        length: 1000,
        ..CallFrame::default()
    };
    from_server.push(credit(2));
    from_gateway.insert(0, credit(2));
    // Many times, which is more than there is credit for.
    let flood = |call, kind: CallFrameKind| CallFrame {
        call,
        kind: kind.into(),
        length: 16,
        data: vec![b'x'; 16].into(),
        not_after_ms: 86_407_000,
        ..CallFrame::default()
    };
    let items = vec![flood(1, CallFrameKind::Item)];
    let mut calls: Vec<_> = (0..8)
        .map(|at| flood(5 + 64 * at, CallFrameKind::Open))
        .collect();
    for call in &mut calls {
        call.length = 8192;
    }
    calls.push(flood(5, CallFrameKind::Part));
    calls.push(flood(12 + 64 * 7, CallFrameKind::Part));
    for (name, frames, how) in [
        ("server", from_server, 0),
        ("gateway", from_gateway, 0),
        ("items", items, 0b1111),
        ("calls", calls, 0b1111),
    ] {
        let mut input = CallFrames { frames }.encode_to_vec();
        // The selector, as above.
        input.push(how);
        write("call_frames", name, &input)?;
    }
    Ok(())
}

/// A short call and a long one, one that is cancelled, and a search: every kind of frame, from the
/// server and from the gateway.
fn every_frame() -> Result<(Vec<CallFrame>, Vec<CallFrame>), Box<dyn Error>> {
    let (mut calling, mut answering) = (Calling::<()>::default(), Answering::<()>::default());
    let (mut from_server, mut from_gateway) = (Vec::new(), Vec::new());
    for len in [1, 3000, 2, 4, 5] {
        calling.submit(vec![b'x'; len].into(), 0)?;
    }
    for turn in 0..4 {
        let mut frames = Vec::new();
        calling.take(u64::MAX, |frame| frames.push(frame));
        for frame in frames {
            from_server.push(CallFrame::from(frame.clone()));
            if let Some(Event::Call(number, call, _)) = answering.handle(frame)? {
                match call.len() {
                    1 => answering.end(number, vec![b'y'; 3000].into()),
                    4 => answering.refuse(number, Refusal::default()),
                    5 => {
                        answering.item(number, "an item".into());
                    }
                    _ => {}
                }
            }
        }
        match turn {
            0 => calling.cancel(3),
            1 => answering.drain(),
            _ => answering.end(5, Bytes::new()),
        }
        let mut frames = Vec::new();
        answering.take(|frame| frames.push(frame));
        for frame in frames {
            from_gateway.push(CallFrame::from(frame.clone()));
            calling.handle(frame, &mut Vec::new())?;
        }
    }
    Ok((from_server, from_gateway))
}

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}
