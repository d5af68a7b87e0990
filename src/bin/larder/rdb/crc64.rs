//! CRC-64 as Redis uses it behind a DUMP payload and an RDB file: the Jones polynomial, reflected, from 0 on
//! (`src/crc64.c` there; check value of "123456789": 0xE9C6D914C4B8D9CA).
//!
//! Eight bytes at a time, each with a table of its own ("slicing by 8", Kounavis and Berry 2005): a file is as long as
//! a store, and its checksum would otherwise take longer than the rest of reading it.

const POLYNOMIAL: u64 = 0x95AC_9329_AC4B_C9B5;

/// `TABLES[n][b]`: what byte `b` becomes when `n` bytes follow it.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut i = 0;
        while i < 256 {
            let before = tables[n - 1][i];
            tables[n][i] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
            i += 1;
        }
        n += 1;
    }
    tables
}

/// The checksum of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    extend(0, bytes)
}

/// The checksum of what `crc` is the checksum of, and `bytes` behind it.
pub fn extend(mut crc: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mixed = (u64::from_le_bytes(*word) ^ crc).to_le_bytes();
        crc = (0..8).fold(0, |crc, i| crc ^ TABLES[7 - i][usize::from(mixed[i])]);
    }
    rest.iter().fold(crc, |crc, b| crc >> 8 ^ TABLES[0][usize::from(*b ^ crc as u8)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_comes_out() {
        assert_eq!(crc64(b"123456789"), 0xE9C6_D914_C4B8_D9CA);
    }

    #[test]
    fn it_is_the_same_in_any_pieces() {
        let bytes: Vec<u8> = (0..100_u8).map(|i| i.wrapping_mul(151)).collect();
        let bitwise = bytes.iter().fold(0, |crc, b| crc >> 8 ^ TABLES[0][usize::from(*b ^ crc as u8)]);
        for at in 0..bytes.len() {
            assert_eq!(extend(crc64(&bytes[..at]), &bytes[at..]), bitwise, "cut at {at}");
        }
    }
}
