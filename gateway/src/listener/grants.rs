//! Which instance of a server may have calls carried out here: that of the highest grant.
//!
//! ```text
//!   Grant ──▶ higher than all before? ──▶ on the disk ──▶ in memory ──▶ answered, others are ended
//!                  │ no                       │ failed
//!                  └──▶ the highest is told   └──▶ refused, and what held before holds on
//! ```
//!
//! So nobody is told that a grant was taken which a restart could forget, and from the moment at
//! which one is told, no call of a lower one is begun. An entry is of one server id and of one
//! registration there: a gateway that was registered anew begins anew.

use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_common::id::{GatewayId, ServerId};
use portcullis_proto::gateway::v1 as wire;

use crate::state_dir::StateDir;

/// The file.
const FILE: &str = "grants";
/// What it begins with.
const MAGIC: &[u8; 8] = b"pcgrant1";
/// Bytes of an entry: server id, gateway id, generation, epoch, instance.
const ENTRY: usize = 16 + 16 + 8 + 8 + 16;
/// Registrations that are kept. Each proved a master key of this gateway.
const MOST: usize = 64;

/// Who may have calls carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How often the server's repository was put back.
    generation: u64,
    /// How often the link changed hands since.
    epoch: u64,
    /// The start of a server that has it.
    instance: [u8; 16],
}

impl Grant {
    /// As it came; `None`: it is none.
    pub fn from_wire(request: &wire::GrantRequest) -> Option<Self> {
        let instance = request.instance.as_slice().try_into().ok()?;
        (request.epoch > 0).then_some(Self {
            generation: request.generation,
            epoch: request.epoch,
            instance,
        })
    }

    const fn height(&self) -> (u64, u64) {
        (self.generation, self.epoch)
    }
}

impl From<Grant> for wire::GrantResponse {
    fn from(grant: Grant) -> Self {
        Self {
            generation: grant.generation,
            epoch: grant.epoch,
            instance: grant.instance.to_vec(),
        }
    }
}

/// Whose grants are compared: those of one server id to one registration.
pub type Between = (ServerId, GatewayId);

/// The highest grant of each, the one that was raised last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ledger(Vec<(Between, Grant)>);

impl Ledger {
    fn highest(&self, between: Between) -> Option<Grant> {
        let mut entries = self.0.iter();
        entries.find(|(of, _)| *of == between).map(|(_, it)| *it)
    }

    fn knows(&self, server: ServerId) -> bool {
        self.0.iter().any(|((of, _), _)| *of == server)
    }

    /// With a grant that is higher than all before it; `None`: it is not.
    fn raised(&self, between: Between, grant: Grant) -> Option<Self> {
        let highest = self.highest(between);
        if highest.is_some_and(|highest| highest.height() >= grant.height()) {
            return None;
        }
        let mut entries = self.0.clone();
        entries.retain(|(of, _)| *of != between);
        let excess = (entries.len() + 1).saturating_sub(MOST);
        entries.drain(..excess);
        entries.push((between, grant));
        Some(Self(entries))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for ((server, gateway), grant) in &self.0 {
            bytes.extend(server.to_bytes());
            bytes.extend(gateway.to_bytes());
            bytes.extend(grant.generation.to_be_bytes());
            bytes.extend(grant.epoch.to_be_bytes());
            bytes.extend(grant.instance);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.strip_prefix(MAGIC)?.as_chunks::<ENTRY>();
        if !rest.is_empty() || entries.len() > MOST {
            return None;
        }
        entries.iter().map(entry).collect::<Option<_>>().map(Self)
    }
}

fn entry(bytes: &[u8; ENTRY]) -> Option<(Between, Grant)> {
    let (server, rest) = bytes.split_first_chunk::<16>()?;
    let (gateway, rest) = rest.split_first_chunk::<16>()?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let between = (
        ServerId::from_bytes(server)?,
        GatewayId::from_bytes(gateway)?,
    );
    let grant = Grant {
        generation: u64::from_be_bytes(*generation),
        epoch: u64::from_be_bytes(*epoch),
        instance: rest.try_into().ok()?,
    };
    Some((between, grant))
}

/// The grants of one gateway.
#[derive(Debug)]
pub struct Grants {
    /// `None`: they are gone with this run of the program.
    folder: Option<StateDir>,
    /// An error: why it is not known which grant is the highest, so that nobody's calls are taken.
    ledger: Mutex<Result<Ledger, String>>,
    /// Held by whoever raises one, until it is on the disk.
    raising: Mutex<()>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            folder: None,
            ledger: Mutex::new(Ok(Ledger::default())),
            raising: Mutex::default(),
        }
    }
}

impl Grants {
    /// Those in the folder.
    pub fn open(folder: &StateDir) -> Self {
        let place = folder.path().join(FILE);
        let read = folder.read(FILE, MAGIC.len() + MOST * ENTRY);
        let ledger = match read {
            Ok(None) => Ok(Ledger::default()),
            Ok(Some(bytes)) => Ledger::decode(&bytes).ok_or_else(|| "it is damaged".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let ledger = ledger.map_err(|why| {
            format!(
                "which server may have calls carried out cannot be read from {}: {why}; no calls are taken until it can. Restore the file, or remove it where no server of before can be running on, then restart the gateway",
                place.display()
            )
        });
        Self {
            folder: Some(folder.clone()),
            ledger: Mutex::new(ledger),
            raising: Mutex::default(),
        }
    }

    /// Why no calls are taken, and what to do.
    pub fn fault(&self) -> Option<String> {
        self.ledger().as_ref().err().cloned()
    }

    /// Whether a server of this id has ever granted anything.
    pub fn knows(&self, server: ServerId) -> bool {
        let ledger = self.ledger();
        ledger.as_ref().map_or(true, |it| it.knows(server))
    }

    /// Whether calls are taken in a session with this grant, or with none.
    pub fn admits(&self, between: Between, grant: Option<Grant>) -> bool {
        match &*self.ledger() {
            Ok(ledger) if ledger.knows(between.0) => {
                grant.is_some() && ledger.highest(between) == grant
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// Takes a grant, where it is higher than all before it. Gives the highest, which is on the
    /// disk by then. Waits for the disk.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub fn take(&self, between: Between, grant: Grant) -> Result<Grant, String> {
        let _alone = self.raising.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.ledger().clone()?;
        let Some(raised) = before.raised(between, grant) else {
            return Ok(before.highest(between).unwrap_or(grant));
        };
        if let Some(folder) = &self.folder {
            let written = folder.replace(FILE, &raised.encode());
            written.map_err(|error| {
                format!(
                    "a server that is to have this gateway's link cannot be noted, and gets no calls through: {error}"
                )
            })?;
        }
        *self.ledger() = Ok(raised);
        Ok(grant)
    }

    fn ledger(&self) -> MutexGuard<'_, Result<Ledger, String>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
