//! Slots migrate with their keys from one node to another, all at once and under load: `CLUSTER MIGRATESLOTS` and `CLUSTER
//! MIGRATION`. Nothing is lost, doubled or seen in part, whatever breaks.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use holdfast_tests::client::Client;
use holdfast_tests::reply::Reply;
use holdfast_tests::slots::relay::Relay;
use holdfast_tests::slots::{Answer, Nodes, fields, key_slot, torture, writers};
use holdfast_tests::wait::wait_until;
use holdfast_tests::{datasets, facts};

const SLOW: (&str, &str) = ("cluster-slot-migration-max-rate", "500kb");

fn set_rate(nodes: &Nodes, node: usize, rate: &str) -> Result<()> {
    let mut client = nodes.nodes[node].connect()?;
    let reply = client.call(&["CONFIG", "SET", SLOW.0, rate])?;
    ensure!(reply.text() == Some("OK"), "{reply:?}");
    Ok(())
}

/// So many keys of 1 kB.
fn fill(nodes: &Nodes, keys: usize) -> Result<()> {
    let mut client = nodes.client();
    let value = "v".repeat(1000);
    for i in 0..keys {
        client.one(&["SET", &format!("fill:{i}"), &value])?;
    }
    Ok(())
}

fn size(client: &mut Client) -> Result<i64> {
    match client.command("DBSIZE")? {
        Reply::Integer(n) => Ok(n),
        other => anyhow::bail!("{other:?}"),
    }
}

/// Waits until a migration has brought some keys to the target.
fn wait_for_some(nodes: &Nodes, target: usize, least: i64) -> Result<()> {
    let mut client = nodes.nodes[target].connect()?;
    wait_until("some keys have come", || Ok(raw_size(&mut client)? >= least))
}

/// Keys that are there, whether they are shown or not.
fn raw_size(client: &mut Client) -> Result<i64> {
    let info = client.text(&["INFO", "keyspace"])?;
    let keys = info
        .lines()
        .filter_map(|line| line.split("keys=").nth(1)?.split(',').next()?.parse::<i64>().ok());
    Ok(keys.sum())
}

#[test]
fn slots_travel_under_load_and_nobody_misses_a_write() -> Result<()> {
    let mut nodes = Nodes::start(2, &[])?;
    let replica = nodes.add(&[], &[])?;
    nodes.replicate(replica, 1)?;
    fill(&nodes, 3000)?;
    set_rate(&nodes, 0, "1mb")?;
    let seeds: Vec<_> = nodes.nodes[..2].iter().map(|node| node.address).collect();
    let writers = writers::start(&seeds, 3, 60);
    writers.wait_for(50)?;
    let name = nodes.migrate(0, 1, 0, 16383)?;
    writers.wait_for(100)?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    writers.wait_for(100)?;
    let seen = writers.finish()?;
    assert_eq!(seen.unknown, 0, "{seen:?}");
    assert_eq!(seen.asked, 0, "an atomic migration has no half way: {seen:?}");
    assert!(seen.moved > 0, "{seen:?}");
    nodes.wait_until_empty(0)?;
    // What has come is at the target's replica, and in its log.
    holdfast_tests::replication::wait_for_sync(nodes.nodes[1].server()?, nodes.nodes[replica].server()?)?;
    let mut client = nodes.nodes[replica].connect()?;
    assert_eq!(size(&mut client)?, 3000 + 3 * 60 * 2);
    // The target tells of it as well.
    let row = nodes.migration(1, &name)?.context("the target knows of it")?;
    assert_eq!(
        (row["operation"].as_str(), row["state"].as_str()),
        ("IMPORT", "success")
    );
    assert_eq!(row["slot_ranges"], "0-16383");
    // The way back is as good.
    let name = nodes.migrate(1, 0, 100, 16000)?;
    assert_eq!(nodes.wait_for_end(1, &name)?, "success");
    Ok(())
}

#[test]
fn every_type_arrives_as_it_was() -> Result<()> {
    let nodes = Nodes::start(2, &[("cluster-databases", "16")])?;
    let mut client = nodes.nodes[0].connect()?;
    for command in datasets::every_encoding() {
        let reply = client.call(&command)?;
        let crosses = matches!(&reply, Reply::Error(text) if text.starts_with(b"CROSSSLOT"));
        ensure!(!reply.is_error() || crosses, "{reply:?}");
    }
    let big = "b".repeat(3 << 20);
    for (key, at) in [("soon", "99999999999999"), ("later", "4000000000000")] {
        client.call(&["SET", key, "v", "PXAT", at])?;
    }
    client.call(&["SET", "huge", &big])?;
    client.command("SELECT 5")?;
    client.call(&["SET", "elsewhere", "5"])?;
    client.command("EVAL \"for i=1,30000 do redis.call('HSET', KEYS[1], i, i) redis.call('ZADD', KEYS[2], i, i) redis.call('RPUSH', KEYS[3], i) redis.call('SADD', KEYS[4], 'm' .. i) end\" 4 {big}h {big}z {big}l {big}s")?;
    client.command("SELECT 0")?;
    let function = "#!lua name=stays\nredis.register_function('stays', function() return 1 end)";
    client.call(&["FUNCTION", "LOAD", function])?;
    let before = facts::of(&mut client, 16, facts::Clock::Replayed)?;
    let name = nodes.migrate(0, 1, 0, 16383)?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    let mut target = nodes.nodes[1].connect()?;
    let after = facts::of(&mut target, 16, facts::Clock::Replayed)?;
    // Collections that have once been larger are as small as they are; what they hold is compared by digests.
    let strip = |facts: &facts::Facts| facts.clone();
    let differences = facts::differences(&strip(&before), &strip(&after));
    assert!(differences.is_empty(), "{differences}");
    nodes.wait_until_empty(0)
}

#[test]
fn keys_whose_time_comes_on_the_way_go_once() -> Result<()> {
    let nodes = Nodes::start(2, &[SLOW])?;
    fill(&nodes, 1500)?;
    let mut client = nodes.client();
    for i in 0..200 {
        client.one(&["SET", &format!("brief:{i}"), "v", "PX", "300"])?;
        client.one(&["SET", &format!("kept:{i}"), "v", "PX", "600"])?;
    }
    let name = nodes.migrate(0, 1, 0, 16383)?;
    // Their times are over at both nodes' clocks for some of them already; what the source keeps, stays.
    for i in 0..200 {
        client.one(&["PERSIST", &format!("kept:{i}")])?;
    }
    let kept = |client: &mut holdfast_tests::slots::ClusterClient| -> Result<Vec<usize>> {
        let mut there = Vec::new();
        for i in 0..200 {
            if client.one(&["EXISTS", &format!("kept:{i}")])? == Reply::Integer(1) {
                there.push(i);
            }
        }
        Ok(there)
    };
    let before = kept(&mut client)?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    assert_eq!(
        kept(&mut client)?,
        before,
        "no key has gone, and none has come back"
    );
    let mut target = nodes.nodes[1].connect()?;
    let wanted = 1500 + before.len() as i64;
    wait_until("keys whose time is over are gone", || {
        Ok(size(&mut target)? == wanted)
    })
}

/// Every key that is there all the time, by CLUSTERSCAN.
fn walk(nodes: &Nodes) -> Result<BTreeSet<String>> {
    let mut client = nodes.client();
    let (mut cursor, mut keys) = ("0".to_owned(), BTreeSet::new());
    loop {
        let slot = key_slot(cursor.as_bytes());
        let words = vec!["CLUSTERSCAN", &cursor, "COUNT", "40", "MATCH", "fill:*"];
        let Answer::Reply(reply) = client.call(slot, &[words])? else {
            continue;
        };
        let parts = reply.elements().with_context(|| format!("{reply:?}"))?;
        let [next, found] = parts.as_slice() else {
            anyhow::bail!("{reply:?}");
        };
        let names = found.elements().context("names of keys")?;
        keys.extend(names.iter().filter_map(|name| name.text()).map(str::to_owned));
        next.text().context("a cursor")?.clone_into(&mut cursor);
        if cursor == "0" {
            return Ok(keys);
        }
    }
}

#[test]
fn a_walk_over_all_nodes_finds_every_key_while_slots_travel_and_a_node_is_replaced() -> Result<()> {
    let mut nodes = Nodes::start(3, &[SLOW])?;
    let replica = nodes.add(&[SLOW], &[])?;
    nodes.replicate(replica, 1)?;
    fill(&nodes, 3000)?;
    let all: BTreeSet<String> = (0..3000).map(|i| format!("fill:{i}")).collect();
    let mut walks = 0;
    // There with half of them, and back with a part of that.
    for (from, to, last) in [(0, 1, 8191), (1, 0, 4000)] {
        let name = nodes.migrate(from, to, 0, last)?;
        while nodes.migration(from, &name)?.context("it is known")?["state"] != "success" {
            ensure!(walk(&nodes)? == all, "a walk missed a key");
            walks += 1;
        }
    }
    ensure!(walks > 1, "{walks} walks while slots travelled");
    wait_until("the replica may be promoted", || {
        Ok(nodes.nodes[1].connect()?.command("WAIT 1 1000")? == Reply::Integer(1))
    })?;
    nodes.nodes[1].kill();
    // The first of them waits for who takes over.
    for _ in 0..2 {
        ensure!(walk(&nodes)? == all, "a walk missed a key after the failover");
    }
    Ok(())
}

#[test]
fn who_gives_a_migration_up_finds_nothing_of_it() -> Result<()> {
    let nodes = Nodes::start(2, &[SLOW])?;
    fill(&nodes, 3000)?;
    let mut source = nodes.nodes[0].connect()?;
    let mut target = nodes.nodes[1].connect()?;
    let before = source.text(&["DEBUG", "DIGEST"])?;
    for by in ["CLUSTER CANCELSLOTMIGRATIONS", "CLUSTER MIGRATION CANCEL ALL"] {
        let name = nodes.migrate(0, 1, 0, 16383)?;
        wait_for_some(&nodes, 1, 50)?;
        // What comes is not seen.
        assert_eq!(target.command("KEYS *")?, Reply::Array(Vec::new()));
        assert_eq!(target.command("RANDOMKEY")?, Reply::NullBulk);
        assert_eq!(
            target
                .command("SCAN 0 COUNT 100000")?
                .elements()
                .map(|e| (*e[1]).clone()),
            Some(Reply::Array(Vec::new()))
        );
        assert!(matches!(target.command("GET fill:1")?, Reply::Error(text) if text.starts_with(b"MOVED ")));
        source.command(by)?;
        assert_eq!(nodes.wait_for_end(0, &name)?, "cancelled");
        wait_until("nothing is left behind", || Ok(raw_size(&mut target)? == 0))?;
        assert_eq!(source.text(&["DEBUG", "DIGEST"])?, before);
    }
    set_rate(&nodes, 0, "0")?;
    let name = nodes.migrate(0, 1, 0, 16383)?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    assert_eq!(target.text(&["DEBUG", "DIGEST"])?, before);
    Ok(())
}

#[test]
fn a_link_that_breaks_again_and_again_delays_a_migration() -> Result<()> {
    let mut nodes = Nodes::start(1, &[("cluster-slot-migration-max-rate", "3mb")])?;
    let relay = Relay::start()?;
    let own = vec![(
        "cluster-announce-port".to_owned(),
        relay.address().port().to_string(),
    )];
    // The relay leads to the node, which names the relay as its own address.
    let target = nodes.add_behind(&relay, &own)?;
    fill(&nodes, 3000)?;
    let seeds: Vec<_> = nodes.nodes.iter().map(|node| node.address).collect();
    let name = nodes.migrate(0, target, 0, 16383)?;
    for _ in 0..3 {
        let begin = relay.bytes();
        wait_until("something has gone through the relay", || {
            Ok(relay.bytes() > begin + 300_000)
        })?;
        relay.cut();
        wait_until("it is told why it is tried again", || {
            let row = nodes.migration(0, &name)?.context("it is known")?;
            Ok(!row["message"].is_empty() || row["state"] == "success")
        })?;
    }
    let writers = writers::start(&seeds, 2, 20);
    writers.wait_for(20)?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    writers.finish()?;
    let rows = fields(
        &nodes.nodes[0]
            .connect()?
            .command("CLUSTER MIGRATION STATUS ALL")?,
    )?;
    let retries: u64 = rows[0]["retries"].parse()?;
    assert!(retries >= 3, "{rows:?}");
    let mut client = nodes.nodes[target].connect()?;
    assert_eq!(size(&mut client)?, 3000 + 2 * 20 * 2);
    Ok(())
}

#[test]
fn either_side_may_be_killed_at_any_moment() -> Result<()> {
    let report = torture::run(4, 11)?;
    assert_eq!(report.rounds.len(), 4);
    assert!(report.seen.writes > 0 && report.seen.moved > 0, "{report:?}");
    Ok(())
}

#[test]
fn a_target_that_fails_over_gives_the_migration_up() -> Result<()> {
    let mut nodes = Nodes::start(3, &[SLOW])?;
    let replica = nodes.add(&[SLOW], &[])?;
    // The target owns something, so that its death is one of a primary.
    let name = nodes.migrate(0, 1, 16000, 16383)?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    nodes.replicate(replica, 1)?;
    let id = nodes.nodes[replica].id.clone();
    fill(&nodes, 3000)?;
    nodes.wait_for_all("the replica is in sync", |client| {
        Ok(client.text(&["CLUSTER", "NODES"])?.contains(&id))
    })?;
    let mut client = nodes.nodes[replica].connect()?;
    let before = raw_size(&mut client)?;
    let name = nodes.migrate(0, 1, 0, 8000)?;
    wait_until("keys have come to the target's replica", || {
        Ok(raw_size(&mut client)? > before + 50)
    })?;
    // In sync, or it would not be promoted.
    wait_until("the replica may be promoted", || {
        let reply = nodes.nodes[1].connect()?.command("WAIT 1 1000")?;
        Ok(reply == Reply::Integer(1))
    })?;
    nodes.nodes[1].kill();
    let end = nodes.wait_for_end(0, &name)?;
    if end == "failed" {
        // The new primary has none of what had come.
        wait_until("nothing is left behind", || Ok(raw_size(&mut client)? <= before))
            .with_context(|| nodes.nodes[replica].server().map_or(String::new(), |s| s.log()))?;
        let name = nodes.migrate(0, replica, 0, 8000)?;
        set_rate(&nodes, 0, "0")?;
        assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    }
    let mut client = nodes.client();
    for i in 0..3000 {
        let reply = client.one(&["EXISTS", &format!("fill:{i}")])?;
        ensure!(
            reply == Reply::Integer(1),
            "fill:{i} in slot {} is lost",
            key_slot(format!("fill:{i}").as_bytes())
        );
    }
    Ok(())
}

#[test]
fn what_empties_the_data_begins_a_migration_anew() -> Result<()> {
    let nodes = Nodes::start(2, &[SLOW])?;
    fill(&nodes, 2000)?;
    let mut source = nodes.nodes[0].connect()?;
    let mut target = nodes.nodes[1].connect()?;
    let name = nodes.migrate(0, 1, 0, 16383)?;
    wait_for_some(&nodes, 1, 50)?;
    ensure!(target.command("FLUSHALL")?.text() == Some("OK"));
    wait_until("it is begun anew", || {
        let row = nodes.migration(0, &name)?.context("it is known")?;
        Ok(row["message"].contains("emptied"))
    })?;
    set_rate(&nodes, 0, "0")?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    assert_eq!(size(&mut target)?, 2000);
    // And at the source: what is gone is gone.
    set_rate(&nodes, 1, "300kb")?;
    let name = nodes.migrate(1, 0, 0, 16383)?;
    wait_for_some(&nodes, 0, 50)?;
    ensure!(target.command("FLUSHALL")?.text() == Some("OK"));
    set_rate(&nodes, 1, "0")?;
    assert_eq!(nodes.wait_for_end(1, &name)?, "success");
    wait_until("nothing is left", || {
        Ok(raw_size(&mut source)? == 0 && raw_size(&mut target)? == 0)
    })
}

#[test]
fn what_makes_no_sense_is_refused() -> Result<()> {
    let nodes = Nodes::start(2, &[SLOW])?;
    fill(&nodes, 1500)?;
    let (source, target) = (&nodes.nodes[0], &nodes.nodes[1]);
    let mut client = source.connect()?;
    let mut refused = |line: &str, text: &str| -> Result<()> {
        let reply = client.command(line)?;
        let fits = matches!(&reply, Reply::Error(error) if String::from_utf8_lossy(error).contains(text));
        ensure!(fits, "{line}: {reply:?}");
        Ok(())
    };
    let (me, other) = (&source.id, &target.id);
    let nobody = "0".repeat(40);
    refused(
        &format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 16384 NODE {other}"),
        "Invalid or out of range slot",
    )?;
    refused(
        &format!("CLUSTER MIGRATESLOTS SLOTSRANGE 5 4 NODE {other}"),
        "greater than end slot",
    )?;
    refused(
        &format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 5 6 NODE {other}"),
        "specified multiple times",
    )?;
    refused(
        &format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE {other} SLOTSRANGE 5 6 NODE {other}"),
        "specified multiple",
    )?;
    refused(
        &format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE {me}"),
        "can not be this node",
    )?;
    refused(
        &format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 NODE {nobody}"),
        "Unknown node",
    )?;
    refused(&format!("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 5 NODE {other}"), "")?;
    refused(
        &format!("CLUSTER MIGRATESLOTS RANGE 0 5 NODE {other}"),
        "syntax error",
    )?;
    refused("CLUSTER MIGRATESLOTS SLOTSRANGE 0 5 6 7 NODE", "syntax error")?;
    refused("CLUSTER MIGRATION IMPORT 0 5", "already the owner")?;
    refused("CLUSTER MIGRATION FORGET ALL", "syntax error")?;
    refused("CLUSTER MIGRATION STATUS ALL ALL", "syntax error")?;
    refused(&format!("CLUSTER SYNCSLOTS BEGIN {nobody}"), "TRYAGAIN")?;
    refused("CLUSTER SYNCSLOTS BEGIN x", "no name")?;
    refused("CLUSTER SYNCSLOTS ACK 1", "brings no slots")?;
    let name = nodes.migrate(0, 1, 0, 8000)?;
    refused(
        &format!("CLUSTER MIGRATESLOTS SLOTSRANGE 8000 8001 NODE {other}"),
        "being migrated already",
    )?;
    refused(&format!("CLUSTER SETSLOT 5 MIGRATING {other}"), "being migrated")?;
    refused(
        &format!("CLUSTER SYNCSLOTS BEGIN {name}"),
        "do not come to this node",
    )?;
    let mut far = target.connect()?;
    let reply = far.command(
        "CLUSTER MIGRATESLOTS SLOTSRANGE 8100 8101 NODE "
            .to_owned()
            .as_str()
            .trim_end(),
    );
    ensure!(reply?.is_error());
    // Redis's way, asked of the target; then the name that it answered.
    let reply = far.command("CLUSTER MIGRATION IMPORT 9000 9001 9005 9005")?;
    let id = reply.text().context("the name of the migration")?.to_owned();
    assert_eq!(id.len(), 40, "{reply:?}");
    let rows = fields(&far.call(&["CLUSTER", "MIGRATION", "STATUS", "ID", &id])?)?;
    assert_eq!(
        (
            rows.len(),
            rows[0]["slots"].as_str(),
            rows[0]["operation"].as_str()
        ),
        (1, "9000-9001 9005-9005", "import")
    );
    assert_eq!(
        far.call(&["CLUSTER", "MIGRATION", "CANCEL", "ID", &nobody])?,
        Reply::Integer(0)
    );
    set_rate(&nodes, 0, "0")?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    assert_eq!(nodes.wait_for_end(0, &id)?, "success");
    assert_eq!(nodes.wait_for_end(1, &id)?, "success");
    let state = fields(&far.call(&["CLUSTER", "MIGRATION", "STATUS", "ID", &id])?)?;
    assert_eq!(state[0]["state"], "completed");
    Ok(())
}

#[test]
fn writers_above_the_rate_do_not_hold_a_migration_up() -> Result<()> {
    let nodes = Nodes::start(2, &[("cluster-slot-migration-max-rate", "50kb")])?;
    fill(&nodes, 100)?;
    let seeds: Vec<_> = nodes.nodes.iter().map(|node| node.address).collect();
    let writers = writers::start(&seeds, 3, 10);
    writers.wait_for(100)?;
    let name = nodes.migrate(0, 1, 0, 16383)?;
    assert_eq!(nodes.wait_for_end(0, &name)?, "success");
    writers.finish()?;
    Ok(())
}
