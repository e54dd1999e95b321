//! Keyspace events: `notify-keyspace-events`, <https://redis.io/docs/latest/develop/pubsub/keyspace-notifications>.
//!
//! Must not know: what commands do; who subscribes.

use holdfast_storage::effects::{Class, KeyEvent};

use super::Server;
use crate::config::Param;

impl Server {
    /// Classes of events that `notify-keyspace-events` asks for.
    pub(super) fn event_mask(&self) -> u16 {
        self.notify_flags().map_or(0, |n| n.classes)
    }

    fn notify_flags(&self) -> Option<Notify> {
        Notify::parse(&self.config.print(Param::NotifyKeyspaceEvents))
    }

    /// Publishes keyspace events.
    pub fn publish_events(&self, events: &[KeyEvent]) {
        let Some(notify) = self.notify_flags() else { return };
        if !self.pubsub.is_used() {
            return;
        }
        for KeyEvent { db, event, key } in events {
            if notify.keyspace {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
                self.pubsub.publish(&channel, event.1.as_bytes());
            }
            if notify.keyevent {
                self.pubsub
                    .publish(format!("__keyevent@{db}__:{}", event.1).as_bytes(), key);
            }
        }
    }
}

/// The flags of `notify-keyspace-events`.
struct Notify {
    keyspace: bool,
    keyevent: bool,
    classes: u16,
}

impl Notify {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut n = Self {
            keyspace: false,
            keyevent: false,
            classes: 0,
        };
        for b in text {
            n.classes |= match b {
                b'K' => {
                    n.keyspace = true;
                    0
                }
                b'E' => {
                    n.keyevent = true;
                    0
                }
                b'A' => {
                    Class::Generic as u16
                        | Class::String as u16
                        | Class::List as u16
                        | Class::Set as u16
                        | Class::Hash as u16
                        | Class::Zset as u16
                        | Class::Expired as u16
                        | Class::Evicted as u16
                        | Class::Stream as u16
                        | Class::Module as u16
                }
                b'g' => Class::Generic as u16,
                b'$' => Class::String as u16,
                b'l' => Class::List as u16,
                b's' => Class::Set as u16,
                b'h' => Class::Hash as u16,
                b'z' => Class::Zset as u16,
                b'x' => Class::Expired as u16,
                b'e' => Class::Evicted as u16,
                b't' => Class::Stream as u16,
                b'm' => Class::KeyMiss as u16,
                b'd' => Class::Module as u16,
                b'n' => Class::New as u16,
                b'o' => Class::Overwritten as u16,
                b'c' => Class::TypeChanged as u16,
                _ => 0,
            };
        }
        ((n.keyspace || n.keyevent) && n.classes != 0).then_some(n)
    }
}
