//! A registration through token, installs and proofs, and what it refuses.

use super::*;
use crate::id::KeyKind;
use crate::rotation::ENROLMENT_NONCE_LEN;

const NOW: UnixMillis = UnixMillis(1_000_000);
const GRACE: u64 = 1_000;
const POLICY: Policy = Policy {
    retired_key_grace_ms: GRACE,
};
const NONCE: EnrolmentNonce = [7; ENROLMENT_NONCE_LEN];
const OTHER_NONCE: EnrolmentNonce = [8; ENROLMENT_NONCE_LEN];

/// The repository's keys, and one gateway that is registered there.
struct Site {
    keys: Vec<GatewayKeyInfo>,
    registration: Registration,
    now: UnixMillis,
}

impl Site {
    fn registered(pairing: bool) -> Self {
        let mut rng = rand::rng();
        let id = GatewayId::random(&mut rng);
        let token = EnrolmentToken::random(id, KeyKind::Tdes, &mut rng);
        let until = NOW.plus(100);
        let mut site = Self {
            keys: Vec::new(),
            registration: Registration::new(&token, until, pairing.then_some(until)),
            now: NOW,
        };
        site.rotate(false);
        site
    }

    /// It enrolled and proved the current key.
    fn enrolled() -> Self {
        let mut site = Self::registered(false);
        let token = site.token();
        site.bind(&NONCE).unwrap();
        site.plan(token, Some(&NONCE)).unwrap().unwrap();
        assert_eq!(site.prove(site.current()), Ok(Scope::Full));
        site
    }

    fn rotate(&mut self, compromised: bool) -> KeyId {
        if let Some(former) = self.keys.last_mut() {
            former.retired = Some(self.now);
            former.compromised = compromised;
        }
        let id = KeyId::random(KeyKind::Tdes, &mut rand::rng());
        self.keys.push(GatewayKeyInfo {
            id,
            generation: self.keys.len() as u64,
            retired: None,
            compromised: false,
            withdrawn: false,
        });
        id
    }

    fn roll_back(&mut self) -> KeyId {
        if let Some(former) = self.keys.last_mut() {
            former.withdrawn = true;
        }
        self.rotate(false)
    }

    fn current(&self) -> KeyId {
        self.keys.last().unwrap().id
    }

    fn token(&self) -> KeyId {
        self.registration.token.as_ref().unwrap().key_id
    }

    /// With the keys in another order: none may be relied upon.
    fn begin(&mut self) -> Result<Offer, Refusal> {
        self.keys.reverse();
        let offer = self.registration.begin(&self.keys, &POLICY, self.now);
        self.keys.reverse();
        offer
    }

    fn listed(&mut self) -> Vec<KeyId> {
        self.begin().unwrap().gateway_keys
    }

    fn prove(&mut self, key: KeyId) -> Result<Scope, ProofError> {
        self.prove_in(Mode::Secure, key)
    }

    fn prove_in(&mut self, mode: Mode, key: KeyId) -> Result<Scope, ProofError> {
        let id = self.registration.gateway_id;
        self.registration
            .proved(id, mode, key, &self.keys, &POLICY, self.now)
    }

    fn bind(&mut self, nonce: &EnrolmentNonce) -> Result<(), BindError> {
        let (id, token) = (self.registration.gateway_id, self.token());
        self.registration.bind(id, token, nonce, self.now)
    }

    fn plan(
        &mut self,
        session_key: KeyId,
        nonce: Option<&EnrolmentNonce>,
    ) -> Result<Option<InstallPlan>, InstallRefusal> {
        let id = self.registration.gateway_id;
        self.registration
            .plan_install(id, session_key, nonce, &self.keys, &POLICY, self.now)
    }

    fn may_call(&self, session_key: KeyId) -> bool {
        let id = self.registration.gateway_id;
        self.registration
            .may_call(id, Scope::Full, session_key, &self.keys)
    }

    fn may_have_to_enrol(&self) -> bool {
        self.registration
            .may_have_to_enrol(&self.keys, &POLICY, self.now)
    }

    fn must_enrol(&self) -> bool {
        self.registration.must_enrol(&self.keys, &POLICY, self.now)
    }
}

#[test]
fn enrolment_ends_with_the_token_erased() {
    let mut site = Site::registered(false);
    let (token, current) = (site.token(), site.current());
    let offer = site.begin().unwrap();
    assert_eq!(offer.gateway_keys, []);
    assert_eq!(offer.token.unwrap().0, token);
    assert_eq!(offer.pairing, None);
    assert_eq!(site.prove(token), Ok(Scope::Enrolment));
    assert_eq!(site.plan(token, None), Err(InstallRefusal::NotBound));
    assert_eq!(
        site.plan(token, Some(&NONCE)),
        Err(InstallRefusal::NotBound)
    );
    site.bind(&NONCE).unwrap();
    let plan = site.plan(token, Some(&NONCE)).unwrap().unwrap();
    assert_eq!((plan.new, plan.replaced), (current, token));
    // The install may be lost: both stay open until the new key is proved.
    let offer = site.begin().unwrap();
    assert_eq!(
        (offer.gateway_keys, offer.token.is_some()),
        (vec![current], true)
    );
    assert!(!site.registration.synchronized(&site.keys));
    assert_eq!(site.prove(current), Ok(Scope::Full));
    assert!(site.registration.token.is_none());
    assert!(site.registration.synchronized(&site.keys));
    assert_eq!(site.prove(token), Err(ProofError::NotAccepted));
}

#[test]
fn a_token_is_bound_to_its_first_nonce() {
    let mut site = Site::registered(false);
    let token = site.token();
    site.bind(&NONCE).unwrap();
    assert_eq!(site.bind(&NONCE), Ok(()));
    assert_eq!(site.bind(&OTHER_NONCE), Err(BindError::BoundToAnother));
    assert_eq!(site.registration.token.as_ref().unwrap().bound, Some(NONCE));
    // Whoever bound it, a session is given nothing that did not show the nonce itself.
    for nonce in [None, Some(&OTHER_NONCE)] {
        assert_eq!(site.plan(token, nonce), Err(InstallRefusal::NotBound));
    }
    assert!(site.plan(token, Some(&NONCE)).is_ok());
}

#[test]
fn a_session_under_another_key_binds_no_token() {
    let mut site = Site::registered(false);
    let (id, current) = (site.registration.gateway_id, site.current());
    let bound = site.registration.bind(id, current, &NONCE, site.now);
    assert_eq!(bound, Err(BindError::NotValid));
    assert_eq!(site.bind(&OTHER_NONCE), Ok(()));
}

#[test]
fn a_token_out_of_time_opens_nothing() {
    let mut site = Site::registered(false);
    let token = site.token();
    site.bind(&NONCE).unwrap();
    site.now = NOW.plus(100);
    assert_eq!(site.begin().unwrap_err(), Refusal::NoCredential);
    assert_eq!(site.prove(token), Err(ProofError::NotAccepted));
    assert_eq!(site.bind(&NONCE), Err(BindError::NotValid));
    assert_eq!(
        site.plan(token, Some(&NONCE)),
        Err(InstallRefusal::NotAccepted)
    );
    assert!(site.must_enrol() && site.may_have_to_enrol());
}

#[test]
fn a_token_that_expires_after_the_install_leaves_the_installed_key() {
    let mut site = Site::registered(false);
    let (token, current) = (site.token(), site.current());
    site.bind(&NONCE).unwrap();
    site.plan(token, Some(&NONCE)).unwrap();
    site.now = NOW.plus(100);
    assert_eq!(site.listed(), [current]);
    // Nobody knows whether the install arrived.
    assert!(!site.must_enrol() && site.may_have_to_enrol());
    assert_eq!(site.prove(current), Ok(Scope::Full));
    assert!(!site.may_have_to_enrol());
}

#[test]
fn a_rotation_lists_the_new_key_only_once_sent_and_the_old_one_until_proved() {
    let mut site = Site::enrolled();
    let first = site.current();
    let second = site.rotate(false);
    assert_eq!(site.listed(), [first]);
    assert!(
        site.may_call(first),
        "a session open at the rotation goes on"
    );
    let plan = site.plan(first, None).unwrap().unwrap();
    assert_eq!((plan.new, plan.replaced), (second, first));
    assert_eq!(site.listed(), [second, first]);
    assert_eq!(site.prove(first), Ok(Scope::InstallsOnly));
    assert_eq!(site.prove(second), Ok(Scope::Full));
    assert_eq!(site.listed(), [second]);
}

#[test]
fn nothing_older_than_what_was_proved_is_accepted_in_any_step() {
    let mut site = Site::enrolled();
    let first = site.current();
    let second = site.rotate(false);
    site.plan(first, None).unwrap();
    site.prove(second).unwrap();
    let third = site.rotate(false);
    assert_eq!(site.prove(first), Err(ProofError::NotAccepted));
    assert_eq!(site.plan(first, None), Err(InstallRefusal::NotAccepted));
    assert!(
        !site.may_call(first),
        "a link of another server under the old key"
    );
    assert_eq!(site.registration.last_proved, Some(second));
    assert_eq!(site.plan(second, None).unwrap().unwrap().new, third);
    assert_eq!(site.listed(), [third, second]);
    // Whatever else is stored.
    site.registration.sent.insert(0, first);
    assert_eq!(site.listed(), [third, second]);
    assert_eq!(site.prove(first), Err(ProofError::NotAccepted));
}

#[test]
fn two_quick_rotations_end_on_the_newest_whichever_install_arrived() {
    for arrived in [1, 2] {
        let mut site = Site::enrolled();
        let first = site.current();
        let second = site.rotate(false);
        site.plan(first, None).unwrap();
        let third = site.rotate(false);
        site.plan(first, None).unwrap();
        assert_eq!(site.listed(), [third, second, first]);
        if arrived == 1 {
            assert_eq!(site.prove(second), Ok(Scope::InstallsOnly));
            assert_eq!(site.listed(), [third, second]);
            site.plan(second, None).unwrap();
        }
        assert_eq!(site.prove(third), Ok(Scope::Full));
        assert_eq!(site.listed(), [third]);
        assert_eq!(site.registration.sent, []);
    }
}

#[test]
fn a_compromised_key_is_refused_at_once_everywhere() {
    let mut site = Site::enrolled();
    let first = site.current();
    site.rotate(true);
    assert_eq!(site.begin().unwrap_err(), Refusal::Compromised);
    assert_eq!(site.prove(first), Err(ProofError::NotAccepted));
    assert_eq!(site.plan(first, None), Err(InstallRefusal::NotAccepted));
    assert!(!site.may_call(first));
    assert!(site.must_enrol());
}

#[test]
fn a_compromised_key_that_may_have_arrived_is_remembered_as_a_doubt() {
    let mut site = Site::enrolled();
    let first = site.current();
    site.rotate(false);
    site.plan(first, None).unwrap();
    let third = site.rotate(true);
    assert_eq!(site.listed(), [first]);
    assert!(!site.must_enrol() && site.may_have_to_enrol());
    site.plan(first, None).unwrap();
    site.prove(third).unwrap();
    assert!(!site.may_have_to_enrol());
}

#[test]
fn who_proved_a_withdrawn_key_moves_forward_and_never_back() {
    let mut site = Site::enrolled();
    let first = site.current();
    let withdrawn = site.rotate(false);
    site.plan(first, None).unwrap().unwrap();
    assert_eq!(site.prove(withdrawn), Ok(Scope::Full));
    let fresh = site.roll_back();
    assert!(site.registration.may_hold(withdrawn));
    assert_eq!(site.listed(), [withdrawn]);
    assert_eq!(site.prove(withdrawn), Ok(Scope::InstallsOnly));
    assert_eq!(site.prove(first), Err(ProofError::NotAccepted));
    let plan = site.plan(withdrawn, None).unwrap().unwrap();
    assert_eq!((plan.new, plan.replaced), (fresh, withdrawn));
    assert_eq!(site.prove(fresh), Ok(Scope::Full));
    assert_eq!(site.listed(), [fresh]);
    assert!(!site.registration.may_hold(withdrawn));
}

#[test]
fn who_was_sent_a_withdrawn_key_may_prove_it_or_the_one_before() {
    for proves_it in [true, false] {
        let mut site = Site::enrolled();
        let first = site.current();
        let withdrawn = site.rotate(false);
        site.plan(first, None).unwrap().unwrap();
        let fresh = site.roll_back();
        assert!(site.registration.may_hold(withdrawn));
        assert_eq!(site.listed(), [withdrawn, first]);
        let held = if proves_it { withdrawn } else { first };
        assert_eq!(site.prove(held), Ok(Scope::InstallsOnly));
        let plan = site.plan(held, None).unwrap().unwrap();
        assert_eq!(plan.new, fresh);
        assert_eq!(site.prove(fresh), Ok(Scope::Full));
    }
}

#[test]
fn a_withdrawn_key_is_never_sent() {
    let mut site = Site::registered(true);
    let first = site.current();
    for key in &mut site.keys {
        key.withdrawn = true;
    }
    assert_eq!(site.begin().unwrap().pairing, None);
    let token = site.token();
    site.bind(&NONCE).unwrap();
    assert_eq!(
        site.plan(token, Some(&NONCE)),
        Err(InstallRefusal::NotAccepted)
    );
    assert!(!site.registration.may_hold(first));
}

#[test]
fn a_retired_key_is_accepted_for_its_grace_and_no_longer() {
    let mut site = Site::enrolled();
    let first = site.current();
    site.rotate(false);
    site.now = NOW.plus(GRACE - 1);
    assert_eq!(site.prove(first), Ok(Scope::InstallsOnly));
    site.now = NOW.plus(GRACE);
    assert_eq!(site.begin().unwrap_err(), Refusal::RetiredTooLong);
    assert_eq!(site.prove(first), Err(ProofError::NotAccepted));
    assert_eq!(site.plan(first, None), Err(InstallRefusal::NotAccepted));
}

#[test]
fn pairing_counts_its_key_as_sent_before_it_is_delivered() {
    let mut site = Site::registered(true);
    let first = site.current();
    assert_eq!(site.begin().unwrap().pairing, Some(first));
    // Message 4 was lost, and a rotation came: the gateway is let in with what it has.
    let second = site.rotate(false);
    let offer = site.begin().unwrap();
    assert_eq!(
        (offer.gateway_keys, offer.pairing),
        (vec![second, first], Some(second))
    );
    assert_eq!(site.prove(first), Ok(Scope::InstallsOnly));
    let offer = site.begin().unwrap();
    assert_eq!((offer.pairing, offer.token.is_some()), (None, false));
}

#[test]
fn pairing_never_delivers_a_compromised_key() {
    let mut site = Site::registered(true);
    site.keys.last_mut().unwrap().compromised = true;
    let offer = site.begin().unwrap();
    assert_eq!((offer.pairing, offer.token.is_some()), (None, true));
}

#[test]
fn pairing_closes_at_the_first_message_4_of_any_mode() {
    let mut site = Site::registered(true);
    let (token, current) = (site.token(), site.current());
    site.begin().unwrap();
    assert_eq!(site.prove(token), Ok(Scope::Enrolment));
    assert_eq!(site.begin().unwrap().pairing, None);
    assert_eq!(
        site.prove_in(Mode::Default, current),
        Err(ProofError::NotAccepted)
    );

    let mut site = Site::registered(true);
    site.begin().unwrap();
    assert_eq!(
        site.prove_in(Mode::Default, site.current()),
        Ok(Scope::Full)
    );
    assert_eq!(
        site.prove_in(Mode::Default, site.current()),
        Err(ProofError::NotAccepted)
    );

    let mut site = Site::registered(true);
    site.begin().unwrap();
    assert!(
        site.prove(KeyId::random(KeyKind::Tdes, &mut rand::rng()))
            .is_err()
    );
    assert_eq!(site.registration.pairing_until, None);
}

#[test]
fn pairing_that_is_opened_behind_the_rules_serves_nobody_who_ever_proved_a_key() {
    let until = NOW.plus(100);
    let paired = || {
        let mut site = Site::registered(true);
        site.begin().unwrap();
        site.prove_in(Mode::Default, site.current()).unwrap();
        site
    };
    let rotated = || {
        let mut site = Site::enrolled();
        site.rotate(false);
        site
    };
    let compromised = || {
        let mut site = Site::enrolled();
        site.rotate(true);
        site
    };
    // The enrolment key was proved, no master key yet.
    let bound = || {
        let mut site = Site::registered(false);
        site.bind(&NONCE).unwrap();
        site
    };
    let sites: [(&str, &dyn Fn() -> Site); 5] = [
        ("enrolled", &Site::enrolled),
        ("paired", &paired),
        ("behind by a key", &rotated),
        ("its key compromised", &compromised),
        ("enrolling", &bound),
    ];
    for (what, site) in sites {
        let mut site = site();
        site.registration.pairing_until = Some(until);
        let (sent, current) = (site.registration.sent.clone(), site.current());
        assert!(
            site.begin().is_err() || site.begin().unwrap().pairing.is_none(),
            "{what}"
        );
        assert_eq!(
            site.registration.sent, sent,
            "{what}: no key counts as sent"
        );
        site.registration.pairing_until = Some(until);
        assert_eq!(
            site.prove_in(Mode::Default, current),
            Err(ProofError::NotAccepted),
            "{what}"
        );
    }
}

#[test]
fn pairing_closes_durably_when_its_time_is_up() {
    let mut site = Site::registered(true);
    site.now = NOW.plus(100);
    assert_eq!(site.begin().unwrap_err(), Refusal::NoCredential);
    site.now = NOW;
    assert_eq!(
        site.begin().unwrap().pairing,
        None,
        "the clock was set back"
    );
}

#[test]
fn a_delivery_that_ends_after_its_time_is_found_in_secure_mode() {
    let mut site = Site::registered(true);
    let current = site.current();
    site.begin().unwrap();
    site.now = NOW.plus(100);
    assert_eq!(
        site.prove_in(Mode::Default, current),
        Err(ProofError::NotAccepted)
    );
    assert_eq!(site.listed(), [current]);
    assert_eq!(site.prove(current), Ok(Scope::Full));
}

#[test]
fn unproved_installs_are_bounded_and_lock_nobody_out() {
    let mut site = Site::enrolled();
    let first = site.current();
    for _ in 0..MAX_UNPROVED_INSTALLS {
        site.rotate(false);
        site.plan(first, None).unwrap().unwrap();
    }
    site.rotate(false);
    assert_eq!(site.plan(first, None), Err(InstallRefusal::TooManyUnproved));
    let listed = site.listed();
    assert_eq!(listed.len(), MAX_UNPROVED_INSTALLS + 1);
    assert_eq!(site.prove(listed[1]), Ok(Scope::InstallsOnly));
    assert!(site.plan(listed[1], None).unwrap().is_some());

    let mut site = Site::registered(true);
    for _ in 0..MAX_UNPROVED_INSTALLS {
        assert!(site.begin().unwrap().pairing.is_some());
        site.rotate(false);
    }
    let offer = site.begin().unwrap();
    assert_eq!(offer.pairing, None);
    assert_eq!(offer.gateway_keys.len(), MAX_UNPROVED_INSTALLS);
}

#[test]
fn compromised_keys_make_room_for_others() {
    let mut site = Site::enrolled();
    let first = site.current();
    for _ in 0..MAX_UNPROVED_INSTALLS {
        site.rotate(false);
        site.plan(first, None).unwrap().unwrap();
    }
    site.rotate(true);
    assert!(site.plan(first, None).unwrap().is_some());
    assert_eq!(site.registration.sent.len(), MAX_UNPROVED_INSTALLS);
}

#[test]
fn sessions_of_a_former_registration_open_nothing_of_the_new_one() {
    let mut site = Site::registered(true);
    let former = GatewayId::random(&mut rand::rng());
    let (current, token) = (site.current(), site.token());
    site.begin().unwrap();
    let registration = &mut site.registration;
    for key in [current, token] {
        assert!(
            registration
                .proved(former, Mode::Secure, key, &site.keys, &POLICY, NOW)
                .is_err()
        );
        assert!(
            registration
                .plan_install(former, key, Some(&NONCE), &site.keys, &POLICY, NOW)
                .is_err()
        );
    }
    assert!(registration.bind(former, token, &NONCE, NOW).is_err());
    assert!(
        registration.pairing_until.is_some(),
        "nor close its pairing"
    );
    assert!(!registration.may_call(former, Scope::Full, current, &site.keys));

    // Nor once the new one has proved the key under which the former's session was opened, too.
    let site = Site::enrolled();
    let (current, registration) = (site.current(), &site.registration);
    assert!(site.may_call(current));
    assert!(!registration.may_call(former, Scope::Full, current, &site.keys));
}

#[test]
fn evicted_and_revoked_gateways_get_nothing_more() {
    for (act, refusal) in [
        (
            Registration::evict as fn(&mut Registration),
            Refusal::Evicted,
        ),
        (Registration::revoke, Refusal::Revoked),
    ] {
        let mut site = Site::enrolled();
        let first = site.current();
        site.rotate(false);
        act(&mut site.registration);
        assert_eq!(site.begin().unwrap_err(), refusal);
        assert_eq!(site.prove(first), Err(ProofError::NotAccepted));
        assert_eq!(site.plan(first, None), Err(InstallRefusal::NotAccepted));
        assert!(!site.may_call(first) && site.must_enrol() && site.may_have_to_enrol());

        let mut site = Site::registered(true);
        let token = site.token();
        site.bind(&NONCE).unwrap();
        act(&mut site.registration);
        assert!(site.registration.token.is_none());
        assert_eq!(site.begin().unwrap_err(), refusal);
        assert_eq!(site.prove(token), Err(ProofError::NotAccepted));
    }
}

#[test]
fn only_a_full_session_carries_calls() {
    let site = Site::enrolled();
    let id = site.registration.gateway_id;
    for scope in [Scope::InstallsOnly, Scope::Enrolment] {
        assert!(
            !site
                .registration
                .may_call(id, scope, site.current(), &site.keys)
        );
    }
    assert!(site.may_call(site.current()));
    assert!(!site.may_call(KeyId::random(KeyKind::Tdes, &mut rand::rng())));
}

#[test]
fn debug_shows_neither_keys_nor_the_nonce() {
    let mut site = Site::registered(false);
    site.bind(&NONCE).unwrap();
    let text = format!("{:?}", site.registration);
    assert!(
        !text.contains("7, 7") && !text.contains("MasterKey"),
        "{text}"
    );
}
