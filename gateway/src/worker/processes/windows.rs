//! On Windows the gateway is one process.

use std::path::Path;

use portcullis_common::id::ServerId;
use portcullis_host::log::Line;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::Reloaded;
use portcullis_watch::CallMeter;
use portcullis_watch::traces::Tracer;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use wire::search_item::Kind as Item;

use super::door::Described;
use crate::config::{Config, ConnectorsConfig};
use crate::moment::NotAfter;

/// As on Unix.
pub fn silence(_: &Path) -> Option<String> {
    None
}

/// There are none.
#[derive(Clone, Copy, Debug)]
pub enum Workers {}

impl Workers {
    /// `None`.
    pub fn new(_: &Config) -> Option<Self> {
        None
    }

    /// As on Unix.
    pub async fn journal_lost(&self) {
        match *self {}
    }

    /// As on Unix.
    pub async fn watch(&self) {
        match *self {}
    }

    /// As on Unix.
    pub fn trace(&self, _: Tracer) {
        match *self {}
    }

    pub(super) fn tracer(&self) -> Tracer {
        match *self {}
    }

    /// As on Unix.
    pub async fn send_spans(&self) {
        match *self {}
    }

    pub(super) fn room_for(&self, _: usize) -> Option<OwnedSemaphorePermit> {
        match *self {}
    }

    pub(super) fn ended(&self) -> &CallMeter {
        match *self {}
    }

    pub(super) async fn idle(&self) {
        match *self {}
    }

    pub(super) fn set_acknowledging(&self, _: ServerId, _: bool) {
        match *self {}
    }

    pub(super) async fn describe(&self) -> Described {
        match *self {}
    }

    pub(super) async fn execute(
        &self,
        _: ServerId,
        _: wire::Call,
        _: Option<&[u8]>,
        _: NotAfter,
    ) -> wire::Outcome {
        match *self {}
    }

    pub(super) fn items(&self, _: ServerId, _: wire::Call) -> mpsc::Receiver<Item> {
        match *self {}
    }

    pub(super) async fn finished(&self, _: ServerId, _: Vec<String>) -> Vec<wire::FinishedCall> {
        match *self {}
    }

    pub(super) async fn acknowledge(&self, _: ServerId, _: Vec<String>) -> Result<(), String> {
        match *self {}
    }

    pub(super) async fn log(
        &self,
        _: ServerId,
        _: Vec<Line>,
        _: u32,
    ) -> (Vec<String>, Vec<String>) {
        match *self {}
    }

    pub(super) async fn log_more(&self, _: ServerId, _: &wire::LogMoreRequest) -> Vec<String> {
        match *self {}
    }

    /// As on Unix.
    pub async fn reload(&self, _: &ConnectorsConfig) -> Reloaded {
        match *self {}
    }
}
