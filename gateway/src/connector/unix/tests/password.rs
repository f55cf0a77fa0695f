//! Hashes of this program, of the host's crypt(3) and of others.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;

fn password(bytes: impl AsRef<[u8]>) -> Password {
    Password::new(bytes.as_ref().to_vec()).unwrap()
}

/// With crypt(3) of the host, if it has one, and without.
fn verifiers() -> [Verifier; 2] {
    [Verifier::new(), Verifier::without_host()]
}

#[test]
fn what_is_hashed_verifies_and_nothing_else_does() {
    for scheme in [Scheme::Yescrypt, Scheme::Sha512] {
        let hash = scheme.hash(&password("pässword 1")).unwrap();
        for verifier in verifiers() {
            let verify = |text| verifier.verify(&password(text), &hash);
            assert_eq!(verify("pässword 1"), Verdict::Right);
            assert_eq!(verify("pässword 2"), Verdict::Wrong);
        }
        assert_ne!(*hash, *scheme.hash(&password("pässword 1")).unwrap());
    }
}

/// Made by `chpasswd` of shadow-utils 4.13 with libxcrypt 4.4 and by `openssl passwd`, for the
/// password `hunter2`.
#[test]
fn hashes_of_the_c_library_verify() {
    for verifier in verifiers() {
        for hash in FOREIGN {
            let verify = |text| verifier.verify(&password(text), hash);
            assert_eq!(verify("hunter2"), Verdict::Right, "{hash}");
            assert_eq!(verify("hunter3"), Verdict::Wrong, "{hash}");
        }
    }
}

const FOREIGN: &[&str] = &[
    "$y$j9T$h2ZTyGWfbjpCvTS8VQGHM/$dblqdk1ONrjd0Dsvta0jguW1gfr25/hUMzRKi5J2/OC",
    "$6$S7AbY6dMqYddkx9L$wl.X3Godxo4o5OltXkWnBAo6UBpY2hXVdF.ZPTWT/rkBC.KTv4tUCkekqC.jkoMpgSgM1lGf.8BHNIZoY.hv2.",
    "$5$FytGMX1TPk3Qryy9$3sBcVFEC/1JkKf6NluZ89v2/BI9jjM3oEMnODkkIMn4",
    "$6$n6SizVtQHyftrHxJ$BGiyTw1Ts4mnGplUuwdJ4jgjHMJ3.MdTWaFWLXEvpJOYtte91eojTcMynjWKZu1fsf0HFLIN1zJSde.Dmfd45.",
    "$5$abc$aw8kcfRnzkuA1XFRzd1AgTNuyzM2RdMYKc3X22kKYc0",
    "$6$rounds=20000$ABinuupv/kkqZnvN$BaY3ljnJHHP9a7lNxF2XnoNZC5xIenv86pGocjLJkcCz4EjviqjqvrF22i53NJ1nW6t49qi1Sb0Sb718rDb6Q.",
];

#[test]
fn every_hash_that_crypt_of_the_host_makes_is_checked() {
    let Some(host) = HostCrypt::load() else {
        eprintln!("skipped: this host has no libcrypt");
        return;
    };
    let (verifier, alone) = (Verifier::new(), Verifier::without_host());
    let mut known = Vec::new();
    for setting in [
        "$1$abcd1234$",
        "$2b$04$abcdefghijklmnopqrstuu",
        "$2a$04$abcdefghijklmnopqrstuu",
        "$2y$04$abcdefghijklmnopqrstuu",
        "$sha1$1000$saltsalt$",
        "$md5,rounds=10$saltsalt$",
        "$7$86..../....SodiumChloride$",
        "$gy$j75$saltsaltsalt$",
        "$y$j75$saltsaltsalt$",
        "$5$rounds=1000$salt$",
        "$6$rounds=1000$salt$",
        "$3$$",
        "_J9..CCCC",
        "ab",
    ] {
        let Some(hash) = host.crypt(b"hunter2", setting) else {
            println!("crypt(3) of this host does not know {setting}");
            continue;
        };
        let hash = std::str::from_utf8(&hash).unwrap();
        let field = super::super::password_field::PasswordField::new(hash.as_bytes());
        assert_eq!(field.hash(), Some(hash), "{setting}");
        let verify = |by: &Verifier, text| by.verify(&password(text), hash);
        assert_eq!(verify(&verifier, "hunter2"), Verdict::Right, "{hash}");
        assert_eq!(verify(&verifier, "hunter3"), Verdict::Wrong, "{hash}");
        // Where there is no libcrypt, it is never said to be wrong.
        let ours = ["$y$", "$5$", "$6$"]
            .iter()
            .any(|own| hash.starts_with(own));
        let expected = match ours {
            true => Verdict::Right,
            false => Verdict::UnknownScheme,
        };
        assert_eq!(verify(&alone, "hunter2"), expected, "{hash}");
        known.push(setting);
    }
    assert!(known.len() >= 3, "{known:?}");
}

/// Any bytes that a login takes, text or not: in the first turns as many as end a block of a hash.
fn random_phrase(rng: &mut StdRng, turn: u32) -> Vec<u8> {
    let length = match turn {
        0 => 1,
        1 => 511,
        2 => 510,
        3 => 128,
        4 => 64,
        5 => 63,
        _ => rng.random_range(1..=511),
    };
    (0..length)
        .map(|_| match rng.random_range(1..=255u8) {
            b'\n' | b'\r' => b'x',
            byte => byte,
        })
        .collect()
}

fn random_setting(rng: &mut StdRng, turn: u32) -> String {
    let letters = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // Salts of yescrypt are whole bytes: four letters for three of them.
    let size = match turn % 3 {
        2 => 4 * rng.random_range(1..=5),
        _ => rng.random_range(1..=16),
    };
    let salt: String = (0..size)
        .map(|_| char::from(letters[rng.random_range(0..letters.len())]))
        .collect();
    match turn % 3 {
        0 => format!("$6$rounds={}${salt}$", rng.random_range(1000..1500)),
        1 => format!("$5$rounds={}${salt}$", rng.random_range(1000..1500)),
        _ => format!("$y$j{}5${salt}$", rng.random_range(4..6)),
    }
}

#[test]
fn our_hashes_are_those_of_crypt_of_the_host() {
    let Some(host) = HostCrypt::load() else {
        eprintln!("skipped: this host has no libcrypt");
        return;
    };
    let seed: u64 = match std::env::var("PORTCULLIS_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => rand::random(),
    };
    println!("PORTCULLIS_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let deep = std::env::var("PORTCULLIS_TEST_DEEP").is_ok_and(|deep| deep == "1");
    for turn in 0..if deep { 5000 } else { 150 } {
        let phrase = random_phrase(&mut rng, turn);
        let setting = random_setting(&mut rng, turn);
        let Some(hash) = host.crypt(&phrase, &setting) else {
            assert!(turn % 3 == 2, "crypt(3) does not take {setting}");
            continue;
        };
        let hash = std::str::from_utf8(&hash).unwrap();
        let phrase = password(&phrase);
        assert_eq!(
            by_ourselves(&phrase, hash),
            Verdict::Right,
            "{turn}: {hash}"
        );
        let mut other = phrase.expose().to_vec();
        let place = rng.random_range(0..other.len());
        other[place] = if other[place] == b'a' { b'b' } else { b'a' };
        let other = password(other);
        assert_eq!(by_ourselves(&other, hash), Verdict::Wrong, "{turn}: {hash}");
        assert_eq!(host.fits(other.expose(), hash), Some(false));
    }
}

#[test]
fn a_login_takes_what_is_stored() {
    let Some(host) = HostCrypt::load() else {
        eprintln!("skipped: this host has no libcrypt");
        return;
    };
    for scheme in [Scheme::Yescrypt, Scheme::Sha512] {
        for phrase in ["pässword", &"ü".repeat(255), &"x".repeat(511)] {
            let hash = scheme.hash(&password(phrase)).unwrap();
            if let Some(made) = host.crypt(phrase.as_bytes(), &hash) {
                assert_eq!(*made, hash.as_bytes(), "{phrase}");
            }
        }
    }
}

#[test]
fn a_password_that_crypt_would_cut_short_is_refused() {
    for bad in ["a\0b", "a\nb", &"x".repeat(512)] {
        assert!(Scheme::Sha512.hash(&password(bad)).is_err(), "{bad:?}");
        for verifier in verifiers() {
            assert_eq!(verifier.verify(&password(bad), FOREIGN[0]), Verdict::Wrong);
        }
    }
}

#[tokio::test]
async fn a_comparison_whose_caller_goes_away_keeps_its_place_to_its_end() {
    let hashing = Hashing(Arc::new(Semaphore::new(1)));
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let caller = tokio::spawn({
        let hashing = hashing.clone();
        async move {
            let work = move || {
                begun.send(()).unwrap();
                may_end.recv().unwrap();
                Ok(())
            };
            hashing.run(work).await
        }
    });
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
        .await
        .unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert!(hashing.0.try_acquire().is_err());
    end.send(()).unwrap();
    hashing.run(|| Ok(())).await.unwrap();
}

#[test]
fn a_field_that_is_no_hash_fits_no_password() {
    for field in [
        "",
        "*",
        "!",
        "x",
        "$y$",
        "$6$",
        "$y$j9T$$",
        "$6$rounds=x$a$b",
        "$1$a$b",
        "*0",
        "!$1$abcd1234$OMoAPxOfiTE4qXekxb0Sq1",
    ] {
        for verifier in verifiers() {
            let verdict = verifier.verify(&password("hunter2"), field);
            assert_ne!(verdict, Verdict::Right, "{field}");
        }
    }
}
