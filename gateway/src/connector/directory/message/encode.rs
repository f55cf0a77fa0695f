//! Requests as they are sent.

use zeroize::Zeroizing;

use super::super::ber::{self, Writer};
use super::{Control, Operation, Search};

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

pub(super) fn encode_attribute(writer: &mut Writer, name: &str, values: &[Vec<u8>]) {
    writer.constructed(ber::SEQUENCE, |attribute| {
        attribute.octets(name);
        attribute.constructed(ber::SET, |set| {
            for value in values {
                set.octets(value);
            }
        });
    });
}
