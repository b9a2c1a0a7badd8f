//! The begin of a put: whether it is possible at all, in which chunks, and what it replaces.

use crate::callback::{Ran, State};
use crate::jetstream::StreamConfig;
use crate::object_store::error::Error;
use crate::object_store::name::check_object;
use crate::object_store::objects::meta::Found;
use crate::object_store::putting::lane::chunks_under_way;
use crate::object_store::putting::upload::{Phase, Upload};
use std::rc::Rc;

const DEFAULT_CHUNK_SIZE: usize = 128 << 10;

/// The API level of servers that have fast ingest (2.14).
const FAST_LEVEL: u32 = 4;

impl Upload {
    pub(super) fn start(self: &Rc<Self>) {
        let checked = self.store.check_writable().and_then(|()| check_object(&self.meta.name));
        if let Err(error) = checked {
            return self.fail_later(error);
        }
        let upload = self.clone();
        self.store.with_config(Box::new(move |state, config: Result<Rc<StreamConfig>, Error>| {
            match config {
                Ok(config) => upload.handle_config(state, &config),
                // who may not ask what the bucket is like puts as into one about which nothing is known
                Err(error) if error.is_denied() => {
                    upload.handle_config(state, &StreamConfig::default())
                }
                Err(error) => upload.fail(state, error),
            }
        }));
    }

    fn handle_config(self: &Rc<Self>, state: &mut State, config: &StreamConfig) -> Ran {
        if self.phase() != Phase::Starting {
            return Ok(());
        }
        if config.sealed {
            return self.fail(state, Error::Sealed { bucket: self.store.bucket.to_string() });
        }
        let chunk_size = match self.chunk_size(config) {
            Ok(size) => size,
            Err(error) => return self.fail(state, error),
        };
        self.work.borrow_mut().chunk_size = chunk_size;
        if !config.allow_batched || self.fits_in_a_window(chunk_size) {
            self.look();
            return Ok(());
        }
        let upload = self.clone();
        self.store.api.with_level(move |level| {
            let has_it = matches!(level, Ok(Some(level)) if level >= FAST_LEVEL);
            upload.work.borrow_mut().is_fast = has_it;
            upload.look();
        });
        Ok(())
    }

    /// An ingest is begun with a message that is waited for, which is not worth it for a few.
    fn fits_in_a_window(&self, chunk_size: usize) -> bool {
        let window = chunks_under_way(chunk_size) as u64 * chunk_size as u64;
        self.total.is_some_and(|total| total <= window)
    }

    fn chunk_size(&self, config: &StreamConfig) -> Result<usize, Error> {
        let of_server = self.port().server_info().map(|info| info.max_payload);
        let of_server = of_server.and_then(|limit| usize::try_from(limit).ok());
        let of_bucket = config.max_msg_size.and_then(|limit| usize::try_from(limit).ok());
        let limits = [of_server, of_bucket].into_iter().flatten().filter(|limit| *limit > 0);
        let limit = limits.min().unwrap_or(usize::MAX);
        match self.meta.chunk_size {
            None => Ok(DEFAULT_CHUNK_SIZE.min(limit)),
            Some(size) if (1..=limit).contains(&size) => Ok(size),
            Some(size) => Err(Error::InvalidChunkSize { size, limit }),
        }
    }

    /// Looks at what is there under the name.
    fn look(self: &Rc<Self>) {
        let upload = self.clone();
        let on_found = move |state: &mut State, found: Result<Found, Error>| {
            if upload.phase() != Phase::Starting {
                return Ok(());
            }
            let found = match found {
                Ok(found) => found,
                Err(error) => return upload.fail(state, error),
            };
            if let Err(error) = upload.check_expected(&found) {
                return upload.fail(state, error);
            }
            upload.work.borrow_mut().found = found;
            upload.enter(Phase::Sending);
            upload.open_lane();
            upload.pump(state)
        };
        self.store.find_object(&self.meta.name, Box::new(on_found));
    }

    /// Checks whether what is there is what the put is to replace.
    pub(super) fn check_expected(&self, found: &Found) -> Result<(), Error> {
        match self.options.expected {
            Some(expected) if expected != found.revision => Err(Error::WrongRevision {
                name: self.meta.name.clone(),
                expected,
                actual: found.revision,
            }),
            _ => Ok(()),
        }
    }
}
