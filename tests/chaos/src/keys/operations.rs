//! What administrators and gateways do.

use portcullis_common::rotation::Standing;
use portcullis_server::audit::{Outcome, Subject};
use portcullis_server::keys::gateway_keys;
use portcullis_server::repository::Replaced;
use rand::RngExt;
use rand_chacha::ChaCha12Rng;

use super::gateways::{LinkFault, PlannedLink};
use super::model::Content;
use super::server_keys::Protect;
use super::world::{Stop, World, enrolment_slot, gateway_key_slot};

/// Gateway keys after which no more are made.
const MAX_GATEWAY_KEYS: usize = 12;
/// Connections after which everybody has to be where they belong.
const HEALING_ROUNDS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Generate,
    GenerateCurrent,
    SetCurrent,
    Rotate,
    RollBack,
    Compromised,
    DeleteGatewayKey,
    Renew,
    Evict,
    Connect,
    Synchronize,
    ProtectDefault,
    ProtectPbe,
    Rewrap,
    ReEncrypt,
    Verify,
    ChangeValue,
    Export,
    Import,
    DeleteServerKey,
    DeleteByForce,
    DeleteGatewayKeyByForce,
    Restart,
}

impl Operation {
    pub(super) fn draw(rng: &mut ChaCha12Rng) -> Self {
        match rng.random_range(0..176) {
            0..5 => Self::Generate,
            5..12 => Self::GenerateCurrent,
            12..18 => Self::SetCurrent,
            18..26 => Self::Rotate,
            26..29 => Self::RollBack,
            29..31 => Self::Compromised,
            31..38 => Self::DeleteGatewayKey,
            38..42 => Self::Renew,
            42..44 => Self::Evict,
            44..62 => Self::Connect,
            62..68 => Self::Synchronize,
            68..71 => Self::ProtectDefault,
            71..79 => Self::ProtectPbe,
            79..82 => Self::Rewrap,
            82..92 => Self::ReEncrypt,
            92..94 => Self::Verify,
            94..127 => Self::ChangeValue,
            127..134 => Self::Export,
            134..141 => Self::Import,
            141..149 => Self::DeleteServerKey,
            149..154 | 156..164 => Self::DeleteByForce,
            154..156 => Self::DeleteGatewayKeyByForce,
            164..172 => Self::GenerateCurrent,
            _ => Self::Restart,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate-server",
            Self::GenerateCurrent => "generate-server --set-current",
            Self::SetCurrent => "set-current",
            Self::Rotate => "rotate-gateway",
            Self::RollBack => "rotate-gateway --roll-back",
            Self::Compromised => "rotate-gateway --compromised",
            Self::DeleteGatewayKey => "delete (a gateway key)",
            Self::Renew => "gateway token",
            Self::Evict => "gateway evict",
            Self::Connect => "a connection",
            Self::Synchronize => "sync-gateways",
            Self::ProtectDefault => "protect default",
            Self::ProtectPbe => "protect pbe",
            Self::Rewrap => "protect --rewrap",
            Self::ReEncrypt => "re-encrypt",
            Self::Verify => "verify",
            Self::ChangeValue => "a change of a value",
            Self::Export => "export",
            Self::Import => "import",
            Self::DeleteServerKey => "delete (a server key)",
            Self::DeleteByForce => "delete --force (a server key)",
            Self::DeleteGatewayKeyByForce => "delete --force (a gateway key)",
            Self::Restart => "a restart",
        }
    }
}

impl World {
    /// Carries it out as the admin API would: with an entry in the audit log before it, and one
    /// after.
    pub(super) async fn perform(&mut self, operation: Operation) -> Result<(), Stop> {
        let g = self.rng.random_range(0..self.gateways.len());
        self.look_up(g).await?;
        if operation == Operation::Connect {
            return self.connect_with_faults(g).await;
        }
        if operation == Operation::Restart {
            self.points().die();
            return Err(Stop::Down);
        }
        let audit = self.running()?.audit.clone();
        let begun = audit
            .begin(Subject::user(0, Some("root")), operation.name(), "")
            .await;
        let begun = self.stored("an audit entry", begun)?;
        let done = match operation {
            Operation::Generate => self.generate(false).await,
            Operation::GenerateCurrent => self.generate(true).await,
            Operation::SetCurrent => self.set_current().await,
            Operation::Rotate => self.rotate(Replaced::Retired).await,
            Operation::RollBack => self.rotate(Replaced::Withdrawn).await,
            Operation::Compromised => self.rotate(Replaced::Compromised).await,
            Operation::DeleteGatewayKey => self.delete_gateway_key(false).await,
            Operation::DeleteGatewayKeyByForce => self.delete_gateway_key(true).await,
            Operation::Export => self.export().await,
            Operation::Import => self.import().await,
            Operation::DeleteServerKey => self.delete_server_key().await,
            Operation::DeleteByForce => self.delete_by_force().await,
            Operation::Renew => self.renew(g).await,
            Operation::Evict => self.evict(g).await,
            Operation::Synchronize => self.synchronize().await,
            Operation::ProtectDefault => self.protect(Protect::Default).await,
            Operation::ProtectPbe => self.protect(Protect::Pbe).await,
            Operation::Rewrap => self.protect(Protect::Rewrap).await,
            Operation::ReEncrypt => self.re_encrypt().await,
            Operation::Verify => self.verify().await,
            Operation::ChangeValue => self.change_a_value().await,
            Operation::Connect | Operation::Restart => Ok(()),
        };
        let outcome = match done {
            Ok(()) => Outcome::Done,
            Err(_) => Outcome::Failed,
        };
        begun.end(outcome, "").await;
        done
    }

    async fn rotate(&mut self, replaced: Replaced) -> Result<(), Stop> {
        let keys = self.repository()?.gateway_keys().list().await;
        let keys = self.stored("the list of gateway keys", keys)?;
        if keys.len() >= MAX_GATEWAY_KEYS {
            return Err(Stop::Refused("there are gateway keys enough".to_owned()));
        }
        let expected = keys.first().map(|key| key.info.id);
        let kind = self.kind();
        let new = gateway_keys::generate(kind, self.now);
        let id = new.id;
        self.needles
            .add(new.key.expose(), || format!("gateway key {id}"));
        let slot = gateway_key_slot(id);
        let content = Content::is(new.key.expose());
        self.model.may_become(slot.clone(), content.clone());
        if replaced == Replaced::Compromised {
            // Whether or not it comes to that: whoever holds no newer key enrols again.
            for gateway in &mut self.gateways {
                gateway.excused = true;
            }
        }
        let repository = self.repository()?;
        let table = repository.gateway_keys();
        let done = table.rotate(new, expected, replaced).await;
        match self.stored("rotate-gateway", done)? {
            Ok(_) => self.model.set(slot, content),
            Err(error) => self.broken(|| format!("rotate-gateway was refused: {error}")),
        }
        self.counts.rotations += 1;
        Ok(())
    }

    /// `gateway token`: a new registration; its operator enrols the gateway at once, or never.
    pub(super) async fn renew(&mut self, g: usize) -> Result<(), Stop> {
        let (registration, token) = self.registration();
        let (id, name) = (registration.gateway_id, self.gateways[g].name.clone());
        let former = enrolment_slot(self.gateways[g].registered);
        let content = Content::is(token.key().expose());
        self.model.may_become(former.clone(), Content::None);
        self.model.may_become(enrolment_slot(id), content.clone());
        self.gateways[g].excused = true;
        let done = self
            .repository()?
            .gateways()
            .update(&*name, move |row, _| row.clone_from(&registration))
            .await;
        let done = self.stored("gateway token", done);
        if matches!(done, Err(Stop::Down)) {
            // Nobody knows which of the two holds: the administrator looks, and gives the command
            // again.
            self.gateways[g].token = None;
        }
        done?;
        self.model.set(former, Content::None);
        self.model.set(enrolment_slot(id), content);
        self.gateways[g].registered = id;
        self.gateways[g].token = Some(token);
        Ok(())
    }

    async fn evict(&mut self, g: usize) -> Result<(), Stop> {
        let name = self.gateways[g].name.clone();
        let slot = enrolment_slot(self.gateways[g].registered);
        self.model.may_become(slot, Content::None);
        self.gateways[g].excused = true;
        self.gateways[g].token = None;
        let done = self
            .repository()?
            .gateways()
            .update(&*name, |row, _| row.evict())
            .await;
        self.stored("gateway evict", done)
    }

    async fn connect_with_faults(&mut self, g: usize) -> Result<(), Stop> {
        self.enrol_where_due(g).await?;
        let plan = self.rng.random_bool(0.6).then(|| {
            let step = self.rng.random_range(0..14);
            let fault = match self.rng.random_range(0..4) {
                0 => LinkFault::Lost,
                1 => LinkFault::SenderDies,
                2 => LinkFault::DiesBeforeStore,
                _ => LinkFault::DiesAfterStore,
            };
            PlannedLink { step, fault }
        });
        self.note(|| format!("gateway {g} connects, {plan:?}"));
        self.connect(g, plan).await
    }

    /// An interrupted command leaves open which registration holds.
    async fn look_up(&mut self, g: usize) -> Result<(), Stop> {
        let name = self.gateways[g].name.clone();
        let registered = self
            .repository()?
            .gateways()
            .look(&*name, |registration, _| registration.gateway_id)
            .await;
        self.gateways[g].registered = self.stored("a look", registered)?;
        Ok(())
    }

    /// Its operator gives it the token that waits for it.
    async fn enrol_where_due(&mut self, g: usize) -> Result<(), Stop> {
        if self.gateways[g].token.is_none() {
            return Ok(());
        }
        self.enrol(g);
        let name = self.gateways[g].name.clone();
        let standing = self
            .repository()?
            .gateways()
            .look(&*name, |registration, _| {
                (registration.gateway_id, registration.standing)
            })
            .await;
        let (id, standing) = self.stored("a look", standing)?;
        let enrolled = self.record(g).gateway_id() == Some(id);
        self.gateways[g].excused = !enrolled || standing != Standing::Admitted;
        Ok(())
    }

    /// Every gateway in turn, without faults of its own.
    async fn synchronize(&mut self) -> Result<(), Stop> {
        for g in 0..self.gateways.len() {
            self.reach(g).await?;
        }
        Ok(())
    }

    /// Every gateway reaches the current key: by what it holds, or by a new token where it was told
    /// so.
    pub(super) async fn heal(&mut self) {
        let healed = self.heal_all().await;
        if let Err(stop) = healed {
            self.broken(|| format!("the world does not heal: {stop:?}"));
        }
    }

    async fn heal_all(&mut self) -> Result<(), Stop> {
        for g in 0..self.gateways.len() {
            let excused = self.gateways[g].excused;
            if self.reach(g).await? {
                continue;
            }
            if !excused {
                let record = self.record(g);
                self.broken(|| format!("gateway {g} does not reach the current key: {record:?}"));
                return Ok(());
            }
            self.counts.enrolled_again += 1;
            self.renew(g).await?;
            if !self.reach(g).await? {
                let record = self.record(g);
                self.broken(|| format!("gateway {g} cannot be enrolled again: {record:?}"));
            }
        }
        Ok(())
    }

    async fn reach(&mut self, g: usize) -> Result<bool, Stop> {
        self.look_up(g).await?;
        self.enrol_where_due(g).await?;
        for _ in 0..HEALING_ROUNDS {
            match self.connect(g, None).await {
                Ok(()) => {}
                Err(Stop::Down) => return Err(Stop::Down),
                Err(Stop::Lost | Stop::Refused(_)) => break,
            }
            if self.is_current(g).await? {
                self.gateways[g].excused = false;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl super::model::Model {
    /// A proof uses the token up.
    pub(super) fn token_used(&mut self, registered: portcullis_common::id::GatewayId) {
        self.may_become(enrolment_slot(registered), Content::None);
    }
}
