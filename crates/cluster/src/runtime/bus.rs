//! The bus: a stream of messages to each peer, and streams from them. A message that a peer does not take in time is lost;
//! the engine sends again what matters. Must not know: what messages mean.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, ClientTlsConfig, Server, ServerTlsConfig, Uri};
use tonic::{Code, Request, Response, Status, Streaming};

use super::auth::{Guard, Security, prove};
use super::door;
use super::driver::Command;
use super::handle::Shared;
use super::notices::{chain, chain_of_status};
use super::peers::{Peers, unix_ms};
use crate::engine::{Address, Outgoing};
use crate::ids::NodeId;
use crate::proto::bus_client::BusClient;
use crate::proto::bus_server::{Bus, BusServer};
use crate::proto::envelope::Payload;
use crate::proto::{Envelope, SendEnd};

/// Bytes of one message; a snapshot is one.
const MAX_MESSAGE: usize = 256 << 20;
/// Messages that wait for one peer.
const MAX_QUEUE: usize = 1024;
/// Streams that peers may have open, each of them.
const MAX_STREAMS: u32 = 16;
const CONNECT: Duration = Duration::from_secs(1);
const ALIVE: Duration = Duration::from_secs(1);
const BACK_OFF: Duration = Duration::from_millis(50);
const MAX_BACK_OFF: Duration = Duration::from_millis(500);
/// A connection that nobody uses is closed after this.
const IDLE: Duration = Duration::from_secs(60);

/// What the bus is made of.
pub(super) struct Parts {
    pub listeners: Vec<TcpListener>,
    pub security: Security,
    pub tls: Option<(ServerTlsConfig, ClientTlsConfig)>,
    pub inputs: mpsc::Sender<Command>,
}

/// The sending side: a queue and a task for each address.
pub(super) struct Sender {
    security: Security,
    tls: Option<ClientTlsConfig>,
    shared: Arc<Shared>,
    queues: BTreeMap<Address, mpsc::Sender<Envelope>>,
}

impl Sender {
    pub(super) fn send(&mut self, message: Outgoing) {
        let Outgoing { to, node, envelope } = message;
        if to.port == 0 || to.host.is_empty() {
            return;
        }
        let closed = self.queues.get(&to).is_none_or(mpsc::Sender::is_closed);
        if closed {
            self.queues.retain(|_, queue| !queue.is_closed());
            let (queue, messages) = mpsc::channel(MAX_QUEUE);
            let peer = Peer {
                address: to.clone(),
                security: self.security.clone(),
                tls: self.tls.clone(),
                shared: Arc::clone(&self.shared),
            };
            tokio::spawn(peer.run(messages));
            self.queues.insert(to.clone(), queue);
        }
        let Some(queue) = self.queues.get(&to) else { return };
        match queue.try_send(envelope) {
            Ok(()) => Peers::count(&self.shared.peers.sent),
            Err(_) => Peers::count(&self.shared.peers.dropped),
        }
        if let Some(node) = node {
            let outbound = self.shared.peers.open.lock().get(&to).copied();
            let queued = MAX_QUEUE - queue.capacity();
            self.shared.peers.note(node, |seen| {
                seen.outbound = outbound;
                seen.queued = queued;
            });
        }
    }
}

/// One peer's sending task.
struct Peer {
    address: Address,
    security: Security,
    tls: Option<ClientTlsConfig>,
    shared: Arc<Shared>,
}

impl Peer {
    async fn run(self, mut messages: mpsc::Receiver<Envelope>) {
        let mut back_off = BACK_OFF;
        loop {
            let Ok(Some(first)) = tokio::time::timeout(IDLE, messages.recv()).await else {
                self.shared.peers.forget_address(&self.address);
                return;
            };
            let reached = self.connect().await;
            if let Err(error) = &reached {
                let (notice, why) = (self.notice(), chain(error));
                if self.shared.notices.due(&notice) {
                    tracing::warn!("the cluster bus: {notice} is not reached: {why}");
                }
                self.shared.peers.note_trouble(&self.address, why);
            }
            if let Ok(client) = reached {
                back_off = BACK_OFF;
                self.shared.notices.over(&self.notice());
                self.shared
                    .peers
                    .open
                    .lock()
                    .insert(self.address.clone(), unix_ms());
                let idle = self.stream(client, first, &mut messages).await;
                if idle {
                    self.shared.peers.forget_address(&self.address);
                    return;
                }
                self.shared.peers.open.lock().remove(&self.address);
            }
            // What waited is old by the time that the peer is back.
            tokio::time::sleep(back_off).await;
            back_off = (back_off * 2).min(MAX_BACK_OFF);
            while messages.try_recv().is_ok() {
                Peers::count(&self.shared.peers.dropped);
            }
        }
    }

    fn notice(&self) -> String {
        format!("peer {}:{}", self.address.host, self.address.port)
    }

    /// The end of a stream, which peers end without a word unless they refuse it or die. That they can be reached does not
    /// end it.
    fn ended(&self, result: &Result<Response<SendEnd>, Status>) {
        let Err(status) = result else { return };
        let notice = self.notice();
        let what = match status.code() {
            Code::Unauthenticated => "does not let this node speak",
            _ => "broke off",
        };
        let why = chain_of_status(status);
        if self.shared.notices.due(&format!("{notice} refuses")) {
            tracing::warn!("the cluster bus: {notice} {what}: {why}");
        }
        self.shared
            .peers
            .note_trouble(&self.address, format!("it {what}: {why}"));
    }

    async fn connect(&self) -> Result<BusClient<Channel>, tonic::transport::Error> {
        let host = &self.address.host;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{host}:{}", self.address.port)
            .parse()
            .unwrap_or_default();
        let mut endpoint = Channel::builder(uri)
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .keep_alive_while_idle(true);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone())?;
        }
        let channel = endpoint.connect().await?;
        Ok(BusClient::new(channel).max_encoding_message_size(MAX_MESSAGE))
    }

    /// Sends until the stream breaks, or nobody sent for long (then true).
    async fn stream(
        &self,
        mut client: BusClient<Channel>,
        first: Envelope,
        messages: &mut mpsc::Receiver<Envelope>,
    ) -> bool {
        let (into, stream) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(stream));
        let nonce = rand::random();
        prove(
            &self.security,
            request.metadata_mut(),
            unix_ms() / 1000,
            nonce,
            self.address.port,
        );
        let call = client.send(request);
        tokio::pin!(call);
        let mut next = Some(first);
        loop {
            if let Some(message) = next.take() {
                tokio::select! {
                    biased;
                    result = &mut call => {
                        self.ended(&result);
                        return false;
                    }
                    sent = into.send(message) => if sent.is_err() {
                        let result = call.await;
                        self.ended(&result);
                        return false;
                    },
                }
            }
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => next = Some(message),
                    None => return true,
                },
                result = &mut call => {
                    self.ended(&result);
                    return false;
                }
                () = tokio::time::sleep(IDLE) => return true,
            }
        }
    }
}

/// The receiving side.
struct Receiver {
    guard: Arc<Guard>,
    inputs: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    port: u16,
}

#[tonic::async_trait]
impl Bus for Receiver {
    async fn send(&self, request: Request<Streaming<Envelope>>) -> Result<Response<SendEnd>, Status> {
        if !self.guard.admits(request.metadata(), unix_ms() / 1000, self.port) {
            Peers::count(&self.shared.peers.refused);
            let from = request
                .remote_addr()
                .map_or_else(String::new, |from| from.ip().to_canonical().to_string());
            if self.shared.notices.due(&format!("proof {from}")) {
                tracing::warn!(
                    "the cluster bus: {from} was refused, as it does not know the secret of this bus (cluster-bus-secret), or its clock differs by more than a minute"
                );
            }
            return Err(Status::unauthenticated("this bus wants a proof of its secret"));
        }
        let since = unix_ms();
        let from = request
            .remote_addr()
            .map(|address| address.ip().to_canonical().to_string());
        let to = request
            .local_addr()
            .map(|address| address.ip().to_canonical().to_string())
            .unwrap_or_default();
        let mut stream = request.into_inner();
        while let Some(mut envelope) = stream.message().await? {
            if let Some(ip) = &from {
                fill_address(&mut envelope, ip);
            }
            envelope.reached_at = match &envelope.payload {
                Some(Payload::Meet(_)) => to.clone(),
                Some(_) | None => String::new(),
            };
            Peers::count(&self.shared.peers.received);
            if let Some(node) = NodeId::parse(&envelope.node) {
                let offset = match &envelope.payload {
                    Some(Payload::Status(status)) => Some(status.offset),
                    Some(_) | None => None,
                };
                self.shared.peers.note(node, |seen| {
                    seen.heard_ms = unix_ms();
                    seen.inbound.get_or_insert(since);
                    seen.offset = offset.unwrap_or(seen.offset);
                });
            }
            if self
                .inputs
                .send(Command::Message(Box::new(envelope)))
                .await
                .is_err()
            {
                return Err(Status::unavailable("the node stops"));
            }
        }
        Ok(Response::new(SendEnd {}))
    }
}

/// A node that does not know its own address is reached where its messages come from.
fn fill_address(envelope: &mut Envelope, ip: &str) {
    let fill = |endpoint: &mut Option<crate::proto::Endpoint>| {
        if let Some(endpoint) = endpoint
            && endpoint.ip.is_empty()
        {
            endpoint.ip = ip.to_owned();
        }
    };
    fill(&mut envelope.endpoint);
    if let Some(Payload::Join(request)) = &mut envelope.payload {
        fill(&mut request.reply_to);
        if let Some(newcomer) = &mut request.newcomer {
            fill(&mut newcomer.endpoint);
        }
    }
}

/// Starts to listen, inside a runtime.
pub(super) fn start(parts: Parts, shared: Arc<Shared>, port: u16) -> std::io::Result<Sender> {
    let guard = Arc::new(Guard::new(parts.security.clone()));
    let (server_tls, client_tls) = match parts.tls {
        Some((server, client)) => (Some(server), Some(client)),
        None => (None, None),
    };
    for listener in parts.listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let receiver = Receiver {
            guard: Arc::clone(&guard),
            inputs: parts.inputs.clone(),
            shared: Arc::clone(&shared),
            port,
        };
        let service = BusServer::new(receiver).max_decoding_message_size(MAX_MESSAGE);
        let mut server = Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .http2_keepalive_interval(Some(ALIVE))
            .http2_keepalive_timeout(Some(ALIVE));
        if let Some(tls) = &server_tls {
            server = server.tls_config(tls.clone()).map_err(std::io::Error::other)?;
        }
        let guarded = door::guard(listener, server_tls.is_some(), Arc::clone(&shared));
        let serve = server.add_service(service).serve_with_incoming(guarded);
        tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!("the cluster bus: {error}");
            }
        });
    }
    Ok(Sender {
        security: parts.security,
        tls: client_tls,
        shared,
        queues: BTreeMap::new(),
    })
}
