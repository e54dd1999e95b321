//! The door of the bus: who does not begin as a peer does is told of and sent away before gRPC sees a byte. Must not know:
//! who may speak (see `auth`).

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::handle::Shared;
use super::peers::Peers;

/// What a peer's first bytes are without TLS: HTTP/2 with prior knowledge.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE: u8 = 0x16;
/// Connections that may stand at the door.
const MAX_AT_DOOR: usize = 256;
/// How long one may say nothing there.
const PATIENCE: Duration = Duration::from_secs(5);
/// A listener that fails is left alone for so long.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of a listener that begin as peers' do.
pub(super) fn guard(
    listener: TcpListener,
    by_tls: bool,
    shared: Arc<Shared>,
) -> ReceiverStream<std::io::Result<TcpStream>> {
    let (inside, accepted) = mpsc::channel(16);
    let room = Arc::new(Semaphore::new(MAX_AT_DOOR));
    tokio::spawn(async move {
        loop {
            let next = tokio::select! {
                next = listener.accept() => next,
                () = inside.closed() => return,
            };
            let Ok((stream, from)) = next else {
                // Out of descriptors, perhaps: not for long.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                Peers::count(&shared.peers.refused);
                continue;
            };
            let (inside, shared) = (inside.clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                let begins = tokio::time::timeout(PATIENCE, begins_well(&stream, by_tls)).await;
                drop(place);
                match begins {
                    Ok(Ok(true)) => {
                        // Without it small messages wait for acknowledgements.
                        let _ = stream.set_nodelay(true);
                        let _ = inside.send(Ok(stream)).await;
                    }
                    Ok(Ok(false)) => {
                        Peers::count(&shared.peers.refused);
                        let ip = from.ip().to_canonical();
                        if shared.notices.due(&format!("stranger {ip}")) {
                            let wanted = if by_tls { "TLS" } else { "the bus's protocol" };
                            tracing::warn!(
                                "the cluster bus: {ip} was sent away, as it does not speak {wanted}; this port is for nodes only"
                            );
                        }
                    }
                    // It left, or said nothing: a port scan, a check of health.
                    Ok(Err(_)) | Err(_) => Peers::count(&shared.peers.refused),
                }
            });
        }
    });
    ReceiverStream::new(accepted)
}

async fn begins_well(stream: &TcpStream, by_tls: bool) -> std::io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    let read = stream.peek(&mut first).await?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(if by_tls {
        first[0] == HANDSHAKE
    } else {
        first[..read] == PREFACE[..read]
    })
}
