//! A password under the server's RSA key: what `caching_sha2_password` asks for where the connection is not
//! encrypted and the server does not know the password from before.
//!
//! Owns how a key is read (PEM, SubjectPublicKeyInfo) and the padding (OAEP of PKCS #1 with SHA-1, as the
//! server has it). Whoever may put a key of their own in the server's place reads the password: so the
//! key is asked for only where the source says so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::bytes::{Bytes, CutOff};

const HASH_BYTES: usize = 20;
/// Keys that servers have; a larger one is a server's way to keep us busy.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 128..=2_048;
/// Tags of DER.
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A public key of RSA.
#[derive(Debug)]
pub(super) struct PublicKey {
    modulus: BigUint,
    exponent: BigUint,
    bytes: usize,
}

impl PublicKey {
    /// Out of a text with `-----BEGIN PUBLIC KEY-----`.
    pub(super) fn parse(pem: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(pem).ok()?;
        let (_, text) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
        let (text, _) = text.split_once("-----END PUBLIC KEY-----")?;
        let text: String = text.split_ascii_whitespace().collect();
        let der = STANDARD.decode(text).ok()?;
        let (modulus, exponent) = numbers(&der).ok()?;
        let modulus = BigUint::from_bytes_be(modulus);
        let exponent = BigUint::from_bytes_be(exponent);
        // Whole bytes.
        let bytes = usize::try_from(modulus.bits().div_ceil(8)).ok()?;
        let is_usable = KEY_BYTES.contains(&bytes) && exponent.bits() <= 64;
        is_usable.then_some(PublicKey {
            modulus,
            exponent,
            bytes,
        })
    }

    /// A password with the zero behind it, each byte combined with the salt, encrypted. None: it is too long.
    pub(super) fn encrypt(&self, password: &str, salt: &[u8]) -> Option<Vec<u8>> {
        let mut message = password.as_bytes().to_vec();
        message.push(0);
        for (byte, salt) in message.iter_mut().zip(salt.iter().cycle()) {
            *byte ^= salt;
        }
        let mut seed = [0; HASH_BYTES];
        SystemRandom::new().fill(&mut seed).ok()?;
        let padded = BigUint::from_bytes_be(&pad(&message, seed, self.bytes)?);
        let encrypted = padded.modpow(&self.exponent, &self.modulus).to_bytes_be();
        let mut whole = vec![0; self.bytes - encrypted.len()];
        whole.extend(encrypted);
        Some(whole)
    }
}

/// A message between zeros and digests, as many bytes as a key has. None: it is too long.
fn pad(message: &[u8], mut seed: [u8; HASH_BYTES], bytes: usize) -> Option<Vec<u8>> {
    let block_bytes = bytes.checked_sub(HASH_BYTES + 1)?;
    let zeros = block_bytes.checked_sub(HASH_BYTES + 1 + message.len())?;
    let mut block = sha1(&[]);
    block.extend(vec![0; zeros]);
    block.push(1);
    block.extend(message);
    mask(&mut block, &seed);
    mask(&mut seed, &block);
    let mut padded = vec![0];
    padded.extend(seed);
    padded.extend(block);
    Some(padded)
}

/// Combines bytes with those that a seed stands for.
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(bytes.chunks_mut(HASH_BYTES)) {
        let stream = sha1(&[seed, &counter.to_be_bytes()].concat());
        for (byte, other) in chunk.iter_mut().zip(stream) {
            *byte ^= other;
        }
    }
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

/// Modulus and exponent.
fn numbers(der: &[u8]) -> Result<(&[u8], &[u8]), CutOff> {
    let mut whole = Bytes(der);
    let mut info = Bytes(element(&mut whole, SEQUENCE)?);
    // The algorithm: what is not RSA has no two numbers.
    element(&mut info, SEQUENCE)?;
    let mut bits = Bytes(element(&mut info, BITS)?);
    // No bit of the last byte is left out.
    if bits.u8()? != 0 {
        return Err(CutOff);
    }
    let mut key = Bytes(element(&mut bits, SEQUENCE)?);
    Ok((element(&mut key, INTEGER)?, element(&mut key, INTEGER)?))
}

/// The contents of an element of DER.
fn element<'a>(bytes: &mut Bytes<'a>, tag: u8) -> Result<&'a [u8], CutOff> {
    if bytes.u8()? != tag {
        return Err(CutOff);
    }
    let length = match bytes.u8()? {
        short @ 0..0x80 => usize::from(short),
        long => {
            let length_bytes = usize::from(long & 0x7f);
            if length_bytes > 4 {
                return Err(CutOff);
            }
            usize::try_from(bytes.big_endian(length_bytes)?).map_err(|_| CutOff)?
        }
    };
    bytes.take(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `openssl genrsa 1024`: the public part, and the private exponent.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDqLIvVuydRjCanFqXOPj884miz\n\
        8hJItySMlLyWSXQs3SB2PwlM0mDqX1SIr1VvVhhA45WB8KoiZMdG0DHV6/MXg1in\n\
        mDjdg/JvtfN04IHFjjuXQ7mMlT1cXhOxbKLIljoJTwtpVjxQJt0YA0P4Vgy43Gvi\n\
        UnrsQzqcda/hFyih5wIDAQAB\n\
        -----END PUBLIC KEY-----";
    const PRIVATE: &str = "38d77f49ee17e92f7fe26718f02b23e67f7eb2cf3ba8f2eba8442252c899ae9a\
        2e5b058a185fa8aebb5d25a089b870c98a56b3dfcaaf4191fcdd2f84294d10c0\
        597ebffa7eb05e000b90e1d918e4e8f82f546ee79d92b6f7cb49ab9f3f4198f3\
        5383cb3d349b1d32a609aa6c5ae5bd5b8d85cf8cdc8904aad4d7a6cf1b1baee1";

    #[test]
    fn who_has_the_private_key_reads_the_password() {
        let key = PublicKey::parse(PUBLIC.as_bytes()).unwrap();
        let salt = b"01234567890123456789";
        let secret = BigUint::parse_bytes(PRIVATE.as_bytes(), 16).unwrap();
        for password in ["", "secret", "ünï, longer than the salt is"] {
            let encrypted = key.encrypt(password, salt).unwrap();
            assert_eq!(encrypted.len(), key.bytes);
            let opened = BigUint::from_bytes_be(&encrypted).modpow(&secret, &key.modulus);
            let opened = opened.to_bytes_be();
            // Without the zero in front.
            let (seed, block) = opened.split_at(opened.len() - (key.bytes - HASH_BYTES - 1));
            let (mut seed, mut block) = (seed.to_vec(), block.to_vec());
            seed.splice(0..0, vec![0; HASH_BYTES - seed.len()]);
            mask(&mut seed, &block);
            mask(&mut block, &seed);
            assert_eq!(block[..HASH_BYTES], sha1(&[]));
            let begins = HASH_BYTES + block[HASH_BYTES..].iter().position(|b| *b == 1).unwrap() + 1;
            let message: Vec<u8> = (block[begins..].iter().zip(salt.iter().cycle()))
                .map(|(byte, salt)| byte ^ salt)
                .collect();
            assert_eq!(message, [password.as_bytes(), &[0]].concat());
        }
        assert_eq!(key.encrypt(&"x".repeat(128), salt), None);
        assert!(PublicKey::parse(PUBLIC.replace("PUBLIC", "PRIVATE").as_bytes()).is_none());
    }

    proptest! {
        /// Whatever a server sends for a key, it is read or refused.
        #[test]
        fn any_key_is_read_or_refused(at in 0..200_usize, byte in any::<u8>(), length in 0..200_usize) {
            let key = PUBLIC.split("-----").nth(2).unwrap();
            let key: String = key.split_ascii_whitespace().collect();
            let mut der = STANDARD.decode(key).unwrap();
            let at = at % der.len();
            der[at] = byte;
            der.truncate(length);
            let _ = numbers(&der);
            let text = format!("-----BEGIN PUBLIC KEY-----{}-----END PUBLIC KEY-----", STANDARD.encode(&der));
            let _ = PublicKey::parse(text.as_bytes());
        }
    }
}
