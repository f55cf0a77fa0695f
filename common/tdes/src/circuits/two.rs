//! Gates of two inputs: 50, 45, 44, 33, 49, 44, 43, 40 for S1 to S8.
//!
//! Generated, and not to be edited: `cargo run --release -p portcullis-tdes
//! --example sbox_search -- two 106,105,105,105,101,103,103,101`.

use crate::word::Register;

/// S-box `BOX`, from 0.
#[inline(always)]
pub(crate) fn substitute<R: Register, const BOX: usize>(inputs: [R; 6]) -> [R; 4] {
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
fn s1<R: Register>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = x2.xor(x6);
    let g2 = x1.xor(x4);
    let g3 = x6.or(g2);
    let g4 = g3.xor(x3);
    let g5 = g4.xor(x6);
    let g6 = x1.without(g4);
    let g7 = g6.without(g2);
    let g8 = g5.without(g7);
    let g9 = g8.xor(g6);
    let g10 = g6.or(g9);
    let g11 = g2.xor(g10);
    let g12 = x6.without(x2);
    let g13 = x5.without(g12);
    let g14 = g13.xor(g8);
    let g15 = g11.xor(g14);
    let g16 = g15.without(x5);
    let g17 = g5.xor(g16);
    let g18 = x5.xor(g3);
    let g19 = g18.or(g11);
    let g20 = g19.without(x2);
    let g21 = g17.xor(g20);
    let g22 = g11.without(g21);
    let g23 = x3.xor(g22);
    let g24 = g17.without(x1);
    let g25 = g23.without(g24);
    let g26 = g25.xor(g2);
    let g27 = g26.or(x5);
    let g28 = g1.xor(g27);
    let g29 = g23.xor(g9);
    let g30 = g29.without(g19);
    let g31 = x4.without(g30);
    let g32 = g31.or(g22);
    let g33 = g28.xor(g32);
    let g34 = g32.without(g19);
    let g35 = g33.without(g12);
    let g36 = x5.without(g15);
    let g37 = g36.without(g23);
    let g38 = g35.xor(g37);
    let g39 = x3.or(g38);
    let g40 = g32.xor(g14);
    let g41 = g40.and(x5);
    let g42 = g39.without(g41);
    let g43 = g42.xor(g29);
    let g44 = g43.without(g36);
    let g45 = g34.xor(g44);
    let g46 = g45.xor(g17);
    let g47 = g14.or(x2);
    let g48 = g47.or(g31);
    let g49 = g48.without(g46);
    let g50 = g33.xor(g49);
    [g33, g50, g21, g43]
}

#[inline(always)]
fn s2<R: Register>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = x6.xor(x5);
    let g2 = x2.xor(g1);
    let g3 = x4.xor(g1);
    let g4 = g2.xor(g3);
    let g5 = x1.xor(x5);
    let g6 = x1.xor(x6);
    let g7 = x5.or(g5);
    let g8 = x1.or(g2);
    let g9 = g8.and(g1);
    let g10 = g7.xor(g9);
    let g11 = g6.and(g10);
    let g12 = g11.without(x1);
    let g13 = g5.xor(g12);
    let g14 = g3.without(g13);
    let g15 = x5.xor(g14);
    let g16 = g15.or(x2);
    let g17 = g16.without(g4);
    let g18 = g17.xor(g10);
    let g19 = g2.or(g10);
    let g20 = x3.and(g19);
    let g21 = g11.or(g9);
    let g22 = g20.without(g21);
    let g23 = x3.xor(g22);
    let g24 = g18.xor(g23);
    let g25 = g14.without(g10);
    let g26 = g2.xor(g15);
    let g27 = g25.xor(g26);
    let g28 = g27.without(g20);
    let g29 = x6.or(g9);
    let g30 = x2.without(g29);
    let g31 = x4.without(g30);
    let g32 = g31.xor(g5);
    let g33 = g28.xor(g32);
    let g34 = g30.or(g23);
    let g35 = g34.xor(g4);
    let g36 = x2.xor(g8);
    let g37 = g35.or(g36);
    let g38 = g37.xor(g12);
    let g39 = g38.without(x3);
    let g40 = g39.xor(g4);
    let g41 = g40.xor(g14);
    let g42 = g11.xor(g22);
    let g43 = g37.xor(g42);
    let g44 = g32.without(g25);
    let g45 = g43.xor(g44);
    [g24, g33, g41, g45]
}

#[inline(always)]
fn s3<R: Register>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = x5.without(x6);
    let g2 = x4.xor(x6);
    let g3 = g1.xor(g2);
    let g4 = g2.xor(x3);
    let g5 = x5.without(g4);
    let g6 = g3.xor(g5);
    let g7 = x2.xor(g6);
    let g8 = x3.without(g1);
    let g9 = g8.and(x1);
    let g10 = g7.xor(g9);
    let g11 = x1.xor(g7);
    let g12 = x6.xor(x1);
    let g13 = g12.or(g3);
    let g14 = g10.without(g13);
    let g15 = x3.or(g14);
    let g16 = g11.xor(g15);
    let g17 = x5.xor(g4);
    let g18 = g8.without(x2);
    let g19 = g17.xor(g18);
    let g20 = x6.without(g19);
    let g21 = x4.without(g20);
    let g22 = g16.xor(g21);
    let g23 = g22.without(x6);
    let g24 = g10.xor(g23);
    let g25 = g24.xor(g18);
    let g26 = x4.without(g10);
    let g27 = g25.without(g26);
    let g28 = g23.without(g6);
    let g29 = g26.xor(g28);
    let g30 = g27.xor(g29);
    let g31 = g30.without(x1);
    let g32 = g31.xor(g19);
    let g33 = g12.without(g11);
    let g34 = g33.and(g19);
    let g35 = g29.without(g34);
    let g36 = x2.without(x1);
    let g37 = g17.xor(g36);
    let g38 = g35.xor(g37);
    let g39 = g3.without(g20);
    let g40 = g33.xor(g18);
    let g41 = g40.without(x5);
    let g42 = g39.xor(g41);
    let g43 = x1.and(g42);
    let g44 = g11.xor(g43);
    [g32, g22, g38, g44]
}

#[inline(always)]
fn s4<R: Register>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = x1.and(x3);
    let g2 = x4.xor(g1);
    let g3 = g2.or(x5);
    let g4 = g3.xor(x3);
    let g5 = x1.without(g4);
    let g6 = x2.xor(g2);
    let g7 = g6.without(g5);
    let g8 = g4.xor(g7);
    let g9 = x2.without(g8);
    let g10 = g9.xor(x5);
    let g11 = g4.xor(g10);
    let g12 = g11.xor(x1);
    let g13 = g4.or(x4);
    let g14 = g12.and(g13);
    let g15 = g14.and(g11);
    let g16 = g10.or(g12);
    let g17 = g16.xor(g6);
    let g18 = g15.xor(g17);
    let g19 = g12.xor(g18);
    let g20 = g19.xor(x6);
    let g21 = x2.and(g11);
    let g22 = g21.or(g17);
    let g23 = g10.xor(g22);
    let g24 = g12.and(g23);
    let g25 = g7.without(g24);
    let g26 = x2.xor(g25);
    let g27 = g20.xor(g26);
    let g28 = x6.without(g27);
    let g29 = g28.xor(g23);
    let g30 = g27.xor(g29);
    let g31 = g18.and(x6);
    let g32 = g20.xor(g31);
    let g33 = g12.xor(g31);
    [g30, g29, g32, g33]
}

#[inline(always)]
fn s5<R: Register>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = x5.xor(x1);
    let g2 = g1.without(x6);
    let g3 = g2.or(x3);
    let g4 = x6.xor(g3);
    let g5 = x5.or(g4);
    let g6 = g5.xor(x3);
    let g7 = x2.xor(x3);
    let g8 = x6.xor(g7);
    let g9 = g6.and(g8);
    let g10 = g1.xor(g4);
    let g11 = g9.xor(g10);
    let g12 = g6.and(g3);
    let g13 = x1.xor(g12);
    let g14 = x6.xor(g13);
    let g15 = x1.xor(x2);
    let g16 = g15.and(g6);
    let g17 = g13.or(g16);
    let g18 = x2.xor(g17);
    let g19 = g18.without(g14);
    let g20 = g16.xor(g19);
    let g21 = g20.or(x4);
    let g22 = x2.or(g6);
    let g23 = g13.without(g10);
    let g24 = x1.xor(g23);
    let g25 = x6.and(g24);
    let g26 = g22.xor(g25);
    let g27 = g21.xor(g26);
    let g28 = g11.xor(g27);
    let g29 = g14.xor(g28);
    let g30 = g29.or(g7);
    let g31 = g30.without(g18);
    let g32 = x4.without(g31);
    let g33 = g11.xor(g32);
    let g34 = g1.or(g33);
    let g35 = g33.without(x2);
    let g36 = g34.xor(g35);
    let g37 = g30.xor(g3);
    let g38 = g15.without(g37);
    let g39 = g8.xor(g38);
    let g40 = g39.and(g38);
    let g41 = g36.without(g40);
    let g42 = x4.without(g39);
    let g43 = g15.xor(g42);
    let g44 = x2.without(g39);
    let g45 = g23.without(g44);
    let g46 = g43.xor(g45);
    let g47 = g41.xor(g46);
    let g48 = g47.xor(g27);
    let g49 = g46.xor(g32);
    [g48, g28, g49, g33]
}

#[inline(always)]
fn s6<R: Register>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = x5.or(x3);
    let g2 = x1.xor(x5);
    let g3 = x3.xor(g2);
    let g4 = x1.and(g3);
    let g5 = x5.or(g4);
    let g6 = x6.without(g5);
    let g7 = g1.without(g6);
    let g8 = x4.xor(g2);
    let g9 = x2.xor(g1);
    let g10 = g4.xor(g9);
    let g11 = x3.or(g10);
    let g12 = g8.xor(g11);
    let g13 = x6.xor(g12);
    let g14 = g7.xor(g13);
    let g15 = g12.without(x4);
    let g16 = x3.xor(g15);
    let g17 = g16.without(g14);
    let g18 = g5.without(g17);
    let g19 = x2.without(g18);
    let g20 = g19.xor(x4);
    let g21 = g20.and(g14);
    let g22 = x1.and(g11);
    let g23 = g21.or(g22);
    let g24 = x6.and(g23);
    let g25 = g24.and(x2);
    let g26 = g24.without(g6);
    let g27 = g13.xor(g26);
    let g28 = g27.or(g21);
    let g29 = x3.xor(g28);
    let g30 = g29.xor(x2);
    let g31 = g30.and(x4);
    let g32 = g31.xor(g6);
    let g33 = g32.without(g25);
    let g34 = g31.and(g7);
    let g35 = g14.xor(g34);
    let g36 = g33.xor(g35);
    let g37 = g16.xor(g10);
    let g38 = g37.xor(g24);
    let g39 = g29.xor(g38);
    let g40 = g5.without(g8);
    let g41 = g40.without(g33);
    let g42 = g39.xor(g41);
    let g43 = x3.xor(g19);
    let g44 = g27.xor(g43);
    [g36, g42, g44, g38]
}

#[inline(always)]
fn s7<R: Register>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = x4.without(x5);
    let g2 = x2.xor(g1);
    let g3 = g2.without(x3);
    let g4 = g3.xor(x1);
    let g5 = g4.without(g2);
    let g6 = x3.xor(x4);
    let g7 = x5.xor(g6);
    let g8 = g7.and(x1);
    let g9 = g8.without(x2);
    let g10 = x4.xor(g9);
    let g11 = g10.without(x3);
    let g12 = g5.xor(g11);
    let g13 = g2.without(g8);
    let g14 = x2.or(g1);
    let g15 = g13.xor(g14);
    let g16 = x6.without(g15);
    let g17 = g7.xor(g16);
    let g18 = g4.xor(g17);
    let g19 = g18.xor(g13);
    let g20 = g4.without(x3);
    let g21 = x6.without(g20);
    let g22 = g19.xor(g21);
    let g23 = g22.without(x4);
    let g24 = g7.xor(g23);
    let g25 = x6.or(x5);
    let g26 = g25.xor(g8);
    let g27 = g24.xor(g26);
    let g28 = g27.and(x6);
    let g29 = g12.xor(g28);
    let g30 = g29.without(x2);
    let g31 = g30.xor(g22);
    let g32 = g11.xor(g26);
    let g33 = x1.without(g32);
    let g34 = g33.xor(g18);
    let g35 = g31.xor(g34);
    let g36 = x5.xor(g35);
    let g37 = g24.xor(g36);
    let g38 = g34.without(x6);
    let g39 = g2.or(g32);
    let g40 = x4.without(g39);
    let g41 = g38.or(g40);
    let g42 = x1.xor(g41);
    let g43 = g24.xor(g42);
    [g31, g37, g43, g18]
}

#[inline(always)]
fn s8<R: Register>([x1, x2, x3, x4, x5, x6]: [R; 6]) -> [R; 4] {
    let g1 = x2.without(x5);
    let g2 = x3.xor(x1);
    let g3 = x3.or(x2);
    let g4 = x1.or(g3);
    let g5 = x4.xor(g4);
    let g6 = g3.xor(g5);
    let g7 = g2.without(g6);
    let g8 = x5.xor(g5);
    let g9 = g8.without(g7);
    let g10 = g1.xor(g9);
    let g11 = x4.xor(x2);
    let g12 = g10.without(x6);
    let g13 = g12.or(g1);
    let g14 = g13.without(x4);
    let g15 = x1.or(g14);
    let g16 = x3.xor(g15);
    let g17 = x5.or(g16);
    let g18 = g11.xor(g17);
    let g19 = g6.or(g18);
    let g20 = x3.xor(g19);
    let g21 = g8.xor(g20);
    let g22 = g21.or(g14);
    let g23 = g18.xor(g4);
    let g24 = g22.xor(g23);
    let g25 = g15.without(g24);
    let g26 = x6.or(g25);
    let g27 = g10.xor(g26);
    let g28 = x1.xor(g12);
    let g29 = g21.xor(g28);
    let g30 = g27.xor(g29);
    let g31 = g28.xor(g27);
    let g32 = g31.without(g14);
    let g33 = x6.or(g32);
    let g34 = g33.xor(g23);
    let g35 = g34.xor(g27);
    let g36 = g24.or(g32);
    let g37 = g36.and(g20);
    let g38 = g5.xor(g37);
    let g39 = g38.or(g1);
    let g40 = g35.xor(g39);
    [g30, g34, g40, g29]
}
