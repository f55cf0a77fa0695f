//! Writes `seeds/TARGET/NAME` from real encodings: `cargo run --example seeds`, in this folder.

use std::error::Error;
use std::fs;
use std::io::IoSlice;
use std::path::Path;
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{Preamble, initiator, responder};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, GatewayRecord, HeldKey, RunId, UnixMillis};
use portcullis_common::secret::MasterKey;
use portcullis_fuzz::{direction, parties, rng};

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

fn write(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}
