//! Nodes of a cluster on the loopback that know each other, without slots unless a test gives them some: for what holds on all
//! nodes, whoever serves.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::client::Client;
use crate::ports::free_cluster_ports;
use crate::reply::Reply;
use crate::server::{Options, Role, Server};
use crate::wait::wait_until;

/// A node whose files and bus port stay when it is killed.
pub struct Node {
    dir: TempDir,
    bus_port: u16,
    directives: Vec<(String, String)>,
    server: Option<Server>,
}

impl Node {
    /// Starts a node that is alone, with these directives.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(directives: &[(&str, &str)]) -> Result<Node> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut node = Node {
            dir: tempfile::Builder::new().prefix("holdfast-node-").tempdir()?,
            bus_port: free_cluster_ports()?.1,
            directives: directives.iter().map(own).collect(),
            server: None,
        };
        node.restart()?;
        Ok(node)
    }

    /// Gives it a directive, from its next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.directives.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it again, on another port for clients.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut options = Options::new()
            .dir(self.dir.path())
            .directive("cluster-enabled", "yes")
            .directive("cluster-port", &self.bus_port.to_string());
        for (name, value) in &self.directives {
            options = options.directive(name, value);
        }
        self.server = Some(Server::start(Role::Subject, &options)?);
        Ok(())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// It does not end.
    pub fn end(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Server::terminate)
    }

    /// The process.
    ///
    /// # Errors
    /// It is dead.
    pub fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("the node is dead")
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where clients reach it.
    ///
    /// # Errors
    /// It is dead.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.server()?.address())
    }

    /// Port of the bus.
    pub fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// A new connection.
    ///
    /// # Errors
    /// It is dead.
    pub fn connect(&self) -> Result<Client> {
        self.server()?.connect()
    }

    /// Runs a command on a connection of its own.
    ///
    /// # Errors
    /// It is dead.
    pub fn call(&self, words: &[&str]) -> Result<Reply> {
        self.connect()?
            .call(words)
            .with_context(|| format!("{words:?}: {}", self.log()))
    }

    /// The same, and the reply is a text.
    ///
    /// # Errors
    /// The reply is none, or an error.
    pub fn text(&self, words: &[&str]) -> Result<String> {
        self.connect()?.text(words).with_context(|| self.log())
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.server.as_ref().map(Server::log).unwrap_or_default()
    }
}

/// Starts so many nodes and has them meet.
///
/// # Errors
/// They do not become one cluster.
pub fn start(count: usize, directives: &[(&str, &str)]) -> Result<Vec<Node>> {
    let nodes: Vec<Node> = (0..count)
        .map(|_| Node::start(directives))
        .collect::<Result<_>>()?;
    let (first, others) = nodes.split_first().context("no node")?;
    for node in others {
        meet(first, node)?;
    }
    wait_until("all nodes know each other", || {
        for node in &nodes {
            if node.text(&["CLUSTER", "NODES"])?.lines().count() != count {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    Ok(nodes)
}

/// CLUSTER MEET.
///
/// # Errors
/// It is refused.
pub fn meet(first: &Node, other: &Node) -> Result<()> {
    let address = other.address()?;
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let bus_port = other.bus_port().to_string();
    let answer = first.text(&["CLUSTER", "MEET", &ip, &port, &bus_port])?;
    ensure!(answer == "OK", "CLUSTER MEET: {answer}");
    Ok(())
}
