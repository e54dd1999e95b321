//! The thread that writes the log: what has gathered while the disk was busy goes in one transaction. Must not know: what
//! it writes.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Persist;
use crate::storage::Store;

/// Writes of one transaction.
const MAX_BATCH: usize = 1024;
/// How long a disk that fails is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// Tries after which an operator is told again.
const TELL_EVERY: u32 = 60;

/// Starts the thread. It ends when the sender is gone. Numbers of what is on disk go to `written`: at most one for each
/// write that was asked for.
pub(super) fn start(
    store: Box<dyn Store>,
    written: UnboundedSender<u64>,
) -> std::io::Result<(mpsc::Sender<Persist>, JoinHandle<()>)> {
    let (sender, queue) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("cluster-log".to_owned())
        .spawn(move || run(store, &queue, &written))?;
    Ok((sender, thread))
}

fn run(mut store: Box<dyn Store>, queue: &mpsc::Receiver<Persist>, written: &UnboundedSender<u64>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        let number = batch.last().map_or(0, |last| last.number);
        // Nothing is told as done until it is: a node whose disk is full neither votes nor acknowledges meanwhile.
        let mut tries = 0u32;
        while let Err(error) = store.write(&batch) {
            if tries.is_multiple_of(TELL_EVERY) {
                tracing::error!(
                    "{error}: this node takes part in no decision of the cluster until its log can be written, and \
                     serves no slots after a while; it is tried again every second"
                );
            }
            tries = tries.saturating_add(1);
            if written.is_closed() {
                return;
            }
            std::thread::sleep(RETRY);
        }
        if tries > 0 {
            tracing::warn!("the cluster's log is written again, after {tries} failures");
        }
        if written.send(number).is_err() {
            return;
        }
    }
}
