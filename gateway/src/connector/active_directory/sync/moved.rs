//! Containers that were renamed or moved. What lies below one has another name from then on, and no
//! change of its own that any search would find: it is looked for below the container.

use bytes::Bytes;

use super::{GUID, Syncing, below, guid, identity, nameless};
use crate::connector::directory::dn;
use crate::connector::directory::filter::Filter;
use crate::connector::directory::message::Entry;
use crate::model::CallError;

/// When which attribute was changed last, and by which number of the controller
/// (MS-DRSR 5.164).
const CHANGED: &str = "replPropertyMetaData";

/// The number of the attribute `name`, which holds the name within the container; a move writes it
/// as well (MS-ADA3 2.1, `1.2.840.113556.1.4.1`).
const NAME: u32 = 0x0009_0001;

/// What is read of a container.
pub(super) const READ: [&str; 2] = [GUID, CHANGED];

/// Organizational units, and the containers that a domain comes with.
pub(super) fn filter() -> Filter {
    let class = |name| Filter::equal("objectClass", name);
    Filter::Or(vec![class("organizationalUnit"), class("container")])
}

/// Whether a container got its name or its place after a number of the controller's history; true
/// where nobody can tell.
pub(super) fn is_moved_since(entry: &Entry, usn: u64) -> bool {
    let changed = entry.values(CHANGED).first();
    let named = changed.and_then(|changed| named_at(changed));
    named.is_none_or(|named| named > usn)
}

/// The number of the change that wrote the name: of entries of 48 bytes, after a head of 16.
fn named_at(changed: &[u8]) -> Option<u64> {
    let entries = changed.get(16..)?.chunks_exact(48);
    let number =
        |entry: &[u8], at: usize| Some(u32::from_le_bytes(entry.get(at..at + 4)?.try_into().ok()?));
    let mut named = entries.filter(|entry| number(entry, 0) == Some(NAME));
    let last = named.next()?.last_chunk::<8>()?;
    Some(u64::from_le_bytes(*last))
}

impl Syncing<'_, '_, '_> {
    /// Tells of what lies below a container as it now is.
    pub(super) async fn tell_below(&mut self, container: &Bytes) -> Result<(), CallError> {
        let Some(id) = identity::guid_text(container) else {
            return Ok(());
        };
        let own = [GUID.to_owned()];
        let read = self.session.entry(&format!("<GUID={id}>"), &own).await;
        // What was deleted meanwhile took nothing along: it was empty.
        let Some(entry) = read.map_err(|error| self.failed(&error))? else {
            return Ok(());
        };
        let inside = dn::is_within(&entry.dn, &self.class.base);
        if !inside && dn::is_within(&self.class.base, &entry.dn) {
            return Ok(());
        }
        let wanted = if inside {
            self.session.directory.wanted(self.class, &[])
        } else {
            own.to_vec()
        };
        let search = below(&entry.dn, self.class.filter.clone(), &wanted);
        let begun = self.session.stream(&search, &[]).await;
        let mut found = begun.map_err(|error| self.failed(&error))?;
        while let Some(entry) = {
            let next = found.next().await;
            next.map_err(|error| self.failed(&error))?
        } {
            if inside {
                self.tell_present(entry).await?;
            } else {
                let guid = guid(&entry).ok_or_else(|| self.failed(&nameless()))?;
                self.tell_gone(&guid).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_container_was_named_is_read_from_what_the_controller_keeps() {
        let entry = |attribute: u32, usn: u64| {
            let mut entry = [0; 48];
            entry[..4].copy_from_slice(&attribute.to_le_bytes());
            entry[40..].copy_from_slice(&usn.to_le_bytes());
            entry
        };
        let mut changed = vec![0; 16];
        changed.extend(entry(13, 99));
        changed.extend(entry(NAME, 7));
        let container = |value: Vec<u8>| Entry {
            dn: String::new(),
            attributes: vec![(CHANGED.to_owned(), vec![Bytes::from(value)])],
        };
        assert!(!is_moved_since(&container(changed.clone()), 7));
        assert!(is_moved_since(&container(changed.clone()), 6));
        changed.truncate(64);
        for unknown in [changed, Vec::new(), vec![1; 20]] {
            assert!(is_moved_since(&container(unknown), 7));
        }
    }
}
