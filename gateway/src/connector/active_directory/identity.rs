//! Who an object is: its objectGUID, and its SID, whose last number says what it may.

use std::fmt::Write as _;

use crate::model::Value;

/// The id that never changes.
pub(super) const GUID: &str = "objectGUID";
/// The security identifier.
pub(super) const SID: &str = "objectSid";

/// RIDs below this are Windows's own, the same in every domain and language (MS-DTYP 2.4.2.4).
const OWN: u64 = 1000;

/// Windows's own groups that everybody is in, or that give nothing: Domain Users, Domain Guests,
/// Domain Computers; Users, Guests; Pre-Windows 2000 Compatible Access.
const HARMLESS: [u64; 6] = [513, 514, 515, 545, 546, 554];

/// A GUID as Windows writes it: the first three fields come with their lowest byte first
/// (MS-DTYP 2.3.4.2).
pub(super) fn guid_text(bytes: &[u8]) -> Option<String> {
    let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, rest @ ..] = bytes else {
        return None;
    };
    let node: &[u8; 6] = rest.try_into().ok()?;
    let mut text = String::with_capacity(36);
    for (place, byte) in [a3, a2, a1, a0, b1, b0, c1, c0, d0, d1]
        .into_iter()
        .chain(node)
        .enumerate()
    {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// The bytes of a GUID from its text.
pub(super) fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    if lengths != [8, 4, 4, 4, 12] {
        return None;
    }
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .ok()?;
    let [a3, a2, a1, a0, b1, b0, c1, c0, rest @ ..] = bytes.as_slice() else {
        return None;
    };
    let head = [*a0, *a1, *a2, *a3, *b0, *b1, *c0, *c1];
    let mut guid = [0; 16];
    let (first, last) = guid.split_at_mut(8);
    first.copy_from_slice(&head);
    if last.len() != rest.len() {
        return None;
    }
    last.copy_from_slice(rest);
    Some(guid)
}

/// A SID as Windows writes it: `S-1-5-21-…` (MS-DTYP 2.4.2).
pub(super) fn sid_text(bytes: &[u8]) -> Option<String> {
    let [revision, count, a, b, c, d, e, f, rest @ ..] = bytes else {
        return None;
    };
    if rest.len() != 4 * usize::from(*count) {
        return None;
    }
    let authority = u64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]);
    let mut text = format!("S-{revision}-{authority}");
    for number in rest.chunks_exact(4) {
        let number = u32::from_le_bytes(number.try_into().ok()?);
        let _ = write!(text, "-{number}");
    }
    Some(text)
}

/// The last number of a SID.
pub(super) fn rid(sid: &[u8]) -> Option<u64> {
    // A SID without any number of its own is that of an authority.
    let (head, last) = sid.split_last_chunk::<4>()?;
    (head.len() >= 8).then(|| u64::from(u32::from_le_bytes(*last)))
}

/// The last number of a SID as text.
pub(super) fn rid_of_text(sid: &str) -> Option<u64> {
    sid.starts_with("S-1-5-")
        .then(|| sid.rsplit('-').next()?.parse().ok())?
}

/// The SID of an object of a domain with this SID.
pub(super) fn of_domain(domain: &[u8], rid: u64) -> Option<Vec<u8>> {
    let rid = u32::try_from(rid).ok()?;
    let mut sid = domain.to_vec();
    let count = sid.get_mut(1)?;
    *count = count.checked_add(1)?;
    sid.extend_from_slice(&rid.to_le_bytes());
    Some(sid)
}

/// A RID as the guard rails are to know it: `None` for groups that everybody is in.
pub(super) fn protected_rid(rid: u64) -> Option<u64> {
    (!(rid < OWN && HARMLESS.contains(&rid))).then_some(rid)
}

/// Ids as people and programs write them.
pub(super) fn to_model(attribute: &str, value: &[u8]) -> Option<Value> {
    let text = if attribute.eq_ignore_ascii_case(GUID) {
        guid_text(value)
    } else if attribute.eq_ignore_ascii_case(SID) {
        sid_text(value)
    } else {
        None
    };
    text.map(Value::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_fields_of_a_guid_are_reversed() {
        let bytes: Vec<u8> = (0..16).collect();
        let text = "03020100-0504-0706-0809-0a0b0c0d0e0f";
        assert_eq!(guid_text(&bytes).as_deref(), Some(text));
        assert_eq!(guid_bytes(text).map(|bytes| bytes.to_vec()), Some(bytes));
        assert_eq!(guid_bytes(&text.to_uppercase()), guid_bytes(text));
        for other in [
            "",
            "----",
            "03020100-0504-0706-0809-0a0b0c0d0e0",
            "x",
            &text.replace('a', "g"),
        ] {
            assert_eq!(guid_bytes(other), None, "{other}");
        }
        assert_eq!(guid_text(&[0; 15]), None);
    }

    #[test]
    fn a_sid_ends_with_what_its_owner_is() {
        let admins = b"\x01\x05\0\0\0\0\0\x05\x15\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\0\x02\0\0";
        assert_eq!(sid_text(admins).as_deref(), Some("S-1-5-21-1-2-3-512"));
        assert_eq!(rid(admins), Some(512));
        assert_eq!(rid_of_text("S-1-5-21-1-2-3-512"), Some(512));
        let domain = b"\x01\x04\0\0\0\0\0\x05\x15\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0";
        assert_eq!(of_domain(domain, 512).as_deref(), Some(&admins[..]));
        assert_eq!(protected_rid(513), None);
        assert_eq!(protected_rid(512), Some(512));
        assert_eq!(protected_rid(1103), Some(1103));
        for broken in [&b""[..], b"\x01", b"\x01\x05\0\0\0\0\0\x05\x15\0\0\0"] {
            assert_eq!(sid_text(broken), None);
        }
    }
}
