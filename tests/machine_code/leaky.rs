//! What the check must refuse: each function tells a secret in its own way, and is named after it.
//! It is compiled without the `vzeroupper` that the compiler would put in.

/// The only one that is as it should be.
#[inline(never)]
pub fn clean(key: &[u64; 16], data: &mut [u64]) {
    for (at, word) in data.iter_mut().enumerate() {
        *word = (*word ^ key[at % 16]).rotate_left(5) & !(*word >> 3);
    }
}

/// An S-box by look-up.
#[inline(never)]
pub fn by_table(table: &[u8; 64], data: &mut [u8]) {
    for byte in data {
        *byte = table[usize::from(*byte & 63)];
    }
}

/// The same where table and place are both the function's own.
#[inline(never)]
pub fn by_table_on_the_stack(key: &[u8; 64], data: &mut [u8]) {
    let mut table = *key;
    for at in 0..64 {
        let other = usize::from(table[at] & 63);
        table.swap(at, other);
    }
    for (byte, mask) in data.iter_mut().zip(table) {
        *byte ^= mask;
    }
}

/// The same among constants.
#[inline(never)]
pub fn by_constants(data: &mut [u8]) {
    const TABLE: [u8; 64] = {
        let mut table = [0; 64];
        let mut i = 0;
        while i < 64 {
            table[i] = (i * i * 7 + i * 3) as u8 ^ 0x35;
            i += 1;
        }
        table
    };
    for byte in data {
        *byte = TABLE[usize::from(*byte & 63)];
    }
}

/// A comparison that ends early.
#[inline(never)]
pub fn by_branch(expected: &[u8; 32], found: &[u8; 32]) -> bool {
    for (expected, found) in expected.iter().zip(found) {
        if std::hint::black_box(expected) != found {
            return false;
        }
    }
    true
}

/// A division takes longer for a greater number.
#[inline(never)]
pub fn by_division(key: u64, data: &mut [u64]) {
    for word in data {
        *word = *word / (key | 1) ^ key;
    }
}

/// So many bytes as a secret says.
#[inline(never)]
pub fn by_length(len: &[u8; 1], data: &mut [u8; 256]) {
    data[..usize::from(len[0])].fill(0);
}

/// It leaves the wide registers in use.
#[target_feature(enable = "avx2")]
#[inline(never)]
pub fn by_upper_halves(key: &[u64; 4], data: &mut [[u64; 4]; 64]) {
    for words in data {
        for (word, key) in words.iter_mut().zip(key) {
            *word ^= key;
        }
    }
}

/// A MAC's check in small: the last byte of its buffer, which says how full it is, is public. This
/// one is as it should be.
#[inline(never)]
pub fn buffered(buffer: &[u8; 64], found: &[u8; 32]) -> bool {
    let tag = tag(buffer, buffer[63]);
    let pairs = tag.iter().zip(found);
    pairs.fold(0, |differ, (tag, found)| {
        std::hint::black_box(differ | (tag ^ found))
    }) == 0
}

/// It compares byte by byte, up to the first that differs.
#[inline(never)]
pub fn by_early_end(buffer: &[u8; 64], found: &[u8; 32]) -> bool {
    let tag = tag(buffer, buffer[63]);
    tag.iter()
        .zip(found)
        .all(|(tag, found)| std::hint::black_box(tag) == found)
}

/// It takes another byte, which is not public, for how full its buffer is.
#[inline(never)]
pub fn by_fullness(buffer: &[u8; 64], found: &[u8; 32]) -> bool {
    let tag = tag(buffer, buffer[62]);
    let pairs = tag.iter().zip(found);
    pairs.fold(0, |differ, (tag, found)| {
        std::hint::black_box(differ | (tag ^ found))
    }) == 0
}

#[inline(always)]
fn tag(buffer: &[u8; 64], full: u8) -> [u8; 32] {
    let mut tag = [0; 32];
    let full = usize::from(full & 31);
    tag[..full].copy_from_slice(&buffer[..full]);
    tag
}
