//! The initial copy by fast ingest, where the stream takes it: one long batch, of which the stream
//! acknowledges many messages at once.
//!
//! Each message expects the sequence of the one before it, as those do that are sent one by one; the server
//! checks that also within a batch, and ends the batch at the first message that is lost, refused or out of
//! place. So what is acknowledged is in its place, and whatever ends an ingest, the tail decides what is
//! stored. When nothing has come of it, the rest goes out as ordinary messages, which tell what is wrong.

use super::row::{Heard, MAX_BYTES, StoredBefore};
use super::running::{Sink, Work};
use super::under_way::{Ingesting, Place};
use crate::jetstream::{Error, Ingest, IngestOptions, IngestReport};
use evnats_protocol::Payload;
use std::rc::Rc;

/// In so many parts, what may be under way is acknowledged.
const PARTS: u16 = 4;
/// How many messages the stream acknowledges at once, at most.
const MAX_FLOW: usize = 250;

impl Sink {
    /// Has what comes go out by fast ingest, if it is a copy, and the stream takes that.
    pub(super) fn begin_ingest(self: &Rc<Self>) {
        let Some(watch) = self.watch() else { return };
        let work = self.work.borrow();
        let (round, first) = (work.row.round(), work.row.number());
        let is_left =
            work.copying.as_ref().is_some_and(|copying| !(copying.is_read && work.row.is_out()));
        let is_wanted = work.takes_ingests && is_left;
        drop(work);
        let Some(first) = first.filter(|_| is_wanted) else { return };
        // what is read waits for acknowledgements, which have to come before the credit is used up
        let limits = watch.stream.limits;
        let flow =
            u16::try_from((limits.items / usize::from(PARTS)).clamp(1, MAX_FLOW)).unwrap_or(1);
        let ingest = Ingest::new(
            &self.api,
            IngestOptions::new().flow(flow).max_outstanding_acks(PARTS).fast_only(true),
        );
        let place = Place { round, first };
        let sink = Rc::downgrade(self);
        let of_sink = move |handle: &mut dyn FnMut(&Rc<Sink>)| {
            if let Some(sink) = sink.upgrade().filter(|sink| sink.is_at(place)) {
                handle(&sink);
            }
        };
        let (ready, acknowledged, ended) = (of_sink.clone(), of_sink.clone(), of_sink);
        ingest.hooks.ready.replace(Box::new(move |_, _, ()| {
            ready(&mut |sink| sink.ingest());
            Ok(())
        }));
        ingest.hooks.acknowledged.replace(Box::new(move |_, _, number| {
            acknowledged(&mut |sink| sink.handle_ingested(place, *number));
            Ok(())
        }));
        ingest.hooks.ended.replace(Box::new(move |_, _, error| {
            ended(&mut |sink| sink.recover(cause(error.clone())));
            Ok(())
        }));
        self.work.borrow_mut().ingesting = Some(Ingesting {
            ingest,
            place,
            max_bytes: (limits.bytes.min(MAX_BYTES) / 2).max(1),
            added: 0,
            is_finishing: false,
            is_looked_after: false,
        });
    }

    /// Whether what is told of an ingest is about the one that is under way.
    pub(super) fn is_at(&self, place: Place) -> bool {
        self.work.borrow().ingesting.as_ref().is_some_and(|ingesting| ingesting.place == place)
    }

    /// Adds what may be added.
    pub(super) fn ingest(self: &Rc<Self>) {
        while self.is_flowing() {
            let added = self.work.borrow_mut().add_next();
            match added {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return self.recover(cause(error)),
            }
        }
        let mut work = self.work.borrow_mut();
        let is_complete = work.is_ingest_complete();
        // documents that are large go faster one by one, and their acknowledgements cost nothing beside them
        work.takes_ingests &= !work.is_ingest_full();
        drop(work);
        match is_complete {
            true => self.finish_ingest(),
            false => self.look_after_ingest(),
        }
    }

    /// Ends the ingest. What is left goes out with the next one.
    pub(super) fn finish_ingest(self: &Rc<Self>) {
        let mut work = self.work.borrow_mut();
        let Some(ingesting) = &mut work.ingesting else { return };
        if std::mem::replace(&mut ingesting.is_finishing, true) {
            return;
        }
        let (sink, place) = (Rc::downgrade(self), ingesting.place);
        ingesting.ingest.finish(Box::new(move |_, _, outcome| {
            if let Some(sink) = sink.upgrade().filter(|sink| sink.is_at(place)) {
                sink.handle_ingest_end(place, outcome);
            }
            Ok(())
        }));
    }

    /// Everything up to a message of the ingest is stored.
    fn handle_ingested(self: &Rc<Self>, place: Place, number: u64) {
        let mut work = self.work.borrow_mut();
        let is_finishing = work.ingesting.as_ref().is_some_and(|ingesting| ingesting.is_finishing);
        // of the last one, the end tells at which sequence it is
        let before = place.first + number.saturating_sub(u64::from(is_finishing));
        let stored = work.row.handle_stored_before(place.round, before);
        work.note_ingested(stored);
        drop(work);
        self.send();
    }

    fn handle_ingest_end(self: &Rc<Self>, place: Place, outcome: Result<IngestReport, Error>) {
        let report = match outcome {
            Ok(report) => report,
            Err(error) => return self.recover(cause(error)),
        };
        let mut work = self.work.borrow_mut();
        let last = place.first + report.published.saturating_sub(1);
        let stored = work.row.handle_stored_before(place.round, last);
        work.note_ingested(stored);
        if work.row.handle_stored(place.round, last, report.last_sequence) != Heard::Stored {
            drop(work);
            return self.recover(None);
        }
        work.note_ingested(Some(StoredBefore { count: 1, sequence: report.last_sequence }));
        work.ingesting = None;
        drop(work);
        self.begin_ingest();
        self.send();
    }

    /// Lets the ingest end by itself. Nothing that it tells counts any more.
    pub(super) fn leave_ingest(&self) {
        let Some(Ingesting { ingest, .. }) = self.work.borrow_mut().ingesting.take() else {
            return;
        };
        let hooks = &ingest.hooks;
        drop((hooks.ready.take(), hooks.acknowledged.take(), hooks.ended.take()));
        ingest.finish(Box::new(|_, _, _| Ok(())));
    }
}

impl Work {
    /// So many more messages of the ingest are stored.
    fn note_ingested(&mut self, stored: Option<StoredBefore>) {
        let Some(StoredBefore { count, sequence }) = stored else { return };
        self.ingested += count;
        self.sequence = self.sequence.max(sequence);
        (self.has_stored, self.stuck) = (true, 0);
    }

    /// Whether nothing more is to be added to the ingest: it has the last message of the copy, or as much as
    /// may be under way.
    fn is_ingest_complete(&self) -> bool {
        let is_read = self.copying.as_ref().is_none_or(|copying| copying.is_read);
        self.ingesting
            .as_ref()
            .is_some_and(|ingesting| ingesting.is_finishing || is_read && self.row.is_out())
            || self.is_ingest_full()
    }

    fn is_ingest_full(&self) -> bool {
        let bytes = self.row.bytes_out();
        self.ingesting.as_ref().is_some_and(|ingesting| bytes >= ingesting.max_bytes)
    }

    /// Adds what is next to the ingest. Returns whether there was anything, and room for it.
    fn add_next(&mut self) -> Result<bool, Error> {
        let may_add = !self.is_ingest_complete();
        let Some(ingesting) = self.ingesting.as_mut().filter(|_| may_add) else { return Ok(false) };
        let Some(next) = self.row.next() else { return Ok(false) };
        let unit = self.row.get(next.number);
        let Some(draft) = unit.and_then(|unit| unit.drafts.first()) else { return Ok(false) };
        let headers = draft.headers_expecting(next.expected);
        let payload = Payload::from(&draft.payload[..]);
        match ingesting.ingest.add(&draft.subject, Some(&headers), payload) {
            Ok(_) => {
                ingesting.added += 1;
                Ok(true)
            }
            // of its end, the ingest is going to tell the reason
            Err(Error::WindowFull { .. } | Error::IngestEnded { .. }) => {
                self.row.take_back();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// What has ended an ingest, if it is known.
fn cause(error: Error) -> Option<Error> {
    match error {
        Error::IngestEnded { cause, .. } => cause.map(|cause| *cause),
        error => Some(error),
    }
}
