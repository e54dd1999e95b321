//! Users in a server without sockets.

use std::path::Path;

use holdfast_resp::encode_command;
use holdfast_storage::effects::Garbage;

use super::*;
use crate::config::{Invocation, parse_command_line};
use crate::session::Flow;

struct Desk {
    server: Arc<Server>,
    w: Worker,
    _garbage: std::sync::mpsc::Receiver<Vec<Garbage>>,
}

impl Desk {
    /// With these words of a command line, a configuration file first if there is one.
    fn new(words: &[&str]) -> Result<Self, String> {
        let words: Vec<_> = words.iter().chain(&["--save", ""]).map(Into::into).collect();
        let invocation = parse_command_line(&words, &mut std::io::empty()).map_err(|e| e.to_string())?;
        let Invocation::Run { config } = invocation else {
            return Err("the command line starts no server".to_owned());
        };
        let (server, garbage) = Server::new(*config, 1);
        load_at_start(&server)?;
        let w = Worker::new(Arc::clone(&server), 0);
        Ok(Self {
            server,
            w,
            _garbage: garbage,
        })
    }

    fn session(&self) -> Session {
        let id = self.server.clients.next_id();
        let addr = format!("127.0.0.1:{id}");
        let client = Client::new(id, addr, String::new(), -1, self.server.now_ms(), false);
        let client = Arc::new(client);
        self.server.clients.add(Arc::clone(&client));
        Session::new(Arc::clone(&self.server), client)
    }

    /// Runs commands, one a line, as one pipeline; what the client has received then.
    fn run(&mut self, s: &mut Session, lines: &str) -> String {
        self.flow(s, lines);
        let mut out = self.w.reply.take();
        s.client.take_mail(&mut out);
        self.w.end_batch();
        String::from_utf8_lossy(&out).replace("\r\n", " ")
    }

    fn flow(&mut self, s: &mut Session, lines: &str) -> Flow {
        let mut bytes = Vec::new();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            encode_command(&mut bytes, &argv);
        }
        self.w.begin_batch();
        s.process(&mut &bytes[..], &mut self.w, usize::MAX)
    }
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn users_of_the_configuration_file_and_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let conf = write(
        &dir.path().join("c.conf"),
        "requirepass sesame\nuser a on >p +get (+set ~b) ~a\nacl-pubsub-default allchannels\n",
    );
    let mut desk = Desk::new(&[&conf]).unwrap();
    let mut s = desk.session();
    assert_eq!(desk.run(&mut s, "PING"), "-NOAUTH Authentication required. ");
    assert_eq!(desk.run(&mut s, "AUTH sesame\nPING"), "+OK +PONG ");
    let list = desk.run(&mut s, "ACL LIST");
    assert!(list.contains("~a &* -@all +get (~b &* -@all +set)"), "{list}");
    let open = Desk::new(&["--requirepass", "x", "--user", "default", "on", "nopass", "+ping"]).unwrap();
    assert!(
        open.server.acl.users.default_is_open(),
        "a declaration overrules requirepass"
    );
}

#[test]
fn wrong_users_end_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir.path().join("u.acl"), "user a on\nfoo\n");
    let error = |words: &[&str]| Desk::new(words).err().expect("it does not start");
    let lines = "user b on\nuser a on +nosuch\n";
    let conf = write(&dir.path().join("c.conf"), lines);
    let text = error(&[&conf]);
    assert!(text.contains("at line 2\n>>> 'user a on +nosuch'"), "{text}");
    assert!(text.contains("Unknown command or category name in ACL"), "{text}");
    let conf = write(&dir.path().join("c.conf"), "user a on\nuser a off\n");
    assert!(error(&[&conf]).contains("Duplicate user found"));
    let text = error(&["--aclfile", &file]);
    assert!(text.contains(":2 should start with user keyword"), "{text}");
    assert!(error(&["--aclfile", "/nosuch/file"]).contains("No such file or directory"));
    let text = error(&["--aclfile", &file, "--user", "a", "on"]);
    assert!(text.contains("there may be one of both"), "{text}");
}

#[test]
fn config_rewrite_keeps_the_users() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.conf");
    let conf = write(&path, "user a on\nhz 10\nuser gone on\n");
    let mut desk = Desk::new(&[&conf]).unwrap();
    let mut s = desk.session();
    desk.run(
        &mut s,
        "ACL SETUSER a ~k\"q +get (+set ~'x)\nACL DELUSER gone\nACL SETUSER b nopass",
    );
    assert_eq!(desk.run(&mut s, "CONFIG REWRITE"), "+OK ");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("user a on "), "{text}");
    assert!(!text.contains("gone"), "{text}");
    let list = desk.run(&mut s, "ACL LIST");
    let mut again = Desk::new(&[&conf]).unwrap();
    let mut s = again.session();
    assert_eq!(again.run(&mut s, "ACL LIST"), list);
}

#[test]
fn the_acl_file_is_saved_and_loaded_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("u.acl");
    let file = write(&path, "user a on nopass ~* +@all\nuser b on nopass +@all\n");
    let mut desk = Desk::new(&["--aclfile", &file]).unwrap();
    let (mut s, mut a, mut b) = (desk.session(), desk.session(), desk.session());
    desk.run(&mut a, "AUTH a x");
    desk.run(&mut b, "AUTH b x");
    assert_eq!(desk.run(&mut s, "ACL SETUSER b -get\nACL SAVE"), "+OK +OK ");
    let saved = "user a on nopass ~* resetchannels +@all\nuser b on nopass resetchannels +@all -get\nuser default on nopass ~* &* +@all\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), saved);
    write(&path, "user a off\nuser b (+get\n");
    let error = desk.run(&mut s, "ACL LOAD");
    assert_eq!(
        error,
        format!(
            "-ERR {file}:2: Unmatched parenthesis in selector definition. WARNING: ACL errors detected, no change to the previously active ACL rules was performed "
        )
    );
    assert_eq!(desk.run(&mut a, "GET k"), "$-1 ", "nothing has changed");
    write(&path, "user a on nopass ~x +@all\n");
    assert_eq!(desk.run(&mut s, "ACL LOAD\nACL USERS"), "+OK *2 $1 a $7 default ");
    assert!(b.client.is_killed() && !a.client.is_killed());
    assert!(desk.run(&mut a, "GET k").starts_with("-NOPERM"));
    std::fs::remove_file(&path).unwrap();
    assert!(desk.run(&mut s, "ACL LOAD").contains("No such file or directory"));
    assert_eq!(desk.run(&mut s, "ACL SAVE"), "+OK ");
    assert!(path.exists());
}

#[test]
fn a_client_that_waits_is_asked_again_when_its_turn_comes() {
    let mut desk = Desk::new(&[]).unwrap();
    let (mut s, mut a, mut other) = (desk.session(), desk.session(), desk.session());
    desk.run(&mut s, "ACL SETUSER a on nopass +@all ~*");
    desk.run(&mut a, "AUTH a x");
    let waits = desk.flow(&mut a, "BLPOP k 0");
    assert!(matches!(waits, Flow::Blocked(_)));
    let waits = desk.flow(&mut other, "BLPOP k 0");
    assert!(matches!(waits, Flow::Blocked(_)));
    desk.run(&mut s, "ACL SETUSER a -blpop\nRPUSH k v");
    let mut out = Vec::new();
    a.client.take_mail(&mut out);
    assert!(out.starts_with(b"-NOPERM"), "{:?}", String::from_utf8_lossy(&out));
    out.clear();
    other.client.take_mail(&mut out);
    assert_eq!(out, b"*2\r\n$1\r\nk\r\n$1\r\nv\r\n", "the next in turn gets it");
}

#[test]
fn who_removes_itself_may_do_nothing_more() {
    let mut desk = Desk::new(&[]).unwrap();
    let (mut s, mut a) = (desk.session(), desk.session());
    desk.run(&mut s, "ACL SETUSER a on nopass +@all ~* &*");
    desk.run(&mut a, "AUTH a x");
    assert!(matches!(desk.flow(&mut a, "ACL DELUSER a\nSET k v"), Flow::Close));
    assert_eq!(desk.run(&mut s, "EXISTS k"), ":0 ");
    let mut b = desk.session();
    desk.run(&mut s, "ACL SETUSER b on nopass +@all ~*");
    desk.run(&mut b, "AUTH b x");
    desk.run(&mut s, "ACL DELUSER b");
    assert!(b.client.is_killed());
    assert!(
        desk.run(&mut b, "SET k v").starts_with("-NOPERM"),
        "until it is closed"
    );
}

#[test]
fn who_listens_to_what_it_may_not_any_more_is_ended() {
    let mut desk = Desk::new(&[]).unwrap();
    let (mut s, mut a, mut b) = (desk.session(), desk.session(), desk.session());
    desk.run(&mut s, "ACL SETUSER a on nopass +@all &x &y*");
    desk.run(&mut a, "AUTH a x\nSSUBSCRIBE x");
    desk.run(&mut b, "AUTH a x\nHELLO 3\nPSUBSCRIBE y*");
    desk.run(&mut s, "ACL SETUSER a resetchannels &x");
    assert!(b.client.is_killed() && !a.client.is_killed());
    desk.run(&mut s, "ACL SETUSER a resetchannels");
    assert!(a.client.is_killed());
}

#[test]
fn databases() {
    let mut desk = Desk::new(&[]).unwrap();
    let (mut s, mut a) = (desk.session(), desk.session());
    desk.run(&mut s, "ACL SETUSER a on nopass +@all ~* &* db=1");
    desk.run(&mut a, "AUTH a x");
    let denied = "-NOPERM No permissions to access database ";
    assert_eq!(desk.run(&mut a, "GET k"), denied);
    assert_eq!(desk.run(&mut a, "SELECT 2"), denied);
    assert_eq!(desk.run(&mut a, "SELECT 1\nGET k\nDBSIZE"), "+OK $-1 :0 ");
    assert_eq!(desk.run(&mut a, "FLUSHALL"), denied);
    assert_eq!(desk.run(&mut a, "MULTI\nSELECT 0"), format!("+OK {denied}"));
    desk.run(&mut a, "DISCARD\nMULTI\nSELECT 1\nGET k");
    desk.run(&mut s, "ACL SETUSER a db=3");
    let reply = desk.run(&mut a, "EXEC");
    assert!(reply.contains("no permission to access the database"), "{reply}");
    let user = desk.run(&mut s, "ACL GETUSER a");
    assert!(user.contains("$9 databases $4 db=3 "), "{user}");
    assert!(!desk.run(&mut s, "ACL GETUSER default").contains("databases"));
    let log = desk.run(&mut s, "ACL LOG 1");
    assert!(log.contains("$6 reason $8 database"), "{log}");
}
