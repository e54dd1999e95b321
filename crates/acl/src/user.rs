//! A user: switches, passwords, selectors. A value that does not change: ACL SETUSER makes another one.

use sha2::{Digest as _, Sha256};

use crate::catalog::Defaults;
use crate::rule::RuleError;
use crate::selector::Selector;

/// SHA-256 of a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// Passwords, patterns, first arguments, rules and selectors of a user together: more is refused.
const MOST_ITEMS: usize = 10_000;

impl Digest {
    /// Of a password.
    pub fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// From 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`RuleError::BadHash`].
    pub fn parse(hex: &[u8]) -> Result<Self, RuleError> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(RuleError::BadHash),
        };
        let mut bytes = [0; 32];
        if hex.len() != 2 * bytes.len() {
            return Err(RuleError::BadHash);
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(Self(bytes))
    }

    /// 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Digest {
    /// Without the digest: logs are no place for it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

/// Whether payloads of RESTORE are checked in depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sanitize {
    /// Nothing has been said: they are.
    #[default]
    Unsaid,
    /// They are.
    Yes,
    /// They are not.
    Skip,
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    enabled: bool,
    no_password: bool,
    sanitize: Sanitize,
    passwords: Vec<Digest>,
    root: Selector,
    selectors: Vec<Selector>,
}

impl User {
    /// A new user: off, without password, command and key.
    pub fn new(defaults: &Defaults<'_>) -> Self {
        Self {
            enabled: false,
            no_password: false,
            sanitize: Sanitize::Unsaid,
            passwords: Vec::new(),
            root: Selector::new(defaults),
            selectors: Vec::new(),
        }
    }

    /// The user that clients are before they say who they are: everything allowed, no password.
    pub fn unlimited(defaults: &Defaults<'_>) -> Self {
        let mut user = Self::new(defaults);
        for rule in ["on", "nopass", "allkeys", "allchannels", "allcommands"] {
            let applied = user.apply(rule.as_bytes(), defaults);
            debug_assert!(applied.is_ok(), "{rule} is a rule");
        }
        user
    }

    /// Applies one rule; the words of a selector are one rule ([`crate::join_selectors`]).
    ///
    /// # Errors
    /// What is wrong with it. The user is as before then, but what was applied earlier stays.
    pub fn apply(&mut self, rule: &[u8], defaults: &Defaults<'_>) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if rule.is_empty() {
            return Ok(());
        }
        if is("on") {
            self.enabled = true;
        } else if is("off") {
            self.enabled = false;
        } else if is("nopass") {
            (self.no_password, self.passwords) = (true, Vec::new());
        } else if is("resetpass") {
            (self.no_password, self.passwords) = (false, Vec::new());
        } else if is("sanitize-payload") {
            self.sanitize = Sanitize::Yes;
        } else if is("skip-sanitize-payload") {
            self.sanitize = Sanitize::Skip;
        } else if is("clearselectors") {
            self.selectors.clear();
        } else if is("reset") {
            *self = Self {
                sanitize: Sanitize::Yes,
                ..Self::new(defaults)
            };
        } else {
            match rule {
                [b'>', password @ ..] => self.add_password(Digest::of(password)),
                [b'#', hash @ ..] => self.add_password(Digest::parse(hash)?),
                [b'<', password @ ..] => self.remove_password(Digest::of(password))?,
                [b'!', hash @ ..] => self.remove_password(Digest::parse(hash)?)?,
                [b'(', .., b')'] => self.selectors.push(Selector::parse(rule, defaults)?),
                _ => self.root.apply(rule, defaults.catalog)?,
            }
        }
        if self.size() > MOST_ITEMS {
            return Err(RuleError::TooMany);
        }
        Ok(())
    }

    fn add_password(&mut self, digest: Digest) {
        self.no_password = false;
        if !self.passwords.contains(&digest) {
            self.passwords.push(digest);
        }
    }

    fn remove_password(&mut self, digest: Digest) -> Result<(), RuleError> {
        let at = self.passwords.iter().position(|known| *known == digest);
        self.passwords.remove(at.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    fn size(&self) -> usize {
        let of_selectors: usize = self.selectors().map(Selector::size).sum();
        of_selectors + self.passwords.len() + self.selectors.len()
    }

    /// True if the user may log in.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// True if any password will do.
    pub fn needs_no_password(&self) -> bool {
        self.no_password
    }

    /// True if payloads of RESTORE are not checked in depth for this user.
    pub fn skips_sanitizing(&self) -> bool {
        self.sanitize == Sanitize::Skip
    }

    /// True if nothing is forbidden.
    pub fn is_unrestricted(&self, defaults: &Defaults<'_>) -> bool {
        self.root.is_unrestricted(defaults.catalog)
    }

    /// True if the user may log in with this password. Digests are compared, so the time tells nothing about the text.
    pub fn accepts(&self, password: &[u8]) -> bool {
        self.enabled && (self.no_password || self.passwords.contains(&Digest::of(password)))
    }

    /// The passwords.
    pub fn passwords(&self) -> &[Digest] {
        &self.passwords
    }

    /// The user's own permissions.
    pub fn root(&self) -> &Selector {
        &self.root
    }

    /// The permissions in parentheses.
    pub fn more_selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Its own permissions, then those in parentheses.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// The switches, as ACL GETUSER shows them.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        match self.sanitize {
            Sanitize::Unsaid => {}
            Sanitize::Yes => flags.push("sanitize-payload"),
            Sanitize::Skip => flags.push("skip-sanitize-payload"),
        }
        flags
    }

    /// The rules that make this user, as ACL LIST shows them and a file holds them.
    pub fn text(&self) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = self.flags().into_iter().map(|flag| flag.into()).collect();
        words.extend(
            self.passwords
                .iter()
                .map(|digest| format!("#{}", digest.hex()).into_bytes()),
        );
        words.extend(self.root.words());
        words.extend(self.selectors.iter().map(Selector::text));
        words.join(&b' ')
    }
}

#[cfg(test)]
mod tests;
