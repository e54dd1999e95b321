//! Where clients are sent: which of a node's addresses and ports they are told. Must not know: slots.

use std::net::IpAddr;

use holdfast_cluster::state::{Endpoint, Node};
use holdfast_resp::Reply;

use crate::config::{Config, EndpointType, Param};

/// What this node's configuration says of its addresses. Where neither `cluster-announce-ip` nor `bind` names the one
/// that others see it at, it is left empty: whoever meets it finds out.
pub fn own(config: &Config) -> Endpoint {
    let port = |announced: Param, real: Param| match config.int(announced) {
        0 => config.int(real) as u16,
        port => port as u16,
    };
    let text = |param| String::from_utf8_lossy(&config.text(param)).into_owned();
    let announced = text(Param::ClusterAnnounceIp);
    Endpoint {
        ip: if announced.is_empty() {
            bound(&config.bind())
        } else {
            announced
        },
        port: port(Param::ClusterAnnouncePort, Param::Port),
        tls_port: port(Param::ClusterAnnounceTlsPort, Param::TlsPort),
        bus_port: match config.int(Param::ClusterAnnounceBusPort) {
            0 => config.cluster_bus_port().unwrap_or_default(),
            port => port as u16,
        },
        hostname: text(Param::ClusterAnnounceHostname),
    }
}

/// The first of these addresses that others can connect to; one of this machine alone only if there is no other. Empty
/// where the server listens on all that there are.
fn bound(bind: &[(String, bool)]) -> String {
    let addresses = || bind.iter().filter_map(|(host, _)| host.parse::<IpAddr>().ok());
    if addresses().any(|ip| ip.is_unspecified()) || bind.iter().any(|(host, _)| host == "*" || host == "::*")
    {
        return String::new();
    }
    let of_others = addresses().find(|ip| !ip.is_loopback());
    of_others
        .or_else(|| addresses().next())
        .map(|ip| ip.to_string())
        .unwrap_or_default()
}

/// `cluster-preferred-endpoint-type`.
pub fn preferred(config: &Config) -> EndpointType {
    EndpointType::from_code(config.int(Param::ClusterPreferredEndpointType))
}

/// The port for clients that speak TLS, or do not; where there is none of that kind, the other.
pub fn port(endpoint: &Endpoint, tls: bool) -> u16 {
    let (first, second) = if tls {
        (endpoint.tls_port, endpoint.port)
    } else {
        (endpoint.port, endpoint.tls_port)
    };
    if first == 0 { second } else { first }
}

/// The host of MOVED and ASK. An empty one means: the address at which the client has reached this node.
pub fn host(endpoint: &Endpoint, preferred: EndpointType) -> &str {
    match preferred {
        EndpointType::Ip => &endpoint.ip,
        EndpointType::Hostname if endpoint.hostname.is_empty() => "?",
        EndpointType::Hostname => &endpoint.hostname,
        EndpointType::Unknown => "",
    }
}

/// `host:port` of MOVED and ASK.
pub fn address(node: &Node, preferred: EndpointType, tls: bool) -> String {
    format!(
        "{}:{}",
        host(&node.endpoint, preferred),
        port(&node.endpoint, tls)
    )
}

/// A node in the reply to CLUSTER SLOTS: endpoint, port, name, and the addresses that are not the endpoint.
pub fn show(reply: &mut Reply, node: &Node, preferred: EndpointType, tls: bool) {
    let endpoint = &node.endpoint;
    reply.array(4);
    match preferred {
        EndpointType::Ip | EndpointType::Hostname => reply.bulk(host(endpoint, preferred).as_bytes()),
        EndpointType::Unknown => reply.null(),
    }
    reply.int(i64::from(port(endpoint, tls)));
    reply.bulk(node.id.as_str().as_bytes());
    let more: Vec<(&str, &str)> = [
        ("ip", &endpoint.ip, EndpointType::Ip),
        ("hostname", &endpoint.hostname, EndpointType::Hostname),
    ]
    .into_iter()
    .filter(|(_, text, kind)| !text.is_empty() && *kind != preferred)
    .map(|(name, text, _)| (name, text.as_str()))
    .collect();
    reply.map(more.len());
    for (name, text) in more {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::bound;

    #[test]
    fn a_node_is_reached_where_it_listens_if_that_is_one_place() {
        let bind = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|host| ((*host).to_owned(), false)).collect();
            bound(&hosts)
        };
        assert_eq!(bind(&["127.0.0.1", "10.0.0.7", "10.0.0.8"]), "10.0.0.7");
        assert_eq!(bind(&["127.0.0.1", "::1"]), "127.0.0.1");
        for all in [&["*", "-::*"][..], &["0.0.0.0"], &["10.0.0.7", "::"], &[]] {
            assert_eq!(bind(all), "", "{all:?}");
        }
    }
}
