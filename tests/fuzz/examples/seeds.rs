//! Writes `seeds/TARGET/NAME` from real encodings: `cargo run --example seeds`, in this folder.

use std::error::Error;
use std::fs;
use std::io::IoSlice;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use portcullis_common::calls::{Answering, Calling, Event, Refusal};
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{Preamble, initiator, responder};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, GatewayRecord, HeldKey, RunId, UnixMillis};
use portcullis_common::secret::MasterKey;
use portcullis_fuzz::{direction, parties, rng};
use portcullis_proto::gateway::v1::{CallFrame, CallFrameKind, CallFrames};
use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = rng();
    let gateway_id = GatewayId::random(&mut rng);
    write("message0", "id", &Preamble::Id(gateway_id).encode()?)?;
    write(
        "message0",
        "name",
        &Preamble::Name("host1".to_owned()).encode()?,
    )?;
    for (name, pairing) in [("secure", false), ("default", true)] {
        let (server, gateway) = parties(pairing);
        let (message1, server) = initiator::start(server, None, &mut rng)?;
        let (_, gateway) = responder::start(gateway, None)?;
        let (message2, gateway) = gateway.handle(&message1, &mut rng)?;
        let (message3, server) = server.handle(&message2, &mut rng)?;
        let (message4, _) = gateway.handle(&message3)?.confirm();
        server.handle(&message4)?;
        for (at, message) in [&message1, &message2, &message3, &message4]
            .into_iter()
            .enumerate()
        {
            write(&format!("message{}", at + 1), name, message)?;
            // The selector stands last: fixed-size values are taken from the end of the input.
            let mut input = message.clone();
            input.push((at as u8) << 1 | u8::from(pairing));
            write("handshake", &format!("{name}-{}", at + 1), &input)?;
            write("frame_header", &format!("{name}-{}", at + 1), &message[..3])?;
        }
    }
    for suite in Suite::ALL {
        let (mut sealer, _) = direction(suite);
        let mut records = Vec::new();
        sealer.data(Duration::ZERO, &[IoSlice::new(b"a call")], &mut records)?;
        sealer.close(&mut records)?;
        write("frame_header", suite.name(), &records[..3])?;
        records.push(u8::from(suite == Suite::Aes256Gcm));
        write("record_opener", suite.name(), &records)?;
    }
    let held = |kind| {
        let mut rng = portcullis_fuzz::rng();
        HeldKey {
            id: KeyId::random(kind, &mut rng),
            key: MasterKey::random(kind, &mut rng),
        }
    };
    for kind in [KeyKind::Tdes, KeyKind::Aes256] {
        let token = EnrolmentToken::random(gateway_id, kind, &mut rng);
        write("token", kind.name(), token.to_text().as_bytes())?;
        let enrolling = GatewayRecord::empty().enrol(&token, false, &mut rng)?;
        write(
            "gateway_record",
            &format!("enrolling-{}", kind.name()),
            &enrolling.encode(),
        )?;
        let installed = enrolling.install(token.key_id(), token.key_id(), held(kind))?;
        write(
            "gateway_record",
            &format!("installed-{}", kind.name()),
            &installed.encode(),
        )?;
        write("ids", kind.name(), token.key_id().to_string().as_bytes())?;
        write(
            "ids",
            &format!("{}-wire", kind.name()),
            &token.key_id().to_bytes(),
        )?;
    }
    calls()?;
    let open = GatewayRecord::empty().open_pairing(UnixMillis(u64::MAX))?;
    let claimed = open.begin(RunId::random(&mut rng), UnixMillis(0)).store;
    write("gateway_record", "empty", &GatewayRecord::empty().encode())?;
    write("gateway_record", "pairing", &open.encode())?;
    write(
        "gateway_record",
        "claimed",
        &claimed.ok_or("not claimed")?.encode(),
    )?;
    write("ids", "gateway", gateway_id.to_string().as_bytes())?;
    write(
        "ids",
        "server",
        ServerId::random(&mut rng).to_string().as_bytes(),
    )?;
    Ok(())
}

/// A short call and a long one, one that is cancelled, and a search: every kind of frame, both ways.
fn calls() -> Result<(), Box<dyn Error>> {
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
            if let Some(Event::Call(number, call)) = answering.handle(frame)? {
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
        failure: None,
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

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}
