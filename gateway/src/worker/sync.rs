//! Syncs: what has changed, as far as the guard rails hand it out, and the token for the next one.
//!
//! A token is the connector's own, under a digest of whose it is: one of another connector, class
//! or place is told from those of this one before the connector sees it. It is no proof: whoever
//! can call may make one up, so that a connector takes its token for bytes of a stranger.
//!
//! ```text
//! | version | digest of connector, class and settings, 16 bytes | the connector's own token |
//! ```

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use portcullis_proto::gateway::v1 as wire;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Provisioner;
use super::call_log::panicked;
use super::guarded::Guarded;
use super::provisioner::failure_label;
use crate::connector::{Changes, Context};
use crate::guard::conceal;
use crate::model::{
    CallError, Change, Failure, FailureKind, Request, SyncEvent, SyncSince, SyncToken, Synced, Verb,
};

const VERSION: u8 = 1;
const DIGEST_LEN: usize = 16;

/// The verb of what [`Provisioner::sync`] carries out.
const SYNC: &str = "sync";

/// Changes that wait for a slow caller before the sync waits, too.
const BUFFER: usize = 64;

impl Provisioner {
    /// Carries out a sync. Events end with [`SyncEvent::End`]; to drop the receiver ends the sync.
    pub fn sync(&self, mut call: wire::Call) -> mpsc::Receiver<SyncEvent> {
        let (events, receiver) = mpsc::channel(BUFFER);
        let provisioner = self.clone();
        tokio::spawn(async move {
            let (id, begun) = (call.call_id.clone(), Instant::now());
            let span = provisioner.begin(&mut call);
            let syncing = AssertUnwindSafe(provisioner.sync_into(call, &events)).catch_unwind();
            let ended = tokio::select! {
                ended = syncing => ended,
                () = events.closed() => return,
            };
            let ended = ended.unwrap_or_else(|_| Err(panicked(&id)));
            let label = failure_label(ended.as_ref().err());
            provisioner.ended().ended(SYNC, label, begun.elapsed());
            span.end(label);
            // Nobody listens any more: then nobody misses the end.
            let _ = events.send(SyncEvent::End(ended)).await;
        });
        receiver
    }

    async fn sync_into(
        &self,
        call: wire::Call,
        events: &mpsc::Sender<SyncEvent>,
    ) -> Result<Synced, Failure> {
        let admitted = self.admit(call).await?;
        let (guarded, deadline, call) = (&admitted.guarded, admitted.deadline, admitted.call);
        let Request::Sync(mut since) = call.request else {
            return Err(Failure::invalid("this is no sync, and goes another way"));
        };
        tracing::info!(call = %call.id, connector = %call.connector, verb = %Verb::Sync, object = %since.class, "call");
        let rails = &guarded.configured.guard_rails;
        rails.check_verb(Verb::Sync)?;
        guarded.configured.connector.check_usable()?;
        guarded.has_verb(Verb::Sync, since.class)?;
        let kind = guarded.configured.connector.kind();
        let place = Place::new(kind, call.connector.as_str(), &since, &call.settings);
        since.token = place.open(&since.token)?;
        let mut cx = Context {
            call: call.id,
            settings: call.settings,
            secret_settings: call.secret_settings,
            deadline,
            trace: call.trace,
        };
        let _working = guarded.working(&mut cx, Verb::Sync);
        let snapshots = self.snapshots().cloned();
        let syncing = guarded.sync(&cx, &since, snapshots, events);
        let synced = timeout_at(deadline, syncing).await.unwrap_or_else(|_| {
            Err(Failure::unavailable(
                "the sync did not end in the time that the call may take: ask for smaller pages",
            ))
        })?;
        Ok(Synced {
            token: place.seal(&synced.token)?,
            ..synced
        })
    }
}

impl Guarded {
    /// Hands on what has changed; answers the connector's own token.
    async fn sync(
        &self,
        cx: &Context,
        since: &SyncSince,
        snapshots: Option<crate::connector::Snapshots>,
        events: &mpsc::Sender<SyncEvent>,
    ) -> Result<Synced, Failure> {
        let connector = &self.configured.connector;
        let (sender, mut found) = mpsc::channel(1);
        let most = self.configured.guard_rails.max_search_results();
        let wanted = since.page_size.unwrap_or(usize::MAX);
        let mut changes = Changes::new(sender)
            .at_most(wanted, most)
            .keeping(snapshots);
        let syncing = async {
            let token = connector
                .sync(cx, since.class, &since.token, &mut changes)
                .await;
            let more = changes.has_more();
            drop(changes);
            token.map(|token| Synced { token, more })
        };
        let handing_on = async {
            while let Some(mut change) = found.recv().await {
                if let Change::Present(object) = &mut change {
                    conceal(object, connector.roles());
                }
                if events.send(SyncEvent::Changed(change)).await.is_err() {
                    found.close();
                }
            }
        };
        let (synced, ()) = tokio::join!(syncing, handing_on);
        synced.map_err(|error| match error {
            CallError::Failed(failure) => failure,
            CallError::Indeterminate(message) => Failure::unavailable(message),
        })
    }
}

/// Whose tokens they are.
struct Place([u8; DIGEST_LEN]);

impl Place {
    fn new(
        kind: &str,
        connector: &str,
        since: &SyncSince,
        settings: &BTreeMap<String, String>,
    ) -> Self {
        let mut digest = Sha256::new();
        let of_settings = settings
            .iter()
            .flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let parts = ["portcullis sync", kind, connector, since.class.name()];
        for part in parts.into_iter().chain(of_settings) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let whole: [u8; 32] = digest.finalize().into();
        let mut own = [0; DIGEST_LEN];
        own.copy_from_slice(whole.split_at(DIGEST_LEN).0);
        Self(own)
    }

    fn open(&self, token: &SyncToken) -> Result<SyncToken, Failure> {
        if token.is_empty() {
            return Ok(SyncToken::default());
        }
        let opened = || {
            let rest = token.as_bytes().strip_prefix(&[VERSION])?;
            let own = rest.strip_prefix(&self.0)?;
            SyncToken::new(own.to_vec()).filter(|own| !own.is_empty())
        };
        opened().ok_or_else(|| {
            Failure::new(
                FailureKind::Forgotten,
                "the sync token is not one that this connector gave out for this class and these settings of the resource: begin anew without a token, and read all objects once",
            )
        })
    }

    fn seal(&self, own: &SyncToken) -> Result<SyncToken, Failure> {
        if own.is_empty() {
            return Err(Failure::internal(
                "the connector gave no token for the next sync: its log says more",
            ));
        }
        let sealed = [&[VERSION], &self.0[..], own.as_bytes()].concat();
        SyncToken::from_server(sealed)
            .ok_or_else(|| Failure::internal("the connector's sync token is too long"))
    }
}
