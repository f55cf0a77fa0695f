//! What a directory sends, read into what it says.

use bytes::Bytes;

use super::super::ber::{self, Malformed, Reader};
use super::{Answer, Body, Control, Entry, Message};

/// The length of the message that `bytes` begin with; `None` where more bytes are needed to tell.
pub(crate) fn length(bytes: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    if let Some(&found) = bytes.first()
        && found != ber::SEQUENCE
    {
        return Err(Malformed::Unexpected {
            wanted: ber::SEQUENCE,
            found,
        });
    }
    let Some((start, content)) = ber::header(bytes)? else {
        return Ok(None);
    };
    let length = start.saturating_add(content);
    if length > most {
        return Err(Malformed::TooLong { length, most });
    }
    Ok(Some(length))
}

/// Reads a whole message from a directory.
pub(crate) fn decode(bytes: Bytes) -> Result<Message, Malformed> {
    let mut message = Reader::new(bytes).within(ber::SEQUENCE)?;
    let id = i32::try_from(message.number(ber::INTEGER)?).map_err(|_| Malformed::Number)?;
    let operation = message.next()?.ok_or(Malformed::Missing)?;
    let controls = match message.optional(0xa0)? {
        Some(list) => decode_controls(Reader::new(list))?,
        None => Vec::new(),
    };
    let content = Reader::new(operation.content);
    let body = match operation.tag {
        0x64 => Body::Entry(decode_entry(content)?),
        0x73 => Body::Reference(texts(content)?),
        0x79 => decode_intermediate(content)?,
        // Whatever kind of answer it is: that of a request is told by its id, and some directories
        // answer a modify whose control they do not know with an extended one.
        0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78 => {
            let mut answer = decode_answer(content)?;
            answer.controls.clone_from(&controls);
            Body::Answer(answer)
        }
        found => {
            return Err(Malformed::Unexpected {
                wanted: 0x78,
                found,
            });
        }
    };
    Ok(Message { id, body, controls })
}

/// Reads an entry from what is within it.
pub(crate) fn decode_entry(mut content: Reader) -> Result<Entry, Malformed> {
    let dn = content.text()?;
    let mut list = content.within(ber::SEQUENCE)?;
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut one = list.within(ber::SEQUENCE)?;
        let name = one.text()?;
        let mut set = one.within(ber::SET)?;
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.expect(ber::OCTETS)?);
        }
        attributes.push((name, values));
    }
    Ok(Entry { dn, attributes })
}

fn decode_answer(mut content: Reader) -> Result<Answer, Malformed> {
    let code = content.number(ber::ENUMERATED)?;
    let mut answer = Answer {
        code: u32::try_from(code).map_err(|_| Malformed::Number)?,
        matched: lossy(&content.expect(ber::OCTETS)?),
        text: lossy(&content.expect(ber::OCTETS)?),
        ..Answer::default()
    };
    while let Some(element) = content.next()? {
        match element.tag {
            0xa3 => answer.referrals = texts(Reader::new(element.content))?,
            0x8a => answer.oid = Some(lossy(&element.content)),
            0x8b => answer.value = Some(element.content),
            // Such as the credentials of a SASL bind, which is never asked for.
            _ => {}
        }
    }
    Ok(answer)
}

fn decode_intermediate(mut content: Reader) -> Result<Body, Malformed> {
    let oid = content.optional(0x80)?.map(|oid| lossy(&oid));
    let value = content.optional(0x81)?;
    Ok(Body::Intermediate { oid, value })
}

fn decode_controls(mut list: Reader) -> Result<Vec<Control>, Malformed> {
    let mut controls = Vec::new();
    while !list.is_empty() {
        let mut one = list.within(ber::SEQUENCE)?;
        let oid = one.text()?;
        let critical = one.optional(ber::BOOLEAN)?;
        let value = one.optional(ber::OCTETS)?;
        controls.push(Control {
            oid,
            critical: critical.is_some_and(|truth| truth.first().is_some_and(|byte| *byte != 0)),
            value: value.map(|value| value.to_vec()),
        });
    }
    Ok(controls)
}

fn texts(mut list: Reader) -> Result<Vec<String>, Malformed> {
    let mut texts = Vec::new();
    while !list.is_empty() {
        texts.push(lossy(&list.expect(ber::OCTETS)?));
    }
    Ok(texts)
}

/// A text for people only: some directories send diagnostics in Latin-1.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::super::encode::encode_attribute;
    use super::*;
    use crate::connector::directory::ber::Writer;

    /// An entry, and an answer with everything that one can have.
    fn samples() -> Vec<Vec<u8>> {
        let mut entry = Writer::default();
        entry.constructed(ber::SEQUENCE, |message| {
            message.number(ber::INTEGER, 7);
            message.constructed(0x64, |entry| {
                entry.octets("uid=ada,dc=x");
                entry.constructed(ber::SEQUENCE, |list| {
                    encode_attribute(list, "cn", &[b"Ada".to_vec(), b"Countess".to_vec()]);
                    encode_attribute(list, "sn", &[]);
                });
            });
        });
        let mut answer = Writer::default();
        answer.constructed(ber::SEQUENCE, |message| {
            message.number(ber::INTEGER, 7);
            message.constructed(0x78, |answer| {
                answer.number(ber::ENUMERATED, 10);
                answer.octets("dc=x");
                answer.octets("elsewhere");
                answer.constructed(0xa3, |urls| urls.octets("ldap://b"));
                answer.primitive(0x8a, b"1.2.3");
                answer.primitive(0x8b, b"value");
            });
            message.constructed(0xa0, |list| {
                list.constructed(ber::SEQUENCE, |one| {
                    one.octets("1.2.840");
                    one.boolean(true);
                    one.octets("x");
                });
            });
        });
        [entry, answer].map(|one| one.into_bytes().to_vec()).into()
    }

    #[test]
    fn what_is_cut_short_is_no_message() {
        for sample in samples() {
            let whole = Bytes::from(sample);
            assert!(decode(whole.clone()).is_ok());
            for length in 0..whole.len() {
                assert!(decode(whole.slice(..length)).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn bytes_that_changed_on_the_way_do_no_harm() {
        let seed = rand::random();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        for sample in samples() {
            for _ in 0..20_000 {
                let mut bytes = sample.clone();
                for _ in 0..random.random_range(1..4) {
                    let at = random.random_range(0..bytes.len());
                    bytes[at] = random.random();
                }
                // Whether it still is one does not matter: it does not panic.
                let _ = decode(Bytes::from(bytes));
            }
        }
    }
}
