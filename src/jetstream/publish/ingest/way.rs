//! Which way the messages of an ingest go: on a server that has fast ingest as one batch
//! ([`Machine`]), on an older one, or to a stream that does not allow it, through a window. The first
//! message is kept until it is known which.

use super::batch::Batch;
use super::machine::Machine;
use super::progress::{First, Way};
use super::shared::Ingest;
use crate::callback::State;
use crate::client::Delivery;
use crate::jetstream::error::Error;
use crate::jetstream::joined::JoinedText;
use crate::jetstream::publish::pub_ack::PubAck;
use crate::jetstream::publish::window::{Done, Window, WindowOptions};
use std::rc::Rc;

/// The first API level that has it.
const LEVEL: u32 = 4;
/// What a server lacks that does not have it.
pub(super) const FEATURE: &str = "fast_ingest";

impl Ingest {
    pub(super) fn decide(self: &Rc<Self>, told: Result<Option<u32>, Error>) {
        self.progress.borrow_mut().level = told.as_ref().ok().copied().flatten();
        match told {
            Ok(level) if level.is_none_or(|level| level >= LEVEL) => self.begin_batch(),
            Ok(_) if !self.options.fast_only => self.begin_window(),
            Ok(level) => {
                let has = level.unwrap_or_default();
                return self.fail(Error::Unsupported { feature: FEATURE, needs: LEVEL, has });
            }
            Err(error) => return self.fail(error),
        }
        self.notify_soon();
    }

    fn begin_batch(self: &Rc<Self>) {
        let inbox = self.port().new_inbox();
        let mode = if self.options.continue_on_gap { "ok" } else { "fail" };
        let replies = JoinedText::new(format!("{inbox}.{}.{mode}.", self.options.flow.max(1)));
        let ingest = self.clone();
        let on_delivery = move |state: &mut State, delivery: Delivery<'_>| match delivery {
            Delivery::Message(message) => ingest.receive(state, message),
            Delivery::Ended(reason) => {
                ingest.fail(Error::from_inbox_end(*reason));
                Ok(())
            }
        };
        let subscribed = self.port().subscribe(&format!("{inbox}.>"), None, Box::new(on_delivery));
        match subscribed {
            Ok(subscription) => {
                let max_windows = u64::from(self.options.max_outstanding_acks);
                let machine = Machine::new(max_windows, self.timeout(), self.port().now());
                let mut progress = self.progress.borrow_mut();
                progress.report.is_fast = true;
                progress.way = Way::Fast(Batch { machine, replies, subscription });
            }
            Err(error) => self.fail(error.into()),
        }
    }

    fn begin_window(self: &Rc<Self>) {
        let options = WindowOptions::new()
            .max_outstanding(self.options.max_outstanding)
            .timeout(self.timeout());
        let window = Window::new(self.api(), options);
        // they hold it until the end, as the subscription of a batch does
        let (ready, failed) = (self.clone(), self.clone());
        window.hooks.ready.replace(Box::new(move |_, _, ()| {
            ready.notify_soon();
            Ok(())
        }));
        window.hooks.failed.replace(Box::new(move |state, _, failure| {
            failed.refuse(state, failure.number, failure.error.clone())
        }));
        let mut progress = self.progress.borrow_mut();
        progress.report.is_fast = false;
        progress.way = Way::Window(window);
    }

    /// The server has fast ingest, or may have it, and the stream has not. The first message goes the
    /// other way then, unless an old server has stored it already.
    pub(super) fn fall_back(self: &Rc<Self>, stored: Option<PubAck>) {
        self.leave_batch();
        self.begin_window();
        let mut progress = self.progress.borrow_mut();
        let first = progress.first.take();
        let Way::Window(window) = &progress.way else { return };
        let window = window.clone();
        match stored {
            Some(ack) => window.count_as_stored(ack.sequence),
            None => {
                if let Some(First { subject, headers, payload }) = first {
                    let headers = headers.as_ref();
                    drop(progress);
                    // an empty window has room for one message, and the connection's buffer may have none
                    let sent = window.publish(&subject, headers, payload.into(), Done::Quiet);
                    if let Err(error) = sent {
                        self.fail(error);
                    }
                }
            }
        }
    }
}
