//! Pages of which nothing but digests is wanted: they are made of the rows as they come, and no
//! object is built of one.

use portcullis_common::listing::Content;

use super::class::{Class, Columns, ENABLED};
use super::engine::{Cells, Fault, Rows, Seen, SeenCell};
use crate::connector::Found;
use crate::model::{AttributeName, CallError, Failure, ObjectId, ObjectName, Search, Value};

/// Lists the rows of one class.
struct Lister<'a> {
    class: &'a Class,
    has_enabled: bool,
    /// The columns that count, by the names of their attributes.
    counted: Vec<(&'a str, usize)>,
}

/// Lists no more than `most` of the rows. Answers the id of the last one where there are others.
pub(super) async fn list(
    rows: &mut dyn Rows,
    class: &Class,
    (columns, search): (&Columns, &Search),
    most: usize,
    found: &mut Found,
) -> Result<Option<Value>, CallError> {
    let lister = Lister::new(class, columns, search, found);
    let (mut last, mut count) = (None, 0);
    loop {
        let (mut failed, mut others) = (None, false);
        let more = rows
            .each(&mut |row| {
                if count == most {
                    others = true;
                    return Ok(false);
                }
                count += 1;
                if count == most {
                    last = row.cell(0)?.first().map(Seen::into_value);
                }
                match lister.list(row, found) {
                    Ok(is_full) => Ok(!is_full),
                    Err(failure) => {
                        failed = Some(failure);
                        Ok(false)
                    }
                }
            })
            .await;
        let more = more.map_err(Fault::not_committed)?;
        if let Some(failure) = failed {
            return Err(failure.into());
        }
        if others {
            return Ok(last);
        }
        if !more {
            return Ok(None);
        }
        found.hand_on().await?;
    }
}

impl<'a> Lister<'a> {
    fn new(class: &'a Class, columns: &'a Columns, search: &Search, found: &Found) -> Self {
        let before = columns.all.len() - columns.attributes().len();
        let attributes = columns.attributes().iter().enumerate();
        let named = attributes.map(|(place, column)| (column.name.as_str(), before + place));
        let wanted = &search.attributes;
        let is_wanted = |name: &str| {
            wanted.is_empty()
                || wanted
                    .iter()
                    .any(|wanted: &AttributeName| wanted.as_str() == name)
        };
        let mut counted: Vec<_> = named
            .filter(|(name, _)| AttributeName::is(name) && is_wanted(name))
            .filter(|(name, _)| !found.conceals(class.class, name))
            .collect();
        counted.sort_unstable();
        Self {
            class,
            has_enabled: columns.has_enabled,
            counted,
        }
    }

    fn list(&self, row: &dyn Cells, found: &mut Found) -> Result<bool, Failure> {
        let unusable = |what: &str| super::reading::unusable(self.class, what).not_committed();
        let cell = |place| row.cell(place).map_err(Fault::not_committed);
        let id = cell(0)?.first().ok_or_else(|| unusable("no id"))?;
        let name = cell(1)?.first().ok_or_else(|| unusable("no name"))?;
        let enabled = match self.has_enabled {
            true => Some(match cell(2)?.first() {
                Some(seen) => {
                    let truth = seen.truth();
                    truth.ok_or_else(|| unusable(&seen.no_truth(ENABLED)))?
                }
                None => false,
            }),
            false => None,
        };
        let (id, name) = (id.into_text(), name.into_text());
        let id = id.as_ref().map(|id| id.as_bytes());
        let id = id.and_then(|id| std::str::from_utf8(id).ok());
        let id = id.filter(|id| ObjectId::is(id));
        let name = name.as_ref().map(|name| name.as_bytes());
        let name = name.and_then(|name| std::str::from_utf8(name).ok());
        let name = name.filter(|name| ObjectName::is(name));
        let id = id.ok_or_else(|| unusable("an id that no object can have"))?;
        let name = name.ok_or_else(|| unusable("a name that no object can have"))?;
        found.list((id, name), enabled, |content| self.fill(row, content))
    }

    fn fill(&self, row: &dyn Cells, content: &mut Content) -> Result<(), Failure> {
        for (name, place) in &self.counted {
            match row.cell(*place).map_err(Fault::not_committed)? {
                SeenCell::None => {}
                SeenCell::One(seen) => content.single(name, &seen.into_plain()),
                SeenCell::List(all) => {
                    content.several(name, &mut all.into_iter().map(Seen::into_plain).collect());
                }
            }
        }
        Ok(())
    }
}
