//! HyperLogLog, byte for byte as Redis keeps it in a string: PFADD, PFCOUNT, PFMERGE. Knows no keys; how the
//! sparse form is packed is in `hllsparse`.
//!
//! ```text
//! +------+-----+-----+----------+     16 bytes, then the registers
//! | HYLL | enc | 000 | count    |     enc: 0 dense, 1 sparse
//! +------+-----+-----+----------+     count: 8 bytes, little endian; its top bit says that it is stale
//!
//! dense:  16384 registers of 6 bits, lowest bits first: 12288 bytes
//! sparse: runs of equal registers
//! ```
//!
//! An element's hash (MurmurHash64A) gives a register, by its low 14 bits, and how many zeros end the rest; the
//! register keeps the largest such number, plus one. The estimate is the improved one of Otmar Ertl, "New
//! cardinality estimation algorithms for HyperLogLog sketches" (2017), so it needs no bias tables.
//!
//! Source: the PFADD, PFCOUNT and PFMERGE command pages, the paper, and the bytes of Redis 7.0.15.

use crate::hllsparse;

/// Number of registers.
pub const REGISTERS: usize = 16384;
/// Bits of the hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Bits of the hash that are searched for zeros.
const RANK_BITS: u32 = 50;
const _: () = assert!(1 << INDEX_BITS == REGISTERS && INDEX_BITS + RANK_BITS == 64);

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 16;
/// Length of a dense HyperLogLog in bytes.
pub const DENSE_LEN: usize = HEADER_LEN + REGISTERS * 6 / 8;
/// Default of `hll-sparse-max-bytes`.
pub const DEFAULT_SPARSE_MAX_BYTES: usize = 3000;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING: usize = 4;
const COUNT: std::ops::Range<usize> = 8..16;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const STALE: u64 = 1 << 63;
const HASH_SEED: u64 = 0xadc8_3b19;

/// Why a string cannot be used as a HyperLogLog. The texts, code word included, are Redis's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HllError {
    /// The header is wrong.
    #[error("WRONGTYPE Key is not a valid HyperLogLog string value.")]
    NotHyperLogLog,
    /// The header is right, but the registers are not.
    #[error("INVALIDOBJ Corrupted HLL object detected")]
    Corrupted,
}

/// How the registers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// 6 bits each.
    Dense,
    /// Runs.
    Sparse,
}

impl Encoding {
    /// The name that PFDEBUG ENCODING answers.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }
    }
}

/// Registers of one byte each, unpacked.
pub type Registers = [u8; REGISTERS];

/// Returns an empty HyperLogLog, sparse, 18 bytes, as PFADD without elements makes one: its count is 0, but
/// marked as stale.
pub fn new_sparse() -> Vec<u8> {
    let mut hll = Vec::with_capacity(HEADER_LEN + 2);
    hll.extend_from_slice(MAGIC);
    hll.resize(HEADER_LEN, 0);
    hll[ENCODING] = SPARSE;
    hll.extend_from_slice(&hllsparse::EMPTY);
    make_stale(&mut hll);
    hll
}

/// Returns the encoding that the header tells.
///
/// # Errors
/// [`HllError::NotHyperLogLog`] if the header is none, or if the length is not that of a dense one that it says
/// it is. The registers are not looked at.
pub fn encoding(hll: &[u8]) -> Result<Encoding, HllError> {
    if hll.len() < HEADER_LEN || !hll.starts_with(MAGIC) {
        return Err(HllError::NotHyperLogLog);
    }
    match hll[ENCODING] {
        DENSE if hll.len() == DENSE_LEN => Ok(Encoding::Dense),
        SPARSE => Ok(Encoding::Sparse),
        _ => Err(HllError::NotHyperLogLog),
    }
}

/// Tells whether the string's header is that of a HyperLogLog.
pub fn is_valid(hll: &[u8]) -> bool {
    encoding(hll).is_ok()
}

/// Adds an element and tells whether a register changed. A sparse HyperLogLog becomes dense rather than to
/// grow beyond `sparse_max_bytes`, header included.
///
/// # Errors
/// If `hll` is no HyperLogLog or corrupted.
pub fn add(hll: &mut Vec<u8>, element: &[u8], sparse_max_bytes: usize) -> Result<bool, HllError> {
    let (index, rank) = index_and_rank(element);
    raise(hll, index, rank, sparse_max_bytes)
}

/// Returns the estimate that the header holds, if it is not stale.
pub fn cached_count(hll: &[u8]) -> Option<u64> {
    let count = u64::from_le_bytes(hll.get(COUNT)?.try_into().ok()?);
    (count & STALE == 0).then_some(count)
}

/// Stores an estimate in the header; PFCOUNT of one key does so. `hll` must have a header.
pub fn store_count(hll: &mut [u8], count: u64) {
    if let Some(bytes) = hll.get_mut(COUNT) {
        bytes.copy_from_slice(&count.to_le_bytes());
    }
}

/// Estimates the number of distinct elements from the registers, whatever the header holds.
///
/// # Errors
/// If `hll` is no HyperLogLog or corrupted.
pub fn count(hll: &[u8]) -> Result<u64, HllError> {
    let mut histogram = [0u32; 64];
    match encoding(hll)? {
        Encoding::Dense => each_dense(&hll[HEADER_LEN..], |_, value| histogram[usize::from(value)] += 1),
        Encoding::Sparse => hllsparse::each_run(&hll[HEADER_LEN..], |_, run| {
            histogram[usize::from(run.value)] += u32::from(run.len);
        })?,
    }
    Ok(estimate(&histogram))
}

/// Estimates the number of distinct elements in the union: PFCOUNT of several keys.
///
/// # Errors
/// If one of `sources` is no HyperLogLog or corrupted.
pub fn count_union(sources: &[&[u8]]) -> Result<u64, HllError> {
    let mut histogram = [0u32; 64];
    for &value in union(sources)?.iter() {
        histogram[usize::from(value)] += 1;
    }
    Ok(estimate(&histogram))
}

/// Merges `sources` into `dest`: PFMERGE. The result is dense if one of them all is, and may become so as with
/// [`add`]. The caller passes [`new_sparse`] for a key that is missing.
///
/// # Errors
/// If `dest` or one of `sources` is no HyperLogLog or corrupted; `dest` is then unchanged.
pub fn merge(dest: &mut Vec<u8>, sources: &[&[u8]], sparse_max_bytes: usize) -> Result<(), HllError> {
    let mut registers = union(sources)?;
    raise_to(&mut registers, dest)?;
    let mut dense = false;
    for source in sources {
        dense |= encoding(source)? == Encoding::Dense;
    }
    if dense {
        to_dense(dest)?;
    }
    if encoding(dest)? == Encoding::Dense {
        pack(&registers, &mut dest[HEADER_LEN..]);
    } else {
        for (index, &value) in registers.iter().enumerate().filter(|(_, value)| **value > 0) {
            raise(dest, index, value, sparse_max_bytes)?;
        }
    }
    make_stale(dest);
    Ok(())
}

/// Makes a HyperLogLog dense and tells whether it was not so before: PFDEBUG TODENSE.
///
/// # Errors
/// If `hll` is no HyperLogLog or corrupted; it is then unchanged.
pub fn to_dense(hll: &mut Vec<u8>) -> Result<bool, HllError> {
    if encoding(hll)? == Encoding::Dense {
        return Ok(false);
    }
    let registers = registers(hll)?;
    hll.truncate(HEADER_LEN);
    hll.resize(DENSE_LEN, 0);
    hll[ENCODING] = DENSE;
    pack(&registers, &mut hll[HEADER_LEN..]);
    Ok(true)
}

/// Returns all registers: PFDEBUG GETREG (which in Redis makes the HyperLogLog dense, too).
///
/// # Errors
/// If `hll` is no HyperLogLog or corrupted.
pub fn registers(hll: &[u8]) -> Result<Box<Registers>, HllError> {
    union(&[hll])
}

/// Returns the runs of a sparse HyperLogLog as text, `Z:16384` or `z:3 v:2,1` and so on, or `None` if it is dense:
/// PFDEBUG DECODE.
///
/// # Errors
/// If `hll` is no HyperLogLog or corrupted.
pub fn decode(hll: &[u8]) -> Result<Option<String>, HllError> {
    match encoding(hll)? {
        Encoding::Dense => Ok(None),
        Encoding::Sparse => hllsparse::describe(&hll[HEADER_LEN..]).map(Some),
    }
}

/// Checks the code against itself: PFSELFTEST. Adds `elements` numbers derived from `seed` and compares both
/// encodings and, at every power of ten, the estimate. Takes some 100 ns an element.
///
/// # Errors
/// A text that says what failed.
pub fn self_test(seed: u64, elements: u64) -> Result<(), String> {
    let mut dense = new_sparse();
    to_dense(&mut dense).map_err(|error| error.to_string())?;
    let mut sparse = new_sparse();
    let mut checkpoint = 1;
    for n in 1..=elements {
        let element = (n ^ seed).to_le_bytes();
        for hll in [&mut dense, &mut sparse] {
            add(hll, &element, DEFAULT_SPARSE_MAX_BYTES).map_err(|error| error.to_string())?;
        }
        if n == checkpoint {
            checkpoint *= 10;
            let (one, other) = (count(&dense), count(&sparse));
            if one != other {
                return Err(format!(
                    "TESTFAILED dense counts {one:?} and sparse {other:?} of {n} elements"
                ));
            }
            // Six standard errors (1.04 / sqrt(16384)), and a collision or two in small sets.
            let allowed = (n as f64 * 0.0081 * 6.0).ceil().max(2.0) as u64;
            if one.is_ok_and(|count| count.abs_diff(n) > allowed) {
                return Err(format!("TESTFAILED counted {one:?} of {n} elements"));
            }
        }
    }
    Ok(())
}

fn make_stale(hll: &mut [u8]) {
    hll[COUNT.end - 1] |= 0x80;
}

/// The register of an element, and the value that it should have at least.
fn index_and_rank(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, HASH_SEED);
    // The bit above the hash's end bounds the count of zeros.
    let rest = hash >> INDEX_BITS | 1 << RANK_BITS;
    (hash as usize & (REGISTERS - 1), rest.trailing_zeros() as u8 + 1)
}

/// Raises a register to `value` and tells whether it was lower.
fn raise(hll: &mut Vec<u8>, index: usize, value: u8, sparse_max_bytes: usize) -> Result<bool, HllError> {
    let changed = match encoding(hll)? {
        Encoding::Dense => raise_dense(&mut hll[HEADER_LEN..], index, value),
        Encoding::Sparse => match hllsparse::raise(hll, index, value, sparse_max_bytes)? {
            hllsparse::Raised::No => false,
            hllsparse::Raised::Yes => true,
            hllsparse::Raised::TooLarge => {
                to_dense(hll)?;
                raise_dense(&mut hll[HEADER_LEN..], index, value)
            }
        },
    };
    if changed {
        make_stale(hll);
    }
    Ok(changed)
}

fn raise_dense(packed: &mut [u8], index: usize, value: u8) -> bool {
    let bit = index * 6;
    let (at, shift) = (bit / 8, bit % 8);
    // The last register ends with the last byte.
    let high = packed.get(at + 1).copied().unwrap_or(0);
    let pair = u16::from_le_bytes([packed[at], high]);
    if pair >> shift & 63 >= u16::from(value) {
        return false;
    }
    let [low, high] = (pair & !(63 << shift) | u16::from(value) << shift).to_le_bytes();
    packed[at] = low;
    if let Some(byte) = packed.get_mut(at + 1) {
        *byte = high;
    }
    true
}

/// Calls `f` with the index and value of each dense register.
fn each_dense(packed: &[u8], mut f: impl FnMut(usize, u8)) {
    for (n, [a, b, c]) in packed.as_chunks::<3>().0.iter().enumerate() {
        let four = u32::from_le_bytes([*a, *b, *c, 0]);
        for k in 0..4 {
            f(n * 4 + k, (four >> (6 * k) & 63) as u8);
        }
    }
}

fn pack(registers: &Registers, packed: &mut [u8]) {
    let fours = registers.as_chunks::<4>().0;
    for (three, four) in packed.as_chunks_mut::<3>().0.iter_mut().zip(fours) {
        let bits = four
            .iter()
            .rev()
            .fold(0u32, |bits, value| bits << 6 | u32::from(*value));
        let [a, b, c, _] = bits.to_le_bytes();
        *three = [a, b, c];
    }
}

fn union(sources: &[&[u8]]) -> Result<Box<Registers>, HllError> {
    let mut registers = Box::new([0; REGISTERS]);
    for source in sources {
        raise_to(&mut registers, source)?;
    }
    Ok(registers)
}

/// Raises each register to that of `hll` if it is lower.
fn raise_to(registers: &mut Registers, hll: &[u8]) -> Result<(), HllError> {
    let body = match encoding(hll)? {
        Encoding::Dense => {
            each_dense(&hll[HEADER_LEN..], |index, value| {
                registers[index] = registers[index].max(value)
            });
            return Ok(());
        }
        Encoding::Sparse => &hll[HEADER_LEN..],
    };
    hllsparse::each_run(body, |first, run| {
        for register in &mut registers[first..first + usize::from(run.len)] {
            *register = run.value.max(*register);
        }
    })
}

/// Ertl's improved estimator, from how many registers hold each value.
fn estimate(histogram: &[u32; 64]) -> u64 {
    /// 1 / (2 ln 2)
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let highest = RANK_BITS as usize + 1;
    let mut z = m * tau((m - f64::from(histogram[highest])) / m);
    for &registers in histogram[1..highest].iter().rev() {
        z += f64::from(registers);
        z *= 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    (ALPHA * m * m / z).round() as u64
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let mut y = 1.0;
    let mut z = 1.0 - x;
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let mut y = 1.0;
    let mut z = x;
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// Austin Appleby's MurmurHash64A, which is in the public domain.
fn murmur64a(data: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = seed ^ (data.len() as u64).wrapping_mul(M);
    let (words, tail) = data.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ k >> R).wrapping_mul(M);
        hash = (hash ^ k).wrapping_mul(M);
    }
    if !tail.is_empty() {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(elements: impl Iterator<Item = u64>, sparse_max_bytes: usize) -> Vec<u8> {
        let mut hll = new_sparse();
        for n in elements {
            add(&mut hll, &n.to_le_bytes(), sparse_max_bytes).unwrap();
        }
        hll
    }

    #[test]
    fn empty() {
        let mut hll = new_sparse();
        assert_eq!(hll.len(), 18);
        assert_eq!(encoding(&hll), Ok(Encoding::Sparse));
        assert_eq!((cached_count(&hll), count(&hll)), (None, Ok(0)));
        assert_eq!(decode(&hll).unwrap().as_deref(), Some("Z:16384"));
        assert_eq!(to_dense(&mut hll), Ok(true));
        assert_eq!(
            (to_dense(&mut hll), count(&hll), decode(&hll)),
            (Ok(false), Ok(0), Ok(None))
        );
    }

    #[test]
    fn the_count_becomes_stale() {
        let mut hll = new_sparse();
        assert_eq!(add(&mut hll, b"a", 3000), Ok(true));
        assert_eq!((cached_count(&hll), count(&hll)), (None, Ok(1)));
        store_count(&mut hll, 1);
        assert_eq!(add(&mut hll, b"a", 3000), Ok(false));
        assert_eq!(cached_count(&hll), Some(1));
    }

    #[test]
    fn strange_strings() {
        let not = Err(HllError::NotHyperLogLog);
        let mut dense = of(0..10, 0);
        for hll in [
            &b""[..],
            b"HYLL",
            b"hyll\x01\0\0\0\0\0\0\0\0\0\0\0",
            b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(count(hll), not, "{hll:?}");
        }
        dense.push(0);
        assert_eq!(count(&dense), not);
        let header = &new_sparse()[..HEADER_LEN];
        for body in [
            &b""[..],
            b"\x7f",
            b"\x7f\xfe",
            b"\x7f\xff\0",
            b"\x80",
            b"\x7f\xff\x7f\xff",
        ] {
            let mut hll = [header, body].concat();
            assert_eq!(count(&hll), Err(HllError::Corrupted), "{body:?}");
            assert_eq!(to_dense(&mut hll), Err(HllError::Corrupted), "{body:?}");
            assert_eq!(decode(&hll), Err(HllError::Corrupted), "{body:?}");
        }
    }

    #[test]
    fn passes_its_own_test() {
        assert_eq!(self_test(0, 100_000), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn both_encodings_hold_the_same(start: u64, len in 0u64..3000) {
            let elements = || (0..len).map(|n| start.wrapping_add(n));
            let sparse = of(elements(), 20_000);
            let dense = of(elements(), 0);
            prop_assert_eq!(encoding(&sparse), Ok(Encoding::Sparse));
            prop_assert_eq!(registers(&sparse).unwrap(), registers(&dense).unwrap());
            prop_assert_eq!(count(&sparse), count(&dense));
            let error = count(&sparse).unwrap().abs_diff(len) as f64;
            prop_assert!(error <= (len as f64 * 0.05).max(3.0), "{} of {}", error, len);
        }

        #[test]
        fn a_union_is_that_of_the_sets(start: u64, a in 0u64..2000, b in 0u64..2000, max in 0usize..6000) {
            let elements = |from: u64, to: u64| (from..to).map(move |n| start.wrapping_add(n));
            let (one, other) = (of(elements(0, a), max), of(elements(a / 2, b), 3000));
            let both = of(elements(0, a).chain(elements(a / 2, b)), 20_000);
            let mut merged = one.clone();
            merge(&mut merged, &[&other], max).unwrap();
            prop_assert_eq!(registers(&merged).unwrap(), registers(&both).unwrap());
            prop_assert_eq!(count_union(&[&one, &other]), count(&both));
        }

        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..60), head in 0u8..3) {
            let mut hll = [&b"HYLL"[..], &[head], &[0; 11], &body].concat();
            let _ = (count(&hll), decode(&hll), add(&mut hll, &body, 3000), count_union(&[&hll]));
            let _ = (merge(&mut new_sparse(), &[&hll], 3000), to_dense(&mut hll));
        }
    }
}
