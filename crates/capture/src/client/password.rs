//! What is sent in place of a password, by the ways of servers. Neither is a secret afterwards.

use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// `mysql_native_password`: SHA1(password) xor SHA1(salt, SHA1(SHA1(password))).
pub(super) fn native(password: &str, salt: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let sha1 = &SHA1_FOR_LEGACY_USE_ONLY;
    let once = hash(sha1, &[password.as_bytes()]);
    let twice = hash(sha1, &[&once]);
    xor(once, &hash(sha1, &[salt, &twice]))
}

/// `caching_sha2_password`: SHA256(password) xor SHA256(SHA256(SHA256(password)), salt).
pub(super) fn sha2(password: &str, salt: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = hash(&SHA256, &[password.as_bytes()]);
    let twice = hash(&SHA256, &[&once]);
    xor(once, &hash(&SHA256, &[&twice, salt]))
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    digest(algorithm, &parts.concat()).as_ref().to_vec()
}

fn xor(mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for (byte, other) in bytes.iter_mut().zip(other) {
        *byte ^= other;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_has_the_hash_can_check_what_is_shown() {
        let salt = b"01234567890123456789";
        // The server keeps the second hash, and takes the first out of what is shown.
        let shown = native("secret", salt);
        let stored = hash(
            &SHA1_FOR_LEGACY_USE_ONLY,
            &[&hash(&SHA1_FOR_LEGACY_USE_ONLY, &[b"secret"])],
        );
        let once = xor(shown, &hash(&SHA1_FOR_LEGACY_USE_ONLY, &[salt, &stored]));
        assert_eq!(hash(&SHA1_FOR_LEGACY_USE_ONLY, &[&once]), stored);
        let shown = sha2("secret", salt);
        let stored = hash(&SHA256, &[&hash(&SHA256, &[b"secret"])]);
        let once = xor(shown, &hash(&SHA256, &[&stored, salt]));
        assert_eq!(hash(&SHA256, &[&once]), stored);
        assert!(native("", salt).is_empty() && sha2("", salt).is_empty());
    }
}
