//! Handshakes of ends that keep to the protocol.

use super::*;
use crate::crypto::kdf;

#[test]
fn both_sides_agree_in_every_mode_kind_and_suite() {
    for pair in Pair::every_sort() {
        let (server, gateway) = pair.run().unwrap();
        assert_agreed(&server, &gateway);
        assert_ne!(
            server.server_to_gateway.expose(),
            server.gateway_to_server.expose()
        );
        let id = KeyId::random(KeyKind::Aes256, &mut rand::rng());
        let key = MasterKey::random(KeyKind::Aes256, &mut rand::rng());
        let wrapped = server.install.wrap_master_key(id, &key);
        let opened = gateway.install.unwrap_master_key(id, &wrapped).unwrap();
        assert_eq!(opened.expose(), key.expose());

        let master = pair
            .server
            .pairing
            .as_ref()
            .unwrap_or_else(|| &pair.server.keys[0]);
        assert_eq!(server.info.key_id, master.id);
        assert_eq!(server.info.gateway_id, pair.server.gateway_id);
        assert_eq!(server.info.server_id, pair.server.server_id);
        assert_eq!(server.info.suite, pair.server.suites[0]);
        let expected = match pair.gateway.identity {
            Identity::Pairing => Mode::Default,
            Identity::Keyed { .. } | Identity::None => Mode::Secure,
        };
        assert_eq!(server.info.mode, expected);
    }
}

#[test]
fn no_two_sessions_share_anything() {
    let pair = Pair::secure(KeyKind::Tdes, Suite::TdesCtrHmacSha256);
    let (first, _) = pair.run().unwrap();
    let (second, _) = pair.run().unwrap();
    assert_ne!(first.info.session_id, second.info.session_id);
    assert_ne!(
        first.server_to_gateway.expose(),
        second.server_to_gateway.expose()
    );
}

#[test]
fn pairing_delivers_the_master_key_and_the_gateways_id() {
    for kind in [KeyKind::Tdes, KeyKind::Aes256] {
        let mut pair = Pair::pairing(kind, Suite::TdesCtrHmacSha256);
        let rng = &mut rand::rng();
        let gateway_key = GatewayKey::random(kind, rng);
        let key = kdf::diversify(&gateway_key, pair.server.gateway_id);
        let id = KeyId::random(kind, rng);
        pair.server.pairing = Some(HeldKey {
            id,
            key: key.clone(),
        });

        let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
        let (message1, server) = initiator::start(pair.server.clone(), None, rng).unwrap();
        let (message2, gateway) = gateway.handle(&message1, rng).unwrap();
        let (message3, _) = server.handle(&message2, rng).unwrap();
        let gateway = gateway.handle(&message3).unwrap();
        let proved = gateway.proved();
        assert_eq!((proved.mode, proved.key_id), (Mode::Default, id));
        let delivered = proved.delivered.as_ref().unwrap();
        assert_eq!(delivered.gateway_id, pair.server.gateway_id);
        assert_eq!(delivered.master_key.expose(), key.expose());
    }
}

#[test]
fn the_newest_common_key_and_the_servers_first_common_suite_are_chosen() {
    let mut pair = Pair::secure(KeyKind::Tdes, Suite::Aes256Gcm);
    let (newest, new, old) = (
        held(KeyKind::Aes256),
        held(KeyKind::Tdes),
        held(KeyKind::Tdes),
    );
    pair.server.keys = vec![newest, new.clone(), old.clone()];
    // The gateway's own order does not count, neither of keys nor of suites.
    *pair.gateway_keys() = vec![old, new.clone()];
    pair.server.suites = vec![Suite::Aes256Gcm, Suite::TdesCtrHmacSha256];
    pair.gateway.suites = vec![Suite::TdesCtrHmacSha256, Suite::Aes256Gcm];
    let (session, _) = pair.run().unwrap();
    assert_eq!(session.info.key_id, new.id);
    assert_eq!(session.info.suite, Suite::Aes256Gcm);
}

#[test]
fn a_gateway_with_a_key_stays_in_secure_mode_though_pairing_is_offered() {
    let mut pair = Pair::secure(KeyKind::Tdes, Suite::TdesCtrHmacSha256);
    pair.server.pairing = Some(held(KeyKind::Tdes));
    let (session, _) = pair.run().unwrap();
    assert_eq!(session.info.mode, Mode::Secure);
}
