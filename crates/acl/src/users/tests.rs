use super::*;
use crate::testing::{defaults, text};

fn set(users: &Users, name: &str, rules: &str) -> Result<Arc<Account>, SetError> {
    users.set(name.as_bytes(), rules.split(' ').map(str::as_bytes), &defaults())
}

fn names(users: &Users) -> Vec<String> {
    let name = |account: &Arc<Account>| String::from_utf8_lossy(account.name()).into_owned();
    users.all().iter().map(name).collect()
}

#[test]
fn a_change_is_seen_at_the_next_look() {
    let users = Users::new(&defaults());
    set(&users, "a", "on nopass +@all ~* &*").unwrap();
    let mut login = Login::new(users.authenticate(b"a", b"x").expect("any password will do"));
    assert!(login.account().is_unrestricted());
    set(&users, "a", "-get").unwrap();
    assert!(!login.account().is_unrestricted());
    assert_eq!(text(login.user()), "on nopass ~* &* +@all -get");
    set(&users, "a", "+get").unwrap();
    assert!(login.account().is_unrestricted(), "nothing is forbidden again");
}

#[test]
fn a_wrong_rule_leaves_everything_as_it_was() {
    let users = Users::new(&defaults());
    let error = set(&users, "a", "on +nosuch").unwrap_err().to_string();
    assert_eq!(
        error,
        "Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL"
    );
    assert_eq!(names(&users), ["default"]);
    set(&users, "a", "on").unwrap();
    assert!(set(&users, "a", "off foo").is_err());
    assert_eq!(text(&users.get(b"a").unwrap().user()), "on resetchannels -@all");
    assert!(matches!(set(&users, "b\tc", "on"), Err(SetError::Name)));
    assert!(matches!(
        set(&users, &"x".repeat(2000), "on"),
        Err(SetError::LongName)
    ));
    assert_eq!(
        set(&users, "a", "(+get ~a").unwrap_err().to_string(),
        "Unmatched parenthesis in acl selector starting at '(+get'."
    );
}

#[test]
fn the_default_user_is_open_until_it_has_a_password() {
    let users = Users::new(&defaults());
    assert!(users.default_is_open());
    users.set_default_password(b"secret", &defaults());
    assert!(!users.default_is_open());
    assert!(users.authenticate(b"default", b"secret").is_some());
    assert!(users.authenticate(b"default", b"").is_none());
    users.set_default_password(b"", &defaults());
    assert!(users.default_is_open());
    set(&users, "default", "off").unwrap();
    assert!(!users.default_is_open());
    assert!(users.remove(b"default", &defaults()).is_none());
}

#[test]
fn who_is_removed_may_do_nothing_more() {
    let users = Users::new(&defaults());
    set(&users, "a", "on nopass +@all ~* &*").unwrap();
    let mut login = Login::new(users.get(b"a").unwrap());
    let gone = users.remove(b"a", &defaults()).expect("it was there");
    assert!(Arc::ptr_eq(&gone, login.account()) && gone.is_gone() && !gone.is_unrestricted());
    assert_eq!(text(login.user()), "off resetchannels -@all");
    assert!(users.remove(b"a", &defaults()).is_none());
}

#[test]
fn a_new_table_keeps_the_accounts_that_stay() {
    let users = Users::new(&defaults());
    set(&users, "a", "on").unwrap();
    set(&users, "b", "on").unwrap();
    set(&users, "default", ">x").unwrap();
    let (a, default) = (users.get(b"a").unwrap(), Arc::clone(users.default_account()));
    let new = |name: &str| Declared {
        name: name.as_bytes().into(),
        user: User::new(&defaults()),
    };
    let Replaced { kept, gone } = users.replace_all(vec![new("a"), new("c")], &defaults());
    assert_eq!(names(&users), ["a", "c", "default"]);
    assert!(Arc::ptr_eq(&a, &users.get(b"a").unwrap()));
    assert!(Arc::ptr_eq(&default, &users.get(b"default").unwrap()) && users.default_is_open());
    assert_eq!((kept.len(), gone.len()), (2, 1));
    assert!(gone[0].is_gone() && gone[0].name() == b"b");
    users.replace_all(vec![new("default")], &defaults());
    assert_eq!(names(&users), ["default"]);
    assert!(!users.default_is_open());
}
