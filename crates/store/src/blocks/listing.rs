//! Keys, wherever they come from, in the order in which an index lists them.

use super::key;

/// See the module. Holds the places of the keys, one after the other.
#[derive(Debug, Default)]
pub struct KeyOrder {
    places: Vec<u8>,
    keys: Vec<PlacedKey>,
}

#[derive(Debug)]
struct PlacedKey {
    /// The first bytes of the key: they decide nearly always.
    head: u64,
    /// Where its place ends.
    end: usize,
    bucket: u16,
}

impl KeyOrder {
    /// Adds a key by its encoding.
    pub fn push(&mut self, key: &[u8]) {
        let bucket = key::bucket_of(key);
        let start = self.places.len() + size_of_val(&bucket);
        key::put_place(bucket, key, &mut self.places);
        let mut head = [0; size_of::<u64>()];
        // What is shorter is less than what goes on with zeros, and looked at again.
        for (byte, own) in head.iter_mut().zip(&self.places[start..]) {
            *byte = *own;
        }
        self.keys.push(PlacedKey {
            head: u64::from_be_bytes(head),
            end: self.places.len(),
            bucket,
        });
    }

    /// The numbers of the keys, from 0 as they were added, in the order of the keys.
    ///
    /// # Panics
    /// If there are 2^32 keys.
    pub fn order(&self) -> Vec<u32> {
        // Keys are spread evenly over buckets, which are in order: few of them are compared.
        let mut starts = vec![0usize; key::BUCKETS as usize + 1];
        for key in &self.keys {
            starts[usize::from(key.bucket) + 1] += 1;
        }
        for bucket in 1..starts.len() {
            starts[bucket] += starts[bucket - 1];
        }
        let mut next = starts.clone();
        let mut order = vec![(0u64, 0u32); self.keys.len()];
        for (number, key) in self.keys.iter().enumerate() {
            let at = &mut next[usize::from(key.bucket)];
            let number = u32::try_from(number).expect("fewer than 2^32 keys");
            order[*at] = (key.head, number);
            *at += 1;
        }
        for bucket in starts.windows(2) {
            order[bucket[0]..bucket[1]].sort_unstable_by(
                |(head, number), (other, other_number)| {
                    let by_head = head.cmp(other);
                    by_head.then_with(|| self.place(*number).cmp(self.place(*other_number)))
                },
            );
        }
        order.into_iter().map(|(_, number)| number).collect()
    }

    fn place(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let before = number.checked_sub(1).map(|before| &self.keys[before]);
        &self.places[before.map_or(0, |before| before.end)..self.keys[number].end]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blocks::ListedKey;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..12),
            // Of one bucket, or stored by its digest.
            (0u8..3).prop_map(|end| vec![end; key::KEY_BYTES_MAX + 1]),
            (0u8..3, 0u8..3).prop_map(|(first, last)| vec![first, 0, last]),
        ]
    }

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_a_listing(keys in prop::collection::vec(key(), 0..300)) {
            let mut order = KeyOrder::default();
            keys.iter().for_each(|key| order.push(key));
            let listed = |number: &u32| ListedKey::of(&keys[*number as usize]);
            let found: Vec<ListedKey> = order.order().iter().map(listed).collect();
            let mut wanted: Vec<ListedKey> = keys.iter().map(|key| ListedKey::of(key)).collect();
            wanted.sort();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn keys_of_one_bucket_are_in_the_order_of_their_bytes(first in any::<u32>()) {
            let of_bucket: Vec<[u8; 4]> = (first..=u32::MAX)
                .map(u32::to_be_bytes)
                .filter(|key| key::bucket_of(key) == 7)
                .take(3)
                .collect();
            let mut order = KeyOrder::default();
            of_bucket.iter().rev().for_each(|key| order.push(key));
            let numbers: Vec<u32> = (0..of_bucket.len() as u32).rev().collect();
            prop_assert_eq!(order.order(), numbers);
        }
    }
}
