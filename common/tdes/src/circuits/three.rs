//! Gates of three inputs: 29, 26, 25, 20, 28, 26, 27, 25 for S1 to S8.
//!
//! Generated, and not to be edited: `cargo run --release -p portcullis-tdes
//! --example sbox_search -- three 7`.

use crate::word::Tables;

/// S-box `BOX`, from 0.
#[inline(always)]
pub(crate) fn substitute<R: Tables, const BOX: usize>(inputs: [R; 6]) -> [R; 4] {
    match BOX {
        0 => s1(inputs),
        1 => s2(inputs),
        2 => s3(inputs),
        3 => s4(inputs),
        4 => s5(inputs),
        5 => s6(inputs),
        6 => s7(inputs),
        _ => s8(inputs),
    }
}

#[inline(always)]
fn s1<R: Tables>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = R::lut::<0x96>(x1, x4, x3);
    let g2 = R::lut::<0x04>(x1, g1, x1);
    let g3 = R::lut::<0x16>(x4, x6, g2);
    let g4 = R::lut::<0xd6>(x5, g1, x6);
    let g5 = R::lut::<0x92>(x6, x4, x5);
    let g6 = R::lut::<0x1c>(g5, g3, g4);
    let g7 = R::lut::<0xe6>(g1, x5, g6);
    let g8 = R::lut::<0x3a>(x3, g7, g4);
    let g9 = R::lut::<0x6a>(g8, x6, g1);
    let g10 = R::lut::<0x8e>(g4, g9, g7);
    let g11 = R::lut::<0xca>(x2, g10, g8);
    let g12 = R::lut::<0x6a>(x3, g11, g1);
    let g13 = R::lut::<0x0c>(g4, g6, g12);
    let g14 = R::lut::<0xca>(x5, g3, g13);
    let g15 = R::lut::<0xbe>(x4, g4, g7);
    let g16 = R::lut::<0xca>(x3, g5, g15);
    let g17 = R::lut::<0xd8>(g15, g9, x2);
    let g18 = R::lut::<0xc2>(g14, g16, g17);
    let g19 = R::lut::<0x56>(g18, x2, g16);
    let g20 = R::lut::<0xd4>(g10, x3, g3);
    let g21 = R::lut::<0xe8>(g11, g17, g6);
    let g22 = R::lut::<0x60>(g16, g20, g21);
    let g23 = R::lut::<0x9c>(x5, g12, g22);
    let g24 = R::lut::<0x64>(g20, g23, g21);
    let g25 = R::lut::<0x56>(g17, g6, g22);
    let g26 = R::lut::<0x6e>(g24, x2, g25);
    let g27 = R::lut::<0x72>(g26, g23, x6);
    let g28 = R::lut::<0x16>(g18, g7, x6);
    let g29 = R::lut::<0x4e>(g28, g24, x2);
    [g19, g27, g11, g29]
}

#[inline(always)]
fn s2<R: Tables>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = R::lut::<0xd2>(x5, x6, x1);
    let g2 = R::lut::<0x96>(g1, x2, x4);
    let g3 = R::lut::<0xda>(x6, x1, x5);
    let g4 = R::lut::<0xb4>(x3, g3, x1);
    let g5 = R::lut::<0xb4>(x4, g4, g3);
    let g6 = R::lut::<0xac>(x3, g2, g5);
    let g7 = R::lut::<0xd2>(x3, g2, x5);
    let g8 = R::lut::<0x5c>(x6, g7, g5);
    let g9 = R::lut::<0x5c>(g1, g4, g8);
    let g10 = R::lut::<0x3a>(x2, g6, g9);
    let g11 = R::lut::<0x96>(g9, g2, g3);
    let g12 = R::lut::<0x6a>(g3, g6, g11);
    let g13 = R::lut::<0xb4>(g2, x2, g12);
    let g14 = R::lut::<0xda>(g5, x5, g9);
    let g15 = R::lut::<0x5c>(x3, g11, g14);
    let g16 = R::lut::<0x5c>(x6, g13, g15);
    let g17 = R::lut::<0xd4>(x3, g16, g4);
    let g18 = R::lut::<0x3a>(g8, g5, g17);
    let g19 = R::lut::<0x9a>(g18, x1, g12);
    let g20 = R::lut::<0xd6>(x6, g11, g19);
    let g21 = R::lut::<0x3c>(x2, x3, g15);
    let g22 = R::lut::<0xb6>(g20, g21, g6);
    let g23 = R::lut::<0x5c>(x4, g22, g19);
    let g24 = R::lut::<0xca>(x2, g4, g20);
    let g25 = R::lut::<0x78>(g6, x2, g17);
    let g26 = R::lut::<0x4e>(g24, g25, x5);
    [g10, g16, g23, g26]
}

#[inline(always)]
fn s3<R: Tables>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = R::lut::<0x96>(x4, x6, x2);
    let g2 = R::lut::<0x96>(x3, g1, x5);
    let g3 = R::lut::<0x7c>(x4, g2, x5);
    let g4 = R::lut::<0x72>(g1, g3, x5);
    let g5 = R::lut::<0xc2>(x5, g1, x1);
    let g6 = R::lut::<0x6c>(x6, g2, g1);
    let g7 = R::lut::<0x76>(g5, x4, g6);
    let g8 = R::lut::<0x5c>(x1, g7, g3);
    let g9 = R::lut::<0x9e>(g8, x4, x6);
    let g10 = R::lut::<0xd8>(g9, g5, x3);
    let g11 = R::lut::<0x62>(x5, g4, g10);
    let g12 = R::lut::<0x04>(x1, g10, g5);
    let g13 = R::lut::<0xc6>(g12, x1, g6);
    let g14 = R::lut::<0x3e>(x1, g11, g13);
    let g15 = R::lut::<0x30>(x2, g12, g1);
    let g16 = R::lut::<0x82>(x6, g14, g15);
    let g17 = R::lut::<0xe2>(g16, x2, g6);
    let g18 = R::lut::<0xe2>(g2, x1, g17);
    let g19 = R::lut::<0x5c>(x2, g14, g18);
    let g20 = R::lut::<0x96>(x1, x3, g4);
    let g21 = R::lut::<0x96>(g20, g1, g15);
    let g22 = R::lut::<0x8e>(g21, g20, g13);
    let g23 = R::lut::<0xb8>(g21, x6, g22);
    let g24 = R::lut::<0xac>(x2, g10, g8);
    let g25 = R::lut::<0x2e>(g17, x1, g4);
    [g19, g23, g24, g25]
}

#[inline(always)]
fn s4<R: Tables>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = R::lut::<0x2c>(x4, x5, x2);
    let g2 = R::lut::<0x36>(x2, g1, x3);
    let g3 = R::lut::<0xb2>(x5, x2, g2);
    let g4 = R::lut::<0xc4>(x3, x2, g2);
    let g5 = R::lut::<0x8e>(x3, g3, g4);
    let g6 = R::lut::<0x1e>(g2, x1, g5);
    let g7 = R::lut::<0x78>(g2, x1, g5);
    let g8 = R::lut::<0x96>(x4, g5, g4);
    let g9 = R::lut::<0x68>(g7, g8, x5);
    let g10 = R::lut::<0x4e>(g9, g8, x1);
    let g11 = R::lut::<0x3a>(x6, g6, g10);
    let g12 = R::lut::<0xe2>(g10, x6, g6);
    let g13 = R::lut::<0x3e>(g6, g8, g10);
    let g14 = R::lut::<0x86>(g9, x5, g13);
    let g15 = R::lut::<0x5c>(x2, g14, g7);
    let g16 = R::lut::<0xc6>(g15, x4, g5);
    let g17 = R::lut::<0xd8>(x2, g16, g6);
    let g18 = R::lut::<0xb4>(g17, g2, g9);
    let g19 = R::lut::<0x3a>(x6, g15, g18);
    let g20 = R::lut::<0xd8>(g15, g18, x6);
    [g11, g12, g19, g20]
}

#[inline(always)]
fn s5<R: Tables>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = R::lut::<0x68>(x3, x1, x6);
    let g2 = R::lut::<0x5e>(g1, x6, x3);
    let g3 = R::lut::<0x96>(g2, g1, x2);
    let g4 = R::lut::<0x1e>(x4, x1, g1);
    let g5 = R::lut::<0x9c>(g4, g3, x6);
    let g6 = R::lut::<0x46>(x5, x2, g1);
    let g7 = R::lut::<0x1c>(g5, x4, g6);
    let g8 = R::lut::<0x46>(g4, g5, g2);
    let g9 = R::lut::<0xb8>(g8, x1, g7);
    let g10 = R::lut::<0x2e>(g4, x2, g9);
    let g11 = R::lut::<0xc2>(g7, g4, g10);
    let g12 = R::lut::<0x3e>(x4, g1, g11);
    let g13 = R::lut::<0x5a>(g3, g1, g12);
    let g14 = R::lut::<0x5c>(g13, g8, g10);
    let g15 = R::lut::<0x2e>(g7, x5, g10);
    let g16 = R::lut::<0x74>(g3, x3, g2);
    let g17 = R::lut::<0xd2>(g16, g11, x4);
    let g18 = R::lut::<0xa2>(x2, x3, g5);
    let g19 = R::lut::<0x32>(g11, g18, g13);
    let g20 = R::lut::<0xe4>(g17, g19, x5);
    let g21 = R::lut::<0x9e>(g15, x1, g20);
    let g22 = R::lut::<0xb4>(g9, g14, g1);
    let g23 = R::lut::<0xd4>(g22, g8, g15);
    let g24 = R::lut::<0x72>(g23, g13, x5);
    let g25 = R::lut::<0x56>(g5, g24, x5);
    let g26 = R::lut::<0x36>(g14, g21, g25);
    let g27 = R::lut::<0x5c>(x5, g14, g8);
    let g28 = R::lut::<0xca>(x3, g26, g27);
    [g28, g24, g15, g20]
}

#[inline(always)]
fn s6<R: Tables>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = R::lut::<0x96>(x1, x4, x5);
    let g2 = R::lut::<0x78>(g1, x4, x2);
    let g3 = R::lut::<0xa2>(x2, g2, x1);
    let g4 = R::lut::<0xe4>(x4, g2, g3);
    let g5 = R::lut::<0x74>(g1, x6, g4);
    let g6 = R::lut::<0x96>(x6, x2, g1);
    let g7 = R::lut::<0x5a>(g6, g4, x5);
    let g8 = R::lut::<0x5e>(g7, x2, g5);
    let g9 = R::lut::<0x9c>(g2, g6, g8);
    let g10 = R::lut::<0xd4>(g8, g9, g7);
    let g11 = R::lut::<0xca>(x3, g5, g10);
    let g12 = R::lut::<0x56>(x4, x1, g10);
    let g13 = R::lut::<0x4e>(g9, g12, x6);
    let g14 = R::lut::<0x68>(x5, x1, g13);
    let g15 = R::lut::<0x74>(g12, g6, x6);
    let g16 = R::lut::<0x74>(g14, x2, g15);
    let g17 = R::lut::<0x84>(x4, g16, g3);
    let g18 = R::lut::<0x78>(g6, g4, g16);
    let g19 = R::lut::<0x92>(g18, g2, g1);
    let g20 = R::lut::<0x56>(x3, g17, g19);
    let g21 = R::lut::<0x4a>(g1, g2, g15);
    let g22 = R::lut::<0x5c>(g21, g19, g9);
    let g23 = R::lut::<0x56>(g6, g12, g19);
    let g24 = R::lut::<0x72>(g7, g22, g23);
    let g25 = R::lut::<0xac>(x3, g22, g24);
    let g26 = R::lut::<0x72>(g16, g13, x3);
    [g11, g20, g25, g26]
}

#[inline(always)]
fn s7<R: Tables>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = R::lut::<0xb4>(x5, x3, x1);
    let g2 = R::lut::<0x3c>(x4, g1, x2);
    let g3 = R::lut::<0x86>(x3, x1, x4);
    let g4 = R::lut::<0xc8>(g2, g3, x1);
    let g5 = R::lut::<0x68>(x1, x3, g3);
    let g6 = R::lut::<0x34>(x6, g1, g5);
    let g7 = R::lut::<0x94>(x1, g6, g4);
    let g8 = R::lut::<0x20>(g7, g1, x4);
    let g9 = R::lut::<0x9e>(x2, g3, g8);
    let g10 = R::lut::<0xb4>(g9, x4, g4);
    let g11 = R::lut::<0xc6>(x3, g2, g10);
    let g12 = R::lut::<0xd2>(g4, g11, x5);
    let g13 = R::lut::<0x2e>(g12, x2, g11);
    let g14 = R::lut::<0xb8>(g13, x6, g2);
    let g15 = R::lut::<0xd6>(g9, x1, g14);
    let g16 = R::lut::<0x4e>(g13, g11, x6);
    let g17 = R::lut::<0x56>(x4, g15, g16);
    let g18 = R::lut::<0x64>(g2, x2, g7);
    let g19 = R::lut::<0x3e>(x2, g18, g3);
    let g20 = R::lut::<0x3c>(x6, g7, x3);
    let g21 = R::lut::<0xb4>(g17, g19, g20);
    let g22 = R::lut::<0x1e>(g14, g21, x2);
    let g23 = R::lut::<0x96>(g22, x3, g17);
    let g24 = R::lut::<0xe2>(g9, x6, g18);
    let g25 = R::lut::<0x3e>(g14, g24, g17);
    let g26 = R::lut::<0x7c>(g23, x1, g25);
    let g27 = R::lut::<0xac>(x4, g24, g19);
    [g22, g26, g27, g16]
}

#[inline(always)]
fn s8<R: Tables>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = R::lut::<0x3c>(x2, x4, x3);
    let g2 = R::lut::<0x6a>(x1, x5, g1);
    let g3 = R::lut::<0x1e>(g2, x5, x3);
    let g4 = R::lut::<0xe2>(x3, g3, x4);
    let g5 = R::lut::<0xca>(x5, x4, g4);
    let g6 = R::lut::<0xbc>(g2, x5, g5);
    let g7 = R::lut::<0x6a>(x1, g5, g6);
    let g8 = R::lut::<0x1c>(x3, x2, x4);
    let g9 = R::lut::<0x96>(x1, x5, g8);
    let g10 = R::lut::<0x3c>(g7, x3, g9);
    let g11 = R::lut::<0x28>(g7, x2, g1);
    let g12 = R::lut::<0x96>(x6, g9, g11);
    let g13 = R::lut::<0x3a>(g12, g2, g1);
    let g14 = R::lut::<0x2e>(g10, x6, g13);
    let g15 = R::lut::<0xca>(x6, g3, g9);
    let g16 = R::lut::<0x6a>(g9, x3, g12);
    let g17 = R::lut::<0x2e>(g15, x1, g16);
    let g18 = R::lut::<0x7e>(g1, g17, x2);
    let g19 = R::lut::<0x82>(g18, x1, g16);
    let g20 = R::lut::<0x96>(g19, g1, x3);
    let g21 = R::lut::<0xf4>(g20, g8, g10);
    let g22 = R::lut::<0xbe>(g5, g9, x1);
    let g23 = R::lut::<0x1a>(g21, g1, g22);
    let g24 = R::lut::<0x66>(g10, g9, g18);
    let g25 = R::lut::<0x4e>(g24, g10, x6);
    [g14, g17, g23, g25]
}
