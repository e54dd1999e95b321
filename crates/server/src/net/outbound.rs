//! Connections that this server opens to another one, as a replica or as the source of a migration; read and written by a
//! thread that waits.
//!
//! Must not know: what is said on them.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::config::Param;
use crate::server::Server;

/// Connects from `bind-source-addr`, within this time.
///
/// # Errors
/// Nobody answers.
pub fn connect(server: &Server, address: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    let local = String::from_utf8_lossy(&server.config.text(Param::BindSourceAddr)).into_owned();
    if let Ok(ip) = local.parse::<IpAddr>() {
        socket.bind(&SocketAddr::new(ip, 0).into())?;
    }
    socket.connect_timeout(&address.into(), within)?;
    socket.set_keepalive(true)?;
    Ok(socket.into())
}

/// Speaks TLS over it, as `tls-replication` wants. `within`: how long a read of the handshake may take; it stays the
/// stream's timeout for reads.
///
/// # Errors
/// No authorities are configured, `host` is no name for a certificate, or the other side has another one.
pub fn over_tls(
    server: &Server,
    host: &str,
    mut tcp: TcpStream,
    within: Duration,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let missing =
        || io::Error::other("tls-replication is on, but no certificates of authorities are configured");
    let config = server.tls.current().client.ok_or_else(missing)?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    tcp.set_read_timeout(Some(within))?;
    while session.is_handshaking() {
        session.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(session, tcp))
}
