//! One seed: a repository on disk, the server on it from life to life, its gateways, and what all
//! of them have to hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, Registration, RunId, UnixMillis};
use portcullis_server::repository::{ProtectedType, Reach, Repository};
use portcullis_server::serve::init;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tempfile::TempDir;

use super::engine::{Engine, Home};
use super::gateways::{DAY, Gateway};
use super::lives::{Running, configure};
use super::model::{Content, Model, Slot};
use super::operations::Operation;
use super::points::{Coverage, Planned, Points, WriteFault};
use super::search::Needles;
use super::{Counts, Fault};

const TOKEN_LIFETIME: u64 = 30 * DAY;
/// Stands in the clear in every repository: a search that does not find it proves nothing.
const PLANTED: &str = "planted-in-the-clear-";

/// Why an operation ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The server died.
    Down,
    /// A message was lost, or the gateway died.
    Lost,
    /// It was refused, as it had to be.
    Refused(String),
}

/// What became of one seed.
pub(super) struct Outcome {
    pub(super) broken: Option<String>,
    pub(super) trace: Vec<String>,
    pub(super) counts: Counts,
    pub(super) coverage: Coverage,
}

pub(super) struct World {
    pub(super) rng: ChaCha12Rng,
    pub(super) now: UnixMillis,
    pub(super) fault: Option<Fault>,
    pub(super) server_id: ServerId,
    pub(super) model: Model,
    pub(super) gateways: Vec<Gateway>,
    /// Calls that were queued.
    pub(super) calls: Vec<String>,
    /// Secrets that no file may hold.
    pub(super) needles: Needles,
    /// Secrets that the secret file alone may hold.
    pub(super) secrets: Needles,
    /// Wrapped keys that were deleted or replaced: gone once the repository was scrubbed.
    pub(super) retired_wraps: Vec<Vec<u8>>,
    pub(super) counts: Counts,
    pub(super) exports: PathBuf,
    pub(super) root: TempDir,
    /// `None`: the repository is among the server's files.
    pub(super) home: Option<Home>,
    pub(super) life: u32,
    /// What crashed, until it is started again.
    pub(super) server: Option<Running>,
    /// Died with its last life.
    pub(super) corpse: Arc<Points>,
    pub(super) coverage: Coverage,
    pub(super) planted: String,
    broken: Option<String>,
    trace: Option<Vec<String>>,
}

/// Lives through `seed`.
pub(super) async fn live(
    engine: &Engine,
    seed: u64,
    fault: Option<Fault>,
    traced: bool,
) -> Result<Outcome, std::io::Error> {
    let mut world = World::new(engine.home(seed), seed, fault, traced)?;
    world.begin().await;
    let steps = world.rng.random_range(10..40);
    for _ in 0..steps {
        if world.is_broken() {
            break;
        }
        world.step().await;
    }
    if !world.is_broken() {
        world.finish().await;
    }
    world.bury();
    Ok(Outcome {
        broken: world.broken,
        trace: world.trace.unwrap_or_default(),
        counts: world.counts,
        coverage: world.coverage,
    })
}

impl World {
    fn new(
        home: Option<Home>,
        seed: u64,
        fault: Option<Fault>,
        traced: bool,
    ) -> Result<Self, std::io::Error> {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        // Memory is quicker than any disk, and what a killed process wrote survives in it all the
        // same.
        let shm = Path::new("/dev/shm");
        let place = if shm.is_dir() {
            shm.to_owned()
        } else {
            std::env::temp_dir()
        };
        let root = tempfile::Builder::new()
            .prefix("portcullis-chaos-")
            .tempdir_in(place)?;
        let exports = root.path().join("exports");
        fs::create_dir(&exports)?;
        Ok(Self {
            server_id: ServerId::random(&mut rng),
            planted: format!("{PLANTED}{seed}"),
            rng,
            now: UnixMillis(1_800_000_000_000),
            fault,
            model: Model::default(),
            gateways: Vec::new(),
            calls: Vec::new(),
            needles: Needles::default(),
            secrets: Needles::default(),
            retired_wraps: Vec::new(),
            counts: Counts::default(),
            exports,
            corpse: Arc::new(Points::new(PathBuf::new(), PathBuf::new())),
            root,
            home,
            life: 0,
            server: None,
            coverage: Coverage::default(),
            broken: None,
            trace: traced.then(Vec::new),
        })
    }

    /// `portcullis-server init`, the first start, and the first gateways.
    async fn begin(&mut self) {
        let folder = self.folder(0);
        let config = configure(&folder, self.home.as_ref());
        let made = fs::create_dir(&folder).map_err(|error| error.to_string());
        let made = match made {
            Ok(()) => init::init(&config).await.map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            return self.broken(|| format!("the repository cannot be made: {error}"));
        }
        if let Err(error) = self.open(None).await {
            return self.broken(|| format!("the server does not start: {error}"));
        }
        self.adopt().await;
        let gateways = self.rng.random_range(1..=3);
        for g in 0..gateways {
            let planted = self.planted.clone();
            self.add_gateway(format!("{planted}-{g}")).await;
        }
        let _: Result<(), Stop> = self.add_owners().await;
        self.check().await;
    }

    async fn step(&mut self) {
        self.now = self.now.plus(self.rng.random_range(0..60_000));
        let operation = Operation::draw(&mut self.rng);
        if !self.rng.random_bool(0.08) {
            let plan = self.draw_plan();
            self.attempt(operation, plan).await;
            return;
        }
        // Again and again, with a crash one write later each time, until it comes through.
        self.counts.swept += 1;
        for write in 0..40 {
            for what in [WriteFault::DieBefore, WriteFault::DieAfter] {
                let died = self.attempt(operation, Some(Planned { write, what })).await;
                if !died || self.is_broken() {
                    return;
                }
            }
        }
    }

    pub(super) fn draw_plan(&mut self) -> Option<Planned> {
        if self.rng.random_bool(0.4) {
            return None;
        }
        let mut write = 0;
        while write < 15 && self.rng.random_bool(0.6) {
            write += 1;
        }
        let what = match self.rng.random_range(0..10) {
            0 => WriteFault::Full,
            1..=5 => WriteFault::DieBefore,
            _ => WriteFault::DieAfter,
        };
        Some(Planned { write, what })
    }

    /// Does it, and starts the server again where it died of it; true: it did.
    async fn attempt(&mut self, operation: Operation, plan: Option<Planned>) -> bool {
        self.note(|| format!("{operation:?}, {plan:?}"));
        self.counts.operations += 1;
        self.points().arm(operation.name(), plan);
        match self.perform(operation).await {
            Ok(()) => self.counts.done += 1,
            Err(Stop::Refused(why)) => {
                self.counts.refused += 1;
                self.note(|| format!("refused: {why}"));
            }
            Err(Stop::Lost) | Err(Stop::Down) => {}
        }
        let mut full = self.points().was_full();
        self.counts.full += u64::from(full);
        let died = self.points().has_crashed();
        if died {
            self.counts.crashes += 1;
            self.restart().await;
            full = self.points().was_full();
        }
        if self.is_broken() {
            return died;
        }
        self.points().arm("between operations", None);
        if died || full {
            let _: Result<(), Stop> = self.everybody_is_there().await;
        }
        self.check().await;
        // What a database deletes it overwrites at its own time.
        let scrubs = self.home.is_none();
        if scrubs && !self.is_broken() && !full && !self.retired_wraps.is_empty() {
            let _: Result<(), Stop> = self.check_scrubbed().await;
        }
        died
    }

    /// The end: everybody gets where they belong, and everything is looked at once more, also after
    /// a last crash.
    async fn finish(&mut self) {
        self.note(|| "the end".to_owned());
        self.points().arm("the end", None);
        self.bring_back_missing().await;
        self.heal().await;
        if self.is_broken() {
            return;
        }
        self.points().die();
        self.restart_with(None).await;
        if !self.is_broken() {
            self.check().await;
        }
    }

    pub(super) fn running(&self) -> Result<&Running, Stop> {
        let running = self.server.as_ref().ok_or(Stop::Down)?;
        match running.points.has_crashed() {
            true => Err(Stop::Down),
            false => Ok(running),
        }
    }

    pub(super) fn repository(&self) -> Result<Repository, Stop> {
        Ok(self.running()?.repository.clone())
    }

    pub(super) fn points(&self) -> Arc<Points> {
        self.corpse.clone()
    }

    /// What the product answered: a failure needs a fault that explains it.
    pub(super) fn stored<T, E: std::fmt::Display>(
        &mut self,
        what: &str,
        result: Result<T, E>,
    ) -> Result<T, Stop> {
        result.map_err(|error| {
            let points = self.points();
            if points.has_crashed() {
                return Stop::Down;
            }
            if !points.was_full() {
                self.broken(|| format!("{what} failed: {error}"));
            }
            Stop::Refused(error.to_string())
        })
    }

    /// As [`Self::stored`], where a key deleted by force explains a failure too.
    pub(super) fn opened<T, E: std::fmt::Display>(
        &mut self,
        what: &str,
        result: Result<T, E>,
    ) -> Result<T, Stop> {
        match result {
            Err(error) if !self.model.missing.is_empty() => Err(Stop::Refused(error.to_string())),
            other => self.stored(what, other),
        }
    }

    pub(super) fn kind(&mut self) -> KeyKind {
        match self.rng.random_bool(0.3) {
            true => KeyKind::Aes256,
            false => KeyKind::Tdes,
        }
    }

    async fn add_gateway(&mut self, name: String) {
        let (registration, token) = self.registration();
        let id = registration.gateway_id;
        let now = self.now;
        let Ok(repository) = self.repository() else {
            return;
        };
        let added = repository
            .gateways()
            .add(&name, Reach::DialOut, &registration, now)
            .await;
        if self.stored("gateway add", added).is_ok() {
            self.model
                .set(enrolment_slot(id), Content::is(token.key().expose()));
            let run = RunId::random(&mut self.rng);
            let mut gateway = Gateway::new(name, id, run);
            gateway.token = Some(token);
            self.gateways.push(gateway);
        }
    }

    pub(super) fn registration(&mut self) -> (Registration, EnrolmentToken) {
        let kind = self.kind();
        let id = GatewayId::random(&mut self.rng);
        let token = EnrolmentToken::random(id, kind, &mut self.rng);
        self.needles.add(token.key().expose(), || {
            format!("the enrolment key of {id}")
        });
        let expires = self.now.plus(TOKEN_LIFETIME);
        (Registration::new(&token, expires, None), token)
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    /// A promise is broken: the first one counts.
    pub(super) fn broken(&mut self, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }
}

pub(super) fn enrolment_slot(id: GatewayId) -> Slot {
    Slot {
        kind: ProtectedType::EnrolmentKey,
        owner: id.to_bytes().to_vec(),
        field: "enrolment key".to_owned(),
    }
}

pub(super) fn gateway_key_slot(id: KeyId) -> Slot {
    Slot {
        kind: ProtectedType::GatewayKey,
        owner: id.to_bytes().to_vec(),
        field: "key".to_owned(),
    }
}
