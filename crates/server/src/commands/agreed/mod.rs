//! Commands whose changes hold on all nodes of a cluster: they are agreed on first, and answered when they are in force
//! here. Their client waits, its thread does not. Without a cluster, and for commands of a log, nothing of this applies.
//!
//! ```text
//! users   ACL SETUSER, DELUSER, LOAD      functions   FUNCTION LOAD, DELETE, FLUSH, RESTORE      settings   CONFIG SET
//! ```
//!
//! Must not know: how nodes agree.

pub(super) mod functions;
pub(super) mod settings;
pub(super) mod users;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use holdfast_cluster::state::Entry as Change;
use holdfast_resp::Reply;

use super::{Call, ServerError, ServerResult};
use crate::blocking;
use crate::cluster::react;
use crate::server::Server;
use crate::session::{Flow, Replies, Wait};
use crate::worker::{Source, Worker};

/// What a client is told in the end.
#[derive(Debug)]
pub(super) enum Answer {
    Ok,
    Bulk(Vec<u8>),
    Int(i64),
}

/// The answer, or the error reply with its code word.
pub(super) type Outcome = Result<Answer, String>;
type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Whether the command is to be agreed on.
///
/// # Errors
/// It is part of a transaction, which cannot wait.
pub(super) fn applies(call: &Call<'_, '_>) -> Result<bool, ServerError> {
    if call.session.server.cluster.get().is_none() || call.w.source != Source::Clients {
        return Ok(false);
    }
    if call.locked.is_some() {
        return Err(ServerError(format!(
            "ERR '{}' holds on all nodes of the cluster: it cannot be part of a transaction",
            call.entry.spec.name.replace('|', " ").to_uppercase()
        )));
    }
    Ok(true)
}

/// Whether the command came from a primary, in a cluster that tells its nodes itself.
pub(super) fn is_told_otherwise(call: &Call<'_, '_>) -> bool {
    call.session.server.cluster.get().is_some() && call.w.source == Source::Mirror
}

/// Does the work in this client's turn and answers with what it gives.
pub(super) fn later<F>(call: &mut Call<'_, '_>, work: F) -> ServerResult
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let (server, client) = (Arc::clone(&call.session.server), Arc::clone(&call.session.client));
    let work: Work = Box::pin(work);
    let in_turn = in_turn(Arc::clone(&server), client.id, work);
    if tokio::runtime::Handle::try_current().is_err() {
        return at_once(call, in_turn);
    }
    let session = &*call.session;
    let muted = session.replies != Replies::On;
    let waiter = server
        .blocking
        .enter_job(&client, call.entry, session.db, session.proto, muted);
    let job = Arc::clone(&waiter);
    tokio::spawn(async move {
        let (outcome, ends) = in_turn.await;
        let mut reply = Reply::new(Vec::new(), job.proto);
        write(&mut reply, outcome);
        blocking::unblock(&server, None, &job, reply.as_bytes());
        if ends {
            client.kill(); // what it was sent leaves before
        }
    });
    Ok(Flow::Blocked(Wait {
        waiter,
        timeout_ms: None,
    }))
}

/// Where there is no runtime (in tests) nothing can be waited for.
fn at_once(call: &mut Call<'_, '_>, in_turn: impl Future<Output = (Outcome, bool)>) -> ServerResult {
    let Some((outcome, ends)) = in_turn.now_or_never() else {
        return Err(ServerError::new("ERR nobody can wait here"));
    };
    write(&mut call.w.reply, outcome);
    Ok(if ends { Flow::Close } else { Flow::Continue })
}

async fn in_turn(server: Arc<Server>, client: u64, work: Work) -> (Outcome, bool) {
    let Some(cluster) = server.cluster.get() else {
        return (
            Err("ERR This instance has cluster support disabled".to_owned()),
            false,
        );
    };
    let _turn = cluster.wide.turn.lock().await;
    cluster.wide.begin(client);
    let outcome = work.await;
    follow(&server).await;
    (outcome, cluster.wide.end())
}

fn write(reply: &mut Reply, outcome: Outcome) {
    match outcome {
        Ok(Answer::Ok) => reply.ok(),
        Ok(Answer::Bulk(bytes)) => reply.bulk(&bytes),
        Ok(Answer::Int(number)) => reply.int(number),
        Err(text) => {
            Worker::with(|w, _| w.count_error(text.as_bytes()));
            reply.error(&text);
        }
    }
}

/// Has a change agreed on, and follows it.
///
/// # Errors
/// The error reply.
pub(super) async fn propose(server: &Arc<Server>, change: Change) -> Result<(), String> {
    let Some(cluster) = server.cluster.get() else {
        return Ok(());
    };
    cluster
        .plane()
        .propose(change)
        .await
        .map_err(|error| error.to_string())?;
    follow(server).await;
    Ok(())
}

/// Whoever is told that something was agreed on finds it in force.
async fn follow(server: &Arc<Server>) {
    if tokio::runtime::Handle::try_current().is_err() {
        return react::to_view(server);
    }
    let server = Arc::clone(server);
    let followed = tokio::task::spawn_blocking(move || react::to_view(&server)).await;
    if let Err(error) = followed {
        tracing::error!("following the cluster's state failed: {error}");
    }
}
