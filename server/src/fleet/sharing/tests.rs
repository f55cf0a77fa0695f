//! Whose share a link is, as servers come, go, and lose their routes.

use super::*;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn gateway() -> GatewayId {
    GatewayId::random(&mut rand::rng())
}

fn instances<const N: usize>() -> [InstanceId; N] {
    std::array::from_fn(|_| InstanceId::random())
}

/// These servers for this gateway, the first one first.
fn in_order<const N: usize>(gateway: GatewayId) -> [InstanceId; N] {
    let mut servers = instances::<N>();
    servers.sort_by_key(|server| std::cmp::Reverse(weight(*server, gateway)));
    servers
}

fn stays(instance: InstanceId) -> Sibling {
    Sibling {
        instance,
        leaves: false,
    }
}

fn leaves(instance: InstanceId) -> Sibling {
    Sibling {
        instance,
        leaves: true,
    }
}

/// One of these servers, which has been there for long.
fn one_of(own: InstanceId, servers: &[Sibling], now: Instant) -> Sharing {
    let mut sharing = Sharing::new(own, now.checked_sub(secs(60)).unwrap());
    sharing.stand(servers.iter().copied());
    sharing
}

const fn up(holder: InstanceId) -> Option<LinkRow> {
    Some(LinkRow { holder, up: true })
}

const fn down(holder: InstanceId) -> Option<LinkRow> {
    Some(LinkRow { holder, up: false })
}

#[test]
fn each_server_has_its_share_and_only_that_of_one_that_goes_moves() {
    let servers = instances::<3>();
    let gateways: Vec<_> = (0..3_000).map(|_| gateway()).collect();
    let now = Instant::now();
    let dials = |own, standing: &[InstanceId]| {
        let standing: Vec<_> = standing.iter().copied().map(stays).collect();
        let mut sharing = one_of(own, &standing, now);
        let of = |it: &GatewayId| sharing.share(*it, None, false, now) == Share::Keep;
        gateways.iter().copied().filter(of).collect::<Vec<_>>()
    };
    let shares = servers.map(|own| dials(own, &servers));
    assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), gateways.len());
    for share in &shares {
        assert!((800..1_200).contains(&share.len()), "{}", share.len());
    }
    // Without the last one.
    for (own, share) in servers.into_iter().zip(&shares).take(2) {
        let more = dials(own, &servers[..2]);
        assert!(share.iter().all(|gateway| more.contains(gateway)));
    }
}

#[test]
fn a_link_that_nobody_has_is_dialled_by_one_after_the_other() {
    let gateway = gateway();
    let servers = in_order::<3>(gateway);
    let standing = servers.map(stays);
    let now = Instant::now();
    let mut all = servers.map(|own| one_of(own, &standing, now));
    let mut dialling = |row, after: u64| {
        let at = now + secs(after);
        all.each_mut()
            .map(|sharing| sharing.share(gateway, row, false, at) == Share::Keep)
    };
    let gone = InstanceId::random();
    for row in [None, down(gone), up(gone)] {
        assert_eq!(dialling(row, 0), [true, false, false]);
    }
    assert_eq!(dialling(None, 10), [true, true, false]);
    assert_eq!(dialling(None, 20), [true, true, true]);
    // The last one has it, and loses it: it comes before all others then.
    assert_eq!(dialling(up(servers[2]), 21), [false, false, true]);
    assert_eq!(dialling(down(servers[2]), 22), [false, false, true]);
    assert_eq!(dialling(down(servers[2]), 31), [false, false, true]);
    assert_eq!(dialling(down(servers[2]), 32), [true, false, true]);
    assert_eq!(dialling(down(servers[2]), 42), [true, true, true]);
}

#[test]
fn a_server_that_has_come_takes_its_share_once_it_is_known() {
    let gateway = gateway();
    let [own, holder] = in_order::<2>(gateway);
    let standing = [stays(own), stays(holder)];
    let now = Instant::now();
    let mut sharing = Sharing::new(own, now);
    sharing.stand(standing);
    let mut other = one_of(holder, &standing, now);
    assert_eq!(sharing.share(gateway, None, false, now), Share::Leave);
    assert_eq!(sharing.share(gateway, up(holder), false, now), Share::Leave);
    let later = now + secs(5);
    assert_eq!(
        sharing.share(gateway, up(holder), false, later),
        Share::Take
    );
    assert_eq!(other.share(gateway, up(holder), true, later), Share::Keep);
    // It has the row: the former one lets its link come to its end.
    assert_eq!(sharing.share(gateway, up(own), true, later), Share::Keep);
    assert_eq!(other.share(gateway, up(own), true, later), Share::Leave);
    assert_eq!(other.share(gateway, up(own), false, later), Share::Leave);
    // The second in order takes nothing from the first.
    let later = now + secs(600);
    assert_eq!(other.share(gateway, up(own), false, later), Share::Leave);
}

#[test]
fn a_server_without_a_route_leaves_the_link_to_who_has_one() {
    let gateway = gateway();
    let [own, holder] = in_order::<2>(gateway);
    let now = Instant::now();
    let mut sharing = one_of(own, &[stays(own), stays(holder)], now);
    let mut at = |row, linked, after| sharing.share(gateway, row, linked, now + secs(after));
    assert_eq!(at(up(holder), false, 10), Share::Take);
    sharing.could_not_take(gateway, now + secs(10));
    let mut at = |row, linked, after| sharing.share(gateway, row, linked, now + secs(after));
    assert_eq!(at(up(holder), false, 11), Share::Leave);
    assert_eq!(at(up(holder), false, 69), Share::Leave);
    assert_eq!(at(up(holder), false, 70), Share::Take);
    // It has it, loses it, and the other one had to take it.
    assert_eq!(at(up(own), true, 71), Share::Keep);
    assert_eq!(at(down(own), false, 80), Share::Keep);
    assert_eq!(at(up(holder), false, 91), Share::Leave);
    assert_eq!(at(up(holder), false, 390), Share::Leave);
    assert_eq!(at(up(holder), false, 391), Share::Take);
}

#[test]
fn a_link_whose_row_is_of_one_that_is_gone_is_made_anew() {
    let gateway = gateway();
    let [first, own] = in_order::<2>(gateway);
    let now = Instant::now();
    let mut sharing = one_of(own, &[stays(first), stays(own)], now);
    let gone = InstanceId::random();
    assert_eq!(sharing.share(gateway, up(gone), true, now), Share::Renew);
    // Of one that stands and has no link, once it is this one's turn.
    assert_eq!(sharing.share(gateway, down(first), true, now), Share::Leave);
    let later = now + secs(10);
    assert_eq!(
        sharing.share(gateway, down(first), true, later),
        Share::Renew
    );
}

#[test]
fn a_server_that_leaves_is_relieved_of_its_links_and_dials_no_more() {
    let gateway = gateway();
    let [own, heir, third] = in_order::<3>(gateway);
    let standing = [leaves(own), stays(heir), stays(third)];
    let now = Instant::now();
    let later = now + secs(30);
    let mut sharing = one_of(own, &standing, now);
    assert!(sharing.has_heirs());
    assert_eq!(sharing.share(gateway, up(own), true, later), Share::Keep);
    assert_eq!(
        sharing.share(gateway, down(own), false, later),
        Share::Leave
    );
    assert_eq!(sharing.share(gateway, None, false, later), Share::Leave);
    let mut next = one_of(heir, &standing, now);
    assert_eq!(next.share(gateway, up(own), false, later), Share::Take);
    let mut last = one_of(third, &standing, now);
    assert_eq!(last.share(gateway, up(own), false, later), Share::Leave);
    // All leave: nobody is left to take it, and one of them keeps it up, who may be drained for
    // long.
    let standing = [leaves(own), leaves(heir)];
    let mut alone = one_of(own, &standing, now);
    let mut other = one_of(heir, &standing, now);
    assert!(!alone.has_heirs() && !alone.gives_away() && alone.leaves());
    assert_eq!(alone.share(gateway, None, false, later), Share::Keep);
    assert_eq!(other.share(gateway, None, false, later), Share::Leave);
    assert_eq!(other.share(gateway, up(own), false, later), Share::Leave);
    assert_eq!(alone.share(gateway, down(own), false, later), Share::Keep);
    // It is put to work again: its share comes back to it at once, for it was given away.
    assert_eq!(sharing.share(gateway, up(own), true, later), Share::Keep);
    assert_eq!(sharing.share(gateway, up(heir), false, later), Share::Leave);
    let undone = [stays(own), stays(heir), stays(third)];
    sharing.stand(undone);
    assert!(!sharing.gives_away() && !sharing.leaves());
    assert_eq!(sharing.share(gateway, up(heir), false, later), Share::Take);
    alone.stand([stays(own)]);
    assert!(alone.is_alone());
    assert_eq!(alone.share(gateway, None, false, later), Share::Keep);
}
