//! Limits that the libraries share.

/// Bytes that an encoder writes at most: what the protocol lets one string have. Small tables can stand for endless
/// text, by containing one another. (Less in unit tests, which shall be quick.)
pub(crate) const MAX_OUTPUT: usize = if cfg!(test) { 4 << 20 } else { 512 << 20 };
