//! Chunks as they come, from a consumer: checked, and handed over.

use crate::callback::{Ran, State};
use crate::jetstream::watching::heartbeat_within;
use crate::jetstream::{DeliverPolicy, OrderedConfig, Reader, ReaderEvent};
use crate::object_store::digest;
use crate::object_store::getting::download::{Brought, Download};
use crate::object_store::getting::range::{Place, part};
use std::rc::Rc;

impl Download {
    /// Reads from the next chunk on.
    pub(super) fn read(self: &Rc<Self>) {
        let work = self.work.borrow();
        let Some(working) = &*work else { return };
        let config = self.reader_config(&working.info.nuid, working.last_sequence + 1, false);
        let (api, number) = (working.store.api.clone(), working.reader_number);
        drop(work);
        let download = self.clone();
        let reader = Reader::start(&api, config, move |state, _, event| {
            download.handle_event(state, number, event)
        });
        if let Some(work) = &mut *self.work.borrow_mut() {
            work.reader = Some(reader.downgrade());
        }
    }

    pub(super) fn reader_config(&self, nuid: &str, from: u64, headers_only: bool) -> OrderedConfig {
        let store = self.store();
        OrderedConfig {
            stream: store.stream.clone(),
            name_prefix: format!("evnats_{:016x}", self.port().random()),
            filter_subjects: vec![store.chunk_subject(nuid)],
            deliver_policy: match from {
                0 | 1 => DeliverPolicy::All,
                from => DeliverPolicy::ByStartSequence(from),
            },
            headers_only,
            idle_heartbeat: heartbeat_within(store.api.timeout()),
            ..OrderedConfig::default()
        }
    }

    /// Whether what a reader tells is of interest.
    pub(super) fn is_current(&self, reader_number: u64) -> bool {
        let work = self.work.borrow();
        self.is_active() && work.as_ref().is_some_and(|work| work.reader_number == reader_number)
    }

    fn handle_event(
        self: &Rc<Self>,
        state: &mut State,
        number: u64,
        event: ReaderEvent<'_>,
    ) -> Ran {
        if !self.is_current(number) {
            return Ok(());
        }
        match event {
            ReaderEvent::Message(message, numbers) => {
                self.note_heard();
                match self.expected_pending() {
                    Some(pending) if pending == numbers.pending => {
                        self.take(state, message.payload(), numbers.stream_sequence)
                    }
                    _ => self.distrust(),
                }
            }
            // the replica has no more
            ReaderEvent::Idle => self.distrust(),
            ReaderEvent::Failed(error) => {
                self.leave_reader();
                let error = self.store().error(error);
                // a consumer could not be made, as in an election
                self.try_again(state, error, Self::read)
            }
            ReaderEvent::Created { .. } => {
                self.note_heard();
                Ok(())
            }
            ReaderEvent::Lost
            | ReaderEvent::Stream(_)
            | ReaderEvent::Stalled(_)
            | ReaderEvent::Resumed
            | ReaderEvent::Again => Ok(()),
        }
    }

    /// How many chunks are behind the next one.
    fn expected_pending(&self) -> Option<u64> {
        let work = self.work.borrow();
        let work = work.as_ref()?;
        work.info.chunks.checked_sub(work.next.index + 1)
    }

    /// Leaves a replica that does not know what the leader knows, and asks that. What was located with
    /// the replica's help may be the wrong place: then it begins with the first chunk.
    fn distrust(self: &Rc<Self>) -> Ran {
        self.leave_reader();
        if let Some(work) = &mut *self.work.borrow_mut()
            && work.is_located
            && work.done == 0
        {
            (work.is_located, work.next, work.last_sequence) = (false, Place::FIRST, 0);
        }
        self.turn_to_leader();
        Ok(())
    }

    /// Takes the next chunk, and hands over what of it is wanted.
    pub(super) fn take(self: &Rc<Self>, state: &mut State, chunk: &[u8], sequence: u64) -> Ran {
        let mut work = self.work.borrow_mut();
        let Some(working) = &mut *work else { return Ok(()) };
        if let Some(hasher) = &mut working.hasher {
            hasher.update(chunk);
        }
        let part = part(chunk.len(), working.next.offset, &working.wanted);
        working.next.index += 1;
        working.next.offset += chunk.len() as u64;
        working.last_sequence = sequence;
        working.done += part.len() as u64;
        let is_last = working.next.index >= working.info.chunks
            || (working.hasher.is_none() && working.next.offset >= working.wanted.end);
        drop(work);
        if is_last {
            self.leave_reader();
        }
        if !part.is_empty() {
            self.hand_over(state, &chunk[part], is_last)?;
        }
        match is_last && self.is_active() {
            true => self.complete(state),
            false => Ok(()),
        }
    }

    /// Hands bytes to the callback. If that panics or fails with the last of them, the end comes in a
    /// turn of its own.
    fn hand_over(self: &Rc<Self>, state: &mut State, bytes: &[u8], is_last: bool) -> Ran {
        let guard = is_last.then(|| CompleteLater(self));
        let mut refused = None;
        let ran = self.on_data.run(|on_data| match on_data(state, self, bytes) {
            Ok(ran) => ran,
            Err(error) => {
                refused = Some(error);
                Ok(())
            }
        });
        if ran.is_ok() {
            std::mem::forget(guard);
        }
        ran?;
        if let Some(error) = refused {
            return self.end(state, Err(error));
        }
        let progress = self.progress();
        self.on_progress.run(|hook| hook(state, self, progress))
    }

    /// Everything has come: it is what was put, or the object is damaged.
    pub(super) fn complete(self: &Rc<Self>, state: &mut State) -> Ran {
        let mut work = self.work.borrow_mut();
        let Some(working) = &mut *work else { return Ok(()) };
        let (info, range) = (working.info.clone(), working.wanted.clone());
        let (done, hasher) = (working.done, working.hasher.take());
        let size = working.next.offset;
        drop(work);
        let is_whole = hasher.is_some();
        if (is_whole && size != info.size) || done != range.end - range.start {
            let reason = format!("it has {size} bytes in place of {}", info.size);
            return self.end(state, Err(self.damaged(reason)));
        }
        let is_verified = match (hasher, &info.digest) {
            (Some(hasher), Some(digest)) => {
                if !digest::is_same(&hasher.finish(), digest) {
                    let reason = "its bytes do not have its digest".into();
                    return self.end(state, Err(self.damaged(reason)));
                }
                true
            }
            _ => false,
        };
        self.end(state, Ok(Brought { info: (*info).clone(), range, is_verified }))
    }
}

/// Completes the get, unless it is forgotten.
struct CompleteLater<'a>(&'a Rc<Download>);

impl Drop for CompleteLater<'_> {
    fn drop(&mut self) {
        let download = self.0.clone();
        self.0.port().defer(move |state| match download.is_active() {
            true => download.complete(state),
            false => Ok(()),
        });
    }
}
