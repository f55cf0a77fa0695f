//! Whether the log is what this server wrote.

use super::archive::{self, Anchor};
use super::chain::Chain;
use super::error::{AuditError, Dispute};
use super::head::{Found, Head};
use super::writer::{Inspection, older};
use crate::repository::{AuditEntry, AuditTip, Repository, RowFault};

/// Entries read at once.
const PAGE: u32 = 1_000;

/// What is wrong with an audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An entry does not carry the MAC that its content and the entry before ask for.
    #[error("entry {seq} was changed, or stands where another one stood")]
    Changed {
        /// The first such entry.
        seq: u64,
    },
    /// Entries are missing.
    #[error("entries {first} to {last} are missing")]
    Missing {
        /// The first that is missing.
        first: u64,
        /// The last that is missing.
        last: u64,
    },
    /// Their audit key does not open.
    #[error(
        "entries {first} to {last} cannot be checked: their audit key is sealed under a server key that is not here, or it was removed"
    )]
    Unchecked {
        /// The first such entry.
        first: u64,
        /// The last such entry.
        last: u64,
    },
    /// The entries are sound, but not those of a head that is known from elsewhere.
    #[error(
        "entry {seq} is not the one of the head given: the log was rewritten since, or that head is another log's"
    )]
    Foreign {
        /// The entry of that head.
        seq: u64,
    },
    /// The anchor is not one that this server made.
    #[error(
        "the anchor, which says up to where entries were archived, was changed: nobody can tell what is missing before the first entry"
    )]
    AnchorForged,
    /// A head that is known from elsewhere is of an archived entry.
    #[error(
        "entry {seq} of the head given is archived: hold that head against the archive, with `portcullis audit verify --file`"
    )]
    Archived {
        /// The entry of that head.
        seq: u64,
    },
    /// The head at an export's end is not that of its entries.
    #[error(
        "the export does not end with the head of its {count} entries: its end was cut off or changed"
    )]
    End {
        /// How many entries it has.
        count: u64,
    },
    /// Rows that decide are not as this server stored them.
    #[error(
        "{count} records in the repository were changed or put in by hand, and decide nothing any more"
    )]
    RowsChanged {
        /// How many.
        count: u64,
    },
    /// The head file or the running server knows otherwise.
    #[error("{0}")]
    Disputed(Dispute),
}

impl Fault {
    /// The first entry concerned; 0: none in particular.
    pub const fn seq(&self) -> u64 {
        match self {
            Self::Changed { seq } | Self::Foreign { seq } | Self::Archived { seq } => *seq,
            Self::Missing { first, .. } | Self::Unchecked { first, .. } => *first,
            Self::End { count } => *count,
            Self::RowsChanged { .. } | Self::AnchorForged => 0,
            Self::Disputed(dispute) => match dispute {
                Dispute::Rewritten { seq } | Dispute::LastChanged { seq } => *seq,
                Dispute::Cut { count, .. } => *count + 1,
                Dispute::HeadOlder { head, .. } => *head,
                Dispute::OtherDatabase { .. }
                | Dispute::EarlierTimeline { .. }
                | Dispute::TailLost
                | Dispute::WentBack
                | Dispute::HeadMissing
                | Dispute::HeadDamaged
                | Dispute::KeyAway { .. }
                | Dispute::KeyGone
                | Dispute::Rows
                | Dispute::RowsUnknown
                | Dispute::Moved => 0,
            },
        }
    }
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The last entry that is sound, and how many there are up to it.
    pub sound: AuditTip,
    /// The last entry that was archived; 0: none was.
    pub archived: u64,
    /// Entries that there are, with those that were archived.
    pub count: u64,
    /// How many entries the head file counts; `None`: it is missing or not to be trusted.
    pub head: Option<u64>,
    /// The first fault in the chain, then those of the heads.
    pub faults: Vec<Fault>,
    /// The rows of [`Fault::RowsChanged`], the first 1,000.
    pub rows: Vec<RowFault>,
}

/// Verifies entries one by one, in their order.
#[derive(Debug)]
pub struct Verifier {
    chain: Chain,
    tip: AuditTip,
    unchecked: Option<(u64, u64)>,
}

impl Verifier {
    pub(super) fn new(chain: Chain) -> Self {
        Self::after(chain, AuditTip::BEGINNING)
    }

    /// Of what comes after `tip`, which is known to be sound.
    pub(super) fn after(chain: Chain, tip: AuditTip) -> Self {
        Self {
            chain,
            tip,
            unchecked: None,
        }
    }

    /// Entries that were taken as they are, because their key does not open.
    pub fn unchecked(&self) -> Option<Fault> {
        let (first, last) = self.unchecked?;
        Some(Fault::Unchecked { first, last })
    }

    /// The last entry that was taken.
    pub const fn tip(&self) -> AuditTip {
        self.tip
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`Fault`] where it is not what the server wrote in that place.
    pub fn take(&mut self, entry: &AuditEntry) -> Result<(), Fault> {
        let seq = self.tip.count + 1;
        if entry.seq > seq {
            return Err(Fault::Missing {
                first: seq,
                last: entry.seq - 1,
            });
        }
        let changed = Fault::Changed { seq };
        let stored = entry.mac.as_slice().try_into().map_err(|_| changed)?;
        if entry.seq < seq {
            return Err(changed);
        }
        let mac = match self.chain.mac(&self.tip.mac, entry) {
            Ok(mac) if mac != stored => return Err(changed),
            Ok(mac) => mac,
            Err(_) => {
                let first = self.unchecked.map_or(seq, |(first, _)| first);
                self.unchecked = Some((first, seq));
                stored
            }
        };
        self.tip = AuditTip { count: seq, mac };
        Ok(())
    }

    /// Takes the head at the end of an export.
    ///
    /// # Errors
    /// [`Fault::End`] where it is not the head of the entries that were taken.
    pub fn end(&self, head: Option<Head>) -> Result<(), Fault> {
        match head {
            Some(head) if head.tip == self.tip && self.chain.made_either(&head) => Ok(()),
            _ => Err(Fault::End {
                count: self.tip.count,
            }),
        }
    }
}

pub(super) async fn verify(
    repository: &Repository,
    chain: Chain,
    inspection: Inspection,
    known: Vec<AuditTip>,
) -> Result<Report, AuditError> {
    let start = archive::anchor(repository, &chain).await?;
    verify_from(start, repository, chain, inspection, known).await
}

/// Of a log that began here a moment ago: more of it may be archived since.
pub(super) async fn verify_from(
    start: Anchor,
    repository: &Repository,
    chain: Chain,
    inspection: Inspection,
    mut known: Vec<AuditTip>,
) -> Result<Report, AuditError> {
    let Inspection { tip, head, dispute } = inspection;
    let (head, untrusted) = trusted(head?, &chain);
    known.sort_by_key(|known| known.count);
    let (start, faults) = begin(start, &mut known);
    let mut walk = Walk {
        verifier: Verifier::after(chain, start),
        marks: Marks { head, known },
        faults,
        broken: None,
        last: None,
        archived: start.count,
        count: start.count,
    };
    walk.to(repository, tip.count).await?;
    let count = walk.count;
    let at_head = match head {
        Some(head) if head.count > count => Some(Dispute::Cut {
            head: head.count,
            count,
        }),
        // Others have gone on since this server did.
        Some(_) if repository.database().is_shared() => None,
        Some(head) => {
            let missed = repository.audit_entries().scan(head.count, 1).await?;
            older(head.count, missed.first(), walk.last.as_ref())
        }
        None => untrusted,
    };
    let cut = (count < tip.count).then_some(Dispute::Cut {
        head: tip.count,
        count,
    });
    let (sound, archived) = (walk.verifier.tip, walk.archived);
    let mut found = walk.faults();
    let rows = repository.check_rows().await?;
    if rows.fault_count > 0 {
        found.push(Fault::RowsChanged {
            count: rows.fault_count,
        });
    }
    let put_back = (rows.bound == Some(false)).then_some(Dispute::Rows);
    for dispute in at_head.or(cut).into_iter().chain(put_back).chain(dispute) {
        let fault = Fault::Disputed(dispute);
        if !found.contains(&fault) {
            found.push(fault);
        }
    }
    Ok(Report {
        sound,
        archived,
        count,
        head: head.map(|head| head.count),
        faults: found,
        rows: rows.faults,
    })
}

/// What the head file knows, or why it knows nothing.
fn trusted(head: Found, chain: &Chain) -> (Option<AuditTip>, Option<Dispute>) {
    match head {
        Found::Head(head) if chain.made(&head) => (Some(head.tip), None),
        Found::Missing => (None, Some(Dispute::HeadMissing)),
        Found::Head(_) | Found::Damaged => (None, Some(Dispute::HeadDamaged)),
    }
}

/// Where the log begins, and what is wrong there. Heads of archived entries are no longer `known`.
fn begin(start: Anchor, known: &mut Vec<AuditTip>) -> (AuditTip, Vec<Fault>) {
    let Anchor::At(start) = start else {
        return (AuditTip::BEGINNING, vec![Fault::AnchorForged]);
    };
    (start, archived(start, known))
}

/// Takes the heads of archived entries from those that are `known`.
fn archived(start: AuditTip, known: &mut Vec<AuditTip>) -> Vec<Fault> {
    let gone = known.partition_point(|known| known.count < start.count);
    let archived = known.drain(..gone);
    let faults = archived.map(|known| Fault::Archived { seq: known.count });
    faults.collect()
}

/// A way through all entries, as far as the chain holds.
struct Walk {
    verifier: Verifier,
    marks: Marks,
    /// What is wrong with the heads.
    faults: Vec<Fault>,
    /// The first fault in the chain.
    broken: Option<Fault>,
    /// The last entry of those that the heads were read after: what came later is ahead of these.
    last: Option<AuditEntry>,
    /// The last entry that was archived.
    archived: u64,
    /// How many entries were read, with those that were archived.
    count: u64,
}

impl Walk {
    /// Goes through the entries up to `end`, where the log ended when its heads were read, and
    /// through those that have come since as far as they are read along.
    async fn to(&mut self, repository: &Repository, end: u64) -> Result<(), AuditError> {
        self.marks.pass(self.verifier.tip, &mut self.faults);
        loop {
            let entries = repository.audit_entries();
            let (anchor, entries) = entries.scan_with_anchor(self.count, PAGE).await?;
            self.begin_at(anchor.as_deref());
            let Some(last) = entries.last() else {
                return Ok(());
            };
            self.count = last.seq;
            for entry in entries {
                if self.broken.is_none() {
                    match self.verifier.take(&entry) {
                        Ok(()) => self.marks.pass(self.verifier.tip, &mut self.faults),
                        Err(fault) => self.broken = Some(fault),
                    }
                }
                if entry.seq <= end {
                    self.last = Some(entry);
                }
            }
            if self.count >= end {
                return Ok(());
            }
        }
    }

    /// Goes on behind the entries that were archived since the last page.
    fn begin_at(&mut self, anchor: Option<&[u8]>) {
        match archive::anchored(anchor, &self.verifier.chain) {
            Anchor::Forged if !self.faults.contains(&Fault::AnchorForged) => {
                self.faults.push(Fault::AnchorForged);
            }
            Anchor::At(start) if start.count > self.count && self.broken.is_none() => {
                self.faults.extend(archived(start, &mut self.marks.known));
                (self.archived, self.count) = (start.count, start.count);
                self.verifier.tip = start;
                self.marks.pass(start, &mut self.faults);
            }
            Anchor::At(start) => self.archived = self.archived.max(start.count),
            Anchor::Forged => {}
        }
    }

    /// The first fault in the chain, what could not be checked, and what is wrong with the heads.
    fn faults(self) -> Vec<Fault> {
        let mut found: Vec<Fault> = self.broken.into_iter().collect();
        found.extend(self.verifier.unchecked());
        let forged = self.faults.contains(&Fault::AnchorForged);
        if self.broken.is_none() || forged {
            // With a broken chain these only say again that it is broken.
            found.extend(self.faults);
            found.extend(self.marks.known.iter().map(|known| Fault::Missing {
                first: self.count + 1,
                last: known.count,
            }));
        }
        found
    }
}

/// Heads that the chain has to pass through, those from elsewhere by count.
struct Marks {
    head: Option<AuditTip>,
    known: Vec<AuditTip>,
}

impl Marks {
    fn pass(&mut self, tip: AuditTip, faults: &mut Vec<Fault>) {
        let seq = tip.count;
        if self
            .head
            .is_some_and(|head| head.count == seq && head.mac != tip.mac)
        {
            faults.push(Fault::Disputed(Dispute::Rewritten { seq }));
        }
        let passed = self.known.partition_point(|known| known.count <= seq);
        for known in self.known.drain(..passed) {
            if known.mac != tip.mac {
                faults.push(Fault::Foreign { seq });
            }
        }
    }
}
