//! What one call does at a directory: reads that are repeated where a connection was dead, changes
//! that never are.

use std::sync::Arc;

use tokio::time::Instant;

use super::connector::Directory;
use super::fault::{Error, FaultKind, code};
use super::filter::Filter;
use super::gathered::{Gathered, Streamed};
use super::link::Item;
use super::message::{Answer, Control, Entry, Operation, Scope, Search};
use super::pages::Pages;
use super::pool::{Identity, Lease, Lending};
use super::schema::{DirectorySchema, ROOT_ATTRIBUTES, Root};

/// What a directory says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knowledge {
    /// Its root.
    pub(crate) root: Root,
    /// Its schema; empty where it is not shown.
    pub(crate) schema: DirectorySchema,
}

/// One call at a directory.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    /// The directory.
    pub(crate) directory: &'a Directory,
    /// Who the gateway is there.
    pub(crate) identity: Arc<Identity>,
    /// When the call has to have ended.
    pub(crate) deadline: Instant,
    /// Whether a connection is in use for the call already.
    pub(crate) nested: bool,
}

impl<'a> Session<'a> {
    /// The same call, where it needs a further connection beside the one that it has.
    pub(crate) fn beside(&self) -> Self {
        Self {
            directory: self.directory,
            identity: Arc::clone(&self.identity),
            deadline: self.deadline,
            nested: true,
        }
    }

    /// A connection. Where `fresh`, a new one.
    pub(crate) async fn lease(&self, fresh: bool) -> Result<Lease, Error> {
        let pool = &self.directory.pool;
        let how = Lending {
            fresh,
            nested: self.nested,
        };
        let lease = pool.lease(&self.identity, how, self.deadline).await;
        lease.map_err(Error::NotBegun)
    }

    /// Carries out a change, once.
    ///
    /// # Errors
    /// What [`Error`] tells apart.
    pub(crate) async fn write(
        &self,
        operation: &Operation,
        controls: &[Control],
    ) -> Result<Answer, Error> {
        let mut lease = self.lease(false).await?;
        match lease.link()?.ask(operation, controls, self.deadline).await {
            // Nothing left on a connection that had ended meanwhile.
            Err(Error::NotBegun(_)) => {}
            done => return done,
        }
        let mut lease = self.lease(true).await?;
        lease.link()?.ask(operation, controls, self.deadline).await
    }

    /// Asks for something that changes nothing; on a connection that turns out dead, once more.
    pub(crate) async fn ask(
        &self,
        operation: &Operation,
        controls: &[Control],
    ) -> Result<Answer, Error> {
        let mut fresh = false;
        loop {
            let mut lease = self.lease(fresh).await?;
            let link = lease.link()?;
            let proven = link.proven;
            let asked = link.ask(operation, controls, self.deadline).await;
            match asked {
                Err(error) if proven && !fresh && is_of_dead(&error) => fresh = true,
                asked => return asked,
            }
        }
    }

    /// The entry of this name; `None`: there is none that the gateway may read.
    pub(crate) async fn entry(
        &self,
        dn: &str,
        attributes: &[String],
    ) -> Result<Option<Entry>, Error> {
        let search = Search {
            base: dn.to_owned(),
            scope: Scope::Base,
            filter: Filter::everything(),
            attributes: attributes.to_vec(),
            size_limit: 0,
        };
        match self.read(search, None, 1).await {
            Ok(found) => Ok(found.into_iter().next()),
            Err(error) if error.code() == Some(code::NO_SUCH_OBJECT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The entries below a base that meet a filter, all of them.
    ///
    /// # Errors
    /// Where they are more than `most`, too: a part of them is never taken for all.
    pub(crate) async fn entries(
        &self,
        base: &str,
        filter: Filter,
        attributes: &[String],
        most: usize,
    ) -> Result<Vec<Entry>, Error> {
        let page = self.directory.settings.page_size;
        self.read(below(base, filter, attributes), page, most).await
    }

    /// What a search finds, entry by entry; on a connection that turns out dead, begun once more.
    pub(crate) async fn stream(
        &self,
        search: &Search,
        controls: &[Control],
    ) -> Result<Streamed, Error> {
        let size = self.directory.settings.page_size;
        let mut fresh = false;
        loop {
            let mut lease = self.lease(fresh).await?;
            let proven = lease.link()?.proven;
            let pages = Pages::new(lease, search.clone(), size.is_some()).with(controls);
            let begun = Streamed::begin(pages, size.unwrap_or(usize::MAX), self.deadline);
            match begun.await {
                Err(error) if proven && !fresh && is_of_dead(&error) => fresh = true,
                begun => return begun,
            }
        }
    }

    /// What the directory says of itself: read once in a while.
    pub(crate) async fn knowledge(&self) -> Result<Arc<Knowledge>, Error> {
        if let Some(known) = self.directory.known() {
            return Ok(known);
        }
        let wanted = ROOT_ATTRIBUTES.map(str::to_owned);
        let root = self.entry("", &wanted).await?;
        let root = root.as_ref().map(Root::of).unwrap_or_default();
        let wanted = ["attributeTypes", "objectClasses", "dITContentRules"].map(str::to_owned);
        let subschema = match &root.subschema {
            Some(dn) => self.subschema(dn, &wanted).await,
            None => Ok(None),
        };
        // A schema that may not be read is none: values are then taken for text or bytes.
        let schema = match subschema {
            Ok(found) => found.as_ref().map(DirectorySchema::of).unwrap_or_default(),
            Err(Error::Refused(_)) => DirectorySchema::default(),
            Err(error) => return Err(error),
        };
        Ok(self.directory.learn(Knowledge { root, schema }))
    }

    /// RFC 4512, section 4.4: the subschema is read with a filter for it.
    async fn subschema(&self, dn: &str, attributes: &[String]) -> Result<Option<Entry>, Error> {
        let search = Search {
            base: dn.to_owned(),
            scope: Scope::Base,
            filter: Filter::equal("objectClass", "subschema"),
            attributes: attributes.to_vec(),
            size_limit: 0,
        };
        Ok(self.read(search, None, 1).await?.into_iter().next())
    }

    async fn read(
        &self,
        search: Search,
        page: Option<usize>,
        most: usize,
    ) -> Result<Vec<Entry>, Error> {
        let mut fresh = false;
        loop {
            let mut lease = self.lease(fresh).await?;
            let proven = lease.link()?.proven;
            let read = match page {
                Some(size) => {
                    self.paged(Pages::new(lease, search.clone(), true), size, most)
                        .await
                }
                None => self.whole(&mut lease, search.clone(), most).await,
            };
            match read {
                Err(error) if proven && !fresh && is_of_dead(&error) => fresh = true,
                read => return read,
            }
        }
    }

    async fn whole(
        &self,
        lease: &mut Lease,
        search: Search,
        most: usize,
    ) -> Result<Vec<Entry>, Error> {
        let link = lease.link()?;
        let id = link.begin(search, &[], self.deadline).await?;
        let mut found = Gathered::new(most);
        loop {
            match link.next(id, self.deadline).await? {
                Item::Entry(entry, _) => found.push(entry)?,
                Item::End(_) => return Ok(found.into_entries()),
                Item::Reference(_) | Item::Intermediate { .. } => {}
            }
        }
    }

    async fn paged(&self, mut pages: Pages, size: usize, most: usize) -> Result<Vec<Entry>, Error> {
        let mut found = Gathered::new(most);
        loop {
            pages.begin(size, self.deadline).await?;
            while let Some(entry) = pages.next(self.deadline).await? {
                found.push(entry)?;
            }
            if pages.is_last() {
                return Ok(found.into_entries());
            }
        }
    }
}

/// A search below a base.
pub(crate) fn below(base: &str, filter: Filter, attributes: &[String]) -> Search {
    Search {
        base: base.to_owned(),
        scope: Scope::Subtree,
        filter,
        attributes: attributes.to_vec(),
        size_limit: 0,
    }
}

/// Whether an error may be that of a connection which had ended, or on which nobody is bound any
/// more, without that anybody knew.
fn is_of_dead(error: &Error) -> bool {
    match error {
        Error::NotBegun(fault) | Error::Unknown(fault) => fault.kind == FaultKind::Closed,
        // OpenLDAP and Active Directory say so of one on which nobody is bound.
        Error::Refused(answer) => matches!(
            answer.code,
            code::OPERATIONS_ERROR | code::INSUFFICIENT_ACCESS_RIGHTS
        ),
    }
}
