//! A gateway's record through enrolment, pairing and installs.

use super::*;
use crate::handshake::Delivered;
use crate::id::{KeyKind, ServerId};
use crate::secret::MasterKey;

const NOW: UnixMillis = UnixMillis(1_000_000);
const LATER: UnixMillis = UnixMillis(2_000_000);

fn held(kind: KeyKind) -> HeldKey {
    HeldKey {
        id: KeyId::random(kind, &mut rand::rng()),
        key: MasterKey::random(kind, &mut rand::rng()),
    }
}

fn token() -> EnrolmentToken {
    let id = GatewayId::random(&mut rand::rng());
    EnrolmentToken::random(id, KeyKind::Tdes, &mut rand::rng())
}

fn run() -> RunId {
    RunId::random(&mut rand::rng())
}

fn enrolling(token: &EnrolmentToken) -> GatewayRecord {
    GatewayRecord::empty()
        .enrol(token, false, &mut rand::rng())
        .unwrap()
}

fn proof(gateway_id: GatewayId, key_id: KeyId) -> Proved {
    Proved {
        mode: Mode::Secure,
        gateway_id,
        server_id: ServerId::random(&mut rand::rng()),
        key_id,
        delivered: None,
    }
}

fn delivery(gateway_id: GatewayId, key: &HeldKey) -> Proved {
    Proved {
        mode: Mode::Default,
        delivered: Some(Delivered {
            gateway_id,
            master_key: key.key.clone(),
        }),
        ..proof(gateway_id, key.id)
    }
}

/// A gateway that enrolled and proved a first key.
fn keyed() -> (GatewayRecord, GatewayId, HeldKey) {
    let (token, first) = (token(), held(KeyKind::Tdes));
    let record = enrolling(&token)
        .install(token.key_id(), token.key_id(), first.clone())
        .unwrap();
    let record = record
        .proved(&proof(token.gateway_id(), first.id), run(), NOW)
        .unwrap()
        .unwrap();
    (record, token.gateway_id(), first)
}

fn ids_brought(record: &GatewayRecord) -> Vec<KeyId> {
    match record.begin(run(), NOW).identity {
        Identity::Keyed { keys, .. } => keys.iter().map(|held| held.id).collect(),
        Identity::Pairing | Identity::None => panic!("secure mode was expected"),
    }
}

#[test]
fn enrolment_ends_with_the_installed_key_alone() {
    let (token, first) = (token(), held(KeyKind::Aes256));
    let record = enrolling(&token);
    assert_eq!(ids_brought(&record), [token.key_id()]);
    assert_eq!(record.active_key_id(), None);
    let record = record
        .install(token.key_id(), token.key_id(), first.clone())
        .unwrap();
    assert_eq!(ids_brought(&record), [first.id, token.key_id()]);
    // The enrolment key once more: nothing changes.
    let again = proof(token.gateway_id(), token.key_id());
    assert!(record.proved(&again, run(), NOW).unwrap().is_none());
    let record = record
        .proved(&proof(token.gateway_id(), first.id), run(), NOW)
        .unwrap()
        .unwrap();
    assert_eq!(ids_brought(&record), [first.id]);
    assert_eq!(record.enrolment(), None);
    assert_eq!(record.gateway_id(), Some(token.gateway_id()));
    let bytes = record.encode();
    let enrolment_key = token.key().expose();
    assert!(
        !bytes
            .windows(enrolment_key.len())
            .any(|w| w == enrolment_key)
    );
}

#[test]
fn the_old_key_stays_until_the_new_one_is_proved() {
    let (record, id, first) = keyed();
    let second = held(KeyKind::Tdes);
    let record = record.install(first.id, first.id, second.clone()).unwrap();
    assert_eq!(record.active_key_id(), Some(first.id));
    assert_eq!(record.pending_key_id(), Some(second.id));
    assert_eq!(ids_brought(&record), [second.id, first.id]);
    assert!(
        record
            .proved(&proof(id, first.id), run(), NOW)
            .unwrap()
            .is_none()
    );
    let record = record
        .proved(&proof(id, second.id), run(), NOW)
        .unwrap()
        .unwrap();
    assert_eq!(ids_brought(&record), [second.id]);
    assert_eq!(
        record.proved(&proof(id, first.id), run(), NOW).unwrap_err(),
        StaleProof
    );
}

#[test]
fn an_install_must_replace_the_active_key_through_its_own_session() {
    let (record, id, first) = keyed();
    let (second, third) = (held(KeyKind::Tdes), held(KeyKind::Tdes));
    let install = |record: &GatewayRecord, session, replaced, new: &HeldKey| {
        record.install(session, replaced, new.clone()).unwrap_err()
    };
    assert_eq!(
        install(&record, second.id, first.id, &third),
        InstallError::OtherSession
    );
    assert_eq!(
        install(&record, second.id, second.id, &third),
        InstallError::NotActive
    );
    assert_eq!(
        install(&record, first.id, first.id, &first),
        InstallError::AlreadyActive
    );
    assert_eq!(
        install(&GatewayRecord::empty(), first.id, first.id, &second),
        InstallError::NotActive
    );
    // One that was superseded while another session's key became active is dropped.
    let record = record.install(first.id, first.id, second.clone()).unwrap();
    let record = record
        .proved(&proof(id, second.id), run(), NOW)
        .unwrap()
        .unwrap();
    assert_eq!(
        install(&record, first.id, first.id, &third),
        InstallError::NotActive
    );
}

#[test]
fn keys_that_do_not_fit_their_id_are_not_stored() {
    let (record, _, first) = keyed();
    let other_kind = HeldKey {
        id: KeyId::random(KeyKind::Tdes, &mut rand::rng()),
        key: MasterKey::random(KeyKind::Aes256, &mut rand::rng()),
    };
    let default = HeldKey {
        id: KeyId::DEFAULT,
        ..held(KeyKind::Tdes)
    };
    for new in [other_kind, default] {
        assert_eq!(
            record.install(first.id, first.id, new.clone()).unwrap_err(),
            InstallError::NoMasterKey
        );
        let run = run();
        let open = GatewayRecord::empty().open_pairing(LATER).unwrap();
        let open = open.begin(run, NOW).store.unwrap();
        let id = GatewayId::random(&mut rand::rng());
        assert!(open.proved(&delivery(id, &new), run, NOW).is_err());
    }
}

#[test]
fn a_second_install_takes_the_place_of_one_not_proved() {
    let (record, id, first) = keyed();
    let (second, third) = (held(KeyKind::Tdes), held(KeyKind::Tdes));
    let begun = record.install(first.id, first.id, second.clone()).unwrap();
    let record = begun.install(first.id, first.id, third.clone()).unwrap();
    assert_eq!(ids_brought(&record), [third.id, first.id]);
    // A handshake that began before, under the one replaced, fails before message 4.
    assert_eq!(
        record
            .proved(&proof(id, second.id), run(), NOW)
            .unwrap_err(),
        StaleProof
    );
}

#[test]
fn a_proof_for_another_gateway_id_is_stale() {
    let (record, _, first) = keyed();
    let other = GatewayId::random(&mut rand::rng());
    assert!(record.proved(&proof(other, first.id), run(), NOW).is_err());
}

#[test]
fn pairing_works_once_for_one_run_in_its_time() {
    let (id, first, run) = (
        GatewayId::random(&mut rand::rng()),
        held(KeyKind::Tdes),
        run(),
    );
    let open = GatewayRecord::empty().open_pairing(LATER).unwrap();
    let begin = open.begin(run, NOW);
    assert!(matches!(begin.identity, Identity::Pairing));
    let claimed = begin.store.unwrap();
    assert!(matches!(
        claimed.begin(run, NOW).identity,
        Identity::Pairing
    ));
    assert!(claimed.begin(run, NOW).store.is_none());
    // Not before it is claimed durably, not after its time, not by another run, not twice.
    assert!(open.proved(&delivery(id, &first), run, NOW).is_err());
    assert!(claimed.proved(&delivery(id, &first), run, LATER).is_err());
    assert!(
        claimed
            .proved(&delivery(id, &first), self::run(), NOW)
            .is_err()
    );
    let record = claimed
        .proved(&delivery(id, &first), run, NOW)
        .unwrap()
        .unwrap();
    assert_eq!(record.gateway_id(), Some(id));
    assert_eq!(ids_brought(&record), [first.id]);
    assert!(record.proved(&delivery(id, &first), run, NOW).is_err());
}

#[test]
fn a_restart_or_the_end_of_its_time_closes_pairing_for_good() {
    let open = GatewayRecord::empty().open_pairing(LATER).unwrap();
    let first = run();
    let claimed = open.begin(first, NOW).store.unwrap();
    for (record, run, now) in [
        (&claimed, run(), NOW),
        (&claimed, first, LATER),
        (&open, first, LATER),
    ] {
        let begin = record.begin(run, now);
        assert!(matches!(begin.identity, Identity::None));
        let closed = begin.store.unwrap();
        assert_eq!(closed.pairing_until(), None);
        // Nor when the clock is set back.
        assert!(matches!(closed.begin(first, NOW).identity, Identity::None));
    }
}

#[test]
fn no_key_and_no_pairing_refuses_every_session() {
    assert!(matches!(
        GatewayRecord::empty().begin(run(), NOW).identity,
        Identity::None
    ));
    let id = GatewayId::random(&mut rand::rng());
    let key = held(KeyKind::Tdes);
    assert!(
        GatewayRecord::empty()
            .proved(&delivery(id, &key), run(), NOW)
            .is_err()
    );
    assert!(
        GatewayRecord::empty()
            .proved(&proof(id, key.id), run(), NOW)
            .is_err()
    );
}

#[test]
fn default_mode_never_opens_beside_a_key_or_a_token() {
    let token = token();
    assert_eq!(
        enrolling(&token).open_pairing(LATER).unwrap_err(),
        PairingError::HoldsKey(token.key_id())
    );
    let (record, id, first) = keyed();
    assert!(record.open_pairing(LATER).is_err());
    assert!(record.proved(&delivery(id, &first), run(), NOW).is_err());
    // A token closes an open window.
    let open = GatewayRecord::empty().open_pairing(LATER).unwrap();
    let record = open.enrol(&token, false, &mut rand::rng()).unwrap();
    assert_eq!(record.pairing_until(), None);
    assert_eq!(ids_brought(&record), [token.key_id()]);
}

#[test]
fn a_token_in_use_keeps_its_nonce_and_what_came_with_it() {
    let (token, first) = (token(), held(KeyKind::Tdes));
    let record = enrolling(&token);
    let nonce = record.enrolment().unwrap().1;
    let record = record
        .install(token.key_id(), token.key_id(), first.clone())
        .unwrap();
    for replace in [false, true] {
        let again = record.enrol(&token, replace, &mut rand::rng()).unwrap();
        assert_eq!(again.enrolment().unwrap().1, nonce);
        assert_eq!(again.pending_key_id(), Some(first.id));
    }
}

#[test]
fn a_key_is_forgotten_only_when_told_to_and_never_for_its_own_token() {
    let other = token();
    let (record, _, first) = keyed();
    assert_eq!(
        record.enrol(&other, false, &mut rand::rng()).unwrap_err(),
        EnrolError::HoldsKey(first.id)
    );
    let replaced = record.enrol(&other, true, &mut rand::rng()).unwrap();
    assert_eq!(ids_brought(&replaced), [other.key_id()]);
    let another = token();
    assert_eq!(
        replaced
            .enrol(&another, false, &mut rand::rng())
            .unwrap_err(),
        EnrolError::Enrolling(other.key_id())
    );
    assert!(replaced.enrol(&another, true, &mut rand::rng()).is_ok());

    let spent = token();
    let record = enrolling(&spent)
        .install(spent.key_id(), spent.key_id(), first.clone())
        .unwrap();
    let record = record
        .proved(&proof(spent.gateway_id(), first.id), run(), NOW)
        .unwrap()
        .unwrap();
    assert_eq!(
        record.enrol(&spent, true, &mut rand::rng()).unwrap_err(),
        EnrolError::Spent(spent.gateway_id())
    );
}

#[test]
fn debug_shows_neither_keys_nor_the_nonce() {
    let token = token();
    let record = enrolling(&token);
    let nonce = record.enrolment().unwrap().1;
    let (keyed, ..) = keyed();
    for text in [
        format!("{record:?}"),
        format!("{record:#?}"),
        format!("{keyed:?}"),
    ] {
        assert!(
            !text.contains(&format!("{}, {}", nonce[0], nonce[1])),
            "{text}"
        );
        assert!(!text.contains("MasterKey"), "{text}");
    }
}
