//! CONFIG SET: several rows at once, all or none.

use std::sync::atomic::Ordering;

use super::params::Param;
use super::row::Mutability;
use super::value::{self, Value};
use super::{Config, Guard};

/// Why CONFIG SET changed nothing; the text is the whole error reply, as of 7.0.15.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No directive has this name.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// This argument, named as the client named it, is why.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Failed {
        /// The directive as the client wrote it.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Rows with values.
type Values = Vec<(Param, Value)>;

impl SetError {
    /// A directive could not be set, for a reason.
    pub fn failed(name: &[u8], reason: impl ToString) -> Self {
        SetError::Failed {
            name: printable(name),
            reason: reason.to_string(),
        }
    }
}

/// A name for an error reply, which is one line.
fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace(['\r', '\n'], " ")
}

impl Config {
    /// Sets every pair or none, and returns the rows whose value changed, in the order of the pairs.
    ///
    /// `local_client` says that the client sits on this machine, for `enable-protected-configs local`.
    ///
    /// # Errors
    /// The reply for the client, as of 7.0.15: an unknown name first, then rows that may not be changed and repeated
    /// names, then wrong values.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], local_client: bool) -> Result<Vec<Param>, SetError> {
        self.set_and_apply(pairs, local_client, |_| Ok(()))
    }

    /// Like [`Config::set`], and lets the server act on the change: `apply` sees the new values and the rows that
    /// changed. A row that names a file to be
    /// read anew counts as changed. Where it fails, every old value is back, `apply` is called once more with what it knew, and the
    /// row that it names is in the error.
    ///
    /// `apply` must not change the configuration: the writers' lock is held.
    ///
    /// # Errors
    /// As [`Config::set`], and what `apply` says.
    pub fn set_and_apply<F>(
        &self,
        pairs: &[(&[u8], &[u8])],
        local_client: bool,
        mut apply: F,
    ) -> Result<Vec<Param>, SetError>
    where
        F: FnMut(&[Param]) -> Result<(), (Param, String)>,
    {
        let params = self.check_names(pairs, local_client)?;
        let _writing = self.writer.lock();
        let (before, after) = self.parsed(&params, pairs)?;
        self.put_all(&after);
        let mut changed: Vec<Param> = Vec::new();
        for (param, old) in &before {
            let differs = param.row().reread || self.value(*param) != *old;
            if differs && !changed.contains(param) {
                changed.push(*param);
            }
        }
        if let Err((culprit, reason)) = apply(&changed) {
            self.put_all(&before);
            // What could be applied before can be applied again; a second failure has nobody to be told.
            let _ = apply(&changed);
            let asked = params.iter().position(|&param| param == culprit);
            let name = asked.map_or(culprit.name().as_bytes(), |index| pairs[index].0);
            return Err(SetError::failed(name, reason));
        }
        Ok(changed)
    }

    /// Whether [`Config::set`] would take these pairs.
    ///
    /// # Errors
    /// As [`Config::set`].
    pub fn check(&self, pairs: &[(&[u8], &[u8])], local_client: bool) -> Result<(), SetError> {
        let params = self.check_names(pairs, local_client)?;
        self.parsed(&params, pairs).map(drop)
    }

    /// The rows' values as they are, and as they are to be.
    fn parsed(&self, params: &[Param], pairs: &[(&[u8], &[u8])]) -> Result<(Values, Values), SetError> {
        let mut before: Values = Vec::with_capacity(pairs.len());
        let mut after: Values = Vec::with_capacity(pairs.len());
        for (&param, (name, text)) in params.iter().zip(pairs) {
            // A row and its alias may both be given; the later one sees, and wins over, the earlier.
            let earlier = after.iter().rev().find(|(known, _)| *known == param);
            let current = earlier.map_or_else(|| self.value(param), |(_, value)| value.clone());
            let row = param.row();
            let args: Vec<&[u8]> = split_argument(row.kind.takes_words(), text);
            let new = value::parse(row, &args, &current)
                .and_then(|new| value::check_set(row, &new).map(|()| new))
                .map_err(|reason| SetError::failed(name, reason))?;
            before.push((param, self.value(param)));
            after.push((param, new));
        }
        Ok((before, after))
    }

    fn put_all(&self, values: &[(Param, Value)]) {
        for (param, value) in values {
            self.put(*param, value);
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The rows that the names mean, if all may be set.
    fn check_names(&self, pairs: &[(&[u8], &[u8])], local_client: bool) -> Result<Vec<Param>, SetError> {
        let mut params = Vec::with_capacity(pairs.len());
        for (index, (name, _)) in pairs.iter().enumerate() {
            let param = Param::find(name)
                .filter(|param| !param.row().kind.is_file_only())
                .ok_or_else(|| SetError::Unknown(printable(name)))?;
            match param.row().mutability {
                Mutability::Mutable => {}
                Mutability::Immutable => return Err(SetError::failed(name, "can't set immutable config")),
                Mutability::Protected if self.may_set_protected(local_client) => {}
                Mutability::Protected => return Err(SetError::failed(name, "can't set protected config")),
            }
            if pairs[..index]
                .iter()
                .any(|(earlier, _)| earlier.eq_ignore_ascii_case(name))
            {
                return Err(SetError::failed(name, "duplicate parameter"));
            }
            params.push(param);
        }
        Ok(params)
    }

    fn may_set_protected(&self, local_client: bool) -> bool {
        match self.enable_protected_configs() {
            Guard::No => false,
            Guard::Yes => true,
            Guard::Local => local_client,
        }
    }
}

/// The words of one argument: a row that takes several words has them separated by exactly one space.
pub fn split_argument(takes_words: bool, text: &[u8]) -> Vec<&[u8]> {
    if takes_words {
        text.split(|&byte| byte == b' ').collect()
    } else {
        vec![text]
    }
}
