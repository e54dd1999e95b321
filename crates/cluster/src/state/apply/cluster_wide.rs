//! What holds on all nodes: users, libraries, settings. Their texts are opaque here.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Change, ClusterState, Outcome, Rejected};
use crate::state::{MAX_BLOB, MAX_BLOBS};

impl ClusterState {
    pub(super) fn set_acl(&mut self, user: &Bytes, rules: Option<&Bytes>) -> Outcome {
        if self.acl.len() >= MAX_BLOBS && rules.is_some() && !self.acl.contains_key(user) {
            // What is remembered of deleted users makes room for those that are.
            let deleted = self.acl.iter().find(|(_, rules)| rules.is_empty());
            if let Some(name) = deleted.map(|(name, _)| name.clone()) {
                self.acl.remove(&name);
            }
        }
        let changed = set(&mut self.acl, user, rules)?;
        Ok(if changed {
            vec![Change::Acl(user.clone())]
        } else {
            Vec::new()
        })
    }

    /// Functions that are said to be as they are become the cluster's as well: nodes drop what their files have beyond them.
    pub(super) fn set_function(&mut self, index: u64, library: &Bytes, code: Option<&Bytes>) -> Outcome {
        set(&mut self.functions, library, code)?;
        self.functions_index = index;
        Ok(vec![Change::Functions])
    }

    pub(super) fn replace_functions(&mut self, index: u64, libraries: &BTreeMap<Bytes, Bytes>) -> Outcome {
        if libraries.len() > MAX_BLOBS {
            return Err(Rejected::Limit("libraries"));
        }
        if libraries
            .iter()
            .any(|(name, code)| name.len() + code.len() > MAX_BLOB)
        {
            return Err(Rejected::Limit("bytes of a library"));
        }
        self.functions.clone_from(libraries);
        self.functions_index = index;
        Ok(vec![Change::Functions])
    }

    pub(super) fn set_setting(&mut self, name: &str, value: Option<&Bytes>) -> Outcome {
        let changed = set(&mut self.settings, &name.to_owned(), value)?;
        Ok(if changed {
            vec![Change::Setting(name.to_owned())]
        } else {
            Vec::new()
        })
    }
}

/// Sets or deletes; whether that changed anything.
fn set<K: Ord + Clone + AsRef<[u8]>>(
    map: &mut BTreeMap<K, Bytes>,
    name: &K,
    value: Option<&Bytes>,
) -> Result<bool, Rejected> {
    let Some(value) = value else {
        return Ok(map.remove(name).is_some());
    };
    if name.as_ref().len() + value.len() > MAX_BLOB {
        return Err(Rejected::Limit("bytes of a value"));
    }
    if !map.contains_key(name) && map.len() >= MAX_BLOBS {
        return Err(Rejected::Limit("entries of the cluster"));
    }
    Ok(map.insert(name.clone(), value.clone()).as_ref() != Some(value))
}
