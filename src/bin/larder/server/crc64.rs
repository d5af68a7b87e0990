//! CRC-64 as Redis uses it behind a DUMP payload and an RDB file: the Jones polynomial, reflected, from 0 on
//! (`src/crc64.c` there; check value of "123456789": 0xE9C6D914C4B8D9CA).

const POLYNOMIAL: u64 = 0x95AC_9329_AC4B_C9B5;

const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

/// The checksum of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, b| crc >> 8 ^ TABLE[usize::from(*b ^ crc as u8)])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_comes_out() {
        assert_eq!(super::crc64(b"123456789"), 0xE9C6_D914_C4B8_D9CA);
    }
}
