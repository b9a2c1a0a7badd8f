//! What is known of a bucket's stream: its configuration, asked for when something depends on it.

use crate::callback::{Answer, State};
use crate::jetstream::{ApiRequest, StreamConfig, StreamInfo};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use std::rc::Rc;
use std::time::Duration;

/// For so long a configuration is believed that others may have changed since.
const BELIEVED: Duration = Duration::from_secs(10);

pub(crate) type OnConfig = Answer<Result<Rc<StreamConfig>, Error>>;

impl Bucket {
    /// Answers with the stream's configuration, no older than ten seconds.
    pub(crate) fn with_config(self: &Rc<Self>, answer: OnConfig) {
        let now = self.api.port().turn_time();
        let known = self.known_config.borrow().clone();
        match known.filter(|(_, learned)| now.saturating_duration_since(*learned) < BELIEVED) {
            Some((config, _)) => self.defer(answer, Ok(config)),
            None => self.ask_config(answer),
        }
    }

    /// Asks for the stream's configuration, whatever is known of it.
    pub(in crate::kv) fn ask_config(self: &Rc<Self>, answer: OnConfig) {
        let bucket = self.clone();
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| {
            answer(state, info.map(|info| bucket.learn_config(&info.config)))
        };
        self.read(ApiRequest::stream_info(&self.stream), Box::new(on_info));
    }

    pub(in crate::kv) fn learn_config(&self, config: &StreamConfig) -> Rc<StreamConfig> {
        let (config, now) = (Rc::new(config.clone()), self.api.port().turn_time());
        *self.known_config.borrow_mut() = Some((config.clone(), now));
        config
    }

    /// Forgets the configuration: it is about to change.
    pub(in crate::kv) fn forget_config(&self) {
        *self.known_config.borrow_mut() = None;
    }
}
