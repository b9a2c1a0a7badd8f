//! Chunks on their way: from the source into the lane, as far as it has room, and what it says of them.

use crate::callback::{Ran, State};
use crate::jetstream::{
    self, Done, Ingest, IngestOptions, IngestReport, PubAck, Window, WindowOptions,
};
use crate::object_store::error::Error;
use crate::object_store::putting::kept::OutOfOrder;
use crate::object_store::putting::lane::{Lane, chunks_under_way};
use crate::object_store::putting::piece::Piece;
use crate::object_store::putting::source::error_of;
use crate::object_store::putting::upload::{Phase, Upload, Work};
use bytes::Bytes;
use std::rc::Rc;

/// What there is to do next.
enum Step {
    Send,
    Ask(usize),
    /// Everything is sent, and the lane says when it is stored.
    Commit,
    Finish,
    Wait,
}

/// What has become of a chunk that was to be sent.
enum Sent {
    Yes,
    /// There is no room for it, or no chunk: somebody says when there is.
    Full,
    Failed {
        lane_number: u64,
        error: jetstream::Error,
    },
}

impl Upload {
    /// Opens a lane: the fast one, if it may be, and nothing has gone wrong yet.
    pub(super) fn open_lane(self: &Rc<Self>) {
        let work = self.work.borrow();
        let (number, chunk_size) = (work.lane_number, work.chunk_size);
        let is_fast = work.is_fast && !work.has_recovered;
        drop(work);
        let lane = match is_fast {
            true => self.open_ingest(number, chunk_size),
            false => self.open_window(chunk_size),
        };
        self.work.borrow_mut().lane = Some(lane);
    }

    fn open_window(self: &Rc<Self>, chunk_size: usize) -> Lane {
        let options = WindowOptions::new().max_outstanding(chunks_under_way(chunk_size));
        let window = Window::new(&self.store.api, options);
        let upload = self.clone();
        window.hooks.ready.replace(Box::new(move |state, _, ()| upload.pump(state)));
        Lane::Window(window)
    }

    fn open_ingest(self: &Rc<Self>, number: u64, chunk_size: usize) -> Lane {
        let flow =
            u16::try_from(chunks_under_way(chunk_size) / 4).unwrap_or(u16::MAX).clamp(1, 100);
        let options = IngestOptions::new().flow(flow).max_outstanding(chunks_under_way(chunk_size));
        let ingest = Ingest::new(&self.store.api, options);
        let (ready, ended) = (self.clone(), self.clone());
        ingest.hooks.ready.replace(Box::new(move |state, ingest, ()| {
            ready.note_ingested(state, number, &ingest.report())?;
            ready.pump(state)
        }));
        ingest.hooks.ended.replace(Box::new(move |state, ingest, error| {
            ended.note_ingested(state, number, &ingest.report())?;
            ended.handle_lane_error(state, number, error.clone())
        }));
        Lane::Ingest(ingest)
    }

    /// Sends what there is, as far as there is room for it.
    pub(super) fn pump(self: &Rc<Self>, state: &mut State) -> Ran {
        loop {
            match self.next_step() {
                Step::Send => match self.send_next() {
                    Sent::Yes => {}
                    Sent::Full => return Ok(()),
                    Sent::Failed { lane_number, error } => {
                        return self.handle_lane_error(state, lane_number, error);
                    }
                },
                Step::Ask(wanted) => self.ask_source(state, wanted)?,
                Step::Commit => {
                    self.commit();
                    return Ok(());
                }
                Step::Finish => {
                    self.finish();
                    return Ok(());
                }
                Step::Wait => return Ok(()),
            }
        }
    }

    fn next_step(&self) -> Step {
        let work = self.work.borrow();
        if work.phase != Phase::Sending {
            return Step::Wait;
        }
        if work.kept.next_to_send().is_some() {
            return Step::Send;
        }
        if !work.has_source_ended {
            return if work.is_source_empty { Step::Wait } else { Step::Ask(work.chunk_size) };
        }
        match &work.lane {
            _ if work.kept.is_empty() => Step::Finish,
            Some(Lane::Ingest(_)) => Step::Commit,
            _ => Step::Wait,
        }
    }

    /// Sends the next chunk, if there is one.
    fn send_next(self: &Rc<Self>) -> Sent {
        let mut work = self.work.borrow_mut();
        let Some((number, data)) = work.kept.next_to_send() else { return Sent::Full };
        work.has_sent = true;
        let (lane_number, subject) = (work.lane_number, &self.subject);
        let sent = match &work.lane {
            None => return Sent::Full,
            Some(Lane::Ingest(ingest)) => {
                let ingest = ingest.clone();
                drop(work);
                ingest.add(subject, None, data.into())
            }
            Some(Lane::Window(window)) => {
                let (window, upload) = (window.clone(), self.clone());
                drop(work);
                let done = move |state: &mut State, _: &Rc<Window>, stored| {
                    upload.handle_stored(state, lane_number, number, stored)
                };
                window.publish(subject, None, data.into(), Done::Call(Box::new(done)))
            }
        };
        match sent {
            Ok(_) => {
                self.work.borrow_mut().kept.note_sent();
                Sent::Yes
            }
            Err(jetstream::Error::WindowFull { .. }) => Sent::Full,
            Err(error) => Sent::Failed { lane_number, error },
        }
    }

    /// Asks the source for the next piece. If it panics, the put is over.
    fn ask_source(self: &Rc<Self>, state: &mut State, wanted: usize) -> Ran {
        let mut piece = Piece::End;
        let unwinding = Unwinding(self);
        self.source.run(|source| {
            piece = source(state, self, wanted);
            Ok(())
        })?;
        drop(unwinding);
        match piece {
            Piece::Data(data) => {
                let mut work = self.work.borrow_mut();
                work.chunker.push(data);
                while let Some(chunk) = work.chunker.next(wanted) {
                    work.take_chunk(chunk);
                }
            }
            Piece::Later => self.work.borrow_mut().is_source_empty = true,
            Piece::End => {
                let mut work = self.work.borrow_mut();
                work.has_source_ended = true;
                if let Some(rest) = work.chunker.rest() {
                    work.take_chunk(rest);
                }
            }
            Piece::Failed(error) => return self.fail(state, error_of(&error)),
        }
        Ok(())
    }

    /// The source has more.
    pub(super) fn resume(self: &Rc<Self>) {
        if std::mem::take(&mut self.work.borrow_mut().is_source_empty) {
            let upload = self.clone();
            self.port().defer(move |state| upload.pump(state));
        }
    }

    /// A chunk that went in a window has its outcome.
    fn handle_stored(
        self: &Rc<Self>,
        state: &mut State,
        lane_number: u64,
        number: u64,
        stored: Result<PubAck, jetstream::Error>,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        if work.lane_number != lane_number || work.phase != Phase::Sending {
            return Ok(());
        }
        let ack = match stored {
            Ok(ack) => ack,
            Err(error) => {
                drop(work);
                return self.handle_lane_error(state, lane_number, error);
            }
        };
        let noted = work.kept.handle_stored(number, ack.sequence);
        work.deadline = None;
        drop(work);
        if let Err(OutOfOrder) = noted {
            let subject = Some(self.subject.as_str().into());
            let error = jetstream::Error::NotStored { subject };
            return self.handle_lane_error(state, lane_number, error);
        }
        self.tell_progress(state)?;
        self.finish_if_stored();
        Ok(())
    }

    /// An ingest has told how many of its chunks are stored.
    fn note_ingested(
        self: &Rc<Self>,
        state: &mut State,
        lane_number: u64,
        report: &IngestReport,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        if work.lane_number != lane_number || work.phase != Phase::Sending {
            return Ok(());
        }
        let before = work.kept.stored();
        work.kept.handle_count(report.stored);
        let has_progress = work.kept.stored() > before;
        drop(work);
        match has_progress {
            true => self.tell_progress(state),
            false => Ok(()),
        }
    }

    /// Everything was given to the ingest.
    fn commit(self: &Rc<Self>) {
        let work = self.work.borrow();
        let Some(Lane::Ingest(ingest)) = &work.lane else { return };
        let (ingest, lane_number, upload) = (ingest.clone(), work.lane_number, self.clone());
        drop(work);
        ingest.finish(Box::new(move |state, ingest, ended| {
            let report = ended.as_ref().map_or_else(|_| ingest.report(), Clone::clone);
            upload.note_ingested(state, lane_number, &report)?;
            match ended {
                Ok(_) => {
                    upload.finish_if_stored();
                    Ok(())
                }
                Err(error) => upload.handle_lane_error(state, lane_number, error),
            }
        }));
    }

    fn finish_if_stored(self: &Rc<Self>) {
        if let Step::Finish = self.next_step() {
            self.finish();
        }
    }

    /// A chunk is not stored, or not known to be. Others of the same lane may be, behind it.
    fn handle_lane_error(
        self: &Rc<Self>,
        state: &mut State,
        lane_number: u64,
        error: jetstream::Error,
    ) -> Ran {
        let work = self.work.borrow();
        if work.lane_number != lane_number || work.phase != Phase::Sending {
            return Ok(());
        }
        drop(work);
        self.recover(state, error)
    }
}

impl Work {
    fn take_chunk(&mut self, chunk: Bytes) {
        self.hasher.update(&chunk);
        self.size += chunk.len() as u64;
        self.chunks += 1;
        self.kept.push(chunk);
    }
}

/// Ends the put if the program's callback unwinds.
struct Unwinding<'a>(&'a Rc<Upload>);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail_later(Error::Aborted);
        }
    }
}
