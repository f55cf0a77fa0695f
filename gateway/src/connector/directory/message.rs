//! Messages of LDAP (RFC 4511, section 4): requests are written, answers are read.
//!
//! What a directory says is taken as it is where the standard leaves it open: a result code that
//! nobody knows keeps its number, a diagnostic that is not UTF-8 is shown as far as it can be. A
//! request whose answer could not be read would be one whose outcome nobody knows.

use std::fmt;

use bytes::Bytes;
use zeroize::{Zeroize as _, Zeroizing};

pub(crate) use super::ber::Malformed;
use super::ber::{self, Reader, Writer};
use super::filter::Filter;
use crate::model::Password;

/// What is asked of a directory.
pub(crate) enum Operation {
    /// RFC 4511, section 4.2: a simple bind.
    Bind {
        /// Who.
        dn: String,
        /// With which password.
        password: Password,
    },
    /// RFC 4511, section 4.3. It has no answer.
    Unbind,
    /// RFC 4511, section 4.5.
    Search(Search),
    /// RFC 4511, section 4.6.
    Modify {
        /// Which entry.
        dn: String,
        /// In this order, all of them or none.
        changes: Vec<Change>,
    },
    /// RFC 4511, section 4.7.
    Add {
        /// Its name.
        dn: String,
        /// Its attributes with their values.
        attributes: Vec<(String, Vec<Vec<u8>>)>,
    },
    /// RFC 4511, section 4.8.
    Delete {
        /// Which entry.
        dn: String,
    },
    /// RFC 4511, section 4.9.
    ModifyDn {
        /// Which entry.
        dn: String,
        /// Its new relative name.
        new_rdn: String,
        /// Whether the former relative name is taken from its attributes.
        delete_old: bool,
        /// Its new parent, where that changes.
        new_superior: Option<String>,
    },
    /// RFC 4511, section 4.12.
    Extended {
        /// Which.
        oid: &'static str,
        /// Its value, which may hold a password.
        value: Option<Zeroizing<Vec<u8>>>,
    },
}

/// Values to be sent may be passwords: they do not outlive the request.
impl Drop for Operation {
    fn drop(&mut self) {
        if let Self::Add { attributes, .. } = self {
            attributes.iter_mut().for_each(|(_, values)| wipe(values));
        }
    }
}

/// Wipes values, one of which may be a password.
pub(crate) fn wipe(values: &mut [Vec<u8>]) {
    values.iter_mut().for_each(|value| value.zeroize());
}

/// How far below its base a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The base itself.
    Base = 0,
    /// The base and all below it.
    Subtree = 2,
}

/// A search.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// Where it starts.
    pub(crate) base: String,
    /// How far it goes.
    pub(crate) scope: Scope,
    /// What it finds.
    pub(crate) filter: Filter,
    /// The attributes wanted; none: all of users. `*` and `+` as in RFC 3673.
    pub(crate) attributes: Vec<String>,
    /// Entries at the most; 0: as many as the directory gives.
    pub(crate) size_limit: i32,
}

/// What happens to values of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// They come.
    Add = 0,
    /// They go; none: all of them.
    Delete = 1,
    /// They take the place of those that are there.
    Replace = 2,
}

/// One change of an entry.
#[derive(Clone)]
pub(crate) struct Change {
    /// What happens.
    pub(crate) kind: ChangeKind,
    /// To which attribute.
    pub(crate) attribute: String,
    /// With which values.
    pub(crate) values: Vec<Vec<u8>>,
}

/// A value may be a password.
impl Drop for Change {
    fn drop(&mut self) {
        wipe(&mut self.values);
    }
}

/// A value may be a password.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            attribute,
            values,
        } = self;
        write!(f, "{kind:?} {attribute} ({} values)", values.len())
    }
}

/// A control of a request or an answer (RFC 4511, section 4.1.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    /// Which.
    pub(crate) oid: String,
    /// Whether the directory must not do without.
    pub(crate) critical: bool,
    /// What it says.
    pub(crate) value: Option<Vec<u8>>,
}

impl Control {
    /// A control that the directory may do without.
    pub(crate) fn new(oid: &str, value: Option<Vec<u8>>) -> Self {
        Self {
            oid: oid.to_owned(),
            critical: false,
            value,
        }
    }

    /// The same, as one that it must not do without.
    #[must_use]
    pub(crate) fn critical(self) -> Self {
        Self {
            critical: true,
            ..self
        }
    }
}

/// A message from a directory.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Which request it answers; 0: none.
    pub(crate) id: i32,
    /// What it says.
    pub(crate) body: Body,
    /// Its controls.
    pub(crate) controls: Vec<Control>,
}

/// What a message says.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// An entry that a search found.
    Entry(Entry),
    /// Other directories in which a search would go on.
    Reference(Vec<String>),
    /// The last word on a request, whatever kind of answer it came as.
    Answer(Answer),
    /// Something before the last word (RFC 4511, section 4.13).
    Intermediate {
        /// Which.
        oid: Option<String>,
        /// What it says.
        value: Option<Bytes>,
    },
}

/// An entry as a search gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) dn: String,
    /// Its attributes, with options, in the spelling of the directory.
    pub(crate) attributes: Vec<(String, Vec<Bytes>)>,
}

impl Entry {
    /// The values of an attribute, in whatever case its name is written.
    pub(crate) fn values(&self, name: &str) -> &[Bytes] {
        self.attributes
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map_or(&[], |(_, values)| values)
    }

    /// The first value of an attribute, as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let value = self.values(name).first()?;
        std::str::from_utf8(value).ok()
    }
}

/// The last word on a request (RFC 4511, section 4.1.9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The result code, known or not.
    pub(crate) code: u32,
    /// How much of the name of the entry is there.
    pub(crate) matched: String,
    /// The directory's own words.
    pub(crate) text: String,
    /// Where the request should go instead.
    pub(crate) referrals: Vec<String>,
    /// The name of an extended answer.
    pub(crate) oid: Option<String>,
    /// The value of an extended answer.
    pub(crate) value: Option<Bytes>,
    /// The controls of the message.
    pub(crate) controls: Vec<Control>,
}

impl Answer {
    /// The value of the control of this kind; empty where it has none.
    pub(crate) fn control(&self, oid: &str) -> Option<&[u8]> {
        let found = self.controls.iter().find(|control| control.oid == oid)?;
        Some(found.value.as_deref().unwrap_or_default())
    }
}

/// Writes a request.
pub(crate) fn encode(id: i32, operation: &Operation, controls: &[Control]) -> Zeroizing<Vec<u8>> {
    let mut writer = Writer::default();
    writer.constructed(ber::SEQUENCE, |message| {
        message.number(ber::INTEGER, id.into());
        encode_operation(message, operation);
        if !controls.is_empty() {
            message.constructed(0xa0, |list| {
                for control in controls {
                    list.constructed(ber::SEQUENCE, |one| {
                        one.octets(&control.oid);
                        if control.critical {
                            one.boolean(true);
                        }
                        if let Some(value) = &control.value {
                            one.octets(value);
                        }
                    });
                }
            });
        }
    });
    writer.into_bytes()
}

fn encode_operation(message: &mut Writer, operation: &Operation) {
    match operation {
        Operation::Bind { dn, password } => message.constructed(0x60, |bind| {
            bind.number(ber::INTEGER, 3);
            bind.octets(dn);
            bind.primitive(0x80, password.expose());
        }),
        Operation::Unbind => message.primitive(0x42, &[]),
        Operation::Search(search) => {
            message.constructed(0x63, |inner| encode_search(inner, search))
        }
        Operation::Modify { dn, changes } => message.constructed(0x66, |modify| {
            modify.octets(dn);
            modify.constructed(ber::SEQUENCE, |list| {
                for change in changes {
                    list.constructed(ber::SEQUENCE, |one| {
                        one.number(ber::ENUMERATED, change.kind as i64);
                        encode_attribute(one, &change.attribute, &change.values);
                    });
                }
            });
        }),
        Operation::Add { dn, attributes } => message.constructed(0x68, |add| {
            add.octets(dn);
            add.constructed(ber::SEQUENCE, |list| {
                for (name, values) in attributes {
                    encode_attribute(list, name, values);
                }
            });
        }),
        Operation::Delete { dn } => message.primitive(0x4a, dn.as_bytes()),
        Operation::ModifyDn {
            dn,
            new_rdn,
            delete_old,
            new_superior,
        } => message.constructed(0x6c, |rename| {
            rename.octets(dn);
            rename.octets(new_rdn);
            rename.boolean(*delete_old);
            if let Some(parent) = new_superior {
                rename.primitive(0x80, parent.as_bytes());
            }
        }),
        Operation::Extended { oid, value } => message.constructed(0x77, |extended| {
            extended.primitive(0x80, oid.as_bytes());
            if let Some(value) = value {
                extended.primitive(0x81, value);
            }
        }),
    }
}

fn encode_search(writer: &mut Writer, search: &Search) {
    writer.octets(&search.base);
    writer.number(ber::ENUMERATED, search.scope as i64);
    // Aliases are never followed: they would lead out of the base.
    writer.number(ber::ENUMERATED, 0);
    writer.number(ber::INTEGER, search.size_limit.into());
    writer.number(ber::INTEGER, 0);
    writer.boolean(false);
    search.filter.encode(writer);
    writer.constructed(ber::SEQUENCE, |list| {
        for attribute in &search.attributes {
            list.octets(attribute);
        }
    });
}

fn encode_attribute(writer: &mut Writer, name: &str, values: &[Vec<u8>]) {
    writer.constructed(ber::SEQUENCE, |attribute| {
        attribute.octets(name);
        attribute.constructed(ber::SET, |set| {
            for value in values {
                set.octets(value);
            }
        });
    });
}

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

    use super::*;

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
