//! Positions that functions of the program's own save and delete.

use super::resume_store::{ResumeStore, StoredPoint};
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::error::Error;
use crate::mongo::handle::Mongo;
use crate::mongo::storage_callback::StorageCallback;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

type OnPoint<S> = Box<dyn Fn(&ResumePoint, StorageCallback<S, ()>)>;
type Get<S> = Box<dyn Fn(StorageCallback<S, Option<ResumePoint>>)>;

/// A store made of the program's own functions, as the original takes them: each point is saved, and when it
/// is, the one before is deleted, so that one is left. Each callback is to be called exactly once, and not
/// within the function.
///
/// Set beside a [`ResumeStore`] of the program's own, it knows of no revisions: two instances that save at
/// once do not notice each other, and a [lease](crate::mongo::WatchBuilder::lease) has no fence. Under
/// [`SeedOrder`](crate::mongo::CommitMode::SeedOrder) both functions are done with before the change is given
/// out. A function may be called again with the same point, when one of them has
/// failed with an [error that may pass](Error::is_temporary); saving what is there and deleting what is not
/// there are successes.
///
/// ```no_run
/// use evnats::mongo::bson::{Document, doc, serialize_to_document};
/// use evnats::mongo::{ChangeStream, CommitMode, ResumeFunctions};
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let mongo = event_loop.connect_mongo("mongodb://127.0.0.1:27017")?;
///
/// let (saving, deleting) = (mongo.clone(), mongo.clone());
/// let points = ResumeFunctions::new(
///     &mongo,
///     move |point, done| {
///         let point = serialize_to_document(point).expect("a document");
///         let save = async move |client: evnats::mongo::mongodb::Client| {
///             let points = client.database("shop").collection::<Document>("points");
///             let own = doc! { "_id": point.get("_id") };
///             points.replace_one(own, point).upsert(true).await.map(drop)
///         };
///         saving.call(save, move |state: &mut (), _, saved| done(state, saved));
///     },
///     move |point, done| {
///         let own = doc! { "_id": point.token.as_document() };
///         let delete = async move |client: evnats::mongo::mongodb::Client| {
///             let points = client.database("shop").collection::<Document>("points");
///             points.delete_one(own).await.map(drop)
///         };
///         deleting.call(delete, move |state: &mut (), _, deleted| done(state, deleted));
///     },
/// );
/// let orders = ChangeStream::on("shop", "orders").commit(CommitMode::SeedOrder);
/// mongo.watch(orders).resume(points).start(|_, _, reason| println!("{reason:?}"));
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct ResumeFunctions<S: 'static = ()> {
    mongo: Mongo<S>,
    functions: Rc<Functions<S>>,
    get: Option<Get<S>>,
}

struct Functions<S: 'static> {
    save: OnPoint<S>,
    delete: OnPoint<S>,
    kept: RefCell<Kept>,
}

/// What is kept by now, as far as is known.
#[derive(Default)]
struct Kept {
    last: Option<ResumePoint>,
    /// What is still to be deleted.
    stale: Option<ResumePoint>,
    saves: u64,
}

impl<S: 'static> ResumeFunctions<S> {
    /// Saves points by the first function, and deletes them by the second one.
    pub fn new(
        mongo: &Mongo<S>,
        save: impl Fn(&ResumePoint, StorageCallback<S, ()>) + 'static,
        delete: impl Fn(&ResumePoint, StorageCallback<S, ()>) + 'static,
    ) -> Self {
        let (save, delete) = (Box::new(save), Box::new(delete));
        let functions = Functions { save, delete, kept: RefCell::default() };
        Self { mongo: mongo.clone(), functions: Rc::new(functions), get: None }
    }

    /// Reads the last point by a function. Without one, there is none: the watcher begins where its
    /// [`ChangeStream`](crate::mongo::ChangeStream) says, and what an earlier run has saved is not deleted.
    #[must_use]
    pub fn get(mut self, get: impl Fn(StorageCallback<S, Option<ResumePoint>>) + 'static) -> Self {
        self.get = Some(Box::new(get));
        self
    }
}

impl<S: 'static> Functions<S> {
    fn save(self: &Rc<Self>, point: ResumePoint, done: StorageCallback<S, u64>) {
        let (functions, saved) = (self.clone(), point.clone());
        let saved = move |state: &mut S, outcome: Result<(), Error>| {
            if let Err(error) = outcome {
                return done(state, Err(error));
            }
            let mut kept = functions.kept.borrow_mut();
            kept.saves += 1;
            let revision = kept.saves;
            let before = kept.last.replace(saved);
            kept.stale = before.filter(|before| kept.last.as_ref() != Some(before));
            let is_stale = kept.stale.is_some();
            drop(kept);
            if !is_stale {
                return done(state, Ok(revision));
            }
            functions.delete_stale(Box::new(move |state, deleted| {
                done(state, deleted.map(|()| revision))
            }));
            Ok(())
        };
        (self.save)(&point, Box::new(saved));
    }

    fn delete_stale(self: &Rc<Self>, done: StorageCallback<S, ()>) {
        let Some(stale) = self.kept.borrow().stale.clone() else { return };
        let functions = self.clone();
        let deleted = move |state: &mut S, outcome: Result<(), Error>| {
            if outcome.is_ok() {
                functions.kept.borrow_mut().stale = None;
            }
            done(state, outcome)
        };
        (self.delete)(&stale, Box::new(deleted));
    }
}

impl<S: 'static> ResumeStore<S> for ResumeFunctions<S> {
    fn get(&self, done: StorageCallback<S, Option<StoredPoint>>) {
        let functions = self.functions.clone();
        let got = move |state: &mut S, point: Result<Option<ResumePoint>, Error>| {
            let mut kept = functions.kept.borrow_mut();
            let revision = kept.saves;
            if let Ok(point) = &point {
                kept.last = point.clone();
            }
            drop(kept);
            done(state, point.map(|point| point.map(|point| StoredPoint { point, revision })))
        };
        match &self.get {
            Some(get) => get(Box::new(got)),
            None => {
                let none = move |state: &mut S, _: &Mongo<S>| got(state, Ok(None));
                self.mongo.set_timer(Duration::ZERO, none);
            }
        }
    }

    fn save(&self, point: &ResumePoint, _: Option<u64>, done: StorageCallback<S, u64>) {
        let (functions, point) = (self.functions.clone(), point.clone());
        let is_stale = functions.kept.borrow().stale.is_some();
        if !is_stale {
            return functions.save(point, done);
        }
        // what could not be deleted before comes first, so that no more than one is left over
        self.functions.delete_stale(Box::new(move |state, deleted| match deleted {
            Ok(()) => {
                functions.save(point, done);
                Ok(())
            }
            Err(error) => done(state, Err(error)),
        }));
    }

    fn delete(&self, point: &ResumePoint, done: StorageCallback<S, ()>) {
        (self.functions.delete)(point, done);
    }
}

impl<S> fmt::Debug for ResumeFunctions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeFunctions").finish_non_exhaustive()
    }
}
