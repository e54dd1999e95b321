//! As whom a connection acts.
//!
//! Must not know: passwords; what a user may do.

use std::sync::Arc;

use holdfast_acl::{Account, Login};

use super::Session;

impl Session {
    /// True while the connection has to say who it is.
    #[inline]
    pub fn must_log_in(&self) -> bool {
        !self.authenticated && !self.server.acl.users.default_is_open()
    }

    /// True if nothing is forbidden to the user. If not, every command goes through [`crate::acl::permit`] before it runs.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.login.account().is_unrestricted()
    }

    /// Goes on as this user. False: it has been removed meanwhile.
    pub fn log_in(&mut self, account: Arc<Account>) -> bool {
        self.client.set_account(Arc::clone(&account));
        // Whoever removes the user marks it before looking for its clients: one of the two sees the other.
        if account.is_gone() {
            self.client.set_account(Arc::clone(self.login.account()));
            return false;
        }
        self.login = Login::new(account);
        self.authenticated = true;
        true
    }

    /// Goes back to being nobody in particular.
    pub fn log_out(&mut self) {
        let default = Arc::clone(self.server.acl.users.default_account());
        self.client.set_account(Arc::clone(&default));
        self.login = Login::new(default);
        self.authenticated = self.server.acl.users.default_is_open();
    }
}
