//! What was seen before a change, and what a look afterwards says became of it.

use super::Done;

/// What was seen of an object before a change, so that a look afterwards can tell what became of
/// the change. It is kept on the gateway's disk, and holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Names with values; what they mean, the connector knows that noted them.
    pub facts: Vec<(String, String)>,
}

impl Evidence {
    /// Bytes of all names and values together at the most: what is more is not kept.
    pub const MAX_LEN: usize = 4096;

    /// Notes a fact.
    pub fn note(&mut self, name: &str, value: impl Into<String>) {
        self.facts.push((name.to_owned(), value.into()));
    }

    /// The value that was noted under this name.
    pub fn fact(&self, name: &str) -> Option<&str> {
        let mut facts = self.facts.iter();
        let (_, value) = facts.find(|(noted, _)| noted == name)?;
        Some(value)
    }

    /// Whether it is short enough to be kept.
    pub fn fits(&self) -> bool {
        let lengths = self
            .facts
            .iter()
            .map(|(name, value)| name.len() + value.len());
        lengths.sum::<usize>() <= Self::MAX_LEN
    }

    /// The facts as people read them, a sentence each; not those whose name begins with `#`, which
    /// tell people nothing.
    pub fn sentences(&self) -> Vec<String> {
        let facts = self.facts.iter();
        facts
            .filter(|(name, _)| !name.starts_with('#'))
            .map(|(name, value)| format!("before the call: {name} = {value}"))
            .collect()
    }
}

/// What a look at the resource says became of a change.
#[derive(Debug, PartialEq)]
pub enum Look {
    /// It was carried out; or what it asks for is so now, where nobody can tell who did it.
    Done(Box<Done>),
    /// It was not begun, and nothing has changed.
    NotBegun,
    /// Nobody can tell. What was seen, a sentence each; no secret.
    Unclear(Vec<String>),
}
