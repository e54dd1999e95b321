//! Users, functions and settings hold on all nodes of a cluster, whichever of them was asked, and on those that were away.

use std::time::Duration;

use anyhow::{Result, ensure};
use holdfast_tests::nodes::{self, Node};
use holdfast_tests::reply::Reply;
use holdfast_tests::wait::wait_until;

const CODE: &str = "#!lua name=shop\nredis.register_function('price', function() return 7 end)";
const NEWER: &str = "#!lua name=shop\nredis.register_function('price', function() return 8 end)";
const OTHER: &str = "#!lua name=other\nredis.register_function('other', function() return 1 end)";

/// Waits until a command gives what is wanted on every node.
fn everywhere(nodes: &[Node], words: &[&str], is_so: impl Fn(&Reply) -> bool) -> Result<()> {
    wait_until(&format!("{words:?} on all nodes"), || {
        for node in nodes {
            if !is_so(&node.call(words)?) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

fn error(node: &Node, words: &[&str]) -> Result<String> {
    match node.call(words)? {
        Reply::Error(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        reply => anyhow::bail!("{words:?}: {reply:?}"),
    }
}

fn libraries(node: &Node) -> Result<Vec<String>> {
    let reply = node.call(&["FUNCTION", "LIST"])?;
    let names = reply.elements().unwrap_or_default().into_iter().map(|library| {
        let fields = library.elements().unwrap_or_default();
        fields
            .get(1)
            .and_then(|name| name.text())
            .unwrap_or_default()
            .to_owned()
    });
    Ok(names.collect())
}

fn wait_for_libraries(nodes: &[Node], wanted: &[&str]) -> Result<()> {
    wait_until(&format!("libraries {wanted:?} on all nodes"), || {
        for node in nodes {
            if libraries(node)? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

#[test]
fn a_user_is_the_same_on_all_nodes_and_passwords_are_nowhere() -> Result<()> {
    let mut nodes = nodes::start(3, &[])?;
    let secret = "a-password-in-plain-text";
    let rule = format!(">{secret}");
    let set = [
        "ACL",
        "SETUSER",
        "ann",
        "on",
        &rule,
        "~shop:*",
        "+@read",
        "+acl|deluser",
        "+subscribe",
        "&*",
    ];
    assert_eq!(nodes[0].text(&set)?, "OK");
    everywhere(&nodes, &["AUTH", "ann", secret], |reply| {
        reply.text() == Some("OK")
    })?;
    let lines: Vec<Reply> = nodes
        .iter()
        .map(|node| node.call(&["ACL", "LIST"]))
        .collect::<Result<_>>()?;
    ensure!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    for node in &nodes {
        for file in std::fs::read_dir(node.dir())? {
            let bytes = std::fs::read(file?.path())?;
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            ensure!(!found, "a file has the password");
        }
    }
    // Rules are added to what the user has, wherever that came from.
    assert_eq!(
        nodes[1].text(&["ACL", "SETUSER", "ann", "+get", "~other:*"])?,
        "OK"
    );
    everywhere(&nodes, &["ACL", "LIST"], |reply| {
        reply.lines().iter().any(|line| line.contains("~shop:* ~other:*"))
    })?;
    let wrong = error(&nodes[2], &["ACL", "SETUSER", "ann", "+nonsense"])?;
    assert!(
        wrong.starts_with("ERR Error in ACL SETUSER modifier '+nonsense'"),
        "{wrong}"
    );

    // Somebody who is away meanwhile, a listener on another node, and the one who deletes himself.
    let mut listener = nodes[1].connect()?;
    listener.call(&["AUTH", "ann", secret])?;
    listener.call(&["SUBSCRIBE", "news"])?;
    let mut own = nodes[0].connect()?;
    own.call(&["AUTH", "ann", secret])?;
    nodes[2].kill();
    assert_eq!(own.call(&["ACL", "DELUSER", "ann", "nobody"])?, Reply::Integer(1));
    ensure!(own.receive().is_err(), "its reply came before its end");
    listener.set_timeout(Duration::from_secs(30));
    ensure!(
        listener.receive().is_err(),
        "the user's connections end on all nodes"
    );
    nodes[2].restart()?;
    everywhere(&nodes, &["ACL", "GETUSER", "ann"], Reply::is_null)?;
    assert_eq!(nodes[1].call(&["ACL", "DELUSER", "ann"])?, Reply::Integer(0));
    assert_eq!(
        error(&nodes[1], &["ACL", "DELUSER", "default"])?,
        "ERR The 'default' user cannot be removed"
    );
    Ok(())
}

#[test]
fn what_was_deleted_stays_so_where_a_file_has_it_and_files_are_read_for_all() -> Result<()> {
    let mut nodes = nodes::start(3, &[])?;
    for node in &mut nodes {
        std::fs::write(node.dir().join("users.acl"), "")?;
        node.set("aclfile", "users.acl");
        node.restart()?;
    }
    let file = nodes[0].dir().join("users.acl");
    std::fs::write(
        &file,
        "user default on nopass ~* &* +@all\nuser bob on nopass ~b:* +get\n",
    )?;
    assert_eq!(nodes[0].text(&["ACL", "LOAD"])?, "OK");
    everywhere(&nodes, &["AUTH", "bob", "x"], |reply| reply.text() == Some("OK"))?;
    // Every node can write its own file, and comes back with what is in it.
    for node in &nodes {
        assert_eq!(node.text(&["ACL", "SAVE"])?, "OK");
        ensure!(std::fs::read_to_string(node.dir().join("users.acl"))?.contains("user bob on nopass"));
    }
    assert_eq!(nodes[1].call(&["ACL", "DELUSER", "bob"])?, Reply::Integer(1));
    everywhere(&nodes, &["ACL", "GETUSER", "bob"], Reply::is_null)?;
    nodes[2].restart()?; // its file still has the user
    // It may not know yet that what it has in its log was agreed on.
    everywhere(&nodes, &["ACL", "GETUSER", "bob"], Reply::is_null)?;
    // A file without the user, and with a wrong line, changes nothing anywhere.
    std::fs::write(&file, "user eve on nopass ~* +@all\nuser broken nonsense\n")?;
    let text = error(&nodes[0], &["ACL", "LOAD"])?;
    assert!(text.contains("users.acl:2"), "{text}");
    for node in &nodes {
        ensure!(node.call(&["ACL", "GETUSER", "eve"])?.is_null());
    }
    Ok(())
}

#[test]
fn functions_are_the_same_on_all_nodes_and_clients_that_load_on_each_are_welcome() -> Result<()> {
    let mut nodes = nodes::start(3, &[])?;
    for node in &nodes {
        // As clients do today: on each node in turn.
        assert_eq!(node.text(&["FUNCTION", "LOAD", CODE])?, "shop");
        wait_for_libraries(&nodes, &["shop"])?;
    }
    for node in &nodes {
        assert_eq!(
            error(node, &["FUNCTION", "LOAD", CODE])?,
            "ERR Library 'shop' already exists"
        );
    }
    assert_eq!(
        error(&nodes[1], &["FUNCTION", "LOAD", NEWER])?,
        "ERR Library 'shop' already exists"
    );
    assert_eq!(nodes[1].text(&["FUNCTION", "LOAD", "REPLACE", NEWER])?, "shop");
    everywhere(&nodes, &["FUNCTION", "LIST", "WITHCODE"], |reply| {
        reply.lines().iter().any(|line| line.contains("return 8"))
    })?;
    let clash = OTHER.replace("'other'", "'PRICE'");
    assert_eq!(
        error(&nodes[2], &["FUNCTION", "LOAD", &clash])?,
        "ERR Function PRICE already exists"
    );
    let broken = error(&nodes[0], &["FUNCTION", "LOAD", "#!lua name=x\nnonsense("])?;
    assert!(broken.starts_with("ERR Error compiling function"), "{broken}");
    // DUMP and RESTORE, which redis-cli --cluster add-node uses.
    assert_eq!(nodes[0].text(&["FUNCTION", "LOAD", OTHER])?, "other");
    wait_for_libraries(&nodes, &["other", "shop"])?;
    let dump = nodes[0].call(&["FUNCTION", "DUMP"])?;
    let dump = dump.bytes().unwrap_or_default().to_vec();
    nodes[2].kill();
    for node in &nodes[..2] {
        assert_eq!(node.text(&["FUNCTION", "DELETE", "other"])?, "OK");
        wait_for_libraries(&nodes[..2], &["shop"])?;
    }
    assert_eq!(
        error(&nodes[1], &["FUNCTION", "DELETE", "other"])?,
        "ERR Library not found"
    );
    nodes[2].restart()?;
    wait_for_libraries(&nodes, &["shop"])?;
    let restore = |node: &Node, policy: &str| -> Result<Reply> {
        let words: [&[u8]; 4] = [b"FUNCTION", b"RESTORE", &dump, policy.as_bytes()];
        node.connect()?.call(&words)
    };
    assert!(restore(&nodes[2], "APPEND")?.is_error(), "shop is there");
    assert_eq!(restore(&nodes[2], "REPLACE")?.text(), Some("OK"));
    wait_for_libraries(&nodes, &["other", "shop"])?;
    assert_eq!(nodes[0].text(&["FUNCTION", "FLUSH"])?, "OK");
    wait_for_libraries(&nodes, &[])?;
    assert_eq!(restore(&nodes[1], "FLUSH")?.text(), Some("OK"));
    wait_for_libraries(&nodes, &["other", "shop"])?;
    // A transaction cannot wait for others.
    let mut client = nodes[0].connect()?;
    client.command("MULTI")?;
    client.command("FUNCTION FLUSH")?;
    let replies = client.command("EXEC")?;
    let text = format!("{replies:?}");
    assert!(text.contains("it cannot be part of a transaction"), "{text}");
    wait_for_libraries(&nodes, &["other", "shop"])
}

#[test]
fn functions_of_a_file_become_the_clusters_and_do_not_come_back_once_deleted() -> Result<()> {
    // A server that was none of a cluster, with a library in its file.
    let mut node = Node::start(&[("cluster-enabled", "no")])?;
    assert_eq!(node.text(&["FUNCTION", "LOAD", CODE])?, "shop");
    assert_eq!(node.text(&["SAVE"])?, "OK");
    node.set("cluster-enabled", "yes");
    node.restart()?;
    let other = Node::start(&[])?;
    // Its cluster of one knows the library before it meets another node, whose cluster joins it or takes it in.
    wait_until("the library is there", || Ok(libraries(&node)? == ["shop"]))?;
    let mut nodes = vec![node, other];
    assert_eq!(nodes[0].text(&["FUNCTION", "LOAD", OTHER])?, "other");
    nodes::meet(&nodes[0], &nodes[1])?;
    wait_for_libraries(&nodes, &["other", "shop"])?;
    assert_eq!(nodes[1].text(&["FUNCTION", "FLUSH"])?, "OK");
    wait_for_libraries(&nodes, &[])?;
    nodes[0].restart()?; // its file still has the library
    wait_for_libraries(&nodes, &[])
}

#[test]
fn chosen_settings_hold_on_all_nodes_and_others_stay_each_nodes_own() -> Result<()> {
    let mut nodes = nodes::start(3, &[])?;
    nodes[2].kill();
    let set = [
        "CONFIG",
        "SET",
        "notify-keyspace-events",
        "KEA",
        "maxmemory",
        "300mb",
        "min-slaves-to-write",
        "0",
    ];
    assert_eq!(nodes[0].text(&set)?, "OK");
    nodes[2].restart()?;
    everywhere(&nodes, &["CONFIG", "GET", "notify-keyspace-events"], |reply| {
        reply.lines().iter().any(|line| line.contains("AKE"))
    })?;
    let maxmemory = |node: &Node| node.call(&["CONFIG", "GET", "maxmemory"]);
    ensure!(
        maxmemory(&nodes[0])? != maxmemory(&nodes[1])?,
        "it is one node's own"
    );
    // All or nothing, before anybody else hears of it.
    let wrong = [
        "CONFIG",
        "SET",
        "maxmemory-policy",
        "allkeys-lru",
        "notify-keyspace-events",
        "?",
    ];
    let text = error(&nodes[1], &wrong)?;
    assert!(
        text.starts_with("ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events')"),
        "{text}"
    );
    for node in &nodes {
        let policy = node.call(&["CONFIG", "GET", "maxmemory-policy"])?;
        ensure!(
            policy.lines().iter().any(|line| line.contains("noeviction")),
            "{policy:?}"
        );
    }
    // A node's own file does not speak against the cluster.
    nodes[1].set("notify-keyspace-events", "Ex");
    nodes[1].restart()?;
    everywhere(&nodes, &["CONFIG", "GET", "notify-keyspace-events"], |reply| {
        reply.lines().iter().any(|line| line.contains("AKE"))
    })
}
