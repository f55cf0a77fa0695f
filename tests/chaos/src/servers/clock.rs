//! Clocks of hosts.

/// A clock of one host, in milliseconds: it goes at a rate of its own, and stands where its machine
/// does.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    shown: u64,
    since: u64,
    /// Per mille of what passes.
    rate: u64,
    stands: bool,
}

impl Clock {
    /// One that shows `shown` at the moment `now`.
    pub(super) const fn new(shown: u64, now: u64, rate: u64) -> Self {
        Self {
            shown,
            since: now,
            rate,
            stands: false,
        }
    }

    /// What it shows at the moment `now`.
    pub(super) const fn shows(&self, now: u64) -> u64 {
        match self.stands {
            true => self.shown,
            false => self.shown + (now - self.since) * self.rate / 1_000,
        }
    }

    /// Per mille of what passes.
    pub(super) const fn rate(&self) -> u64 {
        self.rate
    }

    /// Its machine is suspended.
    pub(super) const fn stop(&mut self, now: u64) {
        self.shown = self.shows(now);
        self.stands = true;
    }

    /// Its machine goes on.
    pub(super) const fn go_on(&mut self, now: u64) {
        if self.stands {
            self.since = now;
            self.stands = false;
        }
    }
}
