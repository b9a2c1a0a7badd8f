//! From a name to the object that it stands for: links are followed, in whichever bucket they lead.

use crate::callback::{Answer, State};
use crate::object_store::error::Error;
use crate::object_store::info::{ObjectInfo, ObjectLink};
use crate::object_store::name::check_object;
use crate::object_store::objects::meta::Found;
use crate::object_store::store::Store;
use std::collections::HashSet;
use std::rc::Rc;

/// An object, and the bucket that it is in.
pub(in crate::object_store) struct Resolved {
    pub(in crate::object_store) store: Rc<Store>,
    pub(in crate::object_store) info: ObjectInfo,
}

/// Where a chain of links has led so far. A place is not visited twice, so it ends.
struct Chain {
    /// The name that was asked for.
    asked: String,
    visited: HashSet<(String, String)>,
}

/// So many links are followed at most: a chain of links that others keep making does not end by itself.
const MOST_LINKS: usize = 64;

impl Store {
    /// Finds the object that a name stands for.
    pub(in crate::object_store) fn resolve(
        self: &Rc<Self>,
        name: &str,
        answer: Answer<Result<Resolved, Error>>,
    ) {
        if let Err(error) = check_object(name) {
            return self.defer(answer, Err(error));
        }
        let chain = Chain { asked: name.to_owned(), visited: HashSet::new() };
        self.follow(name, chain, answer);
    }

    fn follow(
        self: &Rc<Self>,
        name: &str,
        mut chain: Chain,
        answer: Answer<Result<Resolved, Error>>,
    ) {
        let is_new = chain.visited.insert((self.bucket.to_string(), name.to_owned()));
        if !is_new || chain.visited.len() > MOST_LINKS {
            return self.defer(answer, Err(Error::LinkCycle { name: chain.asked }));
        }
        let (store, sought) = (self.clone(), name.to_owned());
        let on_found = move |state: &mut State, found: Result<Found, Error>| {
            let info = match found.and_then(|found| store.live_object(&sought, found)) {
                Ok(info) => info,
                Err(error) => return answer(state, Err(error)),
            };
            match &info.link {
                None => answer(state, Ok(Resolved { store, info })),
                Some(ObjectLink { bucket, name: None }) => {
                    let (name, bucket) = (info.name.clone(), bucket.clone());
                    answer(state, Err(Error::BucketLink { name, bucket }))
                }
                Some(ObjectLink { bucket, name: Some(name) }) => {
                    store.sibling(bucket).follow(name, chain, answer);
                    Ok(())
                }
            }
        };
        self.find_object(name, Box::new(on_found));
    }
}
