//! The changes of a transaction are held until its last one is known. Without I/O.

use super::draft::Draft;
use super::headers::PART;
use super::options::Largest;
use super::unit::Unit;

/// What is held.
#[derive(Default)]
pub(super) struct Holder {
    open: Option<Open>,
}

struct Open {
    id: String,
    /// So many of it are out.
    out: u64,
    held: Vec<Draft>,
    bytes: usize,
    /// It has become too large to be held.
    is_running: bool,
}

/// How many messages of a transaction go out as one batch. 0: the stream takes no batches.
pub(super) type BatchLimit = usize;

impl Holder {
    /// A transaction of which so many changes are out, by whoever published before.
    pub(super) fn begun(id: String, out: u64) -> Self {
        Self { open: Some(Open { out, ..Open::new(id) }) }
    }

    /// Whether this is another transaction than the one that is held.
    pub(super) fn is_other(&self, id: Option<&str>) -> bool {
        self.open.as_ref().is_some_and(|open| Some(open.id.as_str()) != id)
    }

    /// Takes in a change of the transaction that is held, or of a new one. Returns what does not have to be
    /// held any more.
    pub(super) fn take(&mut self, id: String, draft: Draft, largest: Largest) -> Vec<Unit> {
        let open = self.open.get_or_insert_with(|| Open::new(id));
        open.bytes += draft.bytes;
        open.held.push(draft);
        open.is_running |= open.held.len() > largest.events || open.bytes > largest.bytes;
        // the last one is to say that it is the last
        let ready = if open.is_running { open.held.len() - 1 } else { 0 };
        let ready = open.held.drain(..ready);
        ready.map(|draft| Unit::one(numbered(draft, &mut open.out, None))).collect()
    }

    /// The transaction is over.
    pub(super) fn end(&mut self, limit: BatchLimit) -> Vec<Unit> {
        let Some(mut open) = self.open.take() else { return Vec::new() };
        let count = open.held.len();
        let is_batch = open.out == 0 && count > 1 && count <= limit;
        let total = open.out + count as u64;
        let drafts = open.held.drain(..).map(|draft| numbered(draft, &mut open.out, Some(total)));
        match is_batch {
            true => vec![Unit::batch(drafts.collect())],
            false => drafts.map(Unit::one).collect(),
        }
    }

    /// Takes out what is held. It comes again.
    pub(super) fn withdraw(&mut self) -> Vec<Draft> {
        let Some(open) = &mut self.open else { return Vec::new() };
        let held = std::mem::take(&mut open.held);
        open.bytes = 0;
        if open.out == 0 {
            self.open = None;
        }
        held
    }
}

impl Open {
    fn new(id: String) -> Self {
        Self { id, out: 0, held: Vec::new(), bytes: 0, is_running: false }
    }
}

/// The message with its number.
fn numbered(mut draft: Draft, out: &mut u64, total: Option<u64>) -> Draft {
    *out += 1;
    let part = total.map_or_else(|| out.to_string(), |total| format!("{out} of {total}"));
    draft.headers.append(PART, part);
    draft
}
