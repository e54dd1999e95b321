//! The table of users, and what a connection holds of the one it is logged in as.
//!
//! ```text
//! Users ── name ──> Account { user, version, unrestricted } <── Login { account, user as last seen } of a connection
//! ```
//!
//! A change replaces the account's user and counts its version up; a connection sees that before its next command. While
//! nothing is forbidden to the user, that look is one flag.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::catalog::Defaults;
use crate::file::Declared;
use crate::rule::{RuleError, has_space, join_selectors};
use crate::user::User;

/// The user that connections are at first.
const DEFAULT: &[u8] = b"default";
/// Bytes of a name.
const LONGEST_NAME: usize = 1024;
/// More users are refused.
const MOST_USERS: usize = 100_000;

/// Why ACL SETUSER changed nothing. The texts are those of redis-server 7.0.15.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// A name that no file could hold.
    #[error("Usernames can't contain spaces or null characters")]
    Name,
    /// A longer name than [`LONGEST_NAME`].
    #[error("Usernames can't be longer than {LONGEST_NAME} bytes")]
    LongName,
    /// As many users as there may be.
    #[error("There can't be more than {MOST_USERS} users")]
    TooManyUsers,
    /// A selector that does not end.
    #[error("Unmatched parenthesis in acl selector starting at '{0}'.")]
    Open(String),
    /// A wrong rule.
    #[error("Error in ACL SETUSER modifier '{rule}': {error}")]
    Rule {
        /// The rule.
        rule: String,
        /// What is wrong.
        error: RuleError,
    },
}

/// One user of the table.
#[derive(Debug)]
pub struct Account {
    name: Box<[u8]>,
    user: RwLock<Arc<User>>,
    version: AtomicU64,
    unrestricted: AtomicBool,
    gone: AtomicBool,
}

impl Account {
    fn new(name: &[u8], user: User, defaults: &Defaults<'_>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            unrestricted: AtomicBool::new(user.is_unrestricted(defaults)),
            user: RwLock::new(Arc::new(user)),
            version: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        })
    }

    /// The user's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// What the user may now.
    pub fn user(&self) -> Arc<User> {
        Arc::clone(&self.user.read())
    }

    /// True if nothing is forbidden to the user now.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted.load(Ordering::Acquire)
    }

    /// True once the user has been removed: whoever is logged in must go.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    fn replace(&self, user: User, defaults: &Defaults<'_>) {
        let unrestricted = user.is_unrestricted(defaults);
        *self.user.write() = Arc::new(user);
        self.version.fetch_add(1, Ordering::Release);
        self.unrestricted.store(unrestricted, Ordering::Release);
    }

    /// Takes every right away and marks the account as removed.
    fn end(&self, defaults: &Defaults<'_>) {
        self.replace(
            User::new(&Defaults {
                all_channels: false,
                ..*defaults
            }),
            defaults,
        );
        self.gone.store(true, Ordering::SeqCst);
    }
}

/// What a new table has done to the users of the old one.
#[derive(Debug)]
pub struct Replaced {
    /// Those that stayed, with other rights perhaps.
    pub kept: Vec<Arc<Account>>,
    /// Those that are gone.
    pub gone: Vec<Arc<Account>>,
}

/// What a connection holds of its user.
#[derive(Clone, Debug)]
pub struct Login {
    account: Arc<Account>,
    seen: u64,
    user: Arc<User>,
}

impl Login {
    /// As this user.
    pub fn new(account: Arc<Account>) -> Self {
        // The version first: if the user changes in between, the next look takes the new one.
        let seen = account.version.load(Ordering::Acquire);
        let user = account.user();
        Self { account, seen, user }
    }

    /// The user's place in the table.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// What the user may now.
    pub fn user(&mut self) -> &User {
        if self.account.version.load(Ordering::Acquire) != self.seen {
            *self = Self::new(Arc::clone(&self.account));
        }
        &self.user
    }
}

type Table = BTreeMap<Box<[u8]>, Arc<Account>>;

/// The users by their names; `default` is always among them.
#[derive(Debug)]
pub struct Users {
    by_name: RwLock<Table>,
    default: Arc<Account>,
    default_is_open: AtomicBool,
}

impl Users {
    /// The user `default` alone, who needs no password and may do everything.
    pub fn new(defaults: &Defaults<'_>) -> Self {
        let default = Account::new(DEFAULT, User::unlimited(defaults), defaults);
        Self {
            by_name: RwLock::new(BTreeMap::from([(DEFAULT.into(), Arc::clone(&default))])),
            default,
            default_is_open: AtomicBool::new(true),
        }
    }

    /// The user that connections are at first.
    pub fn default_account(&self) -> &Arc<Account> {
        &self.default
    }

    /// True if connections need not say who they are.
    #[inline]
    pub fn default_is_open(&self) -> bool {
        self.default_is_open.load(Ordering::Acquire)
    }

    /// A user.
    pub fn get(&self, name: &[u8]) -> Option<Arc<Account>> {
        self.by_name.read().get(name).cloned()
    }

    /// All users in the order of their names.
    pub fn all(&self) -> Vec<Arc<Account>> {
        self.by_name.read().values().cloned().collect()
    }

    /// The user with this name and password, if there is one and it is enabled.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<Account>> {
        self.get(name).filter(|account| account.user().accepts(password))
    }

    /// Makes or changes a user, by all rules or not at all.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn set<'a>(
        &self,
        name: &[u8],
        rules: impl IntoIterator<Item = &'a [u8]>,
        defaults: &Defaults<'_>,
    ) -> Result<Arc<Account>, SetError> {
        check_name(name)?;
        let rules = join_selectors(rules).map_err(|word| SetError::Open(shown(word)))?;
        let mut by_name = self.by_name.write();
        let user = changed(by_name.get(name).map(|account| &**account), &rules, defaults)?;
        self.insert(&mut by_name, name, user, defaults)
    }

    /// What a user would be after these rules; nothing is changed.
    ///
    /// # Errors
    /// As [`Users::set`].
    pub fn after<'a>(
        &self,
        name: &[u8],
        rules: impl IntoIterator<Item = &'a [u8]>,
        defaults: &Defaults<'_>,
    ) -> Result<User, SetError> {
        check_name(name)?;
        let rules = join_selectors(rules).map_err(|word| SetError::Open(shown(word)))?;
        changed(self.get(name).as_deref(), &rules, defaults)
    }

    /// Makes a user, or replaces one.
    ///
    /// # Errors
    /// A wrong name, or too many users.
    pub fn put(&self, name: &[u8], user: User, defaults: &Defaults<'_>) -> Result<Arc<Account>, SetError> {
        check_name(name)?;
        self.insert(&mut self.by_name.write(), name, user, defaults)
    }

    fn insert(
        &self,
        by_name: &mut Table,
        name: &[u8],
        user: User,
        defaults: &Defaults<'_>,
    ) -> Result<Arc<Account>, SetError> {
        if let Some(account) = by_name.get(name) {
            self.replace(account, user, defaults);
            return Ok(Arc::clone(account));
        }
        if by_name.len() >= MOST_USERS {
            return Err(SetError::TooManyUsers);
        }
        let account = Account::new(name, user, defaults);
        by_name.insert(name.into(), Arc::clone(&account));
        Ok(account)
    }

    /// Gives `default` this password; an empty one lets everybody in (`requirepass`).
    pub fn set_default_password(&self, password: &[u8], defaults: &Defaults<'_>) {
        let _writing = self.by_name.write();
        let mut user = User::clone(&self.default.user());
        let rule = if password.is_empty() {
            Cow::Borrowed(&b"nopass"[..])
        } else {
            Cow::Owned([b">", password].concat())
        };
        for rule in [b"resetpass", &*rule] {
            let applied = user.apply(rule, defaults);
            debug_assert!(applied.is_ok(), "both are rules");
        }
        self.replace(&self.default, user, defaults);
    }

    /// Removes a user, `default` excepted. Its account is marked, so that whoever is logged in can be found.
    pub fn remove(&self, name: &[u8], defaults: &Defaults<'_>) -> Option<Arc<Account>> {
        if name == DEFAULT {
            return None;
        }
        let account = self.by_name.write().remove(name)?;
        account.end(defaults);
        Some(account)
    }

    /// Puts these users in the place of all others. Those that stay keep their account; `default` becomes what it is at
    /// first if it is not among them.
    pub fn replace_all(&self, users: Vec<Declared>, defaults: &Defaults<'_>) -> Replaced {
        let mut by_name = self.by_name.write();
        let mut old = std::mem::take(&mut *by_name);
        let mut kept = Vec::new();
        if !users.iter().any(|declared| *declared.name == *DEFAULT) {
            self.replace(&self.default, User::unlimited(defaults), defaults);
            kept.push(Arc::clone(&self.default));
        }
        for Declared { name, user } in users {
            let account = match old.remove(&name) {
                Some(account) => {
                    self.replace(&account, user, defaults);
                    kept.push(Arc::clone(&account));
                    account
                }
                None => Account::new(&name, user, defaults),
            };
            by_name.insert(name, account);
        }
        by_name.insert(DEFAULT.into(), Arc::clone(&self.default));
        old.remove(DEFAULT);
        let gone: Vec<_> = old.into_values().collect();
        gone.iter().for_each(|account| account.end(defaults));
        Replaced { kept, gone }
    }

    fn replace(&self, account: &Arc<Account>, user: User, defaults: &Defaults<'_>) {
        if Arc::ptr_eq(account, &self.default) {
            let open = user.is_enabled() && user.needs_no_password();
            self.default_is_open.store(open, Ordering::Release);
        }
        account.replace(user, defaults);
    }
}

fn changed(
    account: Option<&Account>,
    rules: &[Cow<'_, [u8]>],
    defaults: &Defaults<'_>,
) -> Result<User, SetError> {
    let mut user = match account {
        Some(account) => User::clone(&account.user()),
        None => User::new(defaults),
    };
    for rule in rules {
        user.apply(rule, defaults).map_err(|error| SetError::Rule {
            rule: shown(rule),
            error,
        })?;
    }
    Ok(user)
}

/// Checks a user's name.
///
/// # Errors
/// One that a file could not hold, or a very long one.
pub fn check_name(name: &[u8]) -> Result<(), SetError> {
    if has_space(name) {
        return Err(SetError::Name);
    }
    if name.len() > LONGEST_NAME {
        return Err(SetError::LongName);
    }
    Ok(())
}

/// A rule within an error.
fn shown(rule: &[u8]) -> String {
    String::from_utf8_lossy(rule).into_owned()
}

#[cfg(test)]
mod tests;
