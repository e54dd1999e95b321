//! docker-compose.yml, as a user runs it: a cluster that forms itself, clients on its network that write and are told what is
//! kept, a primary whose container is stopped, one that is cut off, all with other addresses. No write that a replica
//! acknowledged is lost.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use holdfast_tests::docker::{Images, docker, repository, run};
use holdfast_tests::server::tool;
use holdfast_tests::wait::wait_within;

const NODES: usize = 6;
/// Many times what it takes on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(180);

/// The writer: numbers, each under its own name, through any node; whoever has it acknowledged by a replica is told. Ends when it
/// is asked to.
const WRITER: &str = r#"
n=0
while [ ! -e /tmp/stop ]; do
  n=$((n+1))
  said=$(printf 'SET n:%d %d\nWAIT 1 1000\n' $n $n | timeout 5 redis-cli -c -h node-$((n%6+1)) 2>/dev/null | tail -n 2 | tr '\n' ' ')
  [ "$said" = "OK 1 " ] && echo "kept $n"
done
echo done
"#;

/// The project: its containers, network and volumes are removed when it is dropped.
struct Project {
    name: String,
    image: &'static str,
}

impl Project {
    fn up() -> Result<Self> {
        let images = Images::get()?;
        let this = Self {
            name: format!("holdfasttest{}", std::process::id()),
            image: &images.server,
        };
        this.compose(&["up", "-d", "--no-build"])?;
        Ok(this)
    }

    fn compose(&self, words: &[&str]) -> Result<String> {
        let remedy = "apt-get install docker-compose";
        let file = repository().join("docker-compose.yml");
        run(Command::new(tool("docker-compose", remedy)?)
            .env("HOLDFAST_IMAGE", self.image)
            .env("HOLDFAST_BUS_SECRET", "for the test alone")
            .args(["-p", &self.name, "-f"])
            .arg(file)
            .args(words))
    }

    /// The container of a node, 1 to 6.
    fn container(&self, node: usize) -> Result<String> {
        let id = self.compose(&["ps", "-q", &format!("node-{node}")])?;
        ensure!(!id.is_empty(), "node-{node} has no container");
        Ok(id)
    }

    fn network(&self) -> String {
        format!("{}_default", self.name)
    }

    /// Commands on a node, from a container on the network; the whole of what is said.
    fn ask(&self, node: usize, input: &str) -> Result<String> {
        let images = Images::get()?;
        let host = format!("node-{node}");
        let mut child = Command::new(tool("docker", "apt-get install docker.io")?)
            .args(["run", "--rm", "-i", "--network", &self.network(), &images.base])
            .args(["timeout", "60", "redis-cli", "-c", "-h", &host])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("no input")?
            .write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// CLUSTER NODES as a node has it, line by line.
    fn nodes(&self, node: usize) -> Result<Vec<Vec<String>>> {
        let text = self.ask(node, "CLUSTER NODES\n")?;
        let line = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Ok(text
            .lines()
            .map(line)
            .filter(|words: &Vec<String>| words.len() >= 8)
            .collect())
    }

    /// Waits until this node says that all is well: every slot is served, every primary has a replica that is in sync.
    fn wait_until_whole(&self, node: usize) -> Result<()> {
        let mut seen = String::new();
        wait_within(PATIENCE, "the cluster is whole", || {
            let state = self.ask(node, "CLUSTER INFO\n")?;
            let nodes = self.nodes(node)?;
            let up = |words: &&Vec<String>| !words[2].contains("fail") && words[7] == "connected";
            let primaries: BTreeSet<&str> = nodes
                .iter()
                .filter(|words| words[2].contains("master") && words.len() > 8)
                .map(|words| words[0].as_str())
                .collect();
            let followed: BTreeSet<&str> = nodes
                .iter()
                .filter(up)
                .filter(|words| words[2].contains("slave"))
                .map(|words| words[3].as_str())
                .collect();
            let whole = state.contains("cluster_state:ok")
                && nodes.len() == NODES
                && nodes.iter().filter(up).count() == NODES
                && primaries.len() == 3
                && followed == primaries;
            seen = format!("{state}\n{nodes:?}");
            Ok((whole && self.replicas_are_attached()?).then_some(()))
        })
        .with_context(|| format!("{seen}\n{:?}", self.compose(&["logs", "--tail", "40"])))
    }

    /// Whether every primary says that its replica is there.
    fn replicas_are_attached(&self) -> Result<bool> {
        for node in 1..=NODES {
            let info = self.ask(node, "INFO replication\n")?;
            let field = |name: &str| {
                let mut lines = info.lines().filter_map(|line| line.trim().split_once(':'));
                lines
                    .find(|(field, _)| *field == name)
                    .map(|(_, value)| value.to_owned())
            };
            let good = match field("role").as_deref() {
                Some("master") => field("connected_slaves").as_deref() == Some("1"),
                Some("slave") => field("master_link_status").as_deref() == Some("up"),
                _ => false,
            };
            if !good {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The number of a node that is a primary, by what another says.
    fn a_primary(&self, but: usize) -> Result<usize> {
        for node in (1..=NODES).filter(|node| *node != but) {
            if self.ask(node, "ROLE\n")?.starts_with("master") {
                return Ok(node);
            }
        }
        bail!("no primary")
    }

    fn id(&self, node: usize) -> Result<String> {
        Ok(self.ask(node, "CLUSTER MYID\n")?.trim().to_owned())
    }

    /// Waits until a node says that another, by its id, is a primary no more.
    fn wait_until_replaced(&self, by: usize, id: &str) -> Result<()> {
        let mut nodes = Vec::new();
        wait_within(PATIENCE, "somebody takes over", || {
            nodes = self.nodes(by)?;
            let follows = |words: &Vec<String>| words[0] == id && words[2].contains("slave");
            Ok(nodes.iter().any(follows).then_some(()))
        })
        .with_context(|| format!("{nodes:?}"))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _gone_already = self.compose(&["down", "-v", "--remove-orphans", "-t", "1"]);
    }
}

/// A container that is removed when dropped.
struct Helper(String);

impl Helper {
    fn start(project: &Project, name: &str, script: &str) -> Result<Self> {
        let this = Self(format!("{}-{name}", project.name));
        let base = &Images::get()?.base;
        docker(&[
            "run",
            "-d",
            "--name",
            &this.0,
            "--network",
            &project.network(),
            base,
            "sh",
            "-c",
            script,
        ])?;
        Ok(this)
    }

    /// The numbers that were acknowledged so far.
    fn kept(&self) -> Result<Vec<u64>> {
        let log = docker(&["logs", &self.0])?;
        Ok(log
            .lines()
            .filter_map(|line| line.strip_prefix("kept ")?.parse().ok())
            .collect())
    }

    /// Waits until so many more are acknowledged.
    fn wait_for(&self, more: usize) -> Result<()> {
        let wanted = self.kept()?.len() + more;
        wait_within(PATIENCE, "writes go on", || {
            Ok((self.kept()?.len() >= wanted).then_some(()))
        })
        .with_context(|| format!("{:?}", docker(&["logs", "--tail", "5", &self.0])))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _gone_already = docker(&["rm", "-f", "-v", &self.0]);
    }
}

#[test]
fn the_cluster_forms_itself_and_heals_and_loses_no_acknowledged_write() -> Result<()> {
    let project = Project::up()?;
    project.wait_until_whole(1)?;
    let writer = Helper::start(&project, "writer", WRITER)?;
    writer.wait_for(50)?;

    // A primary's container is stopped.
    let stopped = project.a_primary(0)?;
    let other = stopped % NODES + 1;
    let id = project.id(stopped)?;
    docker(&["stop", "-t", "10", &project.container(stopped)?])?;
    project.wait_until_replaced(other, &id)?;
    writer.wait_for(50)?;
    project.compose(&["start", &format!("node-{stopped}")])?;
    project.wait_until_whole(other)?;
    assert_eq!(project.id(stopped)?, id, "it is the same node");

    // Another is cut off, and comes back at another address.
    let cut = project.a_primary(stopped)?;
    let other = cut % NODES + 1;
    let id = project.id(cut)?;
    let container = project.container(cut)?;
    docker(&["network", "disconnect", &project.network(), &container])?;
    project.wait_until_replaced(other, &id)?;
    writer.wait_for(50)?;
    let filler = Helper::start(&project, "filler", "sleep 100000")?;
    let alias = format!("node-{cut}");
    docker(&[
        "network",
        "connect",
        "--alias",
        &alias,
        &project.network(),
        &container,
    ])?;
    project.wait_until_whole(other)?;

    // All containers are made anew, with other addresses: the volumes are what they are.
    docker(&["exec", &writer.0, "touch", "/tmp/stop"])?;
    docker(&["wait", &writer.0])?;
    let ids: BTreeSet<String> = (1..=NODES).map(|node| project.id(node)).collect::<Result<_>>()?;
    let before: BTreeSet<String> = project
        .nodes(1)?
        .into_iter()
        .map(|mut words| words.remove(1))
        .collect();
    project.compose(&["stop", "-t", "30"])?;
    project.compose(&["rm", "-f"])?;
    let _more: Vec<Helper> = (0..NODES)
        .map(|n| Helper::start(&project, &format!("filler-{n}"), "sleep 100000"))
        .collect::<Result<_>>()?;
    drop(filler);
    project.compose(&["up", "-d", "--no-build"])?;
    project.wait_until_whole(2)?;
    let after: BTreeSet<String> = project
        .nodes(1)?
        .into_iter()
        .map(|mut words| words.remove(1))
        .collect();
    ensure!(before != after, "the addresses are to be others: {before:?}");
    let now: BTreeSet<String> = (1..=NODES).map(|node| project.id(node)).collect::<Result<_>>()?;
    assert_eq!(now, ids, "the nodes are the same");

    let kept = writer.kept()?;
    let questions: String = kept.iter().map(|n| format!("GET n:{n}\n")).collect();
    let answers = project.ask(3, &questions)?;
    let redirected = |line: &&str| line.starts_with("-> Redirected");
    let answers: Vec<&str> = answers.lines().filter(|line| !redirected(line)).collect();
    let wanted: Vec<String> = kept.iter().map(u64::to_string).collect();
    assert_eq!(answers, wanted, "what was acknowledged is there");
    for node in 1..=NODES {
        assert_eq!(docker(&["exec", &project.container(node)?, "id", "-u"])?, "999");
    }
    Ok(())
}
